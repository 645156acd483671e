"""Model the usual appearance of a face's lower half by cells, and detect frames that differ: overlays, hands, cups.

Each cell's colour and texture is predicted from the opening of the mouth and the pose by a robust fit over all frames
of a track. The residual is small for the face itself, whatever it says, and large for anything else.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.syncing.blend import FLAT_QUANTILE, FLAT_SHARE
from w2l.syncing.compose import mouth_map, soft_weight
from w2l.syncing.memory.strokes import strokes

CELL = 6
"""Side in pixels of a cell of the lower half of an aligned crop of 96 pixels: 8 rows of 16."""
SIDE = 96
"""Side of the crop."""
LEVEL = 110.0
"""Grey level to which each channel of the upper half is normalised, to remove the effect of light."""
MAX_GAIN = 8.0
"""Largest factor of this normalisation."""
SHOWS = 0.3
"""Least mean mask value of a cell that is used."""
RIM = (0.05, 0.7)
"""Range of the mean mask value of cells on the rim, where patch and picture must match."""
MOVES = 0.5
"""Share of the mouth in a cell from which it is ignored, as teeth and tongue appear there."""
ROUNDS = 4
"""Number of fits, each with less weight on outliers."""
LEAST_SPREAD = np.array([3.0, 1.5, 1.5, 1.5])
"""Lower limit of the usual spread of L, a, b and the texture in L."""
LEAST_STROKES = np.array([0.25])
"""The same for strokes, in grey levels."""
ODD, ODD_CELLS = 5.0, 2
"""Multiple of the usual spread from which a cell is odd, and number of adjacent odd cells from which a frame contains
something that is not the face."""
VERY_ODD, VERY_ODD_CELLS = 6.0, 3
"""The same, used if more than `MOST_ODD` of the frames would count, as in a head that turns a lot.

A subtitle, a lower third, a hand, a cup or a microphone was drawn into a quarter of the frames of five clips. On calm
heads (three clips) all are found. On a head that turns slightly: lower third and cup 100 %, microphone 86 %, hand 80 %,
a thin subtitle on the rim 47 %. On a head that turns a lot, with this stricter rule: cup and microphone 100 %, subtitle
74 %, hand 54 %, with up to 21 % false positives. An overlay over 40 % or more of a shot is often missed.
"""
CLEAR, CLEAR_CELLS = 10.0, 4
"""The same for covers so large that the frame should not be redrawn.

Three such frames in a row are in none of 56 clean clips. A lower third or a cup over a quarter of the frames of 16
clips is found in all its frames, a line of text over the chin on calm heads.
"""
FROM, TO, SUDDEN_CELLS = 3.0, 6.0, 3
"""Multiples of the usual spread from below which to above which so many adjacent cells change between two frames when
something appears or disappears: in none of 56 clean clips, and in all 16 with that line of text.
"""
IN_A_ROW, STRONGER = 3, 3.0
"""For strokes to be letters when they come or go: least number of columns over which they do, and multiple of all
strokes around their place in the frame without them, which a turning head could have moved there.

Hair next to the jaw of a turning head comes in vertical lines, next to other hair. In 50 clean clips no frame counts,
even if every second frame is left out; letters of 8 kinds over five of them are seen to come and go.
"""
MIDDLE = slice(4, 12)
"""Columns of cells in the middle of the face, where no hair comes: in 50 clean clips at most two frames in a row have
unusual strokes over `IN_A_ROW` of them."""
MOST_ODD = 0.5
"""Share of odd frames from which the stricter rule is used."""
OUTLIERS = (2.0, 98.0)
"""Percentiles to which predictors are clipped, as measurements of covered lips are unreliable."""


@dataclass(frozen=True)
class Usual:
    """Model of the usual appearance of the cells of a track, given mouth and pose."""

    low: Floats
    """(predictors,): lower limit of each predictor."""
    high: Floats
    """(predictors,): upper limit."""
    weights: Floats
    """(1 + predictors, cells, values)"""
    spread: Floats
    """(cells, values)"""


def cells_of(aligned: Image, fine: Image) -> Floats:
    """Return L, a, b, the texture in L and the strokes of the cells (cells, 5) of an aligned crop, light normalised.

    The crop is given twice: (96, 96, 3), and large enough for `strokes`.
    """
    half = SIDE // 2
    light = aligned[:half].reshape(-1, 3).mean(axis=0) + 1.0
    lower = aligned[half:] * np.clip(LEVEL / light, 1 / MAX_GAIN, MAX_GAIN) / 255
    lab = cv2.cvtColor(np.clip(lower, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    blocks = lab.reshape(half // CELL, CELL, SIDE // CELL, CELL, 3)
    means = blocks.mean(axis=(1, 3))
    texture = blocks[..., 0].std(axis=(1, 3))
    thin = strokes(fine, half // CELL)
    return np.concatenate([means, texture[..., None], thin[..., None]], axis=-1).reshape(-1, means.shape[-1] + 2)


def explaining(gap: Floats, pose: Floats) -> Floats:
    """Return the predictors (frames, 6) of the cells, quadratic in pose, as turning does more than shift the cells.

    The width of the mouth is not a predictor: a covered chin is read as a different width, which would hide it.
    """
    across, down = pose.T
    return np.column_stack([gap, across, down, across**2, down**2, across * down])


def usual_of(cells: Floats, explained_by: Floats, least_spread: Floats = LEAST_SPREAD) -> Usual:
    """Fit the usual appearance of cells (frames, cells, values) to predictors (frames, predictors)."""
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
        # From the calmest frames, so that covers in less than about half of a shot do not increase it.
        spread = np.maximum(np.quantile(away, FLAT_SHARE, axis=0) / FLAT_QUANTILE, least_spread)
        trust = 1.0 / (1.0 + (away / (2 * spread)) ** 4)
    return Usual(low, high, weights, spread)


def oddness(usual: Usual, cells: Floats, explained_by: Floats) -> Floats:
    """Return the deviation of each cell in usual spreads, (frames, rows, columns); 0 for cells that are not used."""
    expected = np.tensordot(_design(explained_by, usual.low, usual.high), usual.weights, axes=1)
    away = (np.abs(cells - expected) / usual.spread).max(axis=-1) * _counts().ravel()
    return np.asarray(away.reshape(len(cells), *_counts().shape))


def is_restless(odd: Floats) -> bool:
    """Return whether more than `MOST_ODD` of the frames of a track are odd, from their `oddness`."""
    return bool(_side_by_side(odd > ODD, ODD_CELLS).mean() > MOST_ODD)


def something_else(odd: Floats, restless: bool) -> NDArray[np.bool_]:
    """Return the frames that contain something other than the face, from `oddness` (frames, rows, columns).

    `restless`: use the stricter rule; see `is_restless`.
    """
    return _side_by_side(odd > VERY_ODD, VERY_ODD_CELLS) if restless else _side_by_side(odd > ODD, ODD_CELLS)


def clearly_else(odd: Floats) -> NDArray[np.bool_]:
    """Return the frames in which the face is largely covered, from `oddness` (frames, rows, columns)."""
    return _side_by_side(odd > CLEAR, CLEAR_CELLS)


def sudden_change(odd: Floats) -> NDArray[np.int64]:
    """Return 1 for frames in which something appears that was not there before, -1 where it is gone, else 0.

    `odd` is that of `oddness`, (frames, rows, columns).
    """
    come, gone = _changed(odd)
    return _signed(_side_by_side(come, SUDDEN_CELLS), _side_by_side(gone, SUDDEN_CELLS))


def sudden_strokes(odd: Floats, thin: Floats) -> NDArray[np.int64]:
    """Return 1 for frames in which strokes appear that no stroke before could have moved to, -1 where such are gone.

    `odd` is their `oddness`, (frames, rows, columns), `thin` the strokes themselves, (frames, cells, 1).
    """
    come, gone = _changed(odd)
    shown = np.where(_counts(), thin.reshape(odd.shape), 0.0)
    around = np.stack([cv2.dilate(frame, np.ones((3, 3), dtype=np.uint8)) for frame in shown])
    come &= shown[1:] > STRONGER * around[:-1]
    gone &= shown[:-1] > STRONGER * around[1:]
    return _signed(_side_by_side(come, SUDDEN_CELLS, IN_A_ROW), _side_by_side(gone, SUDDEN_CELLS, IN_A_ROW))


def strokes_in_the_middle(odd: Floats) -> NDArray[np.bool_]:
    """Return the frames with very unusual strokes in a row over the middle of the chin.

    `odd` is their `oddness`, (frames, rows, columns).
    """
    return _side_by_side(odd[:, :, MIDDLE] > VERY_ODD, VERY_ODD_CELLS, IN_A_ROW)


def _changed(odd: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the cells (frames - 1, rows, columns) that turn from usual to odd, and from odd to usual."""
    before, after = odd[:-1], odd[1:]
    return (before < FROM) & (after > TO), (after < FROM) & (before > TO)


def _signed(come: NDArray[np.bool_], gone: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return 1 (frames,) where something comes and -1 where it goes, from the frames after the first, which has 0."""
    found = np.zeros(len(come) + 1, dtype=np.int64)
    found[1:][come] = 1
    found[1:][gone] = -1
    return found


def _side_by_side(odd: NDArray[np.bool_], least: int, across: int = 1) -> NDArray[np.bool_]:
    """Return the frames in which so many adjacent cells (frames, rows, columns) are True, over so many columns."""
    found = np.zeros(len(odd), dtype=np.bool_)
    for frame in np.flatnonzero(odd.any(axis=(1, 2))):
        _, _, stats, _ = cv2.connectedComponentsWithStats(odd[frame].astype(np.uint8), connectivity=4)
        large = (stats[1:, cv2.CC_STAT_AREA] >= least) & (stats[1:, cv2.CC_STAT_WIDTH] >= across)
        found[frame] = bool(large.any())
    return found


def _design(explained_by: Floats, low: Floats, high: Floats) -> Floats:
    """Return a column of ones and the explanatory variables, from -1 to 1."""
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
    values = (np.clip(explained_by, low, high) - middle) / half
    return np.column_stack([np.ones(len(values)), values])


def rim_cells() -> NDArray[np.int64]:
    """Return the indices of the cells on the rim of the pasted part."""
    shown = _averaged(soft_weight(SIDE)).ravel()
    return np.flatnonzero((shown > RIM[0]) & (shown < RIM[1]))


@functools.cache
def _counts() -> NDArray[np.bool_]:
    """Return the mask of cells (rows, columns) that are used: inside the pasted part, outside the mouth."""
    return np.asarray((_averaged(soft_weight(SIDE)) > SHOWS) & (_averaged(mouth_map(SIDE)) < MOVES))


def _averaged(weight: Floats) -> Floats:
    """Return the means of a weight (96, 96) by cells, (rows, columns) of the lower half."""
    half = SIDE // 2
    return np.asarray(weight[half:].reshape(half // CELL, CELL, SIDE // CELL, CELL).mean(axis=(1, 3)))
