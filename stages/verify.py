"""verify: whether files say that w2l made them, by mark, tag, manifest and record."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.core.errors import MediaError
from w2l.marks.verdict import Verdict
from w2l.marks.verify import verify

STAGE = "verify"
NOT_FOUND = 3
"""The exit status where a file could be read and has no mark."""


@click.command(STAGE)
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@common_options
def command(files: tuple[Path, ...], common: Common) -> None:
    """Say of each FILE whether w2l redrew it: by the mark in its picture, its tags, its manifest and its record.

    The mark is found in files that were encoded again, scaled, cropped or cut; the original is not needed. That nothing
    is found does not prove that a file is real.

    \b
    w2l verify out.mp4
    w2l verify --json clips/*.mp4

    Exit status: 0 all are marked, 1 one cannot be read, 3 one has no mark.
    """
    verdicts: list[Verdict] = []
    failed: list[str] = []
    for path in files:
        try:
            verdicts.append(verify(path))
        except MediaError as error:
            failed.append(str(error))
    if verdicts or common.json:
        common.show([asdict(one) for one in verdicts], "\n".join(one.text() for one in verdicts))
    if failed:
        raise MediaError("; ".join(failed))
    if not all(one.is_marked for one in verdicts):
        sys.exit(NOT_FOUND)
