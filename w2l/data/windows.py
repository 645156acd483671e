"""What a sample is: five frames and their sixteen mel columns; pure."""

import numpy as np
from numpy.typing import NDArray

from w2l.timing import FPS, MEL_RATE, WINDOW_COLUMNS, WINDOW_FRAMES, generator_window_start, window_start

MFCC_PER_FRAME = 4
"""Columns of the judge's sound per video frame: 100 a second."""
MFCC_WINDOW = MFCC_PER_FRAME * WINDOW_FRAMES
"""Columns of the judge's window: 20."""
SILENCE = -4.0
"""The mel value of digital silence."""
SILENT_LEVEL = -2.6
"""Mean mel level, over the bands and columns of a window, under which a window counts as silent."""


def n_windows(n_frames: int, n_columns: int, length: int = WINDOW_FRAMES) -> int:
    """Number of complete windows of `length` frames for which the mel is complete, too."""
    by_sound = -(-(n_columns - WINDOW_COLUMNS + 1) * FPS // MEL_RATE)  # starts are rounded down, so this goes up
    return max(0, min(n_frames - length + 1, by_sound))


def mel_window(mel: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    """Columns ``start .. start + 16`` of `mel` (80, columns); outside the sound there is silence."""
    end = start + WINDOW_COLUMNS
    if start >= 0 and end <= mel.shape[1]:
        return mel[:, start:end]
    window = np.full((mel.shape[0], WINDOW_COLUMNS), SILENCE, dtype=np.float32)
    inside = slice(max(start, 0), min(max(end, 0), mel.shape[1]))
    if inside.start < inside.stop:
        window[:, inside.start - start : inside.stop - start] = mel[:, inside]
    return window


def expert_mel(mel: NDArray[np.float32], frame_idx: int) -> NDArray[np.float32]:
    """Mel (80, 16) of the window that begins at frame `frame_idx`, as the expert hears it."""
    return mel_window(mel, window_start(frame_idx))


def generator_mels(mel: NDArray[np.float32], frame_idx: int, length: int = WINDOW_FRAMES) -> NDArray[np.float32]:
    """Mels (length, 80, 16) for generating `length` frames from `frame_idx` on, each one frame early."""
    starts = [generator_window_start(frame_idx + k) for k in range(length)]
    return np.stack([mel_window(mel, start) for start in starts])


def judge_mfcc(mfcc: NDArray[np.float32], frame_idx: int) -> NDArray[np.float32]:
    """MFCC (13, 20) of the window that begins at frame `frame_idx`, the last column repeated where the sound ends."""
    start = frame_idx * MFCC_PER_FRAME
    window = mfcc[:, start : start + MFCC_WINDOW]
    return np.pad(window, ((0, 0), (0, MFCC_WINDOW - window.shape[1])), mode="edge")


def is_silent(mels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which mel windows (..., 80, 16) hold no speech: their mean level is under `SILENT_LEVEL`."""
    return np.asarray(mels.mean(axis=(-2, -1)) < SILENT_LEVEL)


def nearest_frames(times: NDArray[np.float64], fps: float) -> NDArray[np.int64]:
    """For each frame of a constant rate `fps`, the index of the source frame shown nearest to its time.

    `times` (source frames,) rise from 0, in seconds; the last frame is shown as long as the one before it.
    """
    last_s = float(times[-1] - times[-2]) if len(times) > 1 else 1.0 / fps
    count = max(1, round((float(times[-1]) + last_s) * fps))
    grid = np.arange(count) / fps
    right = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times) - 1)
    # A tie goes to the earlier frame; the tolerance keeps rounding from deciding it.
    return np.where(grid - times[left] <= times[right] - grid + 1e-9, left, right).astype(np.int64)
