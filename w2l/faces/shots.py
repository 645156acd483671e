"""Shot detection on a stream of frames: permanent changes of the picture, and fades through black.

A cut differs from other changes in two ways. It is sudden: large compared with the changes just before and after,
unlike a shaken camera or a running child. And it is permanent: none of the frames after it resembles one of those
before, unlike a flash, a flickering lamp or a damaged frame. In a fade the shot begins in the middle of the black.

A change is sudden by one of two rules: the one here, which tolerates a shaken camera and separates two close cuts,
and PySceneDetect's AdaptiveDetector, which compares hues and so finds cuts between dark or similar frames. Whether it
is permanent is decided here, as AdaptiveDetector takes a flash for a cut. Black is found by PySceneDetect's
ThresholdDetector; it counts unless it is a blink, or not between bright frames. `tests/faces/test_shots.py` lists what
is found in which synthetic video.
"""

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image

SMALL_WIDTH = 96
"""Width in pixels of the compared images; faces and camera noise hardly count at that size."""
REACH = 5
"""Number of frames compared on either side of a cut, and the latency of the finder."""
LEAST_CHANGE = 12.0
"""Smallest change, in grey levels, that can be a cut by the rule here."""
FAINT_CHANGE = 2.0
"""The same if AdaptiveDetector finds the change sudden."""
LEAST_RATIO = 2.4
"""How many times larger the change at a cut must be than the typical change just before and after it."""
BUSY, BUSIEST = 75.0, 100.0
"""Percentile of the changes just before and after that is typical: by the rule here, and for AdaptiveDetector, whose
ratio is low if every frame is repeated."""
NEAR_SHIFT = 4
"""Pixels of the small image by which a shaken camera may move it from one frame to the next."""
HISTOGRAM_BINS = 16
"""Bins of each colour's histogram."""
BLACK = 12.0
"""Mean grey level below which a frame is black."""
LIGHT = 2 * BLACK
"""Mean grey level that must be reached on both sides of black, as a dark scene fluctuates around `BLACK`."""
DIMMED = 0.8
"""A frame is fading if its mean is below this share of the one `REACH` frames before."""
COUNT_FPS = 25.0
"""Frame rate passed to PySceneDetect, whose times only count frames here."""


class ShotFinder:
    """Shots of a stream of small images, of which eleven are held.

    A cut is confirmed `REACH` frames after it, a fade when the picture is bright again.
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
        """Add the next image (rows, columns, 3); return whether it may begin a shot, which later images decide."""
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
        """Return the frames that begin a shot, (cuts,), without frame 0; call it once, after the last frame."""
        for place in range(max(1, len(self._recent) - REACH), len(self._recent)):
            self._judge(place)
        fades = [
            first + round((stop - first) / 2)
            for first, stop in self._fades.found
            if not any(first - REACH < cut < stop + REACH for cut in self._cuts)
        ]
        return np.array(sorted(self._cuts + fades), dtype=np.int64)

    def _judge(self, place: int) -> None:
        """Record a cut before the image at `place` of those held, if it is one."""
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
        """Return the typical change around `place`, as far back as the last cut."""
        changes = list(self._changes)
        first, last = max(1, place - min(REACH, since_cut) + 1), min(len(changes), place + REACH)
        # The busier side counts: a fade begins after stillness and then changes evenly. And its busier frames count: if
        # every frame is repeated, every other change is zero.
        sides = [side for side in (changes[first:place], changes[place + 1 : last]) if side]
        return max((float(np.percentile(side, percentile)) for side in sides), default=0.0)


class _FadeFinder:
    """Stretches of black between bright frames."""

    def __init__(self) -> None:
        from scenedetect.detectors import ThresholdDetector

        self._detector: Any = ThresholdDetector(BLACK, min_scene_len=0, fade_bias=-1.0)
        self._is_light = False
        self._waiting: tuple[int, int] | None = None
        self.found: list[tuple[int, int]] = []
        """First black frame of each, and the one after the last."""

    def push(self, time: Any, recent: deque[Image]) -> None:
        """Add the last image of `recent`, at `time`."""
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
    """Whether the black before the last of `pictures` is short, sudden, and between two similar images."""
    if n_black >= REACH:
        return False
    before = pictures[: -1 - n_black]
    if float(before[-1].mean()) < DIMMED * float(before[max(0, len(before) - REACH)].mean()):
        return False
    return change(before[-1], pictures[-1]) < LEAST_CHANGE


def change(before: Image, after: Image) -> float:
    """Return the difference of two small images (rows, columns, 3) in grey levels, tolerant of small shifts.

    The mean difference after the best shift of the second, so that a shaken camera changes little, scaled up if the
    colour histograms differ, too, which a movement does not change.
    """
    pixels = _difference(before, after)
    if 2 * pixels < LEAST_CHANGE:  # not a cut, whatever the histograms
        return 0.6 * pixels
    pixels = min(pixels, _difference_shifted(before, after))
    return pixels * (0.6 + 1.4 * _histogram_distance(before, after))


def _difference(before: Image, after: Image) -> float:
    return float(cv2.absdiff(before, after).mean())


def _difference_shifted(before: Image, after: Image) -> float:
    """Return the smallest mean difference over shifts by up to `NEAR_SHIFT` pixels."""
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
    """Return the share of pixels, 0..1, whose colour is unmatched in the other image; the mean over three colours.

    Cumulative, so that a slight drift of the light changes little.
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
