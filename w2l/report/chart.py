"""Charts for pages: matplotlib lays them out, and a renderer writes them as SVG that the style sheet of a page colours.

The SVG backend of matplotlib writes fixed colours, which are wrong on a dark page, and ids, which clash where a page
has several charts. Here lines, bars and dots are drawn with the CSS classes in their `gid` (see `tag` in labels.py),
and only if they have one.
"""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from w2l.core.text import number, readable
from w2l.report.labels import LETTER, parts_of_tag

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text
    from matplotlib.transforms import Transform

PER_INCH = 72
"""Pixels per inch, so that the points of matplotlib are pixels."""
MOST_NUMBERS = 1.3
"""Most numbers on an axis, as multiple of those asked for."""
MOST_POWERS = 8
"""Most powers of ten marked on a logarithmic axis."""
ABOVE, BELOW = 8, 3
"""Height of a letter above and below the baseline, in pixels."""
ANCHORS = {"left": ("start", 0.0), "center": ("middle", 0.5), "right": ("end", 1.0)}
"""Alignment of matplotlib -> anchor of SVG, and its place in the width of the text."""


class Chart:
    """One pair of axes, whose margins are given in pixels."""

    def __init__(
        self, size: tuple[float, float], left: float = 44, right: float = 12, top: float = 20, bottom: float = 34
    ) -> None:
        """Make empty axes in a chart of this width and height in pixels."""
        self.width, self.height = size
        self.right = right
        self.figure = Figure((self.width / PER_INCH, self.height / PER_INCH), PER_INCH)
        inner = (left, bottom, self.width - left - right, self.height - top - bottom)
        self.axes = self.figure.add_axes(tuple(np.divide(inner, (*size, *size)).tolist()))
        self.axes.tick_params("both", bottom=False, left=False, grid_gid="grid", pad=6)
        self.axes.tick_params("x", pad=4)
        self.axes.set_axisbelow(True)
        self.axes.set_title("", y=1)  # labels that are not used: to find places for them takes an eighth of the time
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.set_label_coords(0, 0)
        self.axes.spines["bottom"].set_gid("axis")

    def x_axis(self, limits: tuple[float, float], title: str, about: int = 6, whole: bool = False) -> None:
        """Scale the x axis, with about `about` numbers below and its title in the corner."""
        self.axes.set_xlim(limits)
        mark_numbers(self.axes.xaxis, about, whole)
        self.name_x(title)

    def name_x(self, title: str) -> None:
        """Write the title of the x axis into the corner."""
        self._title(self.width - self.right, 4, title, "right")

    def y_axis(self, limits: tuple[float, float], title: str, about: int = 4, whole: bool = False) -> None:
        """Scale the y axis, with about `about` lines and numbers and its title in the corner."""
        self.axes.set_ylim(limits)
        mark_numbers(self.axes.yaxis, about, whole)
        self.axes.grid(axis="y")
        self._title(4, self.height - 12, title, "left")

    def rows(self, labels: Sequence[str]) -> None:
        """Make the y axis one of rows with labels, from 0 at the top."""
        self.axes.set_ylim(len(labels) - 0.5, -0.5)
        self.axes.set_yticks(range(len(labels)), [*labels], parse_math=False)

    def svg(self, label: str) -> str:
        """Return the chart as an SVG element; `label` describes it to screen readers."""
        renderer = _Renderer(self.width, self.height)
        self.figure.draw(renderer)
        box = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        return f'<svg {box} role="img" aria-label="{html.escape(label)}">{"".join(renderer.drawn)}</svg>'

    def _title(self, x: float, y: float, title: str, align: str) -> None:
        place = (x / self.width, y / self.height)
        self.figure.text(*place, title, ha=align, va="baseline", gid="unit", parse_math=False)


def mark_numbers(axis: "Axis", about: int, whole: bool = False) -> None:
    """Mark an axis with about `about` round numbers."""
    axis.set_major_locator(MaxNLocator(round(MOST_NUMBERS * about), steps=[1, 2, 5, 10], integer=whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def mark_powers(axis: "Axis", decades: float) -> None:
    """Mark a logarithmic axis with powers of ten, and with numbers between them if it spans few decades."""
    between = (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,)
    axis.set_major_locator(LogLocator(subs=between, numticks=MOST_POWERS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


class _Renderer(RendererBase):
    """Writes artists as SVG elements with CSS classes."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__()
        self.size = (width, height)
        self.drawn: list[str] = []
        self._tags: list[str] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Return the size in pixels."""
        return self.size

    def get_text_width_height_descent(self, s: str, prop: "FontProperties", ismath: Any) -> tuple[float, float, float]:
        """Estimate the size of a text; no font is loaded, and none needs to have its letters."""
        return LETTER * len(s), ABOVE + BELOW, BELOW

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Begin an artist."""
        self._tags.append(gid or "")

    def close_group(self, s: str) -> None:
        """End an artist."""
        self._tags.pop()

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: "Transform", rgbFace: Any = None
    ) -> None:  # fmt: skip
        """Write a line, or a rectangle if the path is closed; other shapes are not used."""
        css, titles = self._tag
        if not css:
            return
        points = self._pixels(path, transform)
        if path.codes is not None and np.any(np.equal(path.codes, Path.CLOSEPOLY)):
            (x, y), (width, height) = points.min(axis=0), np.ptp(points, axis=0)
            self._add("rect", f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"', css, *titles)
        else:
            self._add("polyline", f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist())}"', css, *titles)

    def draw_markers(
        self, gc: GraphicsContextBase, marker_path: Path, marker_trans: "Transform", path: Path, trans: "Transform",
        rgbFace: Any = None,
    ) -> None:  # fmt: skip
        """Write a dot at each point, with its own tooltip if there are as many as points."""
        css, titles = self._tag
        if not css:
            return
        radius = marker_path.get_extents(marker_trans).width / 2
        points = self._pixels(path, trans).tolist()
        each = titles if len(titles) == len(points) else titles[:1] * len(points) or [""] * len(points)
        for (x, y), title in zip(points, each):
            self._add("circle", f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"', css, title)

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: "FontProperties", *rest: Any, **more: Any
    ) -> None:  # fmt: skip
        """Write a text at its own anchor, so that the width of the browser's font does not matter."""
        artist: Text | None = more.get("mtext")
        anchor, share = ANCHORS[artist.get_horizontalalignment() if artist else "left"]
        css, _ = self._tag
        look = f' class="{css}"' if css else ""
        place = f'x="{x + share * LETTER * len(s):.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.drawn.append(f"<text {place}{look}>{html.escape(readable(s))}</text>")

    @property
    def _tag(self) -> tuple[str, list[str]]:
        """Classes and tooltips of the innermost artist that has any."""
        return parts_of_tag(next((gid for gid in reversed(self._tags) if gid), ""))

    def _pixels(self, path: Path, transform: "Transform") -> Any:
        """Return the vertices, (points, 2), in pixels from the top left."""
        x, y = np.asarray(path.transformed(transform).vertices).T
        return np.stack([x, self.size[1] - y], axis=1)

    def _add(self, element: str, attributes: str, css: str, title: str = "") -> None:
        inner = f"<title>{html.escape(title)}</title>" if title else ""
        self.drawn.append(f'<{element} {attributes} class="{css}">{inner}</{element}>')
