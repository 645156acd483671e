"""Plots of scores as SVG text. Colours are CSS classes (`c0`, `c1`, ..., `real`) that the page defines."""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from w2l.core.arrays import Floats
from w2l.core.text import number

N_COLOURS = 8
"""Number of classes, `c0` to `c7`; further systems start again at `c0`."""
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
LETTER = 6.3
"""Approximate width of a letter of the labels, in pixels."""


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


@dataclass(frozen=True)
class _Plot:
    """A drawing area and its scale, from values to pixels."""

    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    left: float = 44
    right: float = 12
    top: float = 20
    bottom: float = 34
    drawn: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.height - self.bottom - (value - low) / (high - low) * (self.height - self.top - self.bottom)

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self.drawn.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "middle", css: str = "") -> None:
        attributes = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"' + (f' class="{css}"' if css else "")
        self.drawn.append(f"<text {attributes}>{html.escape(text)}</text>")

    def dot(self, x: float, y: float, css: str, title: str = "") -> None:
        inner = f"<title>{html.escape(title)}</title>" if title else ""
        self.drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT:.1f}" class="{css}">{inner}</circle>')

    def x_axis(self, title: str, whole: bool = False, about: int = 6) -> None:
        base = self.height - self.bottom
        self.line(self.left, base, self.width - self.right, base, "axis")
        for value in ticks(*self.x_range, about):
            if whole and value % 1:
                continue
            self.line(self.x(value), base, self.x(value), base + 4, "axis")
            self.text(self.x(value), base + 15, number(value))
        self.text(self.width - self.right, self.height - 4, title, "end", "unit")

    def y_axis(self, title: str, whole: bool = False, about: int = 4) -> None:
        for value in ticks(*self.y_range, about):
            if whole and value % 1:
                continue
            self.line(self.left, self.y(value), self.width - self.right, self.y(value), "grid")
            self.text(self.left - 6, self.y(value) + 4, number(value), "end")
        self.text(4, 12, title, "start", "unit")

    def svg(self, label: str) -> str:
        box = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        return f'<svg {box} role="img" aria-label="{html.escape(label)}">{"".join(self.drawn)}</svg>'


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
    x_range = _range([float(value) for xs, _ in every for value in (xs.min(), xs.max())], 0.0)
    y_range = _range(y_limits or [float(value) for _, ys in every for value in (ys.min(), ys.max())])
    plot = _Plot(width, 190, x_range, y_range)
    plot.y_axis(titles[1])
    plot.x_axis(titles[0])
    for at, css in marks:
        if x_range[0] <= at <= x_range[1]:
            plot.line(plot.x(at), plot.top, plot.x(at), plot.height - plot.bottom, f"mark {css}")
    for line, (xs, ys) in zip(lines, points):
        path = " ".join(f"{plot.x(x):.1f},{plot.y(y):.1f}" for x, y in zip(xs, ys))
        title = f"<title>{html.escape(line.title)}</title>" if line.title else ""
        plot.drawn.append(f'<polyline points="{path}" class="{line.css}">{title}</polyline>')
    return plot.svg(f"{titles[1]} over {titles[0]}")


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
    height = ROW * len(rows) + 30
    plot = _Plot(max(340.0, left + 190), height, _range(ends), (len(rows) - 0.5, -0.5), left, 14, 2, 28)
    bottom = height - plot.bottom
    if band is not None and math.isfinite(band.high - band.low):
        x, wide = plot.x(band.low), plot.x(band.high) - plot.x(band.low)
        plot.drawn.append(f'<rect x="{x:.1f}" y="2" width="{wide:.1f}" height="{bottom - 2:.1f}" class="band"/>')
    plot.x_axis("", about=4)
    if goal is not None:
        plot.line(plot.x(goal), 2, plot.x(goal), bottom, "mark goal")
    for row, mark in enumerate(rows):
        y = 2 + ROW * (row + 0.5)
        plot.text(left - 8, y + 4, mark.label, "end")
        if math.isfinite(mark.high - mark.low):
            plot.line(plot.x(mark.low), y, plot.x(mark.high), y, f"whisker {mark.css}")
        plot.dot(plot.x(mark.mean), y, f"dot {mark.css}", f"{mark.label}: {number(mark.mean)}")
    return plot.svg("means with their intervals")


def strips(rows: Sequence[Strip], title: str) -> str:
    """Return a plot with one row per group: a dot per value, a vertical line at the median of each colour."""
    every = [value for row in rows for _, values in row.dots for value in values if math.isfinite(value)]
    if not every:
        return ""
    left = 12 + LETTER * max(len(row.label) for row in rows)
    lanes = max(len(row.dots) for row in rows)
    high = max(ROW, LANE * lanes + 10)
    height = high * len(rows) + 34
    plot = _Plot(WIDTH, height, _range(every), (0, 1), left, 14, 2, 32)
    for row_idx, row in enumerate(rows):
        top = 2 + high * row_idx
        plot.line(left, top + high, plot.width - plot.right, top + high, "grid")
        plot.text(left - 8, top + high / 2 + 4, row.label, "end")
        for lane, (css, values) in enumerate(row.dots):
            y = top + high / 2 + LANE * (lane - (len(row.dots) - 1) / 2)
            finite = sorted(value for value in values if math.isfinite(value))
            places = np.linspace(0, len(finite) - 1, min(len(finite), MOST_DOTS)).round().astype(int)
            for value in (finite[place] for place in places):
                plot.dot(plot.x(value), y, f"dot faint {css}")
            if len(finite) > 1:
                median = plot.x(float(np.median(finite)))
                plot.line(median, y - 5, median, y + 5, f"whisker {css}")
    plot.x_axis(title)
    return plot.svg(f"{title} by group")


def whole_bars(values: Sequence[float], limit: int, css: str, title: str) -> str:
    """Return a histogram of whole numbers from -limit to limit; values beyond go into the outermost bars."""
    finite = [min(max(round(value), -limit), limit) for value in values if math.isfinite(value)]
    counts = [finite.count(value) for value in range(-limit, limit + 1)]
    plot = _Plot(340, 120, (-limit - 0.5, limit + 0.5), (0, max(1, *counts) * 1.05), 44, 12, 18, 32)
    plot.y_axis("clips", whole=True, about=3)
    base = plot.height - plot.bottom
    wide = plot.x(1) - plot.x(0)
    for value, count in zip(range(-limit, limit + 1), counts):
        if count:
            x, y = plot.x(value) - wide / 2, min(plot.y(count), base - 1)
            box = f'x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(wide - 1, 0.8):.1f}" height="{base - y:.1f}"'
            plot.drawn.append(f'<rect {box} class="bar {css}"><title>{value:+d}: {count} clips</title></rect>')
    plot.x_axis(title, whole=True)
    return plot.svg(f"histogram, {title}")


def ticks(low: float, high: float, about: int) -> list[float]:
    """Return about `about` round numbers from `low` to `high`."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(idx * step, 10) for idx in range(first, last + 1)]
