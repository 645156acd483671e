"""The mark put into pictures: one pattern for the whole video, faint on plain areas and stronger where there is detail.

The pattern never moves; its strength depends on the picture alone, so that a resumed job writes the same pictures. On
plain areas it is exactly the least, so that nothing flickers there. At 360x288 and crf 33, plain areas carry most of
what is found again; a mark on them alone has a higher PSNR, but can be seen.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.marks.pattern import render, units_per_pixel

PLAIN = (0.80, 0.50)
"""Root mean square on plain areas, in grey levels of 8 bits: in pictures whose shorter side has at most `SIDES[0]`
pixels, and at least `SIDES[1]`. The latter need less, as a unit of the pattern has more pixels."""
BUSY = (1.22, 1.00)
"""The same where there is detail. After rounding to whole levels, PSNR is 46 dB even where all of a picture has it."""
SIDES = (288, 576)
"""Pixels along the shorter side, between which both fall linearly."""
DETAIL = (1.0, 4.0)
"""Local standard deviation of detail, in grey levels of 8 bits: up to the first an area is plain, from the second on
it is busy."""
FINE, COARSE, SURROUND = 3, 15, 13
"""Units of the averages that detail lies between, and of the area over which it is measured."""


class Marker:
    """Marks the pictures of one video.

    Parameters
    ----------
    record : str
        The record id, ten hexadecimal digits.
    width, height : int
        Size of all pictures.
    depth : int
        Bits per sample, 8 or 10.
    """

    def __init__(self, record: str, width: int, height: int, depth: int = 8) -> None:
        self._levels = float(2 ** (depth - 8))
        self._top = 2**depth - 1
        self._pattern = render(record, width, height) * np.float32(self._levels)
        self._small = tuple(max(1, round(side * units_per_pixel(width, height))) for side in (width, height))
        self._change = np.empty_like(self._pattern)  # for every picture: fresh memory costs as much as the arithmetic
        side = min(width, height)
        self._plain, self._busy = (float(np.interp(side, SIDES, strengths)) for strengths in (PLAIN, BUSY))

    def marked(self, luma: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of a plane of luma (height, width), uint8 or uint16, with the mark."""
        change = cv2.multiply(self._pattern, self._strength(luma), dst=self._change)
        if luma.dtype == np.uint8:
            return np.asarray(cv2.add(luma, change, dtype=cv2.CV_8U))
        changed = np.clip(luma + np.rint(change), 0, self._top)
        return np.asarray(changed, dtype=luma.dtype)

    def _strength(self, luma: NDArray[Any]) -> Floats:
        """Return the root mean square of the mark at each pixel (height, width), in grey levels of 8 bits."""
        small = cv2.resize(luma, self._small, interpolation=cv2.INTER_AREA).astype(np.float32) / self._levels
        detail = cv2.blur(small, (FINE, FINE)) - cv2.blur(small, (COARSE, COARSE))
        deviation = cv2.sqrt(cv2.blur(detail * detail, (SURROUND, SURROUND)))
        share = np.clip((deviation - DETAIL[0]) / (DETAIL[1] - DETAIL[0]), 0.0, 1.0)
        strength = (self._plain + (self._busy - self._plain) * share).astype(np.float32)
        return np.asarray(cv2.resize(strength, luma.shape[::-1], dst=self._change, interpolation=cv2.INTER_LINEAR))
