"""Report on a prepared dataset: what was kept and why the rest was not, as a terminal table and as an HTML page."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from w2l.core.arrays import Floats
from w2l.core.files import write_text
from w2l.core.text import number, readable
from w2l.data.prepare.tally import MEASURES, Audit, Group, Loss, Report, TrackMeasure, collect
from w2l.report.charts import histogram, stacked_bar
from w2l.report.markup import escaped

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
        f"{report.n_clips} clips in {readable(report.root)}: {kept.clips} give {kept.tracks} tracks of "
        f"{n_speakers} known speakers, {_hours(kept.seconds)} hours; nothing is used of {n_lost}"
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
    parts = [
        f"<h1>What became of the clips</h1><p class=lead>{escaped(headline(report))}.</p>",
        _cards(report),
        _section("What is kept", _html_table(("", "clips", "tracks", "hours"), _kept_rows(report))),
        _losses(report),
        _histograms(report),
        _audit_section(report.audit) if report.audit else "",
        _section("Speakers", _speakers(report)),
    ]
    write_text(path, _PAGE.replace("{{body}}", "\n".join(filter(None, parts))))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escaped(title)}</h2>{body}</section>" if body else ""


def _html_table(head: Row, rows: Iterable[Row], kind: str = "numbers") -> str:
    def line(tag: str, cells: Row) -> str:
        return "<tr>" + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table class={kind}><thead>{line('th', head)}</thead><tbody>{body}</tbody></table>"


def _kept_rows(report: Report) -> list[Row]:
    return [_cells(report.kept, "all"), *(_cells(split, split.name) for split in report.splits)]


def _cards(report: Report) -> str:
    lost_s = sum(loss.seconds for loss in report.losses)
    cards = [
        (_hours(report.kept.seconds), "hours kept"),
        (number(report.kept.tracks), "tracks"),
        (number(len(_named(report.speakers))), "known speakers"),
        (f"{report.kept.clips} of {report.n_clips}", "clips give a track"),
    ]
    shown = "".join(f"<div><b>{escaped(value)}</b>{escaped(title)}</div>" for value, title in cards)
    bar = stacked_bar([(KEPT, report.kept.seconds), (REFUSED, lost_s)])
    note = f"<p class=note>{_key(KEPT)}{_hours(report.kept.seconds)} hours kept {_key(REFUSED)}{_hours(lost_s)} not</p>"
    return f"<div class=cards>{shown}</div>{bar}{note}"


def _key(colour: str) -> str:
    return f'<i class=key style="background:{colour}"></i>'


def _losses(report: Report) -> str:
    if not report.losses:
        return _section("Why the rest is not used", "<p>There is no rest: everything is used.</p>")
    most = max(1.0, *(float(loss.tracks + loss.clips) for loss in report.losses))
    rows = "".join(_loss_row(loss, (loss.tracks + loss.clips) / most) for loss in report.losses)
    note = (
        "<p class=note>Clips: those of which nothing is used. Tracks: faces that were seen and refused, in any clip. "
        "Open a reason to see the worst of them.</p>"
    )
    return _section("Why the rest is not used", note + rows)


def _loss_row(loss: Loss, share: float) -> str:
    counts = f"{loss.clips} clips, {loss.tracks} tracks, {_hours(loss.seconds)} hours"
    bar = f'<span class=bar style="width:{max(0.5, 40 * share):.1f}%"></span>'
    examples = _html_table(("", "why"), loss.examples, "names")
    return f"<details><summary><b>{escaped(loss.name)}</b>{bar}{counts}</summary>{examples}</details>"


def _histograms(report: Report) -> str:
    figures = "".join(_figure(report, measure) for measure in _measures(report))
    if not figures:
        return _section("Quality", "<p>These clips were prepared before quality was measured.</p>")
    key = (
        f"<p class=note>{_key(KEPT)}kept {_key(REFUSED)}refused for this measure {_key(ELSEWHERE)}refused for another. "
        "Dashed: the limit. The few outermost values are drawn into the last bar.</p>"
    )
    return _section("Quality of the tracks", f"{key}<div class=figures>{figures}</div>")


def _figure(report: Report, measure: TrackMeasure) -> str:
    values, kept = report.values[measure.key], report.gates == ""
    here = (report.gates == measure.gate) & ~kept
    parts = {KEPT: values[kept], REFUSED: values[here], ELSEWHERE: values[~kept & ~here]}
    drawn = histogram(parts, measure.unit, report.limits.get(measure.key), measure.is_whole)
    return f"<figure><figcaption>{escaped(measure.title)}</figcaption>{drawn}{_edge(report, measure)}</figure>"


def _edge(report: Report, measure: TrackMeasure) -> str:
    """Return the kept tracks that came nearest to being refused."""
    values = np.where(report.gates == "", report.values[measure.key], np.nan)
    if measure.key not in report.limits or measure.is_whole or not np.isfinite(values).any():
        return ""
    order = np.argsort(values if measure.limit.startswith("min") else -values, kind="stable")[:N_EDGE]
    named = [f"{report.names[idx]} ({number(values[idx])})" for idx in order if np.isfinite(values[idx])]
    names = f"<p class=names>{escaped(', '.join(named))}</p>"
    return f"<details><summary>kept, but nearest to the limit</summary>{names}</details>"


def _audit_section(audit: Audit) -> str:
    offsets = histogram({KEPT: audit.offsets.astype(np.float64)}, "frames that the sound runs ahead", whole=True)
    figures = [("Offset", offsets), ("Confidence", histogram({KEPT: audit.confidences}, "confidence"))]
    drawn = "".join(f"<figure><figcaption>{title}</figcaption>{figure}</figure>" for title, figure in figures)
    return _section("Sync audit", f"<p>{escaped(_audit_line(audit))}.</p><div class=figures>{drawn}</div>")


def _speakers(report: Report) -> str:
    if not _named(report.speakers):
        return "<p>The layout does not tell who speaks.</p>" if report.speakers else ""
    shown = report.speakers[:MOST_ROWS]
    body = _html_table(("", "clips", "tracks", "hours"), [_cells(speaker, speaker.name) for speaker in shown])
    left = len(report.speakers) - len(shown)
    return body + (f"<p class=note>and {left} more.</p>" if left else "")


_PAGE = """<!doctype html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>w2l: what became of the clips</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#faf9f6;max-width:1000px;margin:2em auto;padding:0 1em}
h1{font-size:1.7em;margin:0}h2{font-size:1.2em;margin:2em 0 .5em}.lead{color:#555;overflow-wrap:anywhere}
.note{color:#666;font-size:.9em}.cards{display:flex;flex-wrap:wrap;gap:1em;margin:1.5em 0}
.cards div{background:#fff;border:1px solid #e4e1da;border-radius:8px;padding:.7em 1.2em;color:#666}
.cards b{display:block;white-space:nowrap;font-size:1.6em;color:#222}
table{border-collapse:collapse;background:#fff}td,th{padding:.25em .9em;border-bottom:1px solid #eee;text-align:left}
.numbers td:not(:first-child),.numbers th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums}
.names td,.names{font-size:.9em;overflow-wrap:anywhere}.names td:first-child{white-space:nowrap}
details{margin:.3em 0}summary{cursor:pointer}summary b{display:inline-block;min-width:10em}
.bar{display:inline-block;height:.8em;background:#d1495b;margin-right:.8em;border-radius:2px}
.figures{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;background:#fff;border:1px solid #e4e1da;padding:.6em}
figure{border-radius:8px;max-width:462px}figcaption{font-weight:600}svg{max-width:100%;display:block}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .4em 0 .8em}
</style></head><body>
{{body}}
</body></html>
"""
