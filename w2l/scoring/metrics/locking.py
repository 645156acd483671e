"""Test whether a clip's audio fits its picture better at one offset than beside it, using that clip only.

The clip is cut into pieces. For each offset a piece measures how much nearer picture and audio are there than a few
frames to both sides: sync is sharp, while pauses that happen to coincide are broad and cancel. If the audio is
unrelated to the picture, these differences have either sign; so all of a piece's signs are flipped together, at random,
and the largest mean over all offsets is compared with that of the clip (Westfall and Young's maximum, 1993: the freedom
to choose the offset is in the p-value).
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.timing import MAX_SHIFT
from w2l.scoring.metrics.statistics import EXACT_CLIPS
from w2l.scoring.metrics.sync import embedding_distances

PIECE = 10
"""Windows per piece, about half a second. On 258 pairs of pictures with the audio of another GRID clip, 4 to 6 % had
p < 0.05 with pieces of 10 or 15 windows; with means of whole curves instead of neighbours, half of them had."""
SIDES = (3, 6)
"""Range of frames to both sides that an offset is compared with."""
DRAWS = 999
"""Number of random flips if there are too many to enumerate."""


def locking_p(
    lip: NDArray[np.floating[Any]], audio: NDArray[np.floating[Any]], max_shift: int = MAX_SHIFT, seed: int = 0
) -> float:
    """Return the p-value of one clip's best offset: how often chance produces one that stands out as much.

    Parameters
    ----------
    lip, audio : (windows, features)
        Embeddings of picture and audio; the longer is cut to the shorter. With fewer than five pieces p cannot be below
        0.05.
    max_shift : int
        Largest offset tried, in video frames, both ways.
    """
    n_windows = min(len(lip), len(audio))
    n_pieces = n_windows // PIECE
    if n_pieces < 1:
        return 1.0
    gains = _gains(lip[:n_windows], audio[:n_windows], max_shift)
    counts = np.maximum((~np.isnan(gains)).sum(axis=0), 1)
    pieces = np.array([np.nansum(piece, axis=0) for piece in np.array_split(gains, n_pieces)])
    reached = pieces.sum(axis=0) / counts
    if n_pieces <= EXACT_CLIPS:
        signs = 1.0 - 2.0 * (np.arange(2**n_pieces)[:, None] >> np.arange(n_pieces) & 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, (DRAWS, n_pieces))
        signs = np.concatenate([np.ones((1, n_pieces)), 1.0 - 2.0 * drawn])
    best = float(reached.max())
    return float(((signs @ pieces / counts).max(axis=1) >= best - abs(best) * 1e-9).mean())


def joint_p(p_values: Sequence[float]) -> float:
    """Combine several independent p-values (Fisher, 1932); that of one is itself.

    ``-2 sum(log p)`` has a chi-square distribution with an even number of degrees, whose tail is a finite sum.
    """
    half = -sum(math.log(p) for p in p_values)
    terms = (half**k / math.factorial(k) for k in range(len(p_values)))
    return min(1.0, math.exp(-half) * sum(terms))


def _gains(lip: NDArray[np.floating[Any]], audio: NDArray[np.floating[Any]], max_shift: int) -> NDArray[np.float64]:
    """Return how much nearer each window's picture and audio are at each offset than beside it, (windows, offsets).

    nan if the clip has no partner at an offset, or none beside it.
    """
    near, far = SIDES
    distances = embedding_distances(lip, audio, max_shift + far).astype(np.float64)
    partner = np.arange(len(lip))[:, None] + np.arange(-max_shift - far, max_shift + far + 1)
    distances[(partner < 0) | (partner >= len(lip))] = np.nan
    n_shifts = 2 * max_shift + 1
    beside = [distances[:, far + step : far + step + n_shifts] for k in range(near, far + 1) for step in (-k, k)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows at the ends lack neighbours: nan is right
        return np.asarray(np.nanmean(beside, axis=0) - distances[:, far : far + n_shifts])
