"""Augmentation changes looks and sounds, never what is when."""

import numpy as np
import pytest

from w2l.data.augment import AugmentSettings, Look, augment_frames, augment_mels, draw_look, draw_sound

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
STRONG = AugmentSettings(flip=0.5, colour=0.9, gain_db=60, tilt_db=40, noise=1)


def test_nothing_changes_when_it_is_off() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    mels = rng.uniform(-4, 4, (3, 80, 16)).astype(np.float32)
    np.testing.assert_array_equal(augment_frames(frames, draw_look(rng, OFF)), frames)
    np.testing.assert_allclose(augment_mels(mels, draw_sound(rng, OFF)), mels, atol=1e-6)


def test_a_flip_mirrors_left_and_right() -> None:
    frames = np.arange(2 * 2 * 4 * 3, dtype=np.uint8).reshape(2, 2, 4, 3)
    mirrored = augment_frames(frames, Look(True, np.ones(3, np.float32)))
    np.testing.assert_array_equal(mirrored, frames[:, :, ::-1])


def test_gains_are_per_channel_and_stay_in_range() -> None:
    frames = np.array([0, 10, 100, 255], np.uint8).reshape(1, 1, 4, 1).repeat(3, axis=-1)
    bright = augment_frames(frames, Look(False, np.array([1.0, 2.0, 0.5], np.float32)))
    assert bright.dtype == np.uint8
    np.testing.assert_array_equal(bright[0, 0, :, 0], [0, 10, 100, 255])
    np.testing.assert_array_equal(bright[0, 0, :, 1], [0, 20, 200, 255])
    np.testing.assert_array_equal(bright[0, 0, :, 2], [0, 5, 50, 128])


def test_all_frames_of_a_draw_change_alike() -> None:
    rng = np.random.default_rng(1)
    frames = np.repeat(rng.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8), 5, axis=0)
    for _ in range(20):
        changed = augment_frames(frames, draw_look(rng, STRONG))
        np.testing.assert_array_equal(changed, np.repeat(changed[:1], 5, axis=0))


@pytest.mark.parametrize("settings", [AugmentSettings(), STRONG], ids=["default", "strong"])
def test_mels_stay_in_range(settings: AugmentSettings) -> None:
    rng = np.random.default_rng(2)
    mels = rng.uniform(-4, 4, (6, 80, 16)).astype(np.float32)
    for _ in range(20):
        changed = augment_mels(mels, draw_sound(rng, settings))
        assert changed.dtype == np.float32
        assert changed.min() >= -4
        assert changed.max() <= 4


def test_digital_silence_stays_silent_without_a_noise_floor() -> None:
    settings = AugmentSettings(flip=0, colour=0, gain_db=40, tilt_db=20, noise=0)
    silence = np.full((1, 80, 16), -4, np.float32)
    np.testing.assert_array_equal(augment_mels(silence, draw_sound(np.random.default_rng(3), settings)), silence)


def test_a_louder_sound_is_louder_by_its_decibels() -> None:
    """8 mel units span 100 dB, so that 10 dB are 0.8 units at most."""
    rng = np.random.default_rng(4)
    mels = rng.uniform(-2, 2, (2, 80, 16)).astype(np.float32)
    settings = AugmentSettings(flip=0, colour=0, gain_db=10, tilt_db=0, noise=0)
    steps = [float((augment_mels(mels, draw_sound(rng, settings)) - mels).mean()) for _ in range(50)]
    assert max(np.abs(steps)) <= 0.8 + 1e-6
    assert min(steps) < -0.5 < 0.5 < max(steps)


def test_draws_depend_on_the_generator_alone() -> None:
    mels = np.random.default_rng(5).uniform(-4, 4, (2, 80, 16)).astype(np.float32)
    one, two = (augment_mels(mels, draw_sound(np.random.default_rng(6), STRONG)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
