"""What a face's lower half usually looks like, cell by cell, and where a frame differs: overlays, hands, cups; pure.

Each cell's colour and texture is explained by the opening of the mouth and by the pose, robustly over all frames of a
track: what is left is small for the face itself, whatever it says, and large where something else is seen.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.syncing.blend import FLAT_QUANTILE, FLAT_SHARE
from w2l.syncing.compose import mouth_map, soft_weight

CELL = 6
"""Side in pixels of a cell of the lower half of an aligned crop of 96 pixels: 8 rows of 16."""
SIDE = 96
"""Side of the crop."""
LEVEL = 110.0
"""Grey level to which the upper half is brought, channel by channel, so that light does not count."""
MAX_GAIN = 8.0
"""Most by which it is changed."""
SHOWS = 0.3
"""How much of a cell must show of a patch for it to count."""
RIM = (0.05, 0.7)
"""How much of a cell shows of a patch on its rim, where patch and picture must fit."""
MOVES = 0.5
"""Share of the mouth from which a cell is left to the lip reader: teeth and tongue come and go there."""
ROUNDS = 4
"""Of fitting, each with less weight on what is far off."""
LEAST_SPREAD = np.array([3.0, 1.5, 1.5, 1.5])
"""Of L, a, b and the texture in L: what counts as usual spread at least, in their units."""
ODD, ODD_CELLS = 5.0, 2
"""Times the usual spread from which a cell is odd, and as many of them side by side that a frame has something in it
that is not the face."""
VERY_ODD, VERY_ODD_CELLS = 6.0, 3
"""The same where more than `MOST_ODD` of the frames would count: a head that turns much looks odd by itself.

A subtitle, a lower third, a hand, a cup or a microphone was drawn into a quarter of the frames of five clips. On calm
heads (three clips) they are found. On one that turns a little: lower third and cup 100 %, microphone 86 %, hand 80 %, a
thin subtitle on the rim 47 %. On one that turns much, with this stricter rule: cup and microphone 100 %, subtitle 74 %,
hand 54 %, and up to 21 % of the other frames are lost. An overlay over 40 % of a shot and more is often missed.
"""
COVERING, COVERING_CELLS = 10.0, 4
"""The same for what covers so much that the frame had better stay as it is.

Of the frames above all with the lower third and 54 to 100 % with the cup are found, and at most 1 % of the others.
"""
MOST_ODD = 0.5
"""Share of frames."""
OUTLIERS = (2.0, 98.0)
"""Percentiles to which what explains is cut: of covered lips, nothing that is read can be trusted."""


@dataclass(frozen=True)
class Usual:
    """How the cells of a track usually look, given mouth and pose."""

    low: Floats
    """(explaining,): least of each value that explains."""
    high: Floats
    """(explaining,): most."""
    weights: Floats
    """(1 + explaining, cells, 4)"""
    spread: Floats
    """(cells, 4)"""


def cells_of(aligned: Image) -> Floats:
    """Return L, a, b and the texture in L of the cells (cells, 4) of an aligned crop (96, 96, 3), light taken off."""
    half = SIDE // 2
    light = aligned[:half].reshape(-1, 3).mean(axis=0) + 1.0
    lower = aligned[half:] * np.clip(LEVEL / light, 1 / MAX_GAIN, MAX_GAIN) / 255
    lab = cv2.cvtColor(np.clip(lower, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    blocks = lab.reshape(half // CELL, CELL, SIDE // CELL, CELL, 3)
    means = blocks.mean(axis=(1, 3))
    texture = blocks[..., 0].std(axis=(1, 3))
    return np.concatenate([means, texture[..., None]], axis=-1).reshape(-1, 4)


def explaining(gap: Floats, pose: Floats) -> Floats:
    """Return what explains the cells of some frames, (frames, 6): a turning head does more than shift them.

    The width of the mouth does not help: what covers a chin is read as another width, and would explain itself.
    """
    across, down = pose.T
    return np.column_stack([gap, across, down, across**2, down**2, across * down])


def usual_of(cells: Floats, explained_by: Floats) -> Usual:
    """Return the usual look of cells (frames, cells, 4), explained by values (frames, explaining)."""
    low, high = np.percentile(explained_by, OUTLIERS, axis=0)
    design = _design(explained_by, low, high)
    trust = np.ones(cells.shape)
    ridge = 1e-3 * len(cells) * np.eye(design.shape[1])
    ridge[0, 0] = 0.0
    for number in range(ROUNDS):
        if number == 0:
            weights = np.zeros((design.shape[1], *cells.shape[1:]))
            weights[0] = np.median(cells, axis=0)
        else:
            moments = np.einsum("fi,fck,fj->ckij", design, trust, design, optimize=True) + ridge
            sums = np.einsum("fi,fck,fck->cki", design, trust, cells, optimize=True)
            weights = np.linalg.solve(moments, sums[..., None])[..., 0].transpose(2, 0, 1)
        away = np.abs(cells - np.tensordot(design, weights, axes=1))
        # From the calmest frames: what covers the face in less than about half of a shot does not widen it.
        spread = np.maximum(np.quantile(away, FLAT_SHARE, axis=0) / FLAT_QUANTILE, LEAST_SPREAD)
        trust = 1.0 / (1.0 + (away / (2 * spread)) ** 4)
    return Usual(low, high, weights, spread)


def oddness(usual: Usual, cells: Floats, explained_by: Floats) -> Floats:
    """Return by how many usual spreads each cell differs, (frames, rows, columns); 0 for cells that do not count."""
    expected = np.tensordot(_design(explained_by, usual.low, usual.high), usual.weights, axes=1)
    away = (np.abs(cells - expected) / usual.spread).max(axis=-1) * _counts().ravel()
    return np.asarray(away.reshape(len(cells), *_counts().shape))


def something_else(odd: Floats) -> NDArray[np.bool_]:
    """Return in which frames something is seen that is not the face, of `oddness` (frames, rows, columns)."""
    found = _side_by_side(odd > ODD, ODD_CELLS)
    return _side_by_side(odd > VERY_ODD, VERY_ODD_CELLS) if found.mean() > MOST_ODD else found


def much_else(odd: Floats) -> NDArray[np.bool_]:
    """Return in which frames much is seen that is not the face, of `oddness` (frames, rows, columns)."""
    return _side_by_side(odd > COVERING, COVERING_CELLS)


def _side_by_side(odd: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """In which frames so many cells of (frames, rows, columns) that touch are True."""
    found = np.zeros(len(odd), dtype=np.bool_)
    for frame in np.flatnonzero(odd.any(axis=(1, 2))):
        _, _, stats, _ = cv2.connectedComponentsWithStats(odd[frame].astype(np.uint8), connectivity=4)
        found[frame] = bool((stats[1:, cv2.CC_STAT_AREA] >= least).any())
    return found


def _design(explained_by: Floats, low: Floats, high: Floats) -> Floats:
    """Return a column of ones and the explanatory variables, from -1 to 1."""
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
    values = (np.clip(explained_by, low, high) - middle) / half
    return np.column_stack([np.ones(len(values)), values])


def rim_cells() -> NDArray[np.int64]:
    """Return the places of the cells on the rim of what is pasted."""
    shown = _averaged(soft_weight(SIDE)).ravel()
    return np.flatnonzero((shown > RIM[0]) & (shown < RIM[1]))


@functools.cache
def _counts() -> NDArray[np.bool_]:
    """Which cells (rows, columns) count: those that show of a patch and are not of the mouth."""
    return np.asarray((_averaged(soft_weight(SIDE)) > SHOWS) & (_averaged(mouth_map(SIDE)) < MOVES))


def _averaged(weight: Floats) -> Floats:
    """Return a weight (96, 96) cell by cell, (rows, columns) of the lower half."""
    half = SIDE // 2
    return np.asarray(weight[half:].reshape(half // CELL, CELL, SIDE // CELL, CELL).mean(axis=(1, 3)))
