"""Lead one mouth over into another: the pixels of the new one alone, in a shape between both.

A mean of two mouths shows four lips, and grey where one has teeth and the other does not.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

SIDE = 48
"""Cells per side of the grid on which the displacement is computed."""
REACH = 0.1
"""Distance from the lips, in sides of the crop, at which skin moves about half as far as they."""
RIDGE = 1e-3
"""Share of errors at the points that is accepted for a smoother displacement."""


def morphed(patch: Floats, points: Floats, wanted: Floats) -> Floats:
    """Return a patch (size, size, 3) moved such that its lips, `points` (6, 2), are at `wanted` (6, 2).

    Points are in sides of the crop, see `w2l.nets.lips`. The displacement is exact at the points, up to `RIDGE`, and
    fades with the distance from them.
    """
    pulls = np.linalg.solve(_nearness(wanted, wanted) + RIDGE * np.eye(len(wanted)), points - wanted)
    places = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1) + 0.5) / SIDE
    coarse = (_nearness(places.reshape(-1, 2), wanted) @ pulls).reshape(SIDE, SIDE, 2).astype(np.float32)
    size = len(patch)
    field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * size
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    moved = cv2.remap(patch, x + field[..., 0], y + field[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(moved, 0, 255), dtype=np.float32)


def _nearness(one: Floats, other: Floats) -> NDArray[np.float64]:
    """Return how much points (one, 2) move along with points (other, 2): (one, other), 1 at no distance."""
    away = np.linalg.norm(one[:, None] - other[None], axis=-1) * (np.sqrt(3) / REACH)
    return np.asarray((1 + away) * np.exp(-away))
