"""Speech features: the mel of an audio track, the window of each frame, and pauses."""

from collections.abc import Iterable

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
"""Mel columns computed per block: 51 s."""
MEL_MARGIN = 4
"""Columns by which blocks overlap on either side, so that their seams leave no trace."""


def speech_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `mel_spectrogram` (80, columns) of long audio, block by block: the same numbers in little memory."""
    return mel_of_pieces([wave])[0]


def mel_of_pieces(pieces: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], int]:
    """Return `speech_mel` (80, columns) of audio that comes in pieces (samples,), and its number of samples.

    The mel does not depend on the pieces; at most a minute of audio is held. Raises ValueError for empty audio.
    """
    held, first = np.zeros(0, np.float32), 0  # the samples from `first` on
    waiting: list[NDArray[np.float32]] = []
    n_samples = n_made = 0
    mels: list[NDArray[np.float32]] = []

    def block(stop: int) -> NDArray[np.float32]:
        before = min(MEL_MARGIN, n_made)
        begin, end = (n_made - before) * HOP_LENGTH - first, (stop + MEL_MARGIN) * HOP_LENGTH - first
        return mel_spectrogram(held[begin:end])[:, before : before + stop - n_made]

    for piece in pieces:
        waiting.append(piece)
        n_samples += len(piece)
        if n_samples < (n_made + MEL_BLOCK + MEL_MARGIN) * HOP_LENGTH:
            continue
        held, waiting = np.concatenate([held, *waiting]), []
        while n_samples >= (n_made + MEL_BLOCK + MEL_MARGIN) * HOP_LENGTH:
            mels.append(block(n_made + MEL_BLOCK))
            n_made += MEL_BLOCK
        kept = max(first, (n_made - MEL_MARGIN) * HOP_LENGTH)
        held, first = held[kept - first :].copy(), kept
    held = np.concatenate([held, *waiting])
    n_columns = mel_columns(n_samples)
    while n_made < n_columns:
        stop = min(n_made + MEL_BLOCK, n_columns)
        mels.append(block(stop))
        n_made = stop
    return np.concatenate(mels, axis=1), n_samples


def mel_starts(times: Floats) -> list[int]:
    """Return the first mel column for frames shown at `times` (frames,), seconds, as in training."""
    return [generator_window_at(float(time_s)) for time_s in times]


def reference_starts(times: Floats, n_columns: int, fps: float) -> list[int]:
    """Return the first mel column for frames shown at `times` (frames,) as the published inference chooses it."""
    starts = reference_window_starts(n_columns, fps)
    last = n_columns - WINDOW_COLUMNS
    return [starts[idx] if idx < len(starts) else last for idx in range(len(times))]


def quiet_frames(paused: NDArray[np.bool_], times: Floats) -> NDArray[np.bool_]:
    """Return which frames shown at `times` (frames,), seconds, lie in a pause or after the end of the audio.

    `paused` (columns,) marks the paused mel columns; see `w2l.features.pauses.pauses`.
    """
    columns = np.floor(times * MEL_RATE + 1e-6).astype(np.int64)
    known = np.clip(columns, 0, len(paused) - 1)
    return np.asarray(paused[known] | (columns >= len(paused)))
