"""Colours that a person never shows at a place of the face: a palette of the real video, cell by cell; pure."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.features.masks import hidden_pixels

SIDE = 96
"""Side in pixels of the aligned crops that are compared."""
CELL = 6
"""Side in pixels of a cell with its own palette. Colours of neighbouring cells do not count: with them the lips would
excuse a red patch on the chin, and a dark mouth that opens wider than the person's would be missed."""
FAR = 6.0
"""CIELAB distance from the nearest colour of the palette above which a colour is foreign: clearly visible, and more
than the grain and the compression of a video."""
STEP = 1.0
"""CIELAB units to which colours are rounded, so that a palette stores each colour once however long the video is."""
CHUNK = 64
"""Crops converted per block."""
MOST_PAIRS = 1 << 22
"""Distances between colours held per block."""

_LEVELS = 256
"""Number of rounded values of L, a and b in a code."""
_ZERO = np.array([0, _LEVELS // 2, _LEVELS // 2])
"""Code of 0 for each: a and b may be negative."""
_CELLS = SIDE // CELL
REDRAWN = hidden_pixels(SIDE, "jaw")
"""(side, side): the pixels that are compared, from under the nose to below the chin."""
_AT = np.flatnonzero(REDRAWN)
_CELL_OF = (_AT // SIDE // CELL * _CELLS + _AT % SIDE // CELL).astype(np.int64)
"""(pixels,): the cell of each of them."""


def lab(colours: Image) -> NDArray[np.float32]:
    """Return CIELAB (L 0..100, a and b about -128..127) of RGB colours (rows, columns, 3)."""
    return np.asarray(cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))


class Palette:
    """The colours of aligned crops (frames, 96, 96, 3) at each place of the lower face.

    Stores each colour, rounded to `STEP`, once for each cell; distances are exact up to that rounding.
    """

    def __init__(self, crops: Image) -> None:
        """Collect the colours; raise ValueError if there are no crops."""
        if not len(crops):
            raise ValueError("a palette requires at least one crop")
        self._codes = np.unique(np.concatenate([np.unique(part) for part in _codes(crops)]))

    def __len__(self) -> int:
        """Return the number of colours over all cells."""
        return len(self._codes)

    def foreign_shares(self, crops: Image) -> Floats:
        """Return the share of foreign colours, 0 to 1, in the lower face of each crop: (frames,)."""
        return np.concatenate([np.zeros(0), *(self._are_foreign(part).mean(axis=1) for part in _codes(crops))])

    def _are_foreign(self, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which colours of `codes` (frames, pixels) are foreign."""
        found, back = np.unique(codes, return_inverse=True)
        foreign = np.zeros(len(found), dtype=np.bool_)
        cells = found // _LEVELS**3
        unknown = ~np.isin(found, self._codes, assume_unique=True)
        for cell in np.unique(cells[unknown]).tolist():
            asked = np.flatnonzero(unknown & (cells == cell))
            first, last = np.searchsorted(self._codes, [cell * _LEVELS**3, (cell + 1) * _LEVELS**3])
            foreign[asked] = _are_far(_colours(found[asked]), _colours(self._codes[first:last]))
        return np.asarray(foreign[back].reshape(codes.shape))


def _are_far(colours: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of `colours` (colours, 3) lie further than `FAR` from all that are `known` (known, 3)."""
    far = []
    size = (known * known).sum(axis=1)
    step = max(1, MOST_PAIRS // max(1, len(known)))
    for first in range(0, len(colours), step):
        part = colours[first : first + step]
        nearest = (size - 2 * part @ known.T).min(axis=1, initial=np.inf) + (part * part).sum(axis=1)
        far.append(nearest > FAR**2 + 1e-3)
    return np.concatenate(far)


def _codes(crops: Image) -> Sequence[NDArray[np.int64]]:
    """Return cell and rounded colour of each compared pixel as one number, (frames, pixels), some crops at a time."""
    parts = []
    for first in range(0, len(crops), CHUNK):
        pixels = crops[first : first + CHUNK].reshape(-1, SIDE * SIDE, 3)[:, _AT]
        levels = np.rint(lab(pixels) / STEP).astype(np.int64) + _ZERO
        parts.append(((_CELL_OF * _LEVELS + levels[..., 0]) * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2])
    return parts


def _colours(codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the colours (codes, 3) in CIELAB of codes, whatever their cell."""
    levels = np.stack([codes // _LEVELS**2 % _LEVELS, codes // _LEVELS % _LEVELS, codes % _LEVELS], axis=-1)
    return np.asarray((levels - _ZERO) * STEP, dtype=np.float32)
