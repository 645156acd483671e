"""Windows of a sample: five frames (or more) and their mel columns, 16 for 5 frames; pure."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.timing import WINDOW_COLUMNS, WINDOW_FRAMES, generator_window_start, window_start

MFCC_PER_FRAME = 4
"""Columns of the judge's MFCC per video frame: 100 per second."""
SILENCE = -4.0
"""The mel value of digital silence."""
SILENT_LEVEL = -3.0
"""Mel level of the loudest column, mean over its bands, below which a window counts as silent."""
VOICED_LEVEL = -2.6
"""Mel level, mean over bands and columns, from which a window counts as voiced: mostly speech."""


def window_columns(n_frames: int) -> int:
    """Return the number of mel columns that a window of `n_frames` frames covers: 16 for 5, 52 for 16."""
    return -(-n_frames * WINDOW_COLUMNS // WINDOW_FRAMES)


def n_windows(n_frames: int, n_columns: int, length: int = WINDOW_FRAMES) -> int:
    """Return the number of complete windows of `length` frames for which the mel is complete, too."""
    return int(window_counts(np.array(n_frames), np.array(n_columns), length))


def window_counts(
    n_frames: NDArray[np.integer[Any]], n_columns: NDArray[np.integer[Any]], length: int = WINDOW_FRAMES
) -> NDArray[np.int64]:
    """Return `n_windows` for many tracks at the same time: (tracks,) each."""
    free = n_columns.astype(np.int64) - window_columns(length) + 1
    by_sound = -(-free * WINDOW_FRAMES // WINDOW_COLUMNS)  # starts are rounded down, so this goes up
    return np.maximum(0, np.minimum(n_frames.astype(np.int64) - length + 1, by_sound))


def mel_window(mel: NDArray[np.float32], start: int, n_columns: int = WINDOW_COLUMNS) -> NDArray[np.float32]:
    """Return the columns ``start .. start + n_columns`` of `mel` (80, columns), silent outside the audio."""
    end = start + n_columns
    if start >= 0 and end <= mel.shape[1]:
        return mel[:, start:end]
    window = np.full((mel.shape[0], n_columns), SILENCE, dtype=np.float32)
    inside = slice(max(start, 0), min(max(end, 0), mel.shape[1]))
    if inside.start < inside.stop:
        window[:, inside.start - start : inside.stop - start] = mel[:, inside]
    return window


def expert_mel(mel: NDArray[np.float32], frame_idx: int, n_frames: int = WINDOW_FRAMES) -> NDArray[np.float32]:
    """Return the mel (80, columns) of the window of `n_frames` frames from `frame_idx` on, as the expert takes it."""
    return mel_window(mel, window_start(frame_idx), window_columns(n_frames))


def generator_mels(mel: NDArray[np.float32], frame_idx: int, length: int = WINDOW_FRAMES) -> NDArray[np.float32]:
    """Return the mels (length, 80, 16) for generating `length` frames from `frame_idx` on, each one frame early."""
    starts = [generator_window_start(frame_idx + k) for k in range(length)]
    return np.stack([mel_window(mel, start) for start in starts])


def judge_mfcc(mfcc: NDArray[np.float32], frame_idx: int, n_frames: int = WINDOW_FRAMES) -> NDArray[np.float32]:
    """Return the MFCC (13, 4 * frames) of the window that begins at frame `frame_idx`, the last column repeated."""
    start, length = frame_idx * MFCC_PER_FRAME, n_frames * MFCC_PER_FRAME
    window = mfcc[:, start : start + length]
    return np.pad(window, ((0, 0), (0, length - window.shape[1])), mode="edge")


def is_silent(mels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which mel windows (..., 80, columns) contain no speech: no column reaches `SILENT_LEVEL`."""
    return np.asarray(mels.mean(axis=-2).max(axis=-1) < SILENT_LEVEL)


def silent_windows(mel: NDArray[np.float32], count: int, n_frames: int = WINDOW_FRAMES) -> NDArray[np.bool_]:
    """Return `is_silent` (count,) of the windows at frames 0, 1, ... of `mel` (80, columns), which must be complete."""
    return np.asarray(_levels(mel, count, n_frames).max(axis=1) < SILENT_LEVEL)


def voiced_windows(mel: NDArray[np.float32], count: int, n_frames: int = WINDOW_FRAMES) -> NDArray[np.bool_]:
    """Return which windows (count,) are voiced, see `VOICED_LEVEL`; at speech boundaries windows are neither."""
    return np.asarray(_levels(mel, count, n_frames).mean(axis=1) >= VOICED_LEVEL)


def _levels(mel: NDArray[np.float32], count: int, n_frames: int) -> Floats:
    """Return (windows, columns): the level of each column of the windows at frames 0, 1, ..."""
    columns = sliding_window_view(mel.mean(axis=0, dtype=np.float64), window_columns(n_frames))
    return columns[np.arange(count) * WINDOW_COLUMNS // WINDOW_FRAMES]


def nearest_frames(times: Floats, fps: float) -> NDArray[np.int64]:
    """Return, for each frame of a constant rate `fps`, the index of the source frame shown nearest to its time.

    `times` (source frames,) increase from 0, in seconds; the last frame is shown as long as the one before it.
    """
    last_s = float(times[-1] - times[-2]) if len(times) > 1 else 1.0 / fps
    count = max(1, round((float(times[-1]) + last_s) * fps))
    grid = np.arange(count) / fps
    right = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times) - 1)
    # A tie goes to the earlier frame; the tolerance keeps rounding from deciding it.
    return np.where(grid - times[left] <= times[right] - grid + 1e-9, left, right).astype(np.int64)
