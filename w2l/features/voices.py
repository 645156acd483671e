"""Speech in another voice: its pitch is shifted by a phase vocoder, and its timing is kept."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.timing import SAMPLE_RATE

N_FFT = 400
"""Samples of the vocoder's window: 25 ms. Measured on shifts by 4 semitones: clicks move by up to 6 ms, and changes of
loudness correlate with those of the original by 0.94. With librosa's default of 2048 samples: 37 ms and 0.5."""
VOCODER_HOP = 50
"""Samples between two windows."""
CONTEXT = 4000
"""Samples, 0.25 s, of what surrounds a stretch that are shifted with it."""
BLOCK = 30 * SAMPLE_RATE
"""Samples that are shifted in one call: memory grows with them."""
FADE = SAMPLE_RATE // 20
"""Half of the samples over which two blocks fade into one another."""


def shift_pitch(wave: NDArray[np.float32], semitones: float) -> NDArray[np.float32]:
    """Return audio (samples,) at 16 kHz with all frequencies multiplied by 2 ** (semitones / 12); 0 changes nothing.

    The first call in a new environment compiles for about 20 s; librosa keeps the result beside its own files.
    """
    if not semitones:
        return wave
    starts = range(0, max(1, len(wave) - BLOCK // 2), BLOCK)
    shifted = np.zeros(len(wave), np.float32)
    for start in starts:
        first, end = max(0, start - FADE), len(wave) if start == starts[-1] else start + BLOCK + FADE
        block = _vocoded(wave[first:end], semitones)
        if first:
            block[: 2 * FADE] *= np.linspace(0, 1, 2 * FADE, dtype=np.float32)
        if end < len(wave):
            block[-2 * FADE :] *= np.linspace(1, 0, 2 * FADE, dtype=np.float32)
        shifted[first:end] += block
    return shifted


def shifted_stretch(wave: NDArray[np.float32], first: int, end: int, semitones: float) -> NDArray[np.float32]:
    """Return the samples ``first .. end`` of `wave` (samples,) in another pitch, shifted with those around them.

    An `end` after the audio counts as its end; see `shift_pitch`.
    """
    begin = max(0, first - CONTEXT)
    around = wave[begin : end + CONTEXT]
    return shift_pitch(around, semitones)[first - begin : end - begin]


def _vocoded(wave: NDArray[np.float32], semitones: float) -> NDArray[np.float32]:
    import librosa

    return np.array(
        librosa.effects.pitch_shift(wave, sr=SAMPLE_RATE, n_steps=semitones, n_fft=N_FFT, hop_length=VOCODER_HOP),
        dtype=np.float32,
    )
