"""The columns of FID and of FD-judge."""

from w2l.metrics.columns import Column
from w2l.timing import WINDOW_FRAMES

LEAST_CLIPS = 8
"""Clips without which no distance is extrapolated: a half needs four of them."""
ENOUGH_CLIPS = 100
"""Clips below which even the extrapolated distance is far too high, see `FrechetSets`."""

_BIAS = (
    f"The distance at infinitely many clips: a line in 1 / clips through that of all clips and of two random halves "
    f"(Chong and Forsyth 2020, clips in place of frames, as neighbouring frames tell the same). Needs {LEAST_CLIPS} "
    f"clips, is still too high below about {ENOUGH_CLIPS}, and may fall just below 0."
)
_FRAMES = "{} that each of the two sets holds. Distances compare at equal numbers alone."

FID_COLUMNS: tuple[Column, ...] = (
    Column(
        "fid",
        "FID",
        "fid",
        "lower",
        "Fréchet distance of the pictures' Inception features from those of the real pictures (Heusel 2017); 0: alike. "
        "Sees looks, not sync; too high with few clips; other crops, codecs or weights give other numbers.",
        2,
    ),
    Column("fid_unbiased", "FID inf", "fid", "lower", _BIAS, 2),
    Column("fid_frames", "FID frames", "fid", "", _FRAMES.format("Frames"), 0, minor=True),
)
FD_JUDGE_COLUMNS: tuple[Column, ...] = (
    Column(
        "fd_judge",
        "FD-judge",
        "fid",
        "lower",
        f"As FID, in the features of the judge's eyes for {WINDOW_FRAMES} frames on end: for want of the FID weights. "
        "Sees lips and their motion; no published number compares, nor does one by another judge.",
    ),
    Column("fd_judge_unbiased", "FD-judge inf", "fid", "lower", _BIAS),
    Column("fd_judge_frames", "FD-judge windows", "fid", "", _FRAMES.format("Windows of frames"), 0, minor=True),
)
"""Distance, extrapolated distance and count, in this order, as in `FID_COLUMNS`."""
