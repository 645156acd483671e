"""Small charts as SVG text, drawn by hand so that a page needs no network and no plotting library; pure."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.text import number

WIDTH, HEIGHT = 460, 200
"""Of a chart, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 24, 34
"""Margins of the area that is drawn on, in pixels."""
N_BINS = 40
TAIL = 0.5
"""Percent of the values at either end that are drawn in the outermost bin, so that one stray does not squeeze all."""
INK, PALE = "#555555", "#dddddd"
FONT = 'font-family="sans-serif" font-size="11"'


@dataclass(frozen=True)
class Scale:
    """From values to pixels, along x and y."""

    low: float
    high: float
    top: float
    """Largest count."""

    def x(self, value: float) -> float:
        """Pixel of a value, kept within the chart."""
        share = (value - self.low) / (self.high - self.low)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, count: float) -> float:
        """Pixel of a count."""
        return HEIGHT - BOTTOM - count / self.top * (HEIGHT - TOP - BOTTOM)


def histogram(parts: Mapping[str, Floats], unit: str, limit: float | None = None, whole: bool = False) -> str:
    """A histogram of several groups on top of each other, the first at the bottom.

    Parameters
    ----------
    parts : mapping
        Colour -> values of the group, NaN where there are none.
    unit : str
        What the values are counted in.
    limit : float, optional
        Where a dashed line stands; after the bar of the limit where values are whole numbers.
    whole : bool
        Whether the values are whole numbers: then each has its own bar, where there is room.
    """
    values = {colour: part[np.isfinite(part)] for colour, part in parts.items()}
    edges = _edges(np.concatenate([*values.values(), []]), limit, whole)
    counts = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] for part in values.values()]
    scale = Scale(edges[0], edges[-1], max(1.0, float(np.sum(counts, axis=0).max())))
    drawn = [*_frame(scale, unit, whole), *_bars(scale, edges, dict(zip(values, counts)))]
    if limit is not None:
        drawn += _limit(scale.x(limit + 0.5 if whole else limit), f"limit {number(limit)}")
    label = html.escape(f"histogram, {unit}")
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">{"".join(drawn)}</svg>'


def _edges(values: Floats, limit: float | None, whole: bool) -> Floats:
    ends = [*(np.percentile(values, [TAIL, 100 - TAIL]) if len(values) else [0.0, 1.0])]
    ends += [limit] if limit is not None else []
    low, high = min(ends), max(ends)
    if whole:
        step = max(1, math.ceil((high - low + 1) / N_BINS))
        return np.arange(math.floor(low), math.ceil(high) + 1 + step, step) - 0.5
    margin = (high - low) * 0.04 or max(abs(high) * 0.1, 0.5)
    low, high = (low - margin if low < 0 or low > margin else 0.0), high + margin
    width = (high - low) / N_BINS
    zero = limit if limit is not None else low  # no bin lies on both sides of the limit
    return np.asarray(zero + width * np.arange(math.floor((low - zero) / width), math.ceil((high - zero) / width) + 1))


def _frame(scale: Scale, unit: str, whole: bool) -> list[str]:
    drawn = []
    for count in ticks(0, scale.top, 4):
        y = scale.y(count)
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{PALE}"/>')
        drawn.append(_text(LEFT - 6, y + 4, number(count), "end"))
    base = HEIGHT - BOTTOM
    for value in ticks(scale.low, scale.high, 6):
        if whole and value % 1:
            continue
        x = scale.x(value)
        drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" stroke="{INK}"/>')
        drawn.append(_text(x, base + 16, number(value), "middle"))
    drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" stroke="{INK}"/>')
    return [*drawn, _text(WIDTH - RIGHT, HEIGHT - 4, unit, "end"), _text(LEFT, TOP - 10, "tracks", "end")]


def _bars(scale: Scale, edges: Floats, counts: Mapping[str, NDArray[np.int64]]) -> list[str]:
    drawn = []
    below = np.zeros(len(edges) - 1)
    for colour, counted in counts.items():
        for idx in np.flatnonzero(counted):
            x, wide = scale.x(edges[idx]), scale.x(edges[idx + 1]) - scale.x(edges[idx])
            high = max(1.0, scale.y(0) - scale.y(counted[idx]))  # a single track among thousands is still to be seen
            y = scale.y(below[idx]) - high
            box = f'x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(wide - 1, 0.8):.1f}" height="{high:.1f}"'
            drawn.append(f'<rect {box} fill="{colour}"><title>{counted[idx]} tracks</title></rect>')
        below += counted
    return drawn


def _limit(x: float, title: str) -> list[str]:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{HEIGHT - BOTTOM}" stroke="#222222"'
    anchor, beside = ("end", x - 4) if x > WIDTH * 0.75 else ("start", x + 4)
    return [f'{line} stroke-dasharray="4 3"/>', _text(beside, TOP - 8, title, anchor)]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} fill="{INK}" text-anchor="{anchor}">{html.escape(text)}</text>'


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`, `about` so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(idx * step, 10) for idx in range(first, last + 1)]


def stacked_bar(parts: Sequence[tuple[str, float]], width: int = 960, height: int = 22) -> str:
    """One bar, cut by (colour, share)."""
    total = sum(share for _, share in parts) or 1.0
    drawn, x = [], 0.0
    for colour, share in parts:
        wide = share / total * width
        drawn.append(f'<rect x="{x:.1f}" y="0" width="{wide:.1f}" height="{height}" fill="{colour}"/>')
        x += wide
    size = f'viewBox="0 0 {width} {height}" width="100%" height="{height}" preserveAspectRatio="none"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="shares">{"".join(drawn)}</svg>'
