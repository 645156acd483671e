"""Draw the curves of a run on axes of matplotlib: the same drawing for curves.png and for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from w2l.core.arrays import Floats
from w2l.core.text import number
from w2l.report.labels import N_COLOURS, tag
from w2l.training.report.panels import Panel, is_rate, spans_decades
from w2l.training.run_log import VALIDATION, Curve, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (350, 190)
"""Width and height of a plot of the page, in pixels."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of curves.png that colour-blind people can distinguish (Okabe & Ito, 2008); the page has CSS classes."""
GREY = "#808080"
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
    place: int
    """Number of its colour."""
    noisy: bool = False
    """Whether to draw it thin, with its moving average in bold; else it has a dot at each point."""
    title: str = ""
    """Its name in legend and tooltip."""

    @property
    def css(self) -> str:
        """CSS class of its colour."""
        return f"c{self.place % N_COLOURS}"


def drawn_of(panel: Panel, curves: Mapping[str, Curve]) -> list[Drawn]:
    """Return the curves of a panel, each with its colour and its name."""
    mixed = any(not name.startswith(VALIDATION) for name in panel.names)
    found = []
    for place, name in enumerate(panel.names):
        is_score = name.startswith(VALIDATION)
        label = name.removeprefix(VALIDATION).replace("_", " ")
        label = f"validation: {label}" if is_score and mixed else label
        found.append(Drawn(curves[name], place, not (is_score or is_rate(name)), label))
    return found


def curve_plot(curves: Sequence[Drawn], marks: Sequence[tuple[float, str]] = (), n_steps: int = 0) -> str:
    """Return a plot of curves over the steps of a run as SVG; empty if no curve has a point."""
    if not any(len(drawn.curve[0]) for drawn in curves):
        return ""
    from w2l.report.chart import Chart  # matplotlib takes 0.5 s to import, needed only for pages

    chart = Chart(SIZE, left=50, right=22, top=10, bottom=32)
    plot_curves(chart.axes, curves, marks, n_steps)
    chart.name_x("step")
    return chart.svg("curves over steps")


def plot_curves(
    axes: "Axes", curves: Sequence[Drawn], marks: Sequence[tuple[float, str]] = (), n_steps: int = 0
) -> None:
    """Draw curves over the steps of a run, and scale the axes.

    Parameters
    ----------
    axes : Axes
        Empty axes, of a figure or of a `Chart`.
    curves : sequence of Drawn
        Later ones are drawn over earlier ones; those without a point are left out.
    marks : (value, title)
        Dashed horizontal lines.
    n_steps : int
        Planned length of the run, the least end of the x axis.
    """
    curves = [drawn for drawn in curves if len(drawn.curve[0])]
    _scale(axes, curves, [value for value, _ in marks], n_steps)
    for value, title in marks:
        axes.axhline(value, color=GREY, linestyle="--", linewidth=1, gid=tag("mark", *[title] * bool(title)))
        beside: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "parse_math": False}
        axes.annotate(title, (1, value), (0, 3), ha="right", color=GREY, fontsize=8, gid="unit", **beside)
    for drawn in curves:
        _draw(axes, drawn)


def _scale(axes: "Axes", curves: Sequence[Drawn], marks: Sequence[float], n_steps: int) -> None:
    """Set the limits and numbers of both axes; the y axis is logarithmic if the values span decades."""
    from w2l.report.chart import mark_numbers, mark_powers

    kept = np.concatenate([_within(drawn) for drawn in curves] + [np.asarray(marks, np.float64)])
    is_log = spans_decades(kept)
    ends = np.array([kept.min(), kept.max()])
    low, high = np.log10(ends).tolist() if is_log else ends.tolist()
    free = (high - low) * MARGIN or abs(high) * 0.1 or 0.5
    low, high = low - free, high + free
    axes.set_xlim(0.0, max(n_steps, *(float(drawn.curve[0].max()) for drawn in curves), 1.0))
    mark_numbers(axes.xaxis, 4)
    if is_log:
        axes.set_yscale("log")
        axes.set_ylim(10**low, 10**high)
        mark_powers(axes.yaxis, high - low)
    else:
        axes.set_ylim(low, high)
        mark_numbers(axes.yaxis, 5)
    axes.grid(axis="y")


def _within(drawn: Drawn) -> Floats:
    """Return the values that the axis must include: all of a calm curve, those of a noisy one without its outliers."""
    _, values = drawn.curve
    if not drawn.noisy:
        return values
    low, high = np.percentile(values, [NEARLY_ALL, 100 - NEARLY_ALL])
    reach = MOST_NOISE * (high - low)
    return np.clip(values, low - reach, high + reach) if reach else values


def _draw(axes: "Axes", drawn: Drawn) -> None:
    steps, values = drawn.curve
    colour, legend = COLOURS[drawn.place % len(COLOURS)], drawn.title or "_"
    noisy = drawn.noisy and len(steps) > 1
    if noisy:
        _line(axes, steps, values, color=colour, alpha=0.25, linewidth=0.7, gid=_tag(drawn, "curve thin"))
    shown = smooth(values) if noisy else values
    _line(axes, steps, shown, color=colour, linewidth=1.8, label=legend, gid=_tag(drawn, "curve"))
    if not noisy and len(steps) <= BUCKETS:
        titles = [f"{drawn.title} at step {number(step)}: {number(value)}" for step, value in zip(steps, values)]
        look: Any = {"color": colour, "markersize": 4.4, "gid": tag(f"dot {drawn.css}", *titles)}
        axes.plot(steps, _inside(axes, values), "o", **look)


def _tag(drawn: Drawn, css: str) -> str:
    return tag(f"{css} {drawn.css}", drawn.title)


def _line(axes: "Axes", steps: Floats, values: Floats, **look: Any) -> None:
    steps, values = thinned_curve(steps, values)
    axes.plot(steps, _inside(axes, values), **look)


def _inside(axes: "Axes", values: Floats) -> Floats:
    """Return values cut off at the ends of the y axis."""
    return np.clip(values, *axes.get_ylim())


def thinned_curve(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return at most two points for each of `BUCKETS` sections: its smallest and its largest value, in order."""
    if len(steps) <= 2 * BUCKETS:
        return steps, values
    kept: list[int] = []
    for stretch in np.array_split(np.arange(len(steps)), BUCKETS):
        kept += sorted({int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])})
    return steps[kept], values[kept]
