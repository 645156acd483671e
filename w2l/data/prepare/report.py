"""Report on a prepared dataset: what was kept and why the rest was not, as a terminal table and as an HTML page."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from w2l.core.arrays import Floats
from w2l.core.files import write_text
from w2l.core.text import counted, number, readable
from w2l.data.prepare.tally import MEASURES, Audit, Group, Report, TrackMeasure, collect
from w2l.report.histogram import histogram
from w2l.report.page import render_template

__all__ = ["Report", "collect", "report_summary", "table", "write_report"]

MOST_ROWS = 12
"""Longest list of speakers that is shown."""
N_EDGE = 5
"""Number of kept tracks named that came nearest to a limit."""
HOUR_S = 3600.0
KEPT, REFUSED, ELSEWHERE = "#2a8c82", "#d1495b", "#c9c4ba"
"""Colours of tracks that are kept, refused by this gate, and refused by another one."""

Row = Sequence[str]


def table(report: Report) -> str:
    """Return the report as lines of plain text, at most about 100 columns wide."""
    blocks = [headline(report), _aligned([("", "clips", "tracks", "hours"), *_group_rows(report)])]
    if report.values:
        blocks.append(_aligned([("tracks that are kept", "5 %", "median", "95 %", "limit"), *_measure_rows(report)]))
    if report.audit:
        blocks.append(_audit_line(report.audit))
    return "\n\n".join(blocks)


def headline(report: Report) -> str:
    """Return the report as one sentence."""
    kept, n_lost = report.kept, report.n_clips - report.kept.clips
    n_speakers = len(_named(report.speakers))
    return (
        f"{counted(report.n_clips, 'clip')} in {readable(report.root)}: {kept.clips} give "
        f"{counted(kept.tracks, 'track')} of {counted(n_speakers, 'known speaker')}, {_hours(kept.seconds)} hours; "
        f"nothing is used of {n_lost}"
    )


def report_summary(report: Report) -> dict[str, Any]:
    """Return the report for `--json`: all that `table` shows, and the counts of offsets; no list of tracks."""
    spreads = {measure.key: _of_kept(report, measure) for measure in _measures(report)}
    found: dict[str, Any] = {
        "root": report.root,
        "clips": report.n_clips,
        "kept": asdict(report.kept),
        "splits": [asdict(split) for split in report.splits],
        "speakers": [asdict(speaker) for speaker in report.speakers],
        "losses": [asdict(loss) for loss in report.losses],
        "kept_5_50_95": {key: np.percentile(kept, [5, 50, 95]).tolist() for key, kept in spreads.items() if len(kept)},
        "limits": dict(report.limits),
    }
    if report.audit:
        offsets, counts = np.unique(report.audit.offsets, return_counts=True)
        by_offset = dict(zip(map(str, offsets.tolist()), counts.tolist()))
        found["audit"] = {"verdicts": dict(report.audit.verdicts), "offsets": by_offset}
    return found


def _named(groups: Iterable[Group]) -> list[Group]:
    return [group for group in groups if group.name != "unknown"]


def _hours(seconds: float) -> str:
    return f"{seconds / HOUR_S:.2f}"


def _cells(group: Group, title: str) -> Row:
    return title, str(group.clips), str(group.tracks), _hours(group.seconds)


def _group_rows(report: Report) -> list[Row]:
    rows = [_cells(report.kept, "kept"), *(_cells(split, f"  {split.name}") for split in report.splits)]
    if report.losses:
        rows += [("not used", "", "", ""), *(_cells(loss, f"  {readable(loss.name)}") for loss in report.losses)]
    shown = report.speakers[:MOST_ROWS]
    if _named(shown):
        rows += [("speakers", "", "", ""), *(_cells(speaker, f"  {readable(speaker.name)}") for speaker in shown)]
    left = len(report.speakers) - len(shown)
    return [*rows, (f"  and {left} more", "", "", "")] if left else rows


def _measures(report: Report) -> list[TrackMeasure]:
    """Return the measures that some track has; those of newer versions come without a title."""
    known = {measure.key for measure in MEASURES}
    other = [TrackMeasure(key, key) for key in sorted(report.values) if key not in known]
    return [measure for measure in (*MEASURES, *other) if np.isfinite(report.values.get(measure.key, np.nan)).any()]


def _of_kept(report: Report, measure: TrackMeasure) -> Floats:
    values = report.values[measure.key]
    return np.asarray(values[(report.gates == "") & np.isfinite(values)])


def _measure_rows(report: Report) -> list[Row]:
    rows: list[Row] = []
    for measure in _measures(report):
        kept = _of_kept(report, measure)
        spread = [number(value) for value in np.percentile(kept, [5, 50, 95])] if len(kept) else ["-"] * 3
        unit = f" ({measure.unit})" if measure.unit else ""
        rows.append((f"  {readable(measure.title)}{unit}", *spread, _limit_of(report, measure)))
    return rows


def _limit_of(report: Report, measure: TrackMeasure) -> str:
    limit = report.limits.get(measure.key)
    if limit is None:
        return "-"
    return f"{'at least' if measure.limit.startswith('min') else 'at most'} {number(limit)}"


def _audit_line(audit: Audit) -> str:
    found = ", ".join(f"{count} {readable(verdict)}" for verdict, count in audit.verdicts.items())
    return f"sync audit of {sum(audit.verdicts.values())} tracks: {found}"


def _aligned(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def write_report(report: Report, path: Path) -> None:
    """Write the report to `path` as one self-contained HTML file; raise CacheError if it cannot be written."""
    lost_s = sum(loss.seconds for loss in report.losses)
    page = render_template(
        "w2l.data.prepare",
        "report.html",
        title="w2l: what became of the clips",
        headline=headline(report),
        report=report,
        kept_s=report.kept.seconds,
        lost_s=lost_s,
        n_speakers=len(_named(report.speakers)),
        groups=[_cells(report.kept, "all"), *(_cells(split, split.name) for split in report.splits)],
        most=max([1, *(loss.tracks + loss.clips for loss in report.losses)]),
        figures=[(measure.title, _drawn(report, measure), _edge(report, measure)) for measure in _measures(report)],
        audit=_audit_figures(report.audit) if report.audit else None,
        audit_line=_audit_line(report.audit) if report.audit else "",
        speakers=[_cells(speaker, speaker.name) for speaker in report.speakers[:MOST_ROWS]],
        colours={"kept": KEPT, "refused": REFUSED, "elsewhere": ELSEWHERE},
        hours=_hours,
        number=number,
    )
    write_text(path, page)


def _drawn(report: Report, measure: TrackMeasure) -> str:
    values, kept = report.values[measure.key], report.gates == ""
    here = (report.gates == measure.gate) & ~kept
    parts = {KEPT: values[kept], REFUSED: values[here], ELSEWHERE: values[~kept & ~here]}
    return histogram(parts, measure.unit, report.limits.get(measure.key), measure.is_whole)


def _edge(report: Report, measure: TrackMeasure) -> str:
    """Return the kept tracks that came nearest to being refused."""
    values = np.where(report.gates == "", report.values[measure.key], np.nan)
    if measure.key not in report.limits or measure.is_whole or not np.isfinite(values).any():
        return ""
    order = np.argsort(values if measure.limit.startswith("min") else -values, kind="stable")[:N_EDGE]
    return ", ".join(f"{report.names[idx]} ({number(values[idx])})" for idx in order if np.isfinite(values[idx]))


def _audit_figures(audit: Audit) -> dict[str, str]:
    offsets = {KEPT: audit.offsets.astype(np.float64)}
    return {
        "Offset": histogram(offsets, "frames that the sound runs ahead", whole=True),
        "Confidence": histogram({KEPT: audit.confidences}, "confidence"),
    }
