"""Resampling of chroma planes to full size and back, by subsampling and siting."""

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Plane = NDArray[Any]
Chroma = Literal["4:2:0", "4:2:2", "4:4:4"]

STEPS: dict[Chroma, tuple[int, int]] = {"4:2:0": (2, 2), "4:2:2": (1, 2), "4:4:4": (1, 1)}
"""Rows and columns of pixels that share a chroma sample."""
LEFT_SITED = (0.0, 0.5)
"""Position of a chroma sample (right, down) from the top left one of its 2 x 2 pixels: the default of H.264."""
CENTRE_SITED = (0.5, 0.5)
"""The siting of JPEG."""
REDUCERS: dict[float, tuple[list[float], int]] = {
    0.0: ([-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8], 2),
    0.5: ([-1 / 4, 3 / 4, 3 / 4, -1 / 4], 1),
    1.0: ([-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8], 1),
}
"""Siting along one axis -> filter (and its anchor) to halve with, which undoes linear interpolation exactly."""
FOUR_TWO_ZERO = (2, 2)


def plane_size(height: int, width: int, steps: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the chroma plane of a picture of that size."""
    return -(-height // steps[0]), -(-width // steps[1])


def doubled(
    plane: Plane,
    region: tuple[int, int, int, int],
    siting: tuple[float, float],
    steps: tuple[int, int] = FOUR_TWO_ZERO,
) -> Floats:
    """Return chroma for each pixel of a region (top, bottom, left, right): (rows, columns), interpolated linearly.

    `steps`, of rows and columns, are 2 along an axis with half the samples, 1 along a full one.
    """
    top, bottom, left, right = region
    first, last = (top // 2 - 1, (bottom + 1) // 2 + 1) if steps[0] == 2 else (top, bottom)
    before, after = (left // 2 - 1, (right + 1) // 2 + 1) if steps[1] == 2 else (left, right)
    part: Any = plane[max(0, first) : last, max(0, before) : after].astype(np.float32)
    missing = (max(0, -first), max(0, last - plane.shape[0]), max(0, -before), max(0, after - plane.shape[1]))
    if any(missing):
        part = cv2.copyMakeBorder(part, *missing, cv2.BORDER_REPLICATE)
    right_of, below = siting
    if steps[0] == 2:
        tall = np.empty((2 * (part.shape[0] - 2), part.shape[1]), dtype=np.float32)
        tall[0::2] = cv2.addWeighted(part[1:-1], 1 - below / 2, part[:-2], below / 2, 0)
        tall[1::2] = cv2.addWeighted(part[1:-1], (1 + below) / 2, part[2:], (1 - below) / 2, 0)
        part = tall
    if steps[1] == 2:
        even = cv2.addWeighted(part[:, 1:-1], 1 - right_of / 2, part[:, :-2], right_of / 2, 0)
        odd = cv2.addWeighted(part[:, 1:-1], (1 + right_of) / 2, part[:, 2:], (1 - right_of) / 2, 0)
        part = cv2.merge([even, odd]).reshape(len(part), -1)
    down, across = (top % 2 if steps[0] == 2 else 0), (left % 2 if steps[1] == 2 else 0)
    return np.asarray(part[down : down + bottom - top, across : across + right - left], dtype=np.float32)


def halved(plane: Floats, siting: tuple[float, float], *, in_width: bool = True, in_height: bool = True) -> Floats:
    """Return one sample per 2 x 2 pixels, the inverse of `doubled`; the first pixel has even coordinates."""
    if not (in_width or in_height):
        return np.asarray(plane, dtype=np.float32)
    (across, x) = REDUCERS[siting[0]] if in_width else ([1.0], 0)
    (down, y) = REDUCERS[siting[1]] if in_height else ([1.0], 0)
    filtered = cv2.sepFilter2D(
        plane, cv2.CV_32F, np.array(across), np.array(down), anchor=(x, y), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(filtered[:: 1 + in_height, :: 1 + in_width], dtype=np.float32)


def refitted(
    plane: Plane, size: tuple[int, int], siting: tuple[float, float], steps: tuple[int, int], wanted: tuple[int, int]
) -> Floats:
    """Resample the chroma plane of a picture of `size` (height, width) from subsampling `steps` to `wanted`.

    The result is not rounded. Along an axis whose subsampling does not change, samples stay where they are.
    """
    finer = [have if have > want else 1 for have, want in zip(steps, wanted)]
    sides = [side if fine == 2 else length for side, fine, length in zip(size, finer, plane.shape)]
    full = doubled(plane, (0, sides[0], 0, sides[1]), siting, (finer[0], finer[1]))
    coarser = [have < want for have, want in zip(steps, wanted)]
    return halved(full, siting, in_height=coarser[0], in_width=coarser[1])


def inside(support: NDArray[np.bool_], siting: tuple[float, float], steps: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which chroma samples affect only pixels in `support` (rows, columns), in the shape of the chroma plane."""
    reach = [
        (-1 if at < 1 else 0, 2 if at > 0 else 1) if step == 2 else (0, 0) for at, step in zip(siting, steps[::-1])
    ]
    kernel = np.ones((reach[1][1] - reach[1][0] + 1, reach[0][1] - reach[0][0] + 1), dtype=np.uint8)
    kept = cv2.erode(support.astype(np.uint8), kernel, anchor=(-reach[0][0], -reach[1][0]))
    return np.asarray(kept[:: steps[0], :: steps[1]] > 0)
