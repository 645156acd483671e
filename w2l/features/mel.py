"""Audio features of the networks: mel spectrogram (generator, expert) and MFCCs (judge) of a waveform.

Both reproduce the published features number for number. Frames are transformed in blocks, so that memory beyond signal
and result does not grow with the length of the audio.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from w2l.core.timing import HOP_LENGTH, SAMPLE_RATE

N_MELS = 80
"""Rows of a mel spectrogram."""
MEL_LIMIT = 4.0
"""Bound of the mel values, which lie in [-4, 4]; digital silence is exactly -4."""
PREEMPHASIS = 0.97
"""Pre-emphasis: share of the previous sample that is subtracted from each sample."""
N_FFT = 800
"""Samples of a mel column's window: 50 ms."""
MEL_LOWEST_HZ = 55.0
MEL_HIGHEST_HZ = 7600.0
MEL_STEP_HZ = 200.0 / 3
"""Hertz per step of Slaney's scale below its knee."""
MEL_KNEE_HZ = 1000.0
MEL_LOG_STEP = float(np.log(6.4) / 27)
"""Logarithm of the factor per step above the knee."""
REFERENCE_DB = 20.0
"""Level that is subtracted from the decibels."""
RANGE_DB = 100.0
"""Range below 0 dB that is mapped to [-4, 4]."""

N_MFCC = 13
"""Rows of the judge's features."""
MFCC_FRAME = 400
"""Samples of an MFCC frame: 25 ms."""
MFCC_HOP = 160
"""Samples from one MFCC frame to the next: 10 ms, hence 100 a second."""
MFCC_FFT = 512
MFCC_FILTERS = 26
LIFTER = 22

BLOCK = 2048
"""Number of frames transformed per block."""

Array = NDArray[np.float64]


def mel_spectrogram(wave: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the mel spectrogram that generator and expert were trained on.

    Parameters
    ----------
    wave : (samples,)
        Mono at 16 kHz in [-1, 1]; at least one sample.

    Returns
    -------
    mel : (80, columns)
        Values in [-4, 4]; one column per 200 samples (12.5 ms), the first centred on sample 0; both ends are reflected.
    """
    signal = np.pad(_preemphasised(wave), N_FFT // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    bank = mel_filters().T.astype(np.float64)

    def column(frames: Array) -> Array:
        amplitude = np.abs(np.fft.rfft(frames * hann)) @ bank
        decibels = 20 * np.log10(np.maximum(10 ** (-RANGE_DB / 20), amplitude)) - REFERENCE_DB
        return np.clip(2 * MEL_LIMIT * (decibels + RANGE_DB) / RANGE_DB - MEL_LIMIT, -MEL_LIMIT, MEL_LIMIT)

    return _transform(signal, N_FFT, HOP_LENGTH, N_MELS, column)


def mfcc(wave_i16: NDArray[np.integer[Any] | np.floating[Any]]) -> NDArray[np.float32]:
    """Return the cepstral coefficients that the judge was trained on.

    Parameters
    ----------
    wave_i16 : (samples,)
        Mono at 16 kHz in the units of 16-bit audio, NOT scaled to [-1, 1] (see `to_int16`); at least one sample.

    Returns
    -------
    mfcc : (13, frames)
        100 frames per second; row 0 is the logarithm of the frame's energy. The last frame is padded with zeros.
    """
    signal = _preemphasised(wave_i16)
    n_frames = 1 + max(0, -(-(len(signal) - MFCC_FRAME) // MFCC_HOP))
    signal = np.pad(signal, (0, (n_frames - 1) * MFCC_HOP + MFCC_FRAME - len(signal)))
    bank = _mfcc_filters().T
    cosines = _lifted_cosines().T

    def coefficients(frames: Array) -> Array:
        power = np.abs(np.fft.rfft(frames, MFCC_FFT)) ** 2 / MFCC_FFT
        rows: Array = _log(power @ bank) @ cosines
        rows[:, 0] = _log(power.sum(axis=1))
        return rows

    return _transform(signal, MFCC_FRAME, MFCC_HOP, N_MFCC, coefficients)


def to_int16(wave: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """Convert a waveform in [-1, 1] to 16-bit samples, rounded to the nearest and clipped."""
    return np.clip(np.rint(np.asarray(wave, np.float64) * 32768), -32768, 32767).astype(np.int16)


@functools.cache
def mel_filters() -> NDArray[np.float32]:
    """Return the mel filter bank (80, 401): Slaney's scale, each triangle of equal area. Cached: do not modify it.

    The numbers equal those of `librosa.filters.mel` bit for bit, without its import time of more than a second: the
    scale is linear up to 1 kHz, 200/3 Hz a step, and logarithmic above, 27 steps for each factor of 6.4 (Slaney,
    Auditory Toolbox, 1998).
    """
    steps = np.linspace(_to_mel(MEL_LOWEST_HZ), _to_mel(MEL_HIGHEST_HZ), N_MELS + 2)
    knee = _to_mel(MEL_KNEE_HZ)
    corners_hz = np.where(steps < knee, MEL_STEP_HZ * steps, MEL_KNEE_HZ * np.exp(MEL_LOG_STEP * (steps - knee)))
    ramps = corners_hz[:, None] - np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    widths = np.diff(corners_hz)[:, None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    bank: NDArray[np.float32] = triangles.astype(np.float32)
    bank *= (2 / (corners_hz[2:] - corners_hz[:-2]))[:, None]
    bank.flags.writeable = False
    return bank


def _to_mel(hertz: float) -> float:
    above = np.log(max(hertz, MEL_KNEE_HZ) / MEL_KNEE_HZ) / MEL_LOG_STEP
    return float(min(hertz, MEL_KNEE_HZ) / MEL_STEP_HZ + above)


@functools.cache
def _mfcc_filters() -> Array:
    """Return the judge's filter bank (26, 257): triangles on the HTK mel scale, 0 to 8 kHz, corners on whole bins."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners_hz = 700 * (10 ** (np.linspace(0, top, MFCC_FILTERS + 2) / 2595) - 1)
    corners = np.floor((MFCC_FFT + 1) * corners_hz / SAMPLE_RATE)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(MFCC_FFT // 2 + 1)
    rising = (bins >= left) & (bins < centre)
    falling = (bins >= centre) & (bins < right)
    return np.where(rising, (bins - left) / (centre - left), np.where(falling, (right - bins) / (right - centre), 0.0))


@functools.cache
def _lifted_cosines() -> Array:
    """Return the orthonormal cosine transform (13, 26), each row weighted by the lifter."""
    order = np.arange(N_MFCC)[:, None]
    basis = np.cos(np.pi * order * (2 * np.arange(MFCC_FILTERS) + 1) / (2 * MFCC_FILTERS))
    scale = np.where(order == 0, np.sqrt(1 / MFCC_FILTERS), np.sqrt(2 / MFCC_FILTERS))
    lift = 1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER)
    result: Array = basis * scale * lift
    return result


def _preemphasised(wave: NDArray[Any]) -> Array:
    """Return the pre-emphasised signal (samples,); the first sample is unchanged."""
    if wave.ndim != 1 or not len(wave):
        raise ValueError(f"expected a mono waveform of at least one sample, got the shape {wave.shape}")
    signal = wave.astype(np.float64)
    signal[1:] -= PREEMPHASIS * wave[:-1].astype(np.float64)
    return signal


def _log(values: Array) -> Array:
    """Return the natural logarithm, with zeros replaced by the smallest relative step of a float."""
    result: Array = np.log(np.where(values == 0, np.finfo(np.float64).eps, values))
    return result


def _transform(
    signal: Array, frame: int, hop: int, n_rows: int, transform: Callable[[Array], Array]
) -> NDArray[np.float32]:
    """Apply ``(frames, samples) -> (frames, n_rows)`` to all whole frames of a signal; return (n_rows, frames)."""
    frames = sliding_window_view(signal, frame)[::hop]
    result = np.empty((n_rows, len(frames)), np.float32)
    for start in range(0, len(frames), BLOCK):
        result[:, start : start + BLOCK] = transform(frames[start : start + BLOCK]).T
    return result
