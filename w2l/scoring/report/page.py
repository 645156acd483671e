"""Scores as one self-contained HTML page: tables, plots, the worst clips with their frames, explanations."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from w2l.core.files import write_text
from w2l.core.text import some
from w2l.report.markup import escaped, remark
from w2l.report.page import whole_page
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Comparison
from w2l.scoring.report.cards import DOUBTED, FramesOf, RealClips, across, card, css_classes, ranked, ranking, worst_of
from w2l.scoring.report.figures import means, offsets, speakers, swatch
from w2l.scoring.report.verdict import is_doubtful, judge_lines
from w2l.scoring.report.wording import (
    ANCHORS,
    BETTER,
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
        "Not scored": _counted(dropped(report.clips)),
        "Notes": _notes(report),
        "Columns": _explained(shown),
        "Settings": _settings(settings),
    }
    head = f'<h1>w2l score</h1>{_judge(report)}<p class="lead">{escaped(report.title)}</p>'
    write_text(path, whole_page(report.title, head, sections))


def _judge(report: ScoreReport) -> str:
    """Return the verdict on the judge, the first lines of the page."""
    lines = judge_lines(report)
    if not lines:
        return ""
    first = escaped(lines[0]) if len(lines) == 1 else f'<b class="bad">{escaped(lines[0])}</b>'
    return f'<p class="lead">{"<br>".join([first, *map(escaped, lines[1:])])}</p>'


def _table(head: Iterable[str], rows: Iterable[tuple[str, Sequence[str]]], kind: str = "numbers") -> str:
    """Return a table; cells are HTML, and each row comes with its CSS class."""
    body = "".join(
        f'<tr class="{css}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for css, cells in rows
    )
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{"".join(head)}</tr></thead>{body}</table></div>'


def _head(columns: Iterable[Column]) -> list[str]:
    return [f'<th title="{escaped(column.meaning)}">{escaped(heading(column))}</th>' for column in columns]


def _summary(report: ScoreReport, columns: Sequence[Column]) -> str:
    parts = [_counts(report)]
    for group, members in by_group(columns).items():
        main = _means_table(report, [column for column in members if not column.minor])
        rest = _means_table(report, [column for column in members if column.minor])
        more = f"<details><summary>further measures</summary>{rest}</details>" if rest else ""
        if main or rest:
            parts.append(f"<h3>{escaped(TITLES[group])}</h3>{main}{more}")
    parts.append(
        remark(
            "Mean over clips, below it the 95 % interval (bootstrap over clips). ↓ lower is better, ↑ higher, →0 and "
            "→1 closer. Bold: the best system. "
            '<span class="over">*</span>: better than the real videos, so the system has overfitted this measure; it '
            "does not mean better lip sync. Hover over a heading, or read below, for what it means."
        )
    )
    return "".join(parts)


def _counts(report: ScoreReport) -> str:
    """Return a table of how many clips of each system were scored, and why the others were not."""
    rows = []
    any_lost = any(system.dropped for system in report.systems)
    for system in report.systems:
        lost = f'<span class="bad">{system.dropped}</span>' if system.dropped else "0"
        cells = [_name(report, system), str(system.scored + system.dropped), str(system.scored), lost]
        if any_lost:
            why = dropped(clip for clip in report.clips if clip.sample.system == system.system)
            reasons = (f"{len(names)} × {reason.partition(';')[0]}" for reason, names in why.items())
            cells.append(escaped("; ".join(reasons)))
        rows.append((_row_look(system), cells))
    head = ["<th></th>", *(f"<th>{title}</th>" for title in ("clips", "scored", "dropped"))]
    if any_lost:
        return _table([*head, "<th>why</th>"], rows, "numbers explained")
    return _table(head, rows)


def _means_table(report: ScoreReport, columns: Sequence[Column]) -> str:
    """Return a table with one row per system that has any of the columns; empty if none does."""
    systems = [s for s in report.systems if any(value_of(s, column) is not None for column in columns)]
    rows = [
        (_row_look(system), [_name(report, system), *(_mean_cell(report, system, column) for column in columns)])
        for system in systems
    ]
    return _table(["<th></th>", *_head(columns)], rows) if rows else ""


def _row_look(system: SystemScore) -> str:
    return "anchor" if system.system in ANCHORS else ""


def _name(report: ScoreReport, system: SystemScore) -> str:
    return swatch(css_classes(report)[system.system]) + escaped(system.system)


def _mean_cell(report: ScoreReport, system: SystemScore, column: Column) -> str:
    text = mean_text(system, column)
    if is_doubtful(report, column):
        text += DOUBTED
    elif system.system in best_systems(report.systems, column):
        text = f'<span class="best">{text}</span>'
    if beats_real(report, system, column) and not is_doubtful(report, column):
        text += '<span class="over">*</span>'
    interval = system.means.get(column.name)
    if interval is None or column.name in system.whole:
        return text
    below = spread(column, interval)
    if interval.clips != system.scored:
        below += f" of {interval.clips}"
    return f"{text}<small>{below.strip()}</small>" if below else text


def _comparisons(report: ScoreReport, columns: Sequence[Column]) -> str:
    by_name = {column.name: column for column in columns}
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in report.comparisons:
        if comparison.column in by_name:
            pairs.setdefault((comparison.first, comparison.second), []).append(comparison)
    css = css_classes(report)
    blocks = []
    for idx, ((first, second), found) in enumerate(pairs.items()):
        rows = [_comparison_row(report, comparison, by_name[comparison.column]) for comparison in found]
        title = f"{swatch(css.get(first, ''))}{escaped(first)} against {swatch(css.get(second, ''))}{escaped(second)}"
        head = ("measure", f"{first} - {second}", "95 % interval", f"{first} is better on", "clips", "p", "better")
        body = _table((f"<th>{escaped(cell)}</th>" for cell in head), rows)
        blocks.append(f"<details{' open' if idx < 1 else ''}><summary>{title}</summary>{body}</details>")
    if not blocks:
        return ""
    return "".join(blocks) + remark(
        "Paired differences over the clips that both systems have; for →0 and →1, of the distances from that value. "
        "Ties count half. p is two-sided, from a sign-flip test of each measure separately: of twenty measures, one is "
        "below 0.05 by chance. Grey: the difference is not significant."
    )


def _comparison_row(report: ScoreReport, comparison: Comparison, column: Column) -> tuple[str, list[str]]:
    difference = comparison.difference
    doubtful = is_doubtful(report, column)
    better = "" if doubtful else winner(comparison, column)
    cells = [
        escaped(heading(column)) + (DOUBTED if doubtful else ""), signed(column, difference.mean),
        difference_spread(column, difference) or NOTHING,
        wins_text(comparison), str(difference.clips), escaped(p_text(comparison)),
        f'<span class="best">{escaped(better)}</span>' if better else NOTHING,
    ]  # fmt: skip
    return "" if is_significant(comparison) and not doubtful else "unsure", cells


def _clip_sections(report: ScoreReport, columns: Sequence[Column], frames: FramesOf | None) -> dict[str, str]:
    by = ranking(report, columns)
    if by is None:
        return {}
    reals = RealClips(report)
    by_rank = ranked(report, by)
    worst = worst_of(by_rank)
    more = across(by_rank, worst)
    main = [column for column in columns if not column.minor]
    few = not more
    note = remark(
        f"{'All clips' if few else 'The worst clips of each system'} by {escaped(by.heading)}. Left: distance at every "
        "offset, dashed: the offset found; right: confidence over time. Grey dashed: the real video. The first picture "
        "is the moment of lowest confidence, the others are spread through the clip."
    )
    cards = [card(report, clip, reals.of(clip), main, frames) for clip in worst]
    found = {"Clips" if few else "Worst clips": note + "".join(cards)} if cards else {}
    if more:
        others = "".join(card(report, clip, reals.of(clip), main) for clip in more)
        title = f"{len(more)} more clips, evenly from the worst to the best of each system"
        found["More clips"] = f"<details><summary>{title}</summary>{others}</details>"
    return found


def _all_clips(report: ScoreReport, columns: Sequence[Column]) -> str:
    scored = [clip for clip in report.clips if clip.scored]
    members = with_numbers(scored, columns)
    if not members:
        return ""
    css = css_classes(report)
    rows = [
        ("anchor" if clip.sample.system in ANCHORS else "", [
            f"{swatch(css.get(clip.sample.system, ''))}{escaped(clip_name(clip))}",
            *(
                value_text(column, clip.values.get(column.name)) + (DOUBTED if is_doubtful(report, column) else "")
                for column in members
            ),
        ])
        for clip in scored[:MOST_ROWS]
    ]  # fmt: skip
    left = len(scored) - MOST_ROWS
    more = remark(f"and {left} more; --csv writes all.") if left > 0 else ""
    body = _table(["<th>clip</th>", *_head(members)], rows)
    return f"<details><summary>{len(scored)} clips with all numbers</summary>{body}{more}</details>"


def _counted(texts: Mapping[str, Sequence[str]]) -> str:
    if not texts:
        return ""
    rows = [("", [escaped(text), str(len(names)), escaped(some(names, MOST_NAMES))]) for text, names in texts.items()]
    return _table(map("<th>{}</th>".format, ("why", "clips", "which")), rows, "names")


def _notes(report: ScoreReport) -> str:
    said = "".join(f"<li>{escaped(note)}</li>" for note in report.notes)
    return (f"<ul>{said}</ul>" if said else "") + _counted(remarks(report.clips)).replace("<th>why", "<th>what")


def _explained(columns: Sequence[Column]) -> str:
    parts = []
    for group, members in by_group(columns).items():
        terms = "".join(
            f"<dt>{escaped(column.heading)} <small>{escaped(column.name)}: {BETTER[column.better]}</small></dt>"
            f"<dd>{escaped(column.meaning)}</dd>"
            for column in members
        )
        parts.append(f"<h3>{escaped(TITLES[group])} <small>--{group}</small></h3><dl>{terms}</dl>")
    return "".join(parts)


def _settings(settings: Mapping[str, object]) -> str:
    rows = [("", [escaped(name), escaped(value)]) for name, value in settings.items()]
    return _table((), rows, "names") if rows else ""
