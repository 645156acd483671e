"""Stacked histograms, drawn by matplotlib as SVG text for a page."""

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
"""Width and height of a figure, in units of 100 pixels."""
N_BINS = 40
TAIL = 0.5
"""Percentage of values at either end that go into the outermost bin, so that one outlier does not compress the rest."""
INK = "#808080"
"""Grey that is readable on white and on black."""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "w2l", "font.size": 8, "font.family": "sans-serif", "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
}  # fmt: skip


@dataclass(frozen=True)
class Bins:
    """Counts per bin of a stacked histogram."""

    edges: Floats
    """(bins + 1,)"""
    counts: dict[str, NDArray[np.int64]]
    """Colour -> (bins,) number of values of its group."""
    limit: float | None
    """Position of the dashed line."""


def bins_of(parts: Mapping[str, Floats], limit: float | None = None, whole: bool = False) -> Bins:
    """Count the values of each group (colour -> values, NaN where missing); see `histogram`."""
    values = {colour: part[np.isfinite(part)] for colour, part in parts.items()}
    edges = _edges(np.concatenate([*values.values(), []]), limit, whole)
    counts = {name: np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] for name, part in values.items()}
    return Bins(edges, counts, limit + 0.5 if limit is not None and whole else limit)


def histogram(parts: Mapping[str, Floats], unit: str, limit: float | None = None, whole: bool = False) -> str:
    """Return a histogram as SVG, the first group at the bottom.

    Parameters
    ----------
    parts : mapping
        Colour -> values of the group, NaN where missing.
    unit : str
        Unit of the values, the label of the x axis.
    limit : float, optional
        Position of a dashed line; after the bar of the limit if the values are whole numbers.
    whole : bool
        Whether the values are whole numbers: then each has its own bar, if there is room.
    """
    from matplotlib import rc_context  # takes 0.5 s to import, needed only for pages
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
