"""Shots of long videos: PySceneDetect's cuts beside those that the search for faces found.

What each of them finds (`tests/data/test_shots.py` keeps it so; made videos at 25 fps):

- Hard cuts: both find them, on the same frame.
- Fades through black: `w2l.faces.cuts` finds none, as no two neighbouring frames differ much; PySceneDetect cuts in
  the middle of the black.
- Two cuts less than `MIN_SHOT_S` apart: `w2l.faces.cuts` finds both, PySceneDetect the first.
- A flash or a shaken camera: neither finds a cut in a flash of one frame.
- Dissolves, one picture turning into another over a second: neither. A face track is told from the next one there by
  its place and its look (`w2l.faces.tracker`).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image

Frames = NDArray[np.int64]

SMALL_WIDTH = 256
"""Width in pixels of the pictures that are compared."""
MIN_SHOT_S = 0.4
"""Shortest shot, in seconds, that PySceneDetect is asked for."""
SAME_S = 0.12
"""Two cuts nearer than that, in seconds, are one; the search for faces knows better on which frame."""


def scene_cuts(pictures: Iterable[Image], fps: float) -> Frames:
    """First frame of each shot but the first, as PySceneDetect finds them, sorted: (cuts,).

    Parameters
    ----------
    pictures : iterable of (rows, columns, 3)
        BGR, small; taken one at a time.
    fps : float
        Pictures per second.

    Notes
    -----
    AdaptiveDetector finds hard cuts, by comparing the change of colours with its average around; ThresholdDetector
    fades through black.
    """
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector, ThresholdDetector

    shortest = max(1, round(MIN_SHOT_S * fps))
    detectors: list[Any] = [AdaptiveDetector(min_scene_len=shortest), ThresholdDetector(min_scene_len=shortest)]
    found: list[set[int]] = [set() for _ in detectors]
    last = None
    for idx, picture in enumerate(pictures):
        last = FrameTimecode(idx, fps)
        for detector, cuts in zip(detectors, found):
            cuts.update(cut.frame_num for cut in detector.process_frame(last, picture))
    if last is not None:
        for detector, cuts in zip(detectors, found):
            cuts.update(cut.frame_num for cut in detector.post_process(last))
    adaptive, threshold = (np.array(sorted(cuts - {0}), dtype=np.int64) for cuts in found)
    return join_cuts(adaptive, threshold, fps)


def join_cuts(known: Frames, more: Frames, fps: float) -> Frames:
    """All of `known` and those of `more` that are none of them, sorted: (cuts,); see `SAME_S`."""
    apart = SAME_S * fps
    fresh = [cut for cut in more.tolist() if not len(known) or np.abs(known - cut).min() > apart]
    return np.array(sorted({*known.tolist(), *fresh}), dtype=np.int64)
