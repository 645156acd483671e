"""Appearance of a face as a tiny crop, small enough to keep one per frame, and the likeness of two (pure)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.features.crop import alignment

LOOK_SIDE = 12
"""Side in pixels of the aligned crop that represents a face's appearance."""
NO_LOOK = np.zeros((LOOK_SIDE, LOOK_SIDE, 3), dtype=np.uint8)
"""The crop of a face whose appearance is unknown."""
OVERSAMPLING = 2
"""The crop is cut this many times larger and averaged down, which reduces noise."""
TINT_CELL = 4
"""Size in pixels, each way, of the cells whose colours are averaged before comparing."""
COLOUR_SCALE = 30.0
"""Difference in colour, in grey levels, that reduces the likeness by 1."""


def look_of(image: Image, points: Floats) -> Image:
    """Return the face with five points (5, 2) in `image` (height, width, 3), aligned and small: (side, side, 3) RGB."""
    side = LOOK_SIDE * OVERSAMPLING
    transform = alignment(points, side)
    shrink = 1 / max(float(np.hypot(transform[0, 0], transform[1, 0])), 1e-6)
    if shrink >= 2:
        # Averaged down first instead of sampling single pixels.
        size = [max(1, length // int(shrink)) for length in image.shape[1::-1]]
        zoom = np.array(size) / image.shape[1::-1]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        transform = alignment((points + 0.5) * zoom - 0.5, side)
    crop = cv2.warpAffine(image, transform, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(crop, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def typical(looks: NDArray[np.uint8]) -> Image:
    """Return the median of tiny crops (looks, side, side, 3)."""
    if not len(looks):
        return NO_LOOK
    return np.asarray(np.median(looks[:: max(1, len(looks) // 64)], axis=0), dtype=np.uint8)


def likeness(a: Image, b: Image) -> float:
    """Return the likeness of two tiny crops: 1 for equal ones, about 0 for strangers; 1 if one of them is unknown.

    The correlation of their brightness, whatever the light's strength, minus the difference of their colours.
    """
    return float(likenesses(a[None], b)[0])


def likenesses(looks: NDArray[np.uint8], other: Image) -> NDArray[np.float64]:
    """Return the `likeness` of many tiny crops (looks, side, side, 3) to another: (looks,)."""
    if not other.any():
        return np.ones(len(looks))
    many, one = looks.astype(np.float64), other.astype(np.float64)
    bright = [part.mean(axis=-1) for part in (many, one[None])]
    centred = [part - part.mean(axis=(1, 2), keepdims=True) for part in bright]
    norms = [np.maximum(np.sqrt((part**2).sum(axis=(1, 2))), 1e-9) for part in centred]
    correlation = (centred[0] * centred[1]).sum(axis=(1, 2)) / (norms[0] * norms[1])
    apart = np.abs(_tints(many) - _tints(one[None])).mean(axis=(1, 2, 3))
    return np.where(looks.any(axis=(1, 2, 3)), correlation - (apart / COLOUR_SCALE) ** 2, 1.0)


def _tints(looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return colour without brightness, (looks, coarse, coarse, 2): red and blue relative to green, per `TINT_CELL`."""
    n_cells = LOOK_SIDE // TINT_CELL
    cells = looks.reshape(len(looks), n_cells, TINT_CELL, n_cells, TINT_CELL, 3).mean(axis=(2, 4))
    return np.asarray(cells[..., [0, 2]] - cells[..., [1]])
