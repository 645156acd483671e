"""Scores as one self-contained HTML page: tables, plots, the worst clips with their frames, explanations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from w2l.core.files import write_text
from w2l.core.text import some
from w2l.report.page import render_template
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Comparison
from w2l.scoring.report.cards import Card, FramesOf, RealClips, across, card, css_classes, ranked, ranking, worst_of
from w2l.scoring.report.cells import Cell, ScoreTable, measure_head, plain_head
from w2l.scoring.report.figures import means, offsets, speakers
from w2l.scoring.report.verdict import is_doubtful, judge_lines
from w2l.scoring.report.wording import (
    ANCHORS,
    BETTER,
    DOUBT,
    NOTHING,
    TITLES,
    beats_real,
    best_systems,
    by_group,
    clip_name,
    difference_spread,
    dropped,
    heading,
    is_significant,
    mean_text,
    p_text,
    remarks,
    signed,
    spread,
    value_of,
    value_text,
    winner,
    wins_text,
    with_numbers,
    with_values,
)
from w2l.scoring.results import ScoreReport, SystemScore

MOST_ROWS = 500
"""Most clips in the long table; the CSV lists all."""
MOST_NAMES = 12
"""Most clips named after a reason or a note."""


def write_score_page(
    path: Path, report: ScoreReport, columns: Sequence[Column], settings: Mapping[str, object], frames: FramesOf | None
) -> None:
    """Write the report to `path`.

    Parameters
    ----------
    columns : sequence of Column
        All requested columns, minor ones too; those without any number are left out.
    settings : mapping
        Settings of the scoring by name, written at the end of the page.
    frames : callable or None
        Returns a few frames (height, width, 3) RGB of a clip, or none; called for at most a dozen clips.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    shown = with_values(report, columns)
    sections = {
        "Summary": _summary(report, shown),
        "Means": means(report, shown),
        "Comparisons": _comparisons(report, shown),
        "Offsets": offsets(report),
        "Speakers": speakers(report, shown),
        **_clip_sections(report, shown, frames),
        "All clips": _all_clips(report, shown),
        "Not scored": _counted("why", dropped(report.clips)),
        "Notes": _notes(report),
        "Columns": _explained(shown),
        "Settings": [*settings.items()],
    }
    by = ranking(report, shown)
    page = render_template(
        "w2l.scoring.report",
        "score.html",
        title=report.title,
        verdict=judge_lines(report),
        doubt=DOUBT,
        ranked_by=by.heading if by else "",
        sections=sections,
    )
    write_text(path, page)


def _summary(report: ScoreReport, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the counts of clips, and a title, main and further measures for each group that has any."""
    groups = []
    for group, members in by_group(columns).items():
        main = _means_table(report, [column for column in members if not column.minor])
        rest = _means_table(report, [column for column in members if column.minor])
        if main or rest:
            groups.append((TITLES[group], main, rest))
    return {"counts": _counts(report), "groups": groups}


def _counts(report: ScoreReport) -> ScoreTable:
    """Return a table of how many clips of each system were scored, and why the others were not."""
    rows = []
    any_lost = any(system.dropped for system in report.systems)
    for system in report.systems:
        lost = Cell(str(system.dropped), css="bad" if system.dropped else "")
        cells: list[Cell | str] = [
            _name(report, system.system),
            str(system.scored + system.dropped),
            str(system.scored),
            lost,
        ]
        if any_lost:
            why = dropped(clip for clip in report.clips if clip.sample.system == system.system)
            cells.append("; ".join(f"{len(names)} × {reason.partition(';')[0]}" for reason, names in why.items()))
        rows.append((_row_look(system), cells))
    head = plain_head(("", "clips", "scored", "dropped", *["why"] * any_lost))
    return ScoreTable(head, rows, "numbers explained" if any_lost else "numbers")


def _means_table(report: ScoreReport, columns: Sequence[Column]) -> ScoreTable | None:
    """Return a table with one row per system that has any of the columns; None if none does."""
    systems = [s for s in report.systems if any(value_of(s, column) is not None for column in columns)]
    rows = [
        (_row_look(system), [_name(report, system.system), *(_mean_cell(report, system, column) for column in columns)])
        for system in systems
    ]
    return ScoreTable([("", ""), *measure_head(columns)], rows) if rows else None


def _row_look(system: SystemScore) -> str:
    return "anchor" if system.system in ANCHORS else ""


def _name(report: ScoreReport, system: str) -> Cell:
    return Cell(system, css_classes(report).get(system, ""))


def _mean_cell(report: ScoreReport, system: SystemScore, column: Column) -> Cell:
    doubtful = is_doubtful(report, column)
    is_best = not doubtful and system.system in best_systems(report.systems, column)
    over = not doubtful and beats_real(report, system, column)
    interval = system.means.get(column.name)
    below = ""
    if interval is not None and column.name not in system.whole:
        below = spread(column, interval)
        if interval.clips != system.scored:
            below += f" of {interval.clips}"
    return Cell(mean_text(system, column), None, "best" if is_best else "", doubtful, over, below.strip())


def _comparisons(report: ScoreReport, columns: Sequence[Column]) -> list[tuple[Cell, Cell, ScoreTable]]:
    """Return both systems and the table of each pair that was compared."""
    by_name = {column.name: column for column in columns}
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in report.comparisons:
        if comparison.column in by_name:
            pairs.setdefault((comparison.first, comparison.second), []).append(comparison)
    blocks = []
    for (first, second), found in pairs.items():
        rows = [_comparison_row(report, comparison, by_name[comparison.column]) for comparison in found]
        head = ("measure", f"{first} - {second}", "95 % interval", f"{first} is better on", "clips", "p", "better")
        blocks.append((_name(report, first), _name(report, second), ScoreTable(plain_head(head), rows)))
    return blocks


def _comparison_row(report: ScoreReport, comparison: Comparison, column: Column) -> tuple[str, list[Cell | str]]:
    difference = comparison.difference
    doubtful = is_doubtful(report, column)
    better = "" if doubtful else winner(comparison, column)
    cells: list[Cell | str] = [
        Cell(heading(column), doubtful=doubtful), signed(column, difference.mean),
        difference_spread(column, difference) or NOTHING,
        wins_text(comparison), str(difference.clips), p_text(comparison),
        Cell(better, css="best") if better else NOTHING,
    ]  # fmt: skip
    return "" if is_significant(comparison) and not doubtful else "unsure", cells


def _clip_sections(report: ScoreReport, columns: Sequence[Column], frames: FramesOf | None) -> dict[str, list[Card]]:
    by = ranking(report, columns)
    if by is None:
        return {}
    reals = RealClips(report)
    by_rank = ranked(report, by)
    worst = worst_of(by_rank)
    more = across(by_rank, worst)
    main = [column for column in columns if not column.minor]
    return {
        "Worst clips" if more else "Clips": [card(report, clip, reals.of(clip), main, frames) for clip in worst],
        "More clips": [card(report, clip, reals.of(clip), main) for clip in more],
    }


def _all_clips(report: ScoreReport, columns: Sequence[Column]) -> dict[str, Any]:
    scored = [clip for clip in report.clips if clip.scored]
    members = with_numbers(scored, columns)
    if not members:
        return {}
    css = css_classes(report)
    rows = [
        ("anchor" if clip.sample.system in ANCHORS else "", [
            Cell(clip_name(clip), css.get(clip.sample.system, "")),
            *(
                Cell(value_text(column, clip.values.get(column.name)), doubtful=is_doubtful(report, column))
                for column in members
            ),
        ])
        for clip in scored[:MOST_ROWS]
    ]  # fmt: skip
    table = ScoreTable([("clip", ""), *measure_head(members)], rows)
    return {"table": table, "scored": len(scored), "left": max(0, len(scored) - MOST_ROWS)}


def _counted(what: str, texts: Mapping[str, Sequence[str]]) -> ScoreTable | None:
    rows = [("", [text, str(len(names)), some(names, MOST_NAMES)]) for text, names in texts.items()]
    return ScoreTable(plain_head((what, "clips", "which")), rows, "names") if rows else None


def _notes(report: ScoreReport) -> dict[str, Any]:
    counted = _counted("what", remarks(report.clips))
    return {"lines": report.notes, "counted": counted} if report.notes or counted else {}


def _explained(columns: Sequence[Column]) -> list[tuple[str, str, list[tuple[Column, str]]]]:
    return [
        (TITLES[group], group, [(column, BETTER[column.better]) for column in members])
        for group, members in by_group(columns).items()
    ]
