"""doctor: check what works on this machine, and suggest fixes for the rest."""

import contextlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from stages.checks.finding import FAILURES, Check, Finding, reason
from stages.checks.machine import check_devices, check_packages
from stages.checks.parts import check_detectors, check_encoders, check_models
from stages.checks.storage import check_cache

STAGE = "doctor"
COLOURS = {"ok": "green", "missing": "cyan", "warning": "yellow", "broken": "red"}
MAX_WIDTH = 100
CHECKS: dict[str, Check] = {
    "packages": check_packages,
    "devices": check_devices,
    "encoders": check_encoders,
    "detectors": check_detectors,
    "models": check_models,
    "cache": check_cache,
}
"""The checks by topic, in the order of the report."""


def run(root: Path | None) -> list[Finding]:
    """Return all findings about this installation and the cache at `root` (None: the default place).

    Nothing is downloaded or written, and missing or broken parts do not raise errors.
    """
    found: list[Finding] = []
    for topic, check in CHECKS.items():
        try:
            found += check(root)  # findings before an error are kept
        except FAILURES as error:
            advice = "fix what is broken above, else: pip install --force-reinstall w2l"
            found.append(Finding(topic, topic, "broken", f"could not be checked: {reason(error)}", advice))
    return found


@click.command(STAGE)
@click.option("--cache", type=click.Path(path_type=Path), help="Cache folder  [$W2L_CACHE, else ./w2l-cache]")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(cache: Path | None, as_json: bool, debug: bool) -> None:
    """Check this installation and suggest fixes for missing parts.

    Checks packages, devices, encoders, face detectors, models, cache and disk; downloads and writes nothing. Exit
    status: 0, or 1 if something required is broken.

    \b
    w2l doctor
    w2l doctor --json | jq '.findings[] | select(.state == "broken")'
    """
    with contextlib.redirect_stdout(sys.stderr):  # broken packages may print
        findings = run(cache)
    is_healthy = all(finding.state != "broken" for finding in findings)
    if as_json:
        content = {"healthy": is_healthy, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(content, indent=1, default=str))
    else:
        click.echo(report(findings, min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)))
    if not is_healthy:
        sys.exit(1)


def report(findings: Sequence[Finding], width: int) -> str:
    """Return the findings by topic as lines of at most `width` characters, if words allow that."""
    lines: list[str] = []
    for topic in CHECKS:
        lines += [click.style(topic.capitalize(), bold=True)]
        found = [finding for finding in findings if finding.topic == topic]
        if topic == "packages":  # many, and of little interest if they work
            well = ", ".join(f"{finding.name} {finding.detail}" for finding in found if finding.state == "ok")
            lines += _entry("ok", well, width)
            found = [finding for finding in found if finding.state != "ok"]
        for finding in found:
            name = "" if finding.name == topic else f"{finding.name}: "
            lines += _entry(finding.state, name + finding.detail, width)
            lines += _wrapped(finding.advice, width, " " * 10 + "-> ") if finding.advice else []
    return "\n".join([*lines, "", *_verdict(findings)])


def _entry(state: str, text: str, width: int) -> Iterator[str]:
    first, *others = _wrapped(text, width, " " * 10)
    yield f"  {click.style(state.ljust(8), fg=COLOURS[state])}{first[10:]}"
    yield from others


def _wrapped(text: str, width: int, margin: str) -> list[str]:
    indent = " " * len(margin)
    wrapped = textwrap.wrap(text, width, initial_indent=margin, subsequent_indent=indent,
                            break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return wrapped or [margin]


def _verdict(findings: Sequence[Finding]) -> list[str]:
    count = {state: sum(finding.state == state for finding in findings) for state in COLOURS}
    if count["broken"]:
        names = ", ".join(finding.name for finding in findings if finding.state == "broken")
        return [f"Broken: {names}. Follow the arrows above, from the top."]
    notes = f"{count['warning']} warning{'s' * (count['warning'] != 1)}, " if count["warning"] else ""
    plural = "s" * (count["missing"] != 1)
    return [f"Everything required works ({notes}{count['missing']} optional part{plural} missing)."]
