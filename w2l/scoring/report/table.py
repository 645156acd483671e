"""Scores as text: a table for people, CSV and JSON for programs, and what each column means."""

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from w2l.core.text import readable, some
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Comparison
from w2l.scoring.report.verdict import is_doubtful, judge_lines
from w2l.scoring.report.wording import (
    BETTER,
    DOUBT,
    NONE,
    NOTHING,
    TITLES,
    beats_real,
    best_systems,
    by_group,
    dropped,
    half_width,
    has_width,
    heading,
    mean_text,
    named,
    remarks,
    signed,
    told_apart,
    value_of,
    value_text,
    winner,
    wins_text,
    with_numbers,
    with_values,
)
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, ScoreReport, SystemScore

WIDE = 1000
"""Columns of a table that goes to a file: its rows are never broken."""
FEW = 12
"""So many clips are listed without being asked for."""
FEWEST = 6
"""Fewer clips have no sign flips enough for a p-value under 0.05, even if the first is better on all."""
MOST_NAMES = 4
"""Clips that are named behind a reason; --json and --csv name all."""
MOST_LINES = 20
"""Different remarks, or reasons, that are told."""
NAME_WIDTH = 32
"""A longer name is cut at its beginning, on a terminal."""
EXPLAIN_WIDTH = 96
GAP = 2
"""Blanks between two columns."""

FORMULA = ("=", "+", "-", "@")
"""How cells begin that spreadsheets compute."""

TableRow = tuple[str, list[Text], str]
"""Name, cells and style."""


def score_table(report: ScoreReport, columns: Sequence[Column], width: int | None, clips: bool) -> str:
    """Each system with its means, then comparisons, clips, and what was dropped and why.

    Parameters
    ----------
    columns : sequence of Column
        All that were asked for; those without any number, and minor ones, are left out.
    width : int or None
        Of the terminal: the text has styles and fits. None: plain text, every row on one line.
    clips : bool
        Whether all clips are listed; a few always are.
    """
    console = Console(file=io.StringIO(), force_terminal=width is not None, width=width or WIDE, highlight=False)
    _print_judge(console, report)
    console.print(Text(readable(report.title), style="bold"))
    shown = [column for column in with_values(report, columns) if not column.minor]
    _print_systems(console, report, shown)
    if shown:
        _print_legend(console, report, shown)
    _print_comparisons(console, report, shown)
    listed = [clip for clip in report.clips if clip.scored and clip.sample.system != SHUFFLED]
    if clips or len(listed) <= FEW:
        _print_clips(console, report, listed, shown)
    _print_notes(console, report)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n"))


def as_csv(report: ScoreReport, columns: Sequence[Column]) -> str:
    """One line per clip with all columns that clips have, minor ones too, and the reason where it has no score.

    `judge_can_tell` is yes or no, as in `JudgeCheck`, or empty without a check; an offset that is none says so.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    kept = with_numbers(report.clips, columns)
    names = [column.name for column in kept]
    check = report.judge_check
    told = "" if check is None else "yes" if check.can_tell else "no"
    writer.writerow(
        ("system", "clip", "speaker", "path", "reference", *names, "judge_can_tell", "start_s", "reason", "notes")
    )
    for clip in report.clips:
        sample = clip.sample
        who = (sample.system, sample.name, sample.speaker, sample.path, sample.reference or "")
        numbers = (_exact(clip.values.get(column.name), NONE if column.none else "") for column in kept)
        start = _exact(clip.start_s) if clip.scored else ""
        why = (clip.reason, "; ".join(clip.notes))
        writer.writerow([*map(_cell, who), *numbers, told, start, *map(_cell, why)])
    return file.getvalue()


def _cell(fact: object) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula: a quote stands before =, +, - and @."""
    text = readable(str(fact))
    return f"'{text}" if text[:1] in FORMULA else text


def as_plain(report: ScoreReport) -> dict[str, Any]:
    """The report for JSON: lists, numbers and text alone; a number that is not finite is null."""
    return {part.name: _plain(getattr(report, part.name)) for part in fields(report)}


def explain(columns: Sequence[Column]) -> str:
    """What each column means and which way is better, under the flag that asks for it."""
    blocks = []
    for group, members in by_group(columns).items():
        lines = [f"--{group}: {TITLES[group]}"]
        for column in members:
            where = "; not in the table on the terminal" if column.minor else ""
            lines += ["", f"  {column.heading} ({column.name}): {BETTER[column.better]}{where}"]
            lines += textwrap.wrap(column.meaning, EXPLAIN_WIDTH, initial_indent="    ", subsequent_indent="    ")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _exact(value: float | None, missing: str = "") -> str:
    if value is None:
        return ""
    return f"{value:.7g}" if math.isfinite(value) else missing


def _print_grid(console: Console, title: str, headings: Sequence[str], rows: Sequence[TableRow]) -> None:
    """Prints the rows, in as many tables below each other as the width asks for; each begins with the names."""
    if not rows:
        return
    names = [_cut(name, NAME_WIDTH if console.width < WIDE else WIDE) for name, _, _ in rows]
    room = console.width - max(map(cell_len, names))
    cells = [row[1] for row in rows]
    columns = range(len(headings))
    sizes = [GAP + max(cell_len(headings[idx]), *(row[idx].cell_len for row in cells)) for idx in columns]
    console.print(Text(f"\n{title}", style="bold cyan"))
    for part in _parts(sizes, room):
        grid = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
        grid.add_column("", no_wrap=True)
        for idx in part:
            grid.add_column(headings[idx], justify="right", no_wrap=True)
        for name, (_, row, style) in zip(names, rows):
            grid.add_row(Text(name), *(row[idx] for idx in part), style=style)
        console.print(grid)


def _parts(sizes: Sequence[int], room: int) -> list[list[int]]:
    """Places of columns, in parts that each fit into the room; at least one a part."""
    parts: list[list[int]] = [[]]
    for idx, size in enumerate(sizes):
        if parts[-1] and sum(sizes[place] for place in parts[-1]) + size > room:
            parts.append([])
        parts[-1].append(idx)
    return parts


def _cut(name: str, width: int) -> str:
    """The end of a long name, which tells it from the others."""
    return name if cell_len(name) <= width else "…" + name[1 - width :]


def _print_judge(console: Console, report: ScoreReport) -> None:
    """Says first of all whether the judge can tell."""
    style = "green" if report.judge_check is not None and report.judge_check.can_tell else "bold red"
    for line in judge_lines(report):
        console.print(Text(readable(line), style=style))
        style = ""


def _print_systems(console: Console, report: ScoreReport, columns: Sequence[Column]) -> None:
    if not columns:
        rows = [(system.system, [_counts(system)], _style(system.system)) for system in report.systems]
        _print_grid(console, "Systems", ["clips"], rows)
    for idx, (group, members) in enumerate(by_group(columns).items()):
        systems = [s for s in report.systems if not idx or any(value_of(s, column) is not None for column in members)]
        cells = [[_mean_cell(report, system, column) for column in members] for system in systems]
        headings = [heading(column) for column in members]
        if not idx:  # the counts are the same for all groups
            headings = ["clips", *headings]
            cells = [[_counts(system), *row] for system, row in zip(systems, cells)]
        rows = [(readable(system.system), row, _style(system.system)) for system, row in zip(systems, cells)]
        _print_grid(console, TITLES[group], headings, rows)


def _style(system: str) -> str:
    return {REAL: "cyan", SHUFFLED: "dim"}.get(system, "")


def _counts(system: SystemScore) -> Text:
    total = system.scored + system.dropped
    return Text(f"{system.scored}/{total}" if system.dropped else str(total), style="red" if system.dropped else "")


def _mean_cell(report: ScoreReport, system: SystemScore, column: Column) -> Text:
    """The mean, the half of its interval, and how many clips it is of, where that is not all."""
    interval = system.means.get(column.name)
    doubtful = is_doubtful(report, column)
    is_best = not doubtful and system.system in best_systems(report.systems, column)
    cell = Text.assemble((mean_text(system, column), "bold green" if is_best else ""))
    if doubtful:
        cell.append(DOUBT, style="red")
    elif beats_real(report, system, column):
        cell.append("*", style="yellow")
    if column.name not in system.whole and interval is not None:
        if half := half_width(column, interval):
            cell.append(f" {half}", style="dim")
        if interval.clips != system.scored:
            cell.append(f" ({interval.clips})", style="dim")
    return cell


def _print_legend(console: Console, report: ScoreReport, columns: Sequence[Column]) -> None:
    means = [mean for system in report.systems for mean in system.means.values()]
    lines = ["↓ lower is better, ↑ higher, →0 and →1 nearer; w2l score --explain says what each column is."]
    if any(has_width(mean) for mean in means):
        lines[0] += " ±: half of the 95 % interval over clips."
    if any(mean.clips != system.scored for system in report.systems for mean in system.means.values()):
        lines.append("(n): mean of so many clips; the others have no such number.")
    if any(is_doubtful(report, column) for column in columns):
        lines.append(f"{DOUBT}: the judge cannot tell, see the first line.")
    if any(
        beats_real(report, system, column) and not is_doubtful(report, column)
        for system in report.systems
        for column in columns
    ):
        lines.append("*: better than the real videos, so the measure was overshot; that says nothing of the mouth.")
    for line in ("", *lines):
        console.print(Text(line, style="dim"))


def _print_comparisons(console: Console, report: ScoreReport, columns: Sequence[Column]) -> None:
    """A row a measure, a column a pair of systems."""
    found = {(pair.first, pair.second, pair.column): pair for pair in report.comparisons}
    pairs = list(dict.fromkeys((pair.first, pair.second) for pair in report.comparisons))
    rows: list[TableRow] = []
    for column in columns:
        doubt = DOUBT if is_doubtful(report, column) else ""
        cells = [_difference(column, found.get((*pair, column.name)), doubt) for pair in pairs]
        if any(cell.plain != NOTHING for cell in cells):
            rows.append((heading(column), cells, ""))
    if not rows:
        return
    _print_grid(
        console, "Differences, clip by clip", [readable(f"{first} - {second}") for first, second in pairs], rows
    )
    legend = (
        "first - second (for →0 and →1 of the distances from it), ± half of the 95 % interval, and on how many of the "
        "clips that both have the first is better; ~: the clips do not tell them apart (p > 0.05 by sign flips, each "
        "measure for itself)."
    )
    if any(pair.difference.clips < FEWEST for pair in report.comparisons):
        legend += f" Fewer than {FEWEST} clips never do."
    console.print(Text(legend, style="dim"))


def _difference(column: Column, pair: Comparison | None, doubt: str) -> Text:
    if pair is None:
        return Text(NOTHING, style="dim")
    width = f" {half_width(column, pair.difference)}".rstrip()
    text = f"{signed(column, pair.difference.mean)}{width} {wins_text(pair):>4}"
    if doubt or not told_apart(pair):
        return Text(f"{'' if told_apart(pair) else '~'}{text}{doubt}", style="dim")
    return Text(text, style={pair.first: "green", pair.second: "red"}.get(winner(pair, column), ""))


def _print_clips(console: Console, report: ScoreReport, clips: Sequence[ClipScore], columns: Sequence[Column]) -> None:
    for group, members in by_group(with_numbers(clips, columns)).items():
        rows = [
            (named(clip), [_clip_cell(report, clip, column) for column in members], _style(clip.sample.system))
            for clip in clips
            if with_numbers([clip], members)
        ]
        _print_grid(console, f"Clips: {group}", [heading(column) for column in members], rows)


def _clip_cell(report: ScoreReport, clip: ClipScore, column: Column) -> Text:
    cell = Text(value_text(column, clip.values.get(column.name)))
    if is_doubtful(report, column) and column.name in clip.values:
        cell.append(DOUBT, style="red")
    return cell


def _print_notes(console: Console, report: ScoreReport) -> None:
    asked = [clip for clip in report.clips if clip.sample.system != SHUFFLED]
    scored, total = sum(clip.scored for clip in asked), len(asked)
    noted = [("", readable(note)) for note in report.notes] + _counted(remarks(report.clips))
    _print_counted(console, "Notes", noted)
    _print_counted(console, f"Not scored: {total - scored} of {total} clips", _counted(dropped(report.clips)))


def _counted(texts: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(str(len(names)), f"{text}: {some(names, MOST_NAMES)}") for text, names in texts.items()]


def _print_counted(console: Console, title: str, lines: Sequence[tuple[str, str]]) -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", style="bold cyan"))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for count, text in lines[:MOST_LINES]:
        grid.add_row(Text(count), Text(text))
    if len(lines) > MOST_LINES:
        grid.add_row("", f"and {len(lines) - MOST_LINES} more of their kind: --json and --csv have all")
    console.print(grid)
