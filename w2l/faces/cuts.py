"""Cuts in a video, found as its pictures come: places where the picture changes for good from one frame to the next.

A cut differs from everything else that moves a picture in two ways. The change is sudden: large against what happens
just before and after, unlike a shaken camera or a running child. And it stays: none of the pictures after it is like
one of those before, unlike a flash, a blink of a lamp or a damaged frame.
"""

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image

SMALL_WIDTH = 96
"""Width in pixels of the pictures that are compared; faces and camera noise hardly count at that size."""
REACH = 5
"""Pictures on either side of a cut that are compared, and by how many the finder is late."""
LEAST_CHANGE = 12.0
"""Change, in grey levels, below which nothing is a cut."""
LEAST_RATIO = 2.4
"""How many times larger the change at a cut must be than what is usual just before and just after it."""
NEAR_SHIFT = 4
"""Pixels of the small picture by which a shaken camera may move it from one frame to the next."""
HISTOGRAM_BINS = 16
"""Bins of each colour's histogram."""


class CutFinder:
    """Finds cuts in a stream of small pictures; holds eleven of them."""

    def __init__(self) -> None:
        self._recent: deque[Image] = deque(maxlen=2 * REACH + 1)
        self._changes: deque[float] = deque(maxlen=2 * REACH + 1)
        self._n_seen = 0
        self._cuts: list[int] = []

    def push(self, small_bgr: Image) -> bool:
        """Takes the next picture (rows, columns, 3); whether it may begin a new shot, which later pictures decide."""
        before = self._recent[-1] if self._recent else None
        self._changes.append(0.0 if before is None else change(before, small_bgr))
        usual = float(np.median(list(self._changes)[-REACH - 1 : -1])) if len(self._changes) > 1 else 0.0
        self._recent.append(small_bgr)
        self._n_seen += 1
        if len(self._recent) > REACH + 1:
            self._judge(len(self._recent) - 1 - REACH)
        return before is None or self._changes[-1] >= max(LEAST_CHANGE, LEAST_RATIO * usual)

    def finish(self) -> NDArray[np.int64]:
        """The frames that begin a shot, (cuts,), without frame 0; call it once, after the last picture."""
        for place in range(max(1, len(self._recent) - REACH), len(self._recent)):
            self._judge(place)
        return np.array(self._cuts, dtype=np.int64)

    def _judge(self, place: int) -> None:
        """Notes a cut before the picture at `place` of those held, when it is one."""
        changes = list(self._changes)
        here = changes[place]
        if here < LEAST_CHANGE:
            return
        frame_idx = self._n_seen - len(self._recent) + place
        since_cut = place if not self._cuts else min(place, frame_idx - self._cuts[-1])
        first, last = max(1, place - min(REACH, since_cut) + 1), min(len(changes), place + REACH)
        # The busier side counts: a fade begins after stillness, and changes as much from then on. And its busier
        # frames count: where every picture comes twice, every other change is nought.
        sides = [side for side in (changes[first:place], changes[place + 1 : last]) if side]
        if here < LEAST_RATIO * max((float(np.percentile(side, 75)) for side in sides), default=0.0):
            return
        pictures = list(self._recent)
        before = pictures[max(0, place - min(REACH, max(since_cut, 1))) : place]
        after = pictures[place : place + REACH]
        if min(change(old, new) for old in before for new in after) >= max(LEAST_CHANGE, here / 2):
            self._cuts.append(frame_idx)


def change(before: Image, after: Image) -> float:
    """How different two small pictures (rows, columns, 3) are, in grey levels: 0 for equal ones, whatever moved a bit.

    The mean difference once the second is shifted to fit the first best, so that a shaken camera changes little, and
    scaled up where also the colours' shares differ, which a movement leaves alone.
    """
    pixels = _difference(before, after)
    if 2 * pixels < LEAST_CHANGE:  # no cut whatever else is looked at
        return 0.6 * pixels
    pixels = min(pixels, _difference_shifted(before, after))
    return pixels * (0.6 + 1.4 * _histogram_distance(before, after))


def _difference(before: Image, after: Image) -> float:
    return float(cv2.absdiff(before, after).mean())


def _difference_shifted(before: Image, after: Image) -> float:
    """The least mean difference over shifts by up to `NEAR_SHIFT` pixels."""
    rows, columns = before.shape[:2]
    if min(rows, columns) <= 4 * NEAR_SHIFT:
        return _difference(before, after)
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (before, after)]
    middle = grey[0][NEAR_SHIFT : rows - NEAR_SHIFT, NEAR_SHIFT : columns - NEAR_SHIFT]
    misfit = cv2.matchTemplate(grey[1], middle, cv2.TM_SQDIFF)
    _, _, (x, y), _ = cv2.minMaxLoc(misfit)
    inner = before[NEAR_SHIFT : rows - NEAR_SHIFT, NEAR_SHIFT : columns - NEAR_SHIFT]
    moved = after[y : y + inner.shape[0], x : x + inner.shape[1]]
    return _difference(inner, np.asarray(moved, dtype=np.uint8))


def _histogram_distance(before: Image, after: Image) -> float:
    """Share of pixels, 0..1, whose colour has no partner in the other picture; the mean over the three colours.

    Cumulative, so that light that drifts a little changes little.
    """
    distances = []
    for channel in range(3):
        sums = [
            np.cumsum(cv2.calcHist([image], [channel], None, [HISTOGRAM_BINS], [0, 256]).ravel())
            / (image.shape[0] * image.shape[1])
            for image in (before, after)
        ]
        distances.append(float(np.abs(sums[0] - sums[1]).max()))
    return float(np.mean(distances))
