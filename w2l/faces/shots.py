"""Shots of a video, found as its pictures come: where the picture changes for good, or goes through black.

A cut differs from everything else that moves a picture in two ways. The change is sudden: large against what happens
just before and after, unlike a shaken camera or a running child. And it stays: none of the pictures after it is like
one of those before, unlike a flash, a blink of a lamp or a damaged frame. A fade is neither: there the shot begins in
the middle of the black.

A change is sudden by one of two rules: the one here, which allows for a shaken camera and keeps two near cuts apart,
and PySceneDetect's AdaptiveDetector, which compares hues and so finds cuts between dark or similar pictures. That it
stays is decided here, as AdaptiveDetector takes a flash for a cut. Black is found by PySceneDetect's ThresholdDetector;
it counts unless it is a blink, or not between light pictures. `tests/faces/test_shots.py` lists what is found in which
made video.
"""

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image

SMALL_WIDTH = 96
"""Width in pixels of the pictures that are compared; faces and camera noise hardly count at that size."""
REACH = 5
"""Pictures on either side of a cut that are compared, and by how many the finder is late."""
LEAST_CHANGE = 12.0
"""Change, in grey levels, below which nothing is a cut by the rule here."""
FAINT_CHANGE = 2.0
"""The same where AdaptiveDetector finds the change sudden."""
LEAST_RATIO = 2.4
"""How many times larger the change at a cut must be than what is usual just before and just after it."""
BUSY, BUSIEST = 75.0, 100.0
"""Percentile of the changes just before and after that counts as usual: by the rule here, and for AdaptiveDetector,
whose ratio is low where every picture comes twice or thrice."""
NEAR_SHIFT = 4
"""Pixels of the small picture by which a shaken camera may move it from one frame to the next."""
HISTOGRAM_BINS = 16
"""Bins of each colour's histogram."""
BLACK = 12.0
"""Mean grey level below which a picture is black."""
LIGHT = 2 * BLACK
"""Mean grey level that must be reached on both sides of black, as a dark scene wavers about `BLACK`."""
DIMMED = 0.8
"""A picture is fading when its mean is below so much of what it was `REACH` pictures before."""
COUNT_FPS = 25.0
"""Frame rate given to PySceneDetect, whose times only count pictures here."""


class ShotFinder:
    """Shots of a stream of small pictures, of which it holds eleven.

    A cut is settled `REACH` pictures after it, a fade when the picture is light again.
    """

    def __init__(self) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self._adaptive = AdaptiveDetector(min_scene_len=1)
        self._fades = _FadeFinder()
        self._suspected: set[int] = set()
        self._recent: deque[Image] = deque(maxlen=2 * REACH + 1)
        self._changes: deque[float] = deque(maxlen=2 * REACH + 1)
        self._n_seen = 0
        self._cuts: list[int] = []

    def push(self, small_bgr: Image) -> bool:
        """Take the next picture (rows, columns, 3); say whether it may begin a shot, which later pictures decide."""
        from scenedetect import FrameTimecode

        time = FrameTimecode(self._n_seen, COUNT_FPS)
        self._suspected |= {cut.frame_num for cut in self._adaptive.process_frame(time, small_bgr)}
        before = self._recent[-1] if self._recent else None
        self._changes.append(0.0 if before is None else change(before, small_bgr))
        usual = float(np.median(list(self._changes)[-REACH - 1 : -1])) if len(self._changes) > 1 else 0.0
        self._recent.append(small_bgr)
        self._fades.push(time, self._recent)
        self._n_seen += 1
        if len(self._recent) > REACH + 1:
            self._judge(len(self._recent) - 1 - REACH)
        return before is None or self._changes[-1] >= max(LEAST_CHANGE, LEAST_RATIO * usual)

    def finish(self) -> NDArray[np.int64]:
        """Return the frames that begin a shot, (cuts,), without frame 0; call it once, after the last picture."""
        for place in range(max(1, len(self._recent) - REACH), len(self._recent)):
            self._judge(place)
        fades = [
            first + round((stop - first) / 2)
            for first, stop in self._fades.found
            if not any(first - REACH < cut < stop + REACH for cut in self._cuts)
        ]
        return np.array(sorted(self._cuts + fades), dtype=np.int64)

    def _judge(self, place: int) -> None:
        """Note a cut before the picture at `place` of those held, when it is one."""
        here = self._changes[place]
        frame_idx = self._n_seen - len(self._recent) + place
        is_suspected = frame_idx in self._suspected
        self._suspected.discard(frame_idx)
        if here < (FAINT_CHANGE if is_suspected else LEAST_CHANGE):
            return
        since_cut = place if not self._cuts else min(place, frame_idx - self._cuts[-1])
        is_sudden = here >= LEAST_CHANGE and here >= LEAST_RATIO * self._usual(place, since_cut, BUSY)
        if not (is_sudden or (is_suspected and here >= LEAST_RATIO * self._usual(place, since_cut, BUSIEST))):
            return
        pictures = list(self._recent)
        before = pictures[max(0, place - min(REACH, max(since_cut, 1))) : place]
        after = pictures[place : place + REACH]
        least = max(LEAST_CHANGE if is_sudden else FAINT_CHANGE, here / 2)
        if min(change(old, new) for old in before for new in after) >= least:
            self._cuts.append(frame_idx)

    def _usual(self, place: int, since_cut: int, percentile: float) -> float:
        """Return the change that is usual around `place`, as far back as the last cut."""
        changes = list(self._changes)
        first, last = max(1, place - min(REACH, since_cut) + 1), min(len(changes), place + REACH)
        # The busier side counts: a fade begins after stillness, and changes as much from then on. And its busier
        # frames count: where every picture comes twice, every other change is nought.
        sides = [side for side in (changes[first:place], changes[place + 1 : last]) if side]
        return max((float(np.percentile(side, percentile)) for side in sides), default=0.0)


class _FadeFinder:
    """Stretches of black between light pictures."""

    def __init__(self) -> None:
        from scenedetect.detectors import ThresholdDetector

        self._detector: Any = ThresholdDetector(BLACK, min_scene_len=0, fade_bias=-1.0)
        self._is_light = False
        self._waiting: tuple[int, int] | None = None
        self.found: list[tuple[int, int]] = []
        """First black picture of each, and the one after the last."""

    def push(self, time: Any, recent: deque[Image]) -> None:
        """Take the last picture of `recent`, which is the one at `time`."""
        for cut in self._detector.process_frame(time, recent[-1]):
            black = cut.frame_num, time.frame_num
            if self._is_light and not _is_blink(list(recent), black[1] - black[0]):
                self._waiting = self._waiting or black
            self._is_light = False
        if float(recent[-1].mean()) >= LIGHT:
            self._is_light = True
            if self._waiting:
                self.found.append(self._waiting)
                self._waiting = None


def _is_blink(pictures: list[Image], n_black: int) -> bool:
    """Whether the black before the last of `pictures` is short, sudden, and between two pictures that are alike."""
    if n_black >= REACH:
        return False
    before = pictures[: -1 - n_black]
    if float(before[-1].mean()) < DIMMED * float(before[max(0, len(before) - REACH)].mean()):
        return False
    return change(before[-1], pictures[-1]) < LEAST_CHANGE


def change(before: Image, after: Image) -> float:
    """Return how different two small pictures (rows, columns, 3) are, in grey levels; a small shift hardly counts.

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
