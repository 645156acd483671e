"""The part of a face that is hidden from the generator; pure."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Mask = Literal["lower-half", "jaw"]
MASKS: tuple[Mask, ...] = get_args(Mask)
JAW_HALF_WIDTH, JAW_HEIGHT, JAW_POWER = 0.42, 0.52, 2.5
"""The jaw mask hides ``|x / half width| ** power + |y / height| ** power <= 1``, x from the middle of an aligned crop
and y from under the nose downwards, both in sides: from the cheeks to below the chin of an open mouth, including the
jaw line, which reveals how far a mouth is open."""


def hidden_pixels(size: int, mask: Mask = "lower-half") -> NDArray[np.bool_]:
    """Return which pixels (size, size) of a crop are hidden; none lies above the lower half."""
    below = np.arange(size) >= size // 2
    if mask == "lower-half":
        return np.broadcast_to(below[:, None], (size, size)).copy()
    x = (np.arange(size) + 0.5) / size - 0.5
    y = np.maximum((np.arange(size) + 0.5) / size - 0.5, 0.0)
    inside = (np.abs(x)[None] / JAW_HALF_WIDTH) ** JAW_POWER + (y[:, None] / JAW_HEIGHT) ** JAW_POWER <= 1
    return np.asarray(inside & below[:, None])
