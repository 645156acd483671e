"""Plots of scores as SVG, laid out by matplotlib. Colours are CSS classes (`c0`, `c1`, ..., `real`) of a page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2l.core.arrays import Floats
from w2l.core.text import counted, number
from w2l.report.labels import LETTER, tag

if TYPE_CHECKING:
    from w2l.report.chart import Chart

MOST_POINTS = 400
"""Longer lines are reduced to this many points, each the mean of a section."""
MOST_DOTS = 60
"""Most dots of one colour in a row of `strips`; more values are sampled evenly from lowest to highest."""
MARGIN = 0.06
"""Share of the range of values that is left free at either end."""
WIDTH = 500
"""Width of a line plot, in pixels; two fit side by side."""
ROW = 22
"""Height of a row of `intervals` and `strips`, in pixels."""
LANE = 9.0
"""Height of the dots of one colour in a row of `strips`, in pixels."""
DOT = 3.0
"""Radius of a dot, in pixels."""
BAR = 0.9
"""Width of a bar of `whole_bars`, as share of the distance between two."""


@dataclass(frozen=True)
class PlotLine:
    """One line of a line plot."""

    values: Sequence[float]
    start: float
    """Position of the first value on the x axis."""
    step: float
    """Distance from one value to the next; may be negative."""
    css: str
    """CSS classes."""
    title: str = ""
    """Tooltip."""


@dataclass(frozen=True)
class Strip:
    """One row of `strips`: the values of one group, as dots of several colours."""

    label: str
    dots: Sequence[tuple[str, Sequence[float]]]
    """Pairs of (CSS class, values)."""


@dataclass(frozen=True)
class Mark:
    """One row of `intervals`: a mean with its interval."""

    label: str
    css: str
    mean: float
    low: float
    high: float


def line_plot(
    lines: Sequence[PlotLine],
    titles: tuple[str, str],
    marks: Iterable[tuple[float, str]] = (),
    y_limits: tuple[float, float] | None = None,
    width: float = WIDTH,
) -> str:
    """Return a line plot with one x axis; later lines are drawn over earlier ones.

    Parameters
    ----------
    lines : sequence of Line
        Points that are NaN are left out.
    titles : (str, str)
        Titles of the x and the y axis.
    marks : (x, CSS class)
        Dashed vertical lines.
    y_limits : (low, high), optional
        Limits of the y axis, so that several plots share a scale; by default those of the values.
    width : float
        Width in pixels.
    """
    points = [_thinned(line) for line in lines]
    every = [part for part in points if len(part[0])]
    if not every:
        return ""
    chart = _chart(width, 190)
    chart.x_axis(_range([float(value) for xs, _ in every for value in (xs.min(), xs.max())], 0.0), titles[0])
    chart.y_axis(_range(y_limits or [float(value) for _, ys in every for value in (ys.min(), ys.max())]), titles[1])
    low, high = chart.axes.get_xlim()
    for at, css in marks:
        if low <= at <= high:
            chart.axes.axvline(at, gid=f"mark {css}")
    for line, (xs, ys) in zip(lines, points):
        chart.axes.plot(xs, ys, gid=tag(f"curve {line.css}", line.title))
    return chart.svg(f"{titles[1]} over {titles[0]}")


def _thinned(line: PlotLine) -> tuple[Floats, Floats]:
    """Return the finite points of a line, at most `MOST_POINTS`."""
    ys = np.asarray(line.values, np.float64)
    xs = np.asarray(line.start + line.step * np.arange(len(ys)), np.float64)
    finite = np.isfinite(ys)
    xs, ys = xs[finite], ys[finite]
    if len(ys) <= MOST_POINTS:
        return xs, ys
    edges = np.linspace(0, len(ys), MOST_POINTS + 1).astype(int)[:-1]
    sizes = np.diff([*edges, len(ys)]).astype(np.float64)
    return np.add.reduceat(xs, edges) / sizes, np.add.reduceat(ys, edges) / sizes


def _range(values: Sequence[float], margin: float = MARGIN) -> tuple[float, float]:
    low, high = min(values), max(values)
    free = (high - low) * margin
    if high <= low:
        free = abs(high) * 0.1 or 0.5
    return low - free, high + free


def intervals(marks: Sequence[Mark], band: Mark | None = None, goal: float | None = None) -> str:
    """Return a plot of means with their intervals, one per row.

    Parameters
    ----------
    marks : sequence of Mark
        One per row; rows without a mean and intervals that are not finite are left out.
    band : Mark, optional
        The real videos, whose interval is drawn as a band behind all rows.
    goal : float, optional
        Best value, drawn as a dashed vertical line.
    """
    rows = [mark for mark in marks if math.isfinite(mark.mean)]
    if not rows:
        return ""
    ends = [value for mark in rows for value in (mark.mean, mark.low, mark.high) if math.isfinite(value)]
    ends += [goal] if goal is not None else []
    left = 12 + LETTER * max(len(mark.label) for mark in rows)
    chart = _chart(max(340.0, left + 190), ROW * len(rows) + 30, left=left, right=14, top=2, bottom=28)
    chart.x_axis(_range(ends), "", about=5)
    chart.rows([mark.label for mark in rows])
    if band is not None and math.isfinite(band.high - band.low):
        chart.axes.axvspan(band.low, band.high, gid="band")
    if goal is not None:
        chart.axes.axvline(goal, gid="mark goal")
    for row, mark in enumerate(rows):
        if math.isfinite(mark.high - mark.low):
            chart.axes.plot([mark.low, mark.high], [row, row], gid=f"whisker {mark.css}")
        title = f"{mark.label}: {number(mark.mean)}"
        chart.axes.plot([mark.mean], [row], "o", markersize=2 * DOT, gid=tag(f"dot {mark.css}", title))
    return chart.svg("means with their intervals")


def strips(rows: Sequence[Strip], title: str) -> str:
    """Return a plot with one row per group: a dot per value, a vertical line at the median of each colour."""
    every = [value for row in rows for _, values in row.dots for value in values if math.isfinite(value)]
    if not every:
        return ""
    left = 12 + LETTER * max(len(row.label) for row in rows)
    lanes = max(len(row.dots) for row in rows)
    high = max(ROW, LANE * lanes + 10)
    chart = _chart(WIDTH, high * len(rows) + 34, left=left, right=14, top=2, bottom=32)
    chart.x_axis(_range(every), title)
    chart.rows([row.label for row in rows])
    for row_idx, row in enumerate(rows):
        if row_idx:
            chart.axes.axhline(row_idx - 0.5, gid="grid")
        for lane, (css, values) in enumerate(row.dots):
            y = row_idx + LANE / high * (lane - (len(row.dots) - 1) / 2)
            finite = sorted(value for value in values if math.isfinite(value))
            if not finite:
                continue
            places = np.linspace(0, len(finite) - 1, min(len(finite), MOST_DOTS)).round().astype(int)
            shown = [finite[place] for place in places]
            chart.axes.plot(shown, [y] * len(shown), "o", markersize=2 * DOT, gid=f"dot faint {css}")
            if len(finite) > 1:
                median = float(np.median(finite))
                chart.axes.plot([median, median], [y - 5 / high, y + 5 / high], gid=f"whisker {css}")
    return chart.svg(f"{title} by group")


def whole_bars(values: Sequence[float], limit: int, css: str, title: str) -> str:
    """Return a histogram of whole numbers from -limit to limit; values beyond go into the outermost bars."""
    finite = [min(max(round(value), -limit), limit) for value in values if math.isfinite(value)]
    counts = {value: finite.count(value) for value in sorted(set(finite))}
    chart = _chart(340, 120, top=18, bottom=32)
    chart.x_axis((-limit - 0.5, limit + 0.5), title, whole=True)
    chart.y_axis((0, max(1, *counts.values()) * 1.05), "clips", about=3, whole=True)
    for bar, (value, count) in zip(chart.axes.bar([*counts], [*counts.values()], BAR), counts.items()):
        bar.set_gid(tag(f"bar {css}", f"{value:+d}: {counted(count, 'clip')}"))
    return chart.svg(f"histogram, {title}")


def _chart(width: float, height: float, **margins: float) -> "Chart":
    from w2l.report.chart import Chart  # matplotlib takes 0.5 s to import, needed only for pages

    return Chart((width, height), **margins)
