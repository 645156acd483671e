"""What the mouth hears: the mel of a speech, the window of each frame, and where the speech pauses."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.errors import MediaError
from w2l.media.audio import read_audio
from w2l.spectral import mel_spectrogram
from w2l.timing import (
    HOP_LENGTH,
    MEL_RATE,
    MIN_SPEECH_S,
    SAMPLE_RATE,
    WINDOW_COLUMNS,
    generator_window_at,
    mel_columns,
    reference_window_starts,
)

MEL_BLOCK = 4096
"""Mel columns computed at once: 51 s."""
MEL_MARGIN = 4
"""Columns by which blocks overlap on either side, so that their seams cannot be told from the rest."""


def hear(path: Path, origin_s: float | None = None) -> tuple[NDArray[np.float32], float]:
    """The mel (80, columns) of the sound at `path`, and how long it lasts in seconds.

    `origin_s` is the time in the file's clock that counts as 0, see `read_audio`. Raises MediaError where there is no
    sound, or less than one window of it.
    """
    wave = read_audio(path, origin_s=origin_s)
    duration_s = len(wave) / SAMPLE_RATE
    if duration_s < MIN_SPEECH_S:
        raise MediaError(f"{path}: lasts {duration_s:.3f} s; name speech of at least {MIN_SPEECH_S} s, one window")
    return speech_mel(wave), duration_s


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


def mel_starts(times: NDArray[np.float64]) -> list[int]:
    """First mel column for frames shown at `times` (frames,), seconds: what each frame heard in training."""
    return [generator_window_at(float(time_s)) for time_s in times]


def reference_starts(times: NDArray[np.float64], n_columns: int, fps: float) -> list[int]:
    """First mel column for frames shown at `times` (frames,) as the published inference chooses it."""
    starts = reference_window_starts(n_columns, fps)
    last = n_columns - WINDOW_COLUMNS
    return [starts[idx] if idx < len(starts) else last for idx in range(len(times))]


def quiet_frames(paused: NDArray[np.bool_], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames shown at `times` (frames,), seconds, fall into a pause or after the end of the sound.

    `paused` (columns,) says so of each mel column; see `w2l.silence.pauses`.
    """
    columns = np.floor(times * MEL_RATE + 1e-6).astype(np.int64)
    known = np.clip(columns, 0, len(paused) - 1)
    return np.asarray(paused[known] | (columns >= len(paused)))
