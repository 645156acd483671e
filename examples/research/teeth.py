"""Detect teeth between the lips from the pixels within the inner outline of the face mesh."""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image

CHEEKS = (50, 280, 205, 425)
"""Points of the mesh on the cheeks, for the colour of skin."""
LIPS = (0, 17, 37, 267, 84, 314)
"""Points of the mesh on the lips."""
FINE = 48
"""Width in pixels to which the mouth is scaled."""


def teeth_share(image: Image, outline: Floats, mesh: Floats) -> float:
    """Return the area of teeth within `outline`, over the square of the mouth's width.

    `outline` (points, 2) and `mesh` (468, 2) are in pixels of the RGB `image`. Teeth are at least about as light as the
    lips beside them and less coloured; in grey pictures only lightness counts.
    """
    width = float(np.hypot(*(mesh[291] - mesh[61])))
    scale, corner = FINE / max(width, 1.0), outline.min(axis=0) - 0.3 * width
    size = np.ceil((outline.max(axis=0) + 0.3 * width - corner) * scale).astype(int)
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = cv2.warpAffine(image, matrix, (int(size[0]), int(size[1])), flags=flags)
    lab = cv2.cvtColor(seen.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    mask = np.zeros(seen.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((outline - corner) * scale).astype(np.int32)], 1)
    mask = cv2.erode(mask, np.ones((3, 1), np.uint8), borderValue=0)
    lip, skin = _colour(image, mesh[list(LIPS)], width), _colour(image, mesh[list(CHEEKS)], width)
    light, red = lab[..., 0], lab[..., 1]
    is_light = light > np.maximum(lip[0] + 2, 0.62 * skin[0])
    is_pale = red < (0.5 * lip[1] + 0.5 * min(skin[1], lip[1])) + 1.5 if lip[1] > 3 else np.ones_like(is_light)
    return float((is_light & is_pale & (mask > 0)).sum()) / FINE**2


def _colour(image: Image, places: Floats, width: float) -> NDArray[np.float32]:
    """Return the median colour (L, a, b) around some points."""
    reach = max(1, round(0.03 * width))
    found = []
    for x, y in np.round(places).astype(int):
        spot = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].reshape(-1, 1, 3)
        if len(spot):
            found.append(cv2.cvtColor(spot.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3))
    return np.median(np.concatenate(found), axis=0) if found else np.zeros(3, np.float32)


NONE, SOME = 0.002, 0.012
"""Areas up to which no teeth show, and from which they do."""


def teeth_state(image: Image, outline: Floats, mesh: Floats) -> float:
    """Return 1 if teeth show, 0 if not, nan if uncertain."""
    share = teeth_share(image, outline, mesh)
    return 0.0 if share <= NONE else 1.0 if share >= SOME else float("nan")
