"""What the mouth hears: the mel of a speech, the window of each frame, and where the speech pauses."""


import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.timing import (
    HOP_LENGTH,
    MEL_RATE,
    WINDOW_COLUMNS,
    generator_window_at,
    mel_columns,
    reference_window_starts,
)
from w2l.features.mel import mel_spectrogram

MEL_BLOCK = 4096
"""Mel columns computed at once: 51 s."""
MEL_MARGIN = 4
"""Columns by which blocks overlap on either side, so that their seams cannot be told from the rest."""


def speech_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """`mel_spectrogram` (80, columns) of a long sound, block by block: the same numbers in little memory."""
    n_columns = mel_columns(len(wave))
    mels = []
    for start in range(0, n_columns, MEL_BLOCK):
        stop = min(start + MEL_BLOCK, n_columns)
        before = min(MEL_MARGIN, start)
        mel = mel_spectrogram(wave[(start - before) * HOP_LENGTH : (stop + MEL_MARGIN) * HOP_LENGTH])
        mels.append(mel[:, before : before + stop - start])
    return np.concatenate(mels, axis=1)


def mel_starts(times: Floats) -> list[int]:
    """First mel column for frames shown at `times` (frames,), seconds: what each frame heard in training."""
    return [generator_window_at(float(time_s)) for time_s in times]


def reference_starts(times: Floats, n_columns: int, fps: float) -> list[int]:
    """First mel column for frames shown at `times` (frames,) as the published inference chooses it."""
    starts = reference_window_starts(n_columns, fps)
    last = n_columns - WINDOW_COLUMNS
    return [starts[idx] if idx < len(starts) else last for idx in range(len(times))]


def quiet_frames(paused: NDArray[np.bool_], times: Floats) -> NDArray[np.bool_]:
    """Which frames shown at `times` (frames,), seconds, fall into a pause or after the end of the sound.

    `paused` (columns,) says so of each mel column; see `w2l.features.pauses.pauses`.
    """
    columns = np.floor(times * MEL_RATE + 1e-6).astype(np.int64)
    known = np.clip(columns, 0, len(paused) - 1)
    return np.asarray(paused[known] | (columns >= len(paused)))
