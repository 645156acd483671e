"""LSE-D, LSE-C and the offset, from the judge's embeddings.

The arithmetic is that of the published SyncNet evaluation (Chung and Zisserman, "Out of time", 2016), ends included:
the audio counts as zeros before its beginning and after its end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from w2l.core.timing import MAX_SHIFT

CONFIDENCE_SPAN = 9
"""Windows of the median filter of the framewise confidence."""
EPSILON = 1e-6
"""Added to every difference before the norm, as the published metric does."""
MIN_PAIRS = 5
"""Smallest number of windows with a partner at a shift for the corrected curve: fewer all share a frame."""


@dataclass(frozen=True)
class SyncScore:
    """Scores from the distances of one clip."""

    offset: int
    """Video frames (25 fps) by which the audio runs ahead of the picture; negative: the audio is late."""
    confidence: float
    """LSE-C: median of the distance curve minus its minimum. Higher is better."""
    min_distance: float
    """LSE-D: minimum of the distance curve. Lower is better."""
    mean_distances: NDArray[np.float32]
    """The distance curve (2 * max_shift + 1,): mean over windows at each shift; the middle is shift 0."""
    framewise_confidence: NDArray[np.float32]
    """(windows,): the curve's median minus each window's distance at the best shift, median-filtered."""


def embedding_distances(
    video: NDArray[np.floating[Any]], audio: NDArray[np.floating[Any]], max_shift: int = MAX_SHIFT
) -> NDArray[np.float32]:
    """Return the distance between each video window and the audio at every shift around it.

    Parameters
    ----------
    video, audio : (windows, features)
        Embeddings on the same 25 fps grid.
    max_shift : int
        Largest shift tried, in video frames, both ways.

    Returns
    -------
    distances : (windows, 2 * max_shift + 1)
        Column ``max_shift + s`` compares window i with the audio at i + s. Outside the clip the audio counts as zeros.
    """
    if video.ndim != 2 or video.shape != audio.shape:
        raise ValueError(f"expected two arrays (windows, features) of one shape, got {video.shape} and {audio.shape}")
    lips = video.astype(np.float32)
    padded = np.pad(audio.astype(np.float32), ((max_shift, max_shift), (0, 0)))
    result = np.empty((len(lips), 2 * max_shift + 1), np.float32)
    for column in range(result.shape[1]):
        difference = lips - padded[column : column + len(lips)] + np.float32(EPSILON)
        result[:, column] = np.linalg.norm(difference, axis=1)
    return result


def score_curve(window_distances: NDArray[np.floating[Any]]) -> SyncScore:
    """Return the scores of `embedding_distances` (windows, 2 * max_shift + 1), of at least one window."""
    n_windows, n_shifts = window_distances.shape
    if not n_windows or n_shifts % 2 == 0:
        raise ValueError(f"expected (windows, an odd number of shifts), at least one window, got {n_windows, n_shifts}")
    curve = window_distances.mean(axis=0, dtype=np.float64)
    best = int(curve.argmin())
    median = float(np.median(curve))
    return SyncScore(
        offset=n_shifts // 2 - best,
        confidence=median - float(curve[best]),
        min_distance=float(curve[best]),
        mean_distances=curve.astype(np.float32),
        framewise_confidence=median_filter(median - window_distances[:, best], CONFIDENCE_SPAN).astype(np.float32),
    )


def corrected_curve(window_distances: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the mean distance at each shift over existing pairs, (2 * max_shift + 1,); nan at shifts with too few.

    The published curve (`score_curve`) treats windows without a partner at a shift as if they were compared with a
    zero embedding: this pulls all shifts except the middle towards the length of the lip embeddings, the more the
    shorter the clip. Requires the distances of all windows.
    """
    n_windows, n_shifts = window_distances.shape
    shifts = np.arange(n_shifts) - n_shifts // 2
    partner = np.arange(n_windows)[:, None] + shifts
    exists = (partner >= 0) & (partner < n_windows)
    n_pairs = exists.sum(axis=0)
    total = np.where(exists, window_distances, 0).sum(axis=0, dtype=np.float64)
    return np.where(n_pairs >= MIN_PAIRS, total / np.maximum(n_pairs, 1), np.nan)


def median_filter(values: NDArray[np.floating[Any]], span: int) -> NDArray[np.float64]:
    """Return the median of the `span` (odd) values around each of `values` (n,); zeros are used beyond the ends."""
    if span < 1 or span % 2 == 0:
        raise ValueError(f"the span of a median filter must be odd and positive, got {span}")
    padded = np.pad(values.astype(np.float64), span // 2)
    result: NDArray[np.float64] = np.median(sliding_window_view(padded, span), axis=-1)
    return result
