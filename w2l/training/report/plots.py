"""Curves of a run as SVG text. Colours are the CSS classes `c0` to `c7`, which the page defines."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2l.core.arrays import Floats
from w2l.core.text import number
from w2l.report.plots import ticks
from w2l.training.report.panels import spans_decades
from w2l.training.run_log import Curve, smooth

WIDTH, HEIGHT = 350, 190
"""Size of a plot, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 50, 22, 10, 32
"""Margins of the plotting area, in pixels."""
BUCKETS = 150
"""Sections of a longer curve, each drawn by its smallest and largest value, so that spikes remain visible."""
MARGIN = 0.05
"""Share of the range of values that is left free at either end."""
NEARLY_ALL = 3.0
"""Percentage of a noisy curve's smallest and of its largest values that may lie outside of the axis."""
MOST_NOISE = 1.5
"""Limit of the axis beyond the other values, as a multiple of their range, so that spikes do not compress the curve."""


@dataclass(frozen=True)
class Drawn:
    """One curve of a plot."""

    curve: Curve
    css: str
    """CSS class of its colour."""
    noisy: bool = False
    """Whether to draw it thin, with its moving average in bold; else it has a dot at each point."""
    title: str = ""
    """Tooltip."""


@dataclass(frozen=True)
class _Axes:
    """Mapping from steps and values to pixels."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    """Range of the values, or of their logarithms to base 10."""
    is_log: bool

    def x(self, step: Floats) -> Floats:
        low, high = self.x_range
        return LEFT + (step - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: Floats) -> Floats:
        low, high = self.y_range
        scaled = np.log10(np.maximum(value, 10**low)) if self.is_log else value
        return HEIGHT - BOTTOM - (np.clip(scaled, low, high) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def curve_plot(curves: Sequence[Drawn], marks: Sequence[tuple[float, str]] = (), n_steps: int = 0) -> str:
    """Return a plot of curves over the steps of a run; empty if no curve has a point.

    Parameters
    ----------
    curves : sequence of Drawn
        Later ones are drawn over earlier ones.
    marks : (value, title)
        Dashed horizontal lines.
    n_steps : int
        Planned length of the run, the least end of the x axis.
    """
    curves = [drawn for drawn in curves if len(drawn.curve[0])]
    if not curves:
        return ""
    axes = _axes(curves, [value for value, _ in marks], n_steps)
    parts = [*_grid(axes), *(part for value, title in marks for part in _mark(axes, value, title))]
    for drawn in curves:
        parts += _lines(axes, drawn)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {size} role="img" aria-label="curves over steps">{"".join(parts)}</svg>'


def _axes(curves: Sequence[Drawn], marks: Sequence[float], n_steps: int) -> _Axes:
    kept = np.concatenate([_within(drawn) for drawn in curves] + [np.asarray(marks, np.float64)])
    is_log = spans_decades(kept)
    ends = np.array([kept.min(), kept.max()])
    low, high = np.log10(ends).tolist() if is_log else ends.tolist()
    free = (high - low) * MARGIN or abs(high) * 0.1 or 0.5
    last = max(n_steps, *(float(drawn.curve[0].max()) for drawn in curves), 1.0)
    return _Axes((0.0, last), (low - free, high + free), is_log)


def _within(drawn: Drawn) -> Floats:
    """Return the values that the axis must include: all of a calm curve, those of a noisy one without its outliers."""
    _, values = drawn.curve
    if not drawn.noisy:
        return values
    low, high = np.percentile(values, [NEARLY_ALL, 100 - NEARLY_ALL])
    reach = MOST_NOISE * (high - low)
    return np.clip(values, low - reach, high + reach) if reach else values


def _grid(axes: _Axes) -> list[str]:
    """Return the horizontal grid lines and the axis of steps, with their labels."""
    parts = []
    for value in _y_ticks(axes):
        y = axes.y(np.array([value]))[0]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(LEFT - 6, y + 4, number(value), "end"))
    base = HEIGHT - BOTTOM
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" class="axis"/>')
    for value in ticks(*axes.x_range, 4):
        x = axes.x(np.array([value]))[0]
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" class="axis"/>')
        parts.append(_text(x, base + 16, number(value), "middle"))
    return [*parts, _text(WIDTH - RIGHT, HEIGHT - 3, "step", "end", "unit")]


def _y_ticks(axes: _Axes) -> list[float]:
    low, high = axes.y_range
    if not axes.is_log:
        return ticks(low, high, 4)
    powers = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 2 else (1, 3) if high - low < 3 else (1,)
    return [digit * 10.0**power for power in powers for digit in digits if low <= math.log10(digit) + power <= high]


def _mark(axes: _Axes, value: float, title: str) -> list[str]:
    y = axes.y(np.array([value]))[0]
    inner = f"<title>{html.escape(title)}</title>" if title else ""
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="mark">{inner}</line>'
    return [line, _text(WIDTH - RIGHT, y - 3, title, "end", "unit")] if title else [line]


def _lines(axes: _Axes, drawn: Drawn) -> list[str]:
    steps, values = drawn.curve
    if drawn.noisy and len(steps) > 1:
        return [
            _polyline(axes, steps, values, f"{drawn.css} thin", drawn.title),
            _polyline(axes, steps, smooth(values), drawn.css, drawn.title),
        ]
    parts = [_polyline(axes, steps, values, drawn.css, drawn.title)]
    if len(steps) <= BUCKETS:
        for x, y, step, value in zip(axes.x(steps), axes.y(values), steps, values):
            tooltip = f"<title>{html.escape(drawn.title)} at step {number(step)}: {number(value)}</title>"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" class="dot {drawn.css}">{tooltip}</circle>')
    return parts


def _polyline(axes: _Axes, steps: Floats, values: Floats, css: str, title: str) -> str:
    steps, values = thinned_curve(steps, values)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(axes.x(steps), axes.y(values)))
    return f'<polyline points="{path}" class="{css}"><title>{html.escape(title)}</title></polyline>'


def thinned_curve(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return at most two points for each of `BUCKETS` sections: its smallest and its largest value, in order."""
    if len(steps) <= 2 * BUCKETS:
        return steps, values
    kept: list[int] = []
    for stretch in np.array_split(np.arange(len(steps)), BUCKETS):
        kept += sorted({int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])})
    return steps[kept], values[kept]


def _text(x: float, y: float, text: str, anchor: str, css: str = "") -> str:
    attributes = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"' + (f' class="{css}"' if css else "")
    return f"<text {attributes}>{html.escape(text)}</text>"
