"""LSE of one clip: the columns of `w2l score`, published and corrected, from one pass of the judge."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2l.core.timing import MAX_SHIFT
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.sync import corrected_curve, embedding_distances, score_curve

LSE_COLUMNS: tuple[Column, ...] = (
    Column(
        "lse_d", "LSE-D", "lse", "lower",
        "Mean distance of lips and voice in the judge's space at the best shift, with the published arithmetic. "
        "Values of different judges do not compare, and a generator trained against a judge can beat real video.",
    ),
    Column(
        "lse_c", "LSE-C", "lse", "higher",
        "Confidence: how far the best shift stands below the median of all shifts, with the published arithmetic. "
        "It says how sharply sound and picture lock, not at which offset: read it beside the offset.",
    ),
    Column(
        "offset", "offset", "lse", "zero",
        "Frames at 25 fps by which the sound runs ahead of the picture at the best shift; negative: the sound is late. "
        "LSE-D and LSE-C do not see it. None (null in JSON) where it is the first or last one tried, or where LSE-C is "
        "not above its mean with the sounds of five other clips; with fewer than five clips, where it does not stand "
        "out from the offsets beside it.",
        digits=0, none=True,
    ),
    Column(
        "near", "in sync", "lse", "higher",
        "1 where the offset is at most one frame either way, 0 where it is larger or none: its mean is the share of "
        "clips in sync.",
        digits=2,
    ),
    Column("windows", "windows", "lse", "", "Windows of five frames that were judged: frames less five.", digits=0),
    Column(
        "lse_d_corrected", "LSE-D corr.", "lse", "lower",
        "LSE-D over all windows and without the published zero padding: each shift averages the pairs that exist. "
        "Not comparable with published numbers; left out for clips under a second.",
        minor=True,
    ),
    Column(
        "lse_c_corrected", "LSE-C corr.", "lse", "higher",
        "LSE-C of the corrected curve: the clip's length no longer moves it. Not comparable with published numbers.",
        minor=True,
    ),
    Column(
        "offset_corrected", "offset corr.", "lse", "zero",
        "Offset of the corrected curve, in frames at 25 fps; positive: the sound runs ahead.",
        digits=0, none=True, minor=True,
    ),
)  # fmt: skip

NEAR = 1
"""Frames of offset, at 25 fps, that count as in sync."""


class LseValues(NamedTuple):
    """The judge's results for one clip, ready for a `ClipScore`."""

    values: dict[str, float]
    """By the names of `LSE_COLUMNS`; the corrected ones are missing if a clip is too short for them."""
    curve: tuple[float, ...]
    """Mean distance at each shift, published arithmetic; the middle is shift 0."""
    over_time: tuple[float, ...]
    """Confidence of each window, median-filtered."""
    distances: tuple[float, ...]
    """Distance of each window at the best shift."""


def lse_values(
    lip: NDArray[np.floating[Any]], audio: NDArray[np.floating[Any]], max_shift: int = MAX_SHIFT
) -> LseValues:
    """Return the numbers of one clip from the embeddings of all its windows, see `w2l.scoring.metrics.embed`.

    Parameters
    ----------
    lip, audio : (windows, features)
        All windows of picture and of audio; the longer is cut to the shorter. The published arithmetic omits the last
        one.
    max_shift : int
        Largest shift tried, in video frames, both ways.

    Raises
    ------
    ValueError
        With fewer than two windows.
    """
    n_windows = min(len(lip), len(audio))
    if n_windows < 2:
        raise ValueError(f"expected at least 2 windows of picture and of audio, got {len(lip)} and {len(audio)}")
    lip, audio = lip[:n_windows], audio[:n_windows]
    published = embedding_distances(lip[:-1], audio[:-1], max_shift)
    score = score_curve(published)
    values = {
        "lse_d": score.min_distance,
        "lse_c": score.confidence,
        "offset": float(score.offset),
        "near": float(abs(score.offset) <= NEAR),
        "windows": float(n_windows - 1),
    }
    curve = corrected_curve(embedding_distances(lip, audio, max_shift))
    if not np.isnan(curve).any():
        best = int(curve.argmin())
        values["lse_d_corrected"] = float(curve[best])
        values["lse_c_corrected"] = float(np.median(curve)) - float(curve[best])
        values["offset_corrected"] = float(max_shift - best)
    at_best = published[:, max_shift - score.offset]
    return LseValues(values, _rounded(score.mean_distances), _rounded(score.framewise_confidence), _rounded(at_best))


def _rounded(values: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Round to six digits: float32 has no more, and JSON would print them."""
    return tuple(round(float(value), 6) for value in values)
