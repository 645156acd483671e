"""Compared parts of a face: the whole box, its lower half, and a rectangle around the mouth (pure)."""

from collections.abc import Mapping

import numpy as np

from w2l.core.arrays import Floats

PARTS = ("face", "lower", "mouth")
MIN_SIDE = 11
"""Smallest size of a part each way: SSIM's window must fit."""
MOUTH_REACH = (0.21, 0.12, 0.15)
"""Extent of the mouth's rectangle from the middle of the mouth corners sideways, up and down, in units of the side of
an aligned crop: from under the nose to the chin, one and a half eye distances wide."""
EYES, DROP = 0.34, 0.396
"""Distance of the eyes, and of the mouth from the line between them, in the same unit; see `w2l.features.crop`."""

Slices = tuple[slice, slice]


def parts_of(box: Floats, points: Floats, rows: int, columns: int) -> Mapping[str, Slices]:
    """Return rows and columns of each of `PARTS` in a picture of that size, without parts that lie mostly outside.

    Parameters
    ----------
    box : (4,)
        x1, y1, x2, y2 of the face in pixels.
    points : (5, 2)
        Eyes, nose, mouth corners in pixels.
    """
    middle = float((box[1] + box[3]) / 2)
    rectangles = {
        "face": (box[0], box[1], box[2], box[3]),
        "lower": (box[0], middle, box[2], box[3]),
        "mouth": mouth_rectangle(points),
    }
    inside = {}
    for name, (x1, y1, x2, y2) in rectangles.items():
        top, left = max(round(float(y1)), 0), max(round(float(x1)), 0)
        bottom, right = min(round(float(y2)), rows), min(round(float(x2)), columns)
        if bottom - top >= MIN_SIDE and right - left >= MIN_SIDE:
            inside[name] = (slice(top, bottom), slice(left, right))
    return inside


def mouth_rectangle(points: Floats) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 in pixels around the mouth of five points (5, 2), scaled with the face only."""
    mouth = points[3:].mean(axis=0)
    side, up, down = MOUTH_REACH
    unit = face_unit(points)
    return mouth[0] - side * unit, mouth[1] - up * unit, mouth[0] + side * unit, mouth[1] + down * unit


def face_unit(points: Floats) -> float:
    """Return the side in pixels of the aligned crop of a face with five points (5, 2), robust to a turned head."""
    apart = float(np.linalg.norm(points[1] - points[0]))
    drop = float(np.linalg.norm(points[3:].mean(axis=0) - points[:2].mean(axis=0)))
    return max(apart / EYES, drop / DROP)
