"""The mark put into pictures: one pattern for the whole video, faint on plain areas and stronger where there is detail.

The pattern never moves; its strength depends on the picture alone, so that a resumed job writes the same pictures. On
plain areas it is exactly the least, so that nothing flickers there.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.marks.pattern import render, units_per_pixel

PLAIN = (0.42, 0.28)
"""Root mean square on plain areas, in grey levels of 8 bits: in pictures whose shorter side has at most `SIDES[0]`
pixels, and at least `SIDES[1]`. The latter need less, as a unit of the pattern has more pixels. With 0.34 in small
videos, fewer are found at half the size, and after HEVC and VP9; with 0.8, a mottle can be seen on walls."""
BUSY = (1.85, 1.30)
"""The same where there is detail."""
SIDES = (288, 576)
"""Pixels along the shorter side, between which both fall linearly."""
MOST = 1.22
"""Root mean square over a whole picture at most, in grey levels: after rounding to whole levels, PSNR is 46 dB."""
DETAIL = (0.4, 1.3)
"""Standard deviation of detail, in grey levels of 8 bits: up to the first an area is plain, from the second on busy."""
FLAT = (0.02, 0.06)
"""The same up to which an area is flat, as drawn ones and captions are, and from which on it counts as plain. Walls in
real videos have more than 0.1."""
DRAWN = 0.80
"""Root mean square on flat areas where they are most of the picture, in grey levels; elsewhere they have no mark."""
MOSTLY = (0.4, 0.6)
"""Share of the picture up to which flat areas have no mark, and from which on they have all of it."""
FINE, COARSE, SURROUND = 3, 11, 13
"""Units of the averages that detail lies between, and of the area over which it is measured."""
MARGIN, SMOOTH = 13, 7
"""Units of the area all of which must have detail to count as busy, so that no wall beside hair does, and of the
average over the result."""


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
        power = cv2.blur(detail * detail, (SURROUND, SURROUND))
        deviation = np.sqrt(np.maximum(power, 0.0))  # running sums leave tiny negative numbers on flat areas
        inside = cv2.blur(cv2.erode(deviation, np.ones((MARGIN, MARGIN), np.uint8)), (SMOOTH, SMOOTH))
        share = np.clip((inside - DETAIL[0]) / (DETAIL[1] - DETAIL[0]), 0.0, 1.0)
        grain = np.clip((deviation - FLAT[0]) / (FLAT[1] - FLAT[0]), 0.0, 1.0)
        drawn = DRAWN * float(np.interp(1.0 - grain.mean(), MOSTLY, (0.0, 1.0)))
        plain = drawn + (self._plain - drawn) * grain
        strength = (plain + self._excess(plain, share)).astype(np.float32)
        return np.asarray(cv2.resize(strength, luma.shape[::-1], dst=self._change, interpolation=cv2.INTER_LINEAR))

    def _excess(self, plain: Floats, share: Floats) -> Floats:
        """Return what busy areas have beyond the strength of plain ones: less where the whole would exceed `MOST`."""
        excess = (self._busy - plain) * share
        first, second = float((plain * excess).mean()), float((excess * excess).mean())
        rest = MOST**2 - float((plain * plain).mean())
        allowed = (float(np.sqrt(first**2 + second * rest)) - first) / second if second else 1.0
        return np.asarray(excess * min(1.0, allowed))
