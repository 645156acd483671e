"""Scores as text: a table for people, CSV for programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2l.scoring import KINDS, Average, Row, mean_of

LEGEND = "LSE-D: lower is better. LSE-C: higher. offset: frames the sound is ahead."
WIDE = 1000
"""Columns of a table that goes to a file: its rows are never broken."""


def as_table(title: str, rows: Sequence[Row], notes: Iterable[str] = (), width: int | None = None) -> str:
    """The outputs, their mean, the real videos, their mean; then the notes and why the others have no score.

    With the `width` of a terminal the text has its styles and fits; without, it is plain, each clip on one line.
    """
    console = Console(file=io.StringIO(), force_terminal=width is not None, width=width or WIDE, highlight=False)
    console.print(title, style="bold", markup=False)
    grid = _grid(rows)
    if grid.row_count:
        console.print(grid)
        console.print(LEGEND, style="dim")
    for line in (*notes, *(f"not scored: {row.reason}" for row in rows if row.score is None)):
        console.print(line, markup=False)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n"))


def _grid(rows: Sequence[Row]) -> Table:
    names = _short_names([row.clip for row in rows])
    grid = Table(box=None, pad_edge=False)
    for heading in ("", "clip"):
        grid.add_column(heading, overflow="fold")
    for heading in ("LSE-D", "LSE-C", "offset", "windows"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for kind in KINDS:
        for row in rows:
            if row.kind == kind and row.score is not None:
                score = row.score
                numbers = (f"{score.lse_d:.3f}", f"{score.lse_c:.3f}", f"{score.offset:+d}", str(score.windows))
                grid.add_row(kind, escape(names[row.clip]), *numbers)
        mean = mean_of(rows, kind)
        if mean is not None:
            grid.add_row(kind, f"mean of {mean.clips}", *_mean_cells(mean), style="bold", end_section=True)
    return grid


def _mean_cells(mean: Average) -> tuple[str, ...]:
    return f"{mean.lse_d:.3f}", f"{mean.lse_c:.3f}", f"{mean.offset:+.1f}", f"{mean.windows:.1f}"


def as_csv(rows: Iterable[Row]) -> str:
    """One line a clip, with its reason where it has no score."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("clip", "kind", "lse_d", "lse_c", "offset", "windows", "reason"))
    for row in rows:
        score = row.score
        numbers = (score.lse_d, score.lse_c, score.offset, score.windows) if score else ("",) * 4
        writer.writerow((row.clip, row.kind, *numbers, row.reason))
    return file.getvalue()


def _short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """For each path as few of its last parts as tell it from the others."""
    parts = {path: path.resolve().parts for path in paths}
    return {path: _shortest(own, [other for other in parts.values() if other != own]) for path, own in parts.items()}


def _shortest(own: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    count = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
    return "/".join(own[-count:])
