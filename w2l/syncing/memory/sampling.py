"""Which frames of a video are looked at, and which of the looks found there are kept; pure."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

RUN = 8
"""Frames in a row that are kept together: in them the mouth moves as it did."""


def stretches(n_frames: int, most: int, length: int) -> NDArray[np.int64]:
    """Return at most `most` of `n_frames` frames, rising: all, or stretches of `length` in a row, spread evenly."""
    if n_frames <= most:
        return np.arange(n_frames)
    length = min(length, most)
    firsts = np.linspace(0, n_frames - length, max(1, most // length)).astype(np.int64)
    return np.unique(firsts[:, None] + np.arange(length))


def shares(lengths: list[int], most: int, least: int) -> list[int]:
    """Return how many of `most` frames each track of those lengths gets: in proportion, but `least` if it has them."""
    total = max(1, sum(lengths))
    return [min(length, max(least, most * length // total)) for length in lengths]


def spanning(features: Floats, frame_idx: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most `most` rows, rising, that span the space of `features` (rows, dimensions).

    The row that is farthest from all that are taken comes next, each with the rows of its `RUN`: those whose frames
    lie around its own without a gap.
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
