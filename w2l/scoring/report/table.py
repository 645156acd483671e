"""Scores as text: a table for the terminal, CSV and JSON for programs, and the meaning of each column."""

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

from w2l.core.text import counted, readable, some
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
    clip_name,
    dropped,
    half_width,
    has_width,
    heading,
    is_significant,
    mean_text,
    remarks,
    signed,
    value_of,
    value_text,
    winner,
    wins_text,
    with_numbers,
    with_values,
)
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, ScoreReport, SystemScore

WIDE = 1000
"""Width in characters of a table written to a file, whose rows are never wrapped."""
FEW = 12
"""Most clips that are listed without --clips."""
FEWEST = 6
"""With fewer clips the sign-flip test cannot reach p < 0.05, even if one system is better on all of them."""
MOST_NAMES = 4
"""Most clips named after a reason; --json and --csv name all."""
MOST_LINES = 20
"""Most different notes, or reasons, that are printed."""
NAME_WIDTH = 32
"""Longer names are shortened at their start, on a terminal."""
EXPLAIN_WIDTH = 96
GAP = 2
"""Spaces between two columns."""

FORMULA = ("=", "+", "-", "@")
"""First characters of cells that spreadsheets evaluate as formulas."""

TableRow = tuple[str, list[Text], str]
"""Name, cells and style."""


def score_table(report: ScoreReport, columns: Sequence[Column], width: int | None, clips: bool) -> str:
    """Return the means of each system, then comparisons, clips, and what was dropped and why.

    Parameters
    ----------
    columns : sequence of Column
        All requested columns; minor ones and those without any number are left out.
    width : int or None
        Width of the terminal, for styled text that fits. None: plain text, every row on one line.
    clips : bool
        Whether to list all clips; up to `FEW` are always listed.
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
    """Return one line per clip with all its columns, minor ones too, and the reason if it has no score.

    `judge_can_tell` is yes or no, as in `JudgeCheck`, or empty without a check; a missing offset reads "none".
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
    """Return a text as a cell that no spreadsheet evaluates as a formula: a quote is put before =, +, - and @."""
    text = readable(str(fact))
    return f"'{text}" if text[:1] in FORMULA else text


def as_plain(report: ScoreReport) -> dict[str, Any]:
    """Return the report as dicts, lists, numbers and text for JSON; numbers that are not finite become None."""
    return {part.name: _plain(getattr(report, part.name)) for part in fields(report)}


def explain(columns: Sequence[Column]) -> str:
    """Describe each column and which way is better, grouped by the flag that requests it."""
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
    """Print the rows, split into as many tables as the width requires; each starts with the column of names."""
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
    """Return the column indices grouped into tables that fit into the width; at least one column per table."""
    parts: list[list[int]] = [[]]
    for idx, size in enumerate(sizes):
        if parts[-1] and sum(sizes[place] for place in parts[-1]) + size > room:
            parts.append([])
        parts[-1].append(idx)
    return parts


def _cut(name: str, width: int) -> str:
    """Shorten a long name to its end, the part that distinguishes it from others."""
    return name if cell_len(name) <= width else "…" + name[1 - width :]


def _print_judge(console: Console, report: ScoreReport) -> None:
    """Print the verdict on the judge."""
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
    """Return the mean, half of its interval, and the number of clips if some are missing."""
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
    lines = ["↓ lower is better, ↑ higher, →0 and →1 closer; w2l score --explain describes each column."]
    if any(has_width(mean) for mean in means):
        lines[0] += " ±: half of the 95 % interval over clips."
    if any(mean.clips != system.scored for system in report.systems for mean in system.means.values()):
        lines.append("(n): mean of n clips; the others do not have this number.")
    if any(is_doubtful(report, column) for column in columns):
        lines.append(f"{DOUBT}: the judge failed its check, see the first line.")
    if any(
        beats_real(report, system, column) and not is_doubtful(report, column)
        for system in report.systems
        for column in columns
    ):
        lines.append("*: better than the real videos: the measure is overfitted, which does not mean better lip sync.")
    for line in ("", *lines):
        console.print(Text(line, style="dim"))


def _print_comparisons(console: Console, report: ScoreReport, columns: Sequence[Column]) -> None:
    """Print one row per measure and one column per pair of systems."""
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
    _print_grid(console, "Paired differences", [readable(f"{first} - {second}") for first, second in pairs], rows)
    legend = (
        "first - second (for →0 and →1, of the distances from that value), ± half of the 95 % interval, and the share "
        "of the common clips on which the first is better; ~: not significant (p > 0.05, sign-flip test of each "
        "measure separately)."
    )
    if any(pair.difference.clips < FEWEST for pair in report.comparisons):
        legend += f" Fewer than {FEWEST} clips are never significant."
    console.print(Text(legend, style="dim"))


def _difference(column: Column, pair: Comparison | None, doubt: str) -> Text:
    if pair is None:
        return Text(NOTHING, style="dim")
    width = f" {half_width(column, pair.difference)}".rstrip()
    text = f"{signed(column, pair.difference.mean)}{width} {wins_text(pair):>4}"
    if doubt or not is_significant(pair):
        return Text(f"{'' if is_significant(pair) else '~'}{text}{doubt}", style="dim")
    return Text(text, style={pair.first: "green", pair.second: "red"}.get(winner(pair, column), ""))


def _print_clips(console: Console, report: ScoreReport, clips: Sequence[ClipScore], columns: Sequence[Column]) -> None:
    for group, members in by_group(with_numbers(clips, columns)).items():
        rows = [
            (clip_name(clip), [_clip_cell(report, clip, column) for column in members], _style(clip.sample.system))
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
    left_out = f"{total - scored} of {counted(total, 'clip')}"
    _print_counted(console, f"Not scored: {left_out}", _counted(dropped(report.clips)))


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
        grid.add_row("", f"and {len(lines) - MOST_LINES} more; --json and --csv list all")
    console.print(grid)
