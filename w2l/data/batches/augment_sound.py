"""Changes of sound that leave the sync as it is; the same for all windows of a clip."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.data.batches.augment import AugmentSettings
from w2l.features.windows import SILENCE

MEL_PER_DB = 0.08
"""Mel units of one decibel: 8 units span 100 dB."""
MUFFLING = 0.25
"""Mel units by which each band above the edge of a muffled sound is lower than the one below it."""


@dataclass(frozen=True)
class Sound:
    """One draw of changes to mels."""

    offset: NDArray[np.float32]
    """(80, 1): mel units added to what is not silent."""
    floor: NDArray[np.float32] | None
    """(80, 1): mel level of the noise floor."""
    seed: int
    """Of the noise floor's flutter."""
    bands: tuple[int, int] = (0, 0)
    """First silenced band, and the first one after them that is heard."""
    columns: tuple[int, int] = (0, 0)
    """So of the columns of each window."""


def draw_sound(rng: np.random.Generator, settings: AugmentSettings) -> Sound:
    """Draw changes of sound for a clip."""
    slope = np.linspace(-0.5, 0.5, 80) * rng.uniform(-1, 1) * settings.tilt_db
    offset = MEL_PER_DB * (slope + rng.uniform(-1, 1) * settings.gain_db)
    noisy = rng.random() < settings.noise
    # From inaudible to 20 dB under speech, sloping like room noise.
    floor = rng.uniform(-4.0, -1.6) + np.linspace(0.5, -0.5, 80) * rng.uniform(0, 1.5)
    seed = int(rng.integers(2**31))
    shaped = floor[:, None].astype(np.float32) if noisy else None
    muffled, edge = rng.random() < settings.muffle, rng.uniform(20, 70)
    if muffled:
        offset = offset - MUFFLING * np.maximum(0, np.arange(80) - edge)
    bands, columns = _stretch(rng, settings.mask_bands, 80), _stretch(rng, settings.mask_columns, 16)
    return Sound(offset[:, None].astype(np.float32), shaped, seed, bands, columns)


def _stretch(rng: np.random.Generator, most: int, length: int) -> tuple[int, int]:
    """Up to `most` neighbours of `length`, anywhere."""
    size, place = int(rng.integers(0, most + 1)), rng.random()
    first = int(place * (length - size + 1))
    return first, first + size


def augment_mels(mels: NDArray[np.float32], sound: Sound) -> NDArray[np.float32]:
    """The mel windows (windows, 80, columns) with another loudness, tilt and noise floor."""
    changed = np.where(mels > SILENCE, mels + sound.offset, SILENCE)
    if sound.floor is not None:
        flutter = np.random.default_rng(sound.seed).standard_normal(mels.shape, np.float32)
        changed = np.maximum(changed, sound.floor + 0.25 * flutter)
    changed[:, slice(*sound.bands)] = SILENCE
    changed[:, :, slice(*sound.columns)] = SILENCE
    return np.clip(changed, SILENCE, -SILENCE).astype(np.float32)
