"""A source played for as long as it is needed, at a constant rate; one frame is held at a time."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from w2l.media.video import Frame, at_fps

SAME_RATE = 0.005
"""Largest relative difference between a file's stated and measured frame rate that counts as rounding."""


def output_rate(stated: float, measured: float | None = None) -> float:
    """The frame rate of an output: the one its source states, or the measured average where they differ.

    Rounded to a fraction of whole numbers, as a container keeps it.
    """
    rounding = measured is None or abs(stated - measured) <= SAME_RATE * measured
    fps = stated if rounding or measured is None else measured
    return float(Fraction(fps).limit_denominator(1001))


def play(read: Callable[[], Iterable[Frame]], source_idx: NDArray[np.int64]) -> Iterator[Frame]:
    """The frames with the indices `source_idx`, without end: from the beginning again after the last one.

    `read` opens the source anew; frames are decoded in order, and one is held at a time.
    """
    while True:
        frames = iter(read())
        frame = next(frames)
        for wanted in source_idx:
            while frame.idx < wanted:
                frame = next(frames, None) or Frame(int(wanted), frame.time_s, frame.image)
            yield frame
        if source_idx[-1] == source_idx[0]:
            yield from repeat(frame)


def play_at(read: Callable[[], Iterable[Frame]], fps: float) -> Iterator[Frame]:
    """The source at a constant rate, without end: from the beginning again after the last frame."""
    while True:
        frame = None
        for frame in at_fps(read(), fps):
            yield frame
        if frame is None:
            return
        if frame.idx == 0:
            yield from repeat(frame)
