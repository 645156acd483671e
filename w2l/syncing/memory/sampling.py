"""Choose the frames of a video to examine, and the looks to keep."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

RUN = 8
"""Consecutive frames that are kept together, so that natural motion is preserved."""


def stretches(n_frames: int, most: int, length: int) -> NDArray[np.int64]:
    """Return at most `most` of `n_frames` frames, increasing: all, or sections of `length`, spread evenly."""
    if n_frames <= most:
        return np.arange(n_frames)
    length = min(length, most)
    firsts = np.linspace(0, n_frames - length, max(1, most // length)).astype(np.int64)
    return np.unique(firsts[:, None] + np.arange(length))


def shares(lengths: list[int], most: int, least: int) -> list[int]:
    """Divide `most` frames among tracks in proportion to their lengths, with at least `least` each if available."""
    total = max(1, sum(lengths))
    return [min(length, max(least, most * length // total)) for length in lengths]


def spanning(features: Floats, frame_idx: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most `most` rows, increasing, that span the space of `features` (rows, dimensions).

    The row farthest from all chosen ones is chosen next, together with the rows of its `RUN`: those with consecutive
    frames around its own.
    """
    n_rows = len(features)
    if n_rows <= most:
        return np.arange(n_rows)
    block = frame_idx // RUN
    taken = np.zeros(n_rows, dtype=np.bool_)
    distance = np.full(n_rows, np.inf)
    row = int(np.linalg.norm(features - np.median(features, axis=0), axis=1).argmin())
    while True:
        here = np.flatnonzero((block == block[row]) & ~taken)
        if taken.sum() + len(here) > most:
            return np.flatnonzero(taken)
        taken[here] = True
        for each in here:
            distance = np.minimum(distance, np.linalg.norm(features - features[each], axis=1))
        distance[taken] = -1.0
        row = int(distance.argmax())
