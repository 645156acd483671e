"""Changes of look and sound that leave the sync as it is; the same for all frames of a window."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.data.windows import SILENCE

MEL_PER_DB = 0.08
"""Mel units of one decibel: 8 units span 100 dB."""


@dataclass(frozen=True)
class AugmentSettings:
    """How much looks and sounds vary; zeros leave them as they are."""

    flip: float = 0.5
    """Probability of a mirrored face."""
    colour: float = 0.2
    """Largest relative change of brightness, and half as much of each channel."""
    gain_db: float = 10.0
    """Largest change of loudness, both ways."""
    tilt_db: float = 6.0
    """Largest change between the lowest and the highest band, both ways."""
    noise: float = 0.5
    """Probability of a noise floor under the sound."""


@dataclass(frozen=True)
class Look:
    """One draw of changes to pictures."""

    mirrored: bool
    gains: NDArray[np.float32]
    """(3,)"""


@dataclass(frozen=True)
class Sound:
    """One draw of changes to mels."""

    offset: NDArray[np.float32]
    """(80, 1): mel units added to what is not silent."""
    floor: NDArray[np.float32] | None
    """(80, 1): mel level of the noise floor."""
    seed: int
    """Of the noise floor's flutter."""


def draw_look(rng: np.random.Generator, settings: AugmentSettings) -> Look:
    """One draw for a clip."""
    brightness = 1 + settings.colour * rng.uniform(-1, 1)
    gains = brightness * (1 + settings.colour / 2 * rng.uniform(-1, 1, 3))
    return Look(bool(rng.random() < settings.flip), gains.astype(np.float32))


def draw_sound(rng: np.random.Generator, settings: AugmentSettings) -> Sound:
    """One draw for a clip."""
    slope = np.linspace(-0.5, 0.5, 80) * rng.uniform(-1, 1) * settings.tilt_db
    offset = MEL_PER_DB * (slope + rng.uniform(-1, 1) * settings.gain_db)
    noisy = rng.random() < settings.noise
    # From inaudible to 20 dB under speech, sloping like room noise.
    floor = rng.uniform(-4.0, -1.6) + np.linspace(0.5, -0.5, 80) * rng.uniform(0, 1.5)
    seed = int(rng.integers(2**31))
    shaped = floor[:, None].astype(np.float32) if noisy else None
    return Sound(offset[:, None].astype(np.float32), shaped, seed)


def augment_frames(frames: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
    """The frames (frames, height, width, 3) with another look."""
    if look.mirrored:
        frames = frames[:, :, ::-1]
    if np.all(look.gains == 1):
        return frames
    tables = np.clip(np.arange(256)[:, None] * look.gains + 0.5, 0, 255).astype(np.uint8)
    return np.stack([tables[:, channel][frames[..., channel]] for channel in range(3)], axis=-1)


def augment_mels(mels: NDArray[np.float32], sound: Sound) -> NDArray[np.float32]:
    """The mel windows (windows, 80, 16) with another loudness, tilt and noise floor."""
    changed = np.where(mels > SILENCE, mels + sound.offset, SILENCE)
    if sound.floor is not None:
        flutter = np.random.default_rng(sound.seed).normal(0, 0.25, mels.shape).astype(np.float32)
        changed = np.maximum(changed, sound.floor + flutter)
    return np.clip(changed, SILENCE, -SILENCE).astype(np.float32)
