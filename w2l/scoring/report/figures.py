"""Figures of the score page: means with intervals, curves and histograms of offsets, values by speaker."""

import math
from collections.abc import Sequence
from typing import Any

from w2l.core.text import counted, readable
from w2l.core.timing import MAX_SHIFT
from w2l.report.plots import Mark, Strip, intervals, strips, whole_bars
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.lse import NEAR
from w2l.scoring.metrics.statistics import Interval
from w2l.scoring.report.cards import all_curves, css_classes, curve_limits
from w2l.scoring.report.cells import Cell, ScoreFigure
from w2l.scoring.report.wording import BETTER, has_width, value_text, with_numbers
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, ScoreReport

MOST_SPEAKERS = 24
"""Most rows in a figure of speakers."""


def means(report: ScoreReport, columns: Sequence[Column]) -> list[ScoreFigure]:
    """Return one figure per measure with the mean and interval of each system; omit minor columns and counts."""
    css = css_classes(report)
    figures = []
    for column in columns:
        found = {system.system: system.means[column.name] for system in report.systems if column.name in system.means}
        if column.minor or not column.better or not any(has_width(interval) for interval in found.values()):
            continue
        marks = {name: _mark(name, css[name], interval) for name, interval in found.items()}
        goal = {"one": 1.0, "zero": 0.0}.get(column.better)
        drawn = intervals([mark for name, mark in marks.items() if name != SHUFFLED], marks.get(REAL), goal)
        note = BETTER[column.better]
        if SHUFFLED in found:
            note += f"; chance: {value_text(column, found[SHUFFLED].mean, mean=True)}"
        figures.append(ScoreFigure(column.heading, note, [drawn]))
    return _drawn(figures)


def _mark(name: str, css: str, interval: Interval) -> Mark:
    return Mark(readable(name), css, interval.mean, interval.low, interval.high)


def _drawn(figures: Sequence[ScoreFigure]) -> list[ScoreFigure]:
    """Return the figures that have a drawing."""
    return [figure for figure in figures if any(figure.drawings)]


def _of(report: ScoreReport, system: str) -> list[ClipScore]:
    return [clip for clip in report.clips if clip.sample.system == system and clip.scored]


def offsets(report: ScoreReport) -> list[ScoreFigure]:
    """Return one figure per system: the curves of its clips, and below them how often each offset was found."""
    css = css_classes(report)
    limits = curve_limits(report.clips)
    figures = []
    for system in report.systems:
        clips = _of(report, system.system)
        reals = _of(report, REAL) if system.system != REAL else []
        drawings, note = [all_curves(clips, reals, css[system.system], limits)], counted(len(clips), "clip")
        asked = [clip.values["offset"] for clip in clips if "offset" in clip.values]
        found = [offset for offset in asked if math.isfinite(offset)]
        if asked:
            near = sum(abs(offset) <= NEAR for offset in found) / len(asked)
            note += f", {near:.0%} within {NEAR} frame"
        if len(found) < len(asked):
            note += f", {len(asked) - len(found)} without an offset"
        if found:
            drawings.append(whole_bars(found, MAX_SHIFT, css[system.system], "offset: frames the sound is ahead"))
        figures.append(ScoreFigure(system.system, note, drawings))
    return _drawn(figures)


def speakers(report: ScoreReport, columns: Sequence[Column]) -> dict[str, Any]:
    """Return one figure per measure with a dot per clip, by speaker; empty if fewer than two speakers are known."""
    names = sorted({clip.sample.speaker for clip in report.clips if clip.scored and clip.sample.speaker})
    if len(names) < 2:
        return {}
    css = css_classes(report)
    systems = [system.system for system in report.systems if system.system != SHUFFLED]
    by_system = {system: _of(report, system) for system in systems}
    figures = []
    for column in columns:
        if column.minor or column.better not in ("lower", "higher"):
            continue
        rows = []
        with_any = [system for system in systems if with_numbers(by_system[system], [column])]
        for speaker in names[:MOST_SPEAKERS]:
            dots = [(css[system], _values(by_system[system], speaker, column)) for system in with_any]
            rows.append(Strip(readable(speaker), dots))
        figures.append(ScoreFigure(column.heading, BETTER[column.better], [strips(rows, column.heading)]))
    if not (drawn := _drawn(figures)):
        return {}
    keys = [Cell(system, css[system]) for system in systems]
    return {"systems": keys, "figures": drawn, "left": max(0, len(names) - MOST_SPEAKERS)}


def _values(clips: Sequence[ClipScore], speaker: str, column: Column) -> list[float]:
    own = [clip for clip in clips if clip.sample.speaker == speaker]
    return [clip.values[column.name] for clip in own if column.name in clip.values]
