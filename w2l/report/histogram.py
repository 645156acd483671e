"""Histograms of several groups on top of each other, drawn by matplotlib as SVG text for a page."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.text import number

SIZE = (4.6, 2.0)
"""Width and height in inches of 100 pixels."""
N_BINS = 40
TAIL = 0.5
"""Percent of the values at either end that are drawn in the outermost bin, so that one stray does not squeeze all."""
INK = "#808080"
"""Grey that is read on white and on black."""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "w2l", "font.size": 8, "font.family": "sans-serif", "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
}  # fmt: skip


@dataclass(frozen=True)
class Bins:
    """What a histogram shows."""

    edges: Floats
    """(bins + 1,)"""
    counts: dict[str, NDArray[np.int64]]
    """Colour -> (bins,) values of its group."""
    limit: float | None
    """Where the dashed line stands."""


def bins_of(parts: Mapping[str, Floats], limit: float | None = None, whole: bool = False) -> Bins:
    """Count the values of each group (colour -> values, NaN where there are none); see `histogram`."""
    values = {colour: part[np.isfinite(part)] for colour, part in parts.items()}
    edges = _edges(np.concatenate([*values.values(), []]), limit, whole)
    counts = {name: np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] for name, part in values.items()}
    return Bins(edges, counts, limit + 0.5 if limit is not None and whole else limit)


def histogram(parts: Mapping[str, Floats], unit: str, limit: float | None = None, whole: bool = False) -> str:
    """Return a histogram as SVG, the first group at the bottom.

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
    from matplotlib import rc_context  # matplotlib takes half a second, for pages alone
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    bins = bins_of(parts, limit, whole)
    with rc_context(STYLE):
        figure = Figure(SIZE, layout="constrained")
        axes = figure.add_subplot()
        below = np.zeros(len(bins.edges) - 1)
        for colour, counted in bins.counts.items():
            if counted.any():
                axes.stairs(below + counted, bins.edges, baseline=below, fill=True, color=colour)
            below += counted
        axes.set(xlabel=unit.replace("$", r"\$"), ylabel="tracks", ylim=(0, max(1.0, below.max()) * 1.05))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
        if limit is not None and bins.limit is not None:
            axes.axvline(bins.limit, color=INK, linestyle="--", linewidth=1)
            axes.set_title(f"limit {number(limit)}", fontsize=8, loc="right")
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    return text[text.index("<svg") :]


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
