"""How a redrawn face is put into its picture: which part of it shows, how its rim fades, its colour; pure on arrays."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.faces.crop import Floats, Image, Placement

Rows = Literal["full", "lower"]

MASK_CENTRE = (0.5, 0.75)
"""Middle of the part that shows, as shares of the crop's width and height: between the mouth and the chin."""
MASK_RADII = (0.40, 0.25)
"""Its half-axes, in the same unit: from under the nose to the crop's lower edge, from cheek to cheek."""
MASK_POWER = 2.5
"""Its shape: 2 is an ellipse, larger is nearer to a rectangle."""
MASK_FEATHER = 0.3
"""Share of the radius, from the rim inwards, over which it fades in."""
MAX_TINT = 12.0
"""Largest correction of colour, in grey levels."""


def soft_weight(size: int) -> NDArray[np.float32]:
    """How much of a redrawn crop shows, (size, size), 0..1: mouth, jaw and chin, all within its lower half."""
    centres = (np.arange(size) + 0.5) / size
    x = np.abs(centres - MASK_CENTRE[0]) / MASK_RADII[0]
    y = np.abs(centres - MASK_CENTRE[1]) / MASK_RADII[1]
    radius = (x[None, :] ** MASK_POWER + y[:, None] ** MASK_POWER) ** (1 / MASK_POWER)
    inwards = np.clip((1 - radius) / MASK_FEATHER, 0.0, 1.0)
    return np.asarray(inwards * inwards * (3 - 2 * inwards), dtype=np.float32)


def hard_weight(size: int, rows: Rows) -> NDArray[np.float32]:
    """All of the rows that were redrawn, with a hard edge: (size, size), 0 or 1."""
    weight = np.ones((size, size), dtype=np.float32)
    if rows == "lower":
        weight[: size // 2] = 0.0
    return weight


def rim_tint(image: Image, placement: Placement) -> NDArray[np.float32]:
    """What to add to a patch, (3,) in grey levels, so that its colour fits the picture where the two fade over."""
    fading = placement.weight * (1 - placement.weight)
    total = float(fading.sum())
    if total <= 0.0:
        return np.zeros(3, dtype=np.float32)
    seen = image[placement.rows, placement.columns].astype(np.float32)
    difference = np.tensordot(fading, seen - placement.patch, axes=2) / total
    return np.asarray(np.clip(difference, -MAX_TINT, MAX_TINT), dtype=np.float32)


def blend(image: Image, placement: Placement, tint: Floats | None = None) -> Image:
    """A copy of `image` (height, width, 3) with the patch in it, as much of it as its weight says.

    `tint` (3,), in grey levels, is added to the patch first; see `rim_tint`.
    """
    patch = placement.patch if tint is None else placement.patch + np.asarray(tint, dtype=np.float32)
    weight = placement.weight[..., None]
    blended = image.copy()
    region = blended[placement.rows, placement.columns]
    mixed = region + weight * (patch - region)
    region[:] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return blended


def overwrite(image: Image, patch: Image, box: tuple[int, int, int, int]) -> Image:
    """A copy of `image` with the patch, any size, resized over the whole box (x1, y1, x2, y2), as published."""
    x1, y1, x2, y2 = box
    overwritten = image.copy()
    overwritten[y1:y2, x1:x2] = cv2.resize(patch, (x2 - x1, y2 - y1))
    return overwritten
