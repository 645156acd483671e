"""Runs of frames or columns in which a condition holds, and fading in and out of them; pure."""

import numpy as np
from numpy.typing import NDArray


def runs(on: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and end (exclusive) of each run of True in (frames,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def fade(on: NDArray[np.bool_], n_fade: int) -> NDArray[np.float64]:
    """Return a strength (frames,) that is 1 within each run of True: ramps of `n_fade` frames inside, 0 outside.

    There is no ramp at the ends of the array: there the shot or the video ends, and nothing fades.
    """
    strength = on.astype(np.float64)
    ramp = np.arange(1, n_fade + 1) / (n_fade + 1)
    for start, stop in runs(on):
        n_ramp = min(n_fade, stop - start)
        if start > 0:
            strength[start : start + n_ramp] = np.minimum(strength[start : start + n_ramp], ramp[:n_ramp])
        if stop < len(on):
            strength[stop - n_ramp : stop] = np.minimum(strength[stop - n_ramp : stop], ramp[:n_ramp][::-1])
    return strength
