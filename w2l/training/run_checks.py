"""The findings on the data from before a run began, check.json in its folder."""

from collections.abc import Sequence
from pathlib import Path

from w2l.core.errors import CacheError
from w2l.core.files import read_json, write_json
from w2l.training.run_folder import make_run_folder

NAME = "check.json"
"""Of the file, in the run's folder."""


def keep_checks(folder: Path, findings: Sequence[tuple[str, str]]) -> None:
    """Store pairs of severity and line; none remove those of an earlier run of this name."""
    make_run_folder(folder)
    if findings:
        write_json(folder / NAME, {"findings": [{"severity": kind, "text": text} for kind, text in findings]})
    else:
        (folder / NAME).unlink(missing_ok=True)


def read_checks(folder: Path) -> list[tuple[str, str]]:
    """Return the pairs of severity and line; none if the file is missing or damaged."""
    try:
        findings = read_json(folder / NAME).get("findings")
    except CacheError:
        return []
    found = [one for one in findings if isinstance(one, dict)] if isinstance(findings, list) else []
    return [(str(one.get("severity", "note")), str(one["text"])) for one in found if "text" in one]
