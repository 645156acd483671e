"""A few frames of a clip for a page: the one with the worst sync, and some spread evenly through the clip."""

import cv2
import numpy as np

from w2l.core.arrays import Image
from w2l.core.errors import MediaError
from w2l.core.timing import FPS
from w2l.media.video import probe, read_frames
from w2l.report.page import FRAME_HEIGHT
from w2l.scoring.results import ClipScore

EVENLY = 3
"""Number of frames spread evenly through the clip."""


def worst_moment(clip: ClipScore) -> float | None:
    """Return the time in seconds at which the judge is least confident; None if there was no judge."""
    if not clip.over_time:
        return None
    return clip.start_s + float(np.argmin(clip.over_time)) / FPS


def frames_of_clip(clip: ClipScore) -> list[Image]:
    """Return the frame of the worst moment, then some spread evenly; empty if the video can no longer be read."""
    try:
        length_s = probe(clip.sample.path).duration_s
        evenly = [length_s * (place + 0.5) / EVENLY for place in range(EVENLY)]
        worst = worst_moment(clip)
        times = sorted(evenly if worst is None else [worst, *evenly])
        found: dict[float, Image] = {}
        for frame in read_frames(clip.sample.path):
            while times and frame.time_s >= times[0] - 1e-6:
                found[times.pop(0)] = _small(frame.image)
            if not times:
                break
    except MediaError:
        return []
    first = [] if worst is None or worst not in found else [worst]
    return [found[time_s] for time_s in (*first, *(time_s for time_s in evenly if time_s in found))]


def _small(image: Image) -> Image:
    if image.shape[0] <= FRAME_HEIGHT:
        return image
    width = max(1, round(image.shape[1] * FRAME_HEIGHT / image.shape[0]))
    return np.asarray(cv2.resize(image, (width, FRAME_HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)
