"""Augmentation of audio that preserves sync; the same for all windows of a clip.

It works on mels, which the cache holds; `Sound.semitones` selects a mel of audio that `w2l preprocess` has shifted with
librosa. A changed tempo would break sync.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.data.batches.augment import AugmentSettings
from w2l.features.mel import MEL_HIGHEST_HZ, MEL_KNEE_HZ, MEL_LOG_STEP, MEL_LOWEST_HZ, MEL_STEP_HZ
from w2l.features.windows import SILENCE

MEL_PER_DB = 0.08
"""Mel units of one decibel: 8 units span 100 dB."""
ECHO_COLUMNS = (3.0, 16.0)
"""Columns in which the power of a reverberation falls to 1 / e: 40 to 200 ms, rooms that ring for 0.5 to 3 s."""
MUFFLING = 0.25
"""Mel units by which each band above the cut-off of muffled audio is lower than the one below it."""


@dataclass(frozen=True)
class Sound:
    """One random draw of audio augmentation."""

    offset: NDArray[np.float32]
    """(80, 1): mel units added to what is not silent."""
    floor: NDArray[np.float32] | None
    """(80, 1): mel level of the noise floor."""
    seed: int
    """Seed of the noise floor's fluctuation."""
    bands: tuple[int, int] = (0, 0)
    """First silenced band, and the first one after them that is kept."""
    columns: tuple[int, int] = (0, 0)
    """The same for the columns of each window."""
    voice: float = 1.0
    """Factor applied to all frequencies."""
    echo: tuple[float, float] = (0.0, 0.0)
    """Level of the reverberation, 0..1 of the power, and its decay in columns."""
    semitones: float = 0.0
    """Pitch shift of the stored audio that is used; 0: as recorded."""


def draw_sound(rng: np.random.Generator, settings: AugmentSettings) -> Sound:
    """Draw audio augmentation for a clip."""
    slope = np.linspace(-0.5, 0.5, 80) * rng.uniform(-1, 1) * settings.tilt_db
    offset = MEL_PER_DB * (slope + rng.uniform(-1, 1) * settings.gain_db)
    noisy = rng.random() < settings.noise
    # From inaudible to 20 dB below speech, with the slope of room noise.
    floor = rng.uniform(-4.0, -1.6) + np.linspace(0.5, -0.5, 80) * rng.uniform(0, 1.5)
    seed = int(rng.integers(2**31))
    shaped = floor[:, None].astype(np.float32) if noisy else None
    muffled, edge = rng.random() < settings.muffle, rng.uniform(20, 70)
    if muffled:
        offset = offset - MUFFLING * np.maximum(0, np.arange(80) - edge)
    bands, columns = _stretch(rng, settings.mask_bands, 80), _stretch(rng, settings.mask_columns, 16)
    voice = 1 + settings.voice * rng.uniform(-1, 1) if settings.voice else 1.0
    echo = (0.0, 0.0)
    if settings.room and rng.random() < settings.room:
        echo = float(rng.uniform(0.02, 0.4)), float(rng.uniform(*ECHO_COLUMNS))
    return Sound(offset[:, None].astype(np.float32), shaped, seed, bands, columns, float(voice), echo)


def draw_semitones(rng: np.random.Generator, settings: AugmentSettings, voices: Sequence[float]) -> float:
    """Draw the stored voice of a clip, one of its `voices` in semitones, or 0 for the recorded one.

    Draws nothing if `settings.shifted_voice` is 0.
    """
    if not settings.shifted_voice or rng.random() >= settings.shifted_voice:
        return 0.0
    return float(voices[int(rng.integers(0, len(voices)))])


def _stretch(rng: np.random.Generator, most: int, length: int) -> tuple[int, int]:
    """Draw up to `most` neighbours out of `length`."""
    size, place = int(rng.integers(0, most + 1)), rng.random()
    first = int(place * (length - size + 1))
    return first, first + size


def augment_mels(mels: NDArray[np.float32], sound: Sound) -> NDArray[np.float32]:
    """Return the mel windows (windows, 80, columns) with another voice, room, loudness, tilt and noise floor."""
    if sound.voice != 1:
        mels = _other_voice(mels, sound.voice)
    if sound.echo[0]:
        mels = _in_a_room(mels, *sound.echo)
    changed = np.where(mels > SILENCE, mels + sound.offset, SILENCE)
    if sound.floor is not None:
        flutter = np.random.default_rng(sound.seed).standard_normal(mels.shape, np.float32)
        changed = np.maximum(changed, sound.floor + 0.25 * flutter)
    changed[:, slice(*sound.bands)] = SILENCE
    changed[:, :, slice(*sound.columns)] = SILENCE
    return np.clip(changed, SILENCE, -SILENCE).astype(np.float32)


def _other_voice(mels: NDArray[np.float32], times: float) -> NDArray[np.float32]:
    """Return mels (windows, 80, columns) with all frequencies multiplied by a factor (Jaitly and Hinton, 2013)."""
    n_bands = mels.shape[1]
    first, last = _steps(np.array([MEL_LOWEST_HZ, MEL_HIGHEST_HZ]))
    hz = _hertz(np.linspace(first, last, n_bands))
    source = np.clip((_steps(hz / times) - first) / (last - first) * (n_bands - 1), 0, n_bands - 1)
    low = np.minimum(source.astype(int), n_bands - 2)
    share = (source - low).astype(np.float32)[:, None]
    return np.asarray(mels[:, low] * (1 - share) + mels[:, low + 1] * share, dtype=np.float32)


def _steps(hz: Floats) -> Floats:
    """Convert frequencies to steps on Slaney's mel scale."""
    knee = MEL_KNEE_HZ / MEL_STEP_HZ
    above = knee + np.log(np.maximum(hz, MEL_KNEE_HZ) / MEL_KNEE_HZ) / MEL_LOG_STEP
    return np.where(hz < MEL_KNEE_HZ, hz / MEL_STEP_HZ, above)


def _hertz(steps: Floats) -> Floats:
    """Convert steps on Slaney's mel scale to frequencies."""
    knee = MEL_KNEE_HZ / MEL_STEP_HZ
    above = MEL_KNEE_HZ * np.exp(MEL_LOG_STEP * (np.maximum(steps, knee) - knee))
    return np.where(steps < knee, steps * MEL_STEP_HZ, above)


def _in_a_room(mels: NDArray[np.float32], level: float, decay: float) -> NDArray[np.float32]:
    """Return mels (windows, 80, columns) with the decaying power of earlier columns added; a window begins dry."""
    power = 10 ** (mels / (10 * MEL_PER_DB))
    kept, tail = math.exp(-1 / decay), np.zeros(mels.shape[:2], np.float32)
    heard = np.empty_like(power)
    for column in range(mels.shape[2]):
        heard[:, :, column] = power[:, :, column] + level * tail
        tail = kept * tail + (1 - kept) * power[:, :, column] * 4
    loud = 10 * MEL_PER_DB * np.log10(np.maximum(heard, 1e-12))
    return np.where(loud > SILENCE, loud, SILENCE).astype(np.float32)
