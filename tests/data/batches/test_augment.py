"""Augmentation changes looks and sounds, never what is when."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.errors import ConfigError
from w2l.data.batches.augment import AugmentSettings, Look, augment_frames, draw_look
from w2l.data.batches.augment_sound import augment_mels, draw_sound
from w2l.features.crop import TEMPLATE
from w2l.features.mel import mel_spectrogram

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
STRONG = AugmentSettings(
    flip=0.5, colour=0.9, contrast=0.5, gamma=1, grey=1, blur=1.5, shift=0.1, scale=0.2, turn=15, stretch=0.1,
    slant=0.1, bend=0.05, hue=90, light=0.5, paint=0.5, mouth=0.3, gain_db=60, tilt_db=40,
    noise=1, muffle=0.5, mask_bands=20, mask_columns=6,
)  # fmt: skip
PLAIN = np.ones(3, np.float32)
"""Gains that change nothing."""


def picture(side: int = 48) -> NDArray[np.uint8]:
    """Two equal frames (frames, side, side, 3) of smooth blobs, so that a small move changes values little."""
    y, x = np.mgrid[:side, :side] / side
    channels = [128 + 100 * np.sin(6 * x + k) * np.cos(5 * y - k) for k in range(3)]
    return np.repeat(np.stack(channels, axis=-1)[None].astype(np.uint8), 2, axis=0)


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


def test_contrast_and_gamma_are_those_of_their_formulas() -> None:
    frames = np.array([0, 64, 128, 255], np.uint8).reshape(1, 1, 4, 1).repeat(3, axis=-1)
    assert augment_frames(frames, Look(False, PLAIN, contrast=0.5))[0, 0, :, 0].tolist() == [64, 96, 128, 191]
    assert augment_frames(frames, Look(False, PLAIN, gamma=2.0))[0, 0, :, 0].tolist() == [0, 16, 64, 255]


def test_grey_takes_the_colour_and_leaves_the_brightness() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    grey = augment_frames(frames, Look(False, PLAIN, grey=1.0)).astype(float)
    assert np.ptp(grey, axis=-1).max() <= 1
    np.testing.assert_allclose(grey[..., 0], frames @ [0.299, 0.587, 0.114], atol=1)
    half = augment_frames(frames, Look(False, PLAIN, grey=0.5)).astype(float)
    np.testing.assert_allclose(half, (frames + grey) / 2, atol=1)


def test_colours_turn_about_grey() -> None:
    frames = np.array([[200, 100, 50], [100, 100, 100], [0, 0, 255]], np.uint8).reshape(1, 1, 3, 3)
    third = augment_frames(frames, Look(False, PLAIN, hue=120.0))
    np.testing.assert_array_equal(third[0, 0], [[50, 200, 100], [100, 100, 100], [255, 0, 0]])
    some = augment_frames(frames, Look(False, PLAIN, hue=20.0)).astype(int)
    np.testing.assert_allclose(some[0, 0, 0].sum(), 350, atol=2)
    assert 0 < np.abs(some - frames)[0, 0, 0].max() < 60


@pytest.mark.parametrize("n_rows", [48, 24])
def test_light_comes_from_a_side(n_rows: int) -> None:
    """And falls on the lower half as on the lower half of a whole face."""
    frames = np.full((1, n_rows, 48, 3), 100, np.uint8)
    lit = augment_frames(frames, Look(False, PLAIN, light=(0.4, -0.2))).astype(int)
    assert (np.diff(lit[0, :, :, 0], axis=1) >= 0).all()
    assert (np.diff(lit[0, :, :, 0], axis=0) <= 0).all()
    assert lit[0, -1, [0, -1], 0].tolist() == [40, 120]
    assert lit[0, 0, -1, 0] == {48: 160, 24: 140}[n_rows]


def test_a_bend_moves_its_points_and_fades_between_them() -> None:
    bend = np.zeros((4, 4, 2), np.float32)
    bend[1, 2] = 2 / 49, -3 / 49  # the point at row 16, column 32, comes from so much farther across and down
    frames = picture(49)
    bent = augment_frames(frames, Look(False, PLAIN, bend=bend))
    np.testing.assert_allclose(bent[0, 16, 32].astype(int), frames[0, 13, 34], atol=1)
    still = np.abs(bent.astype(int) - frames)[0].max(axis=-1)
    assert still[16, 32] > 3
    assert still[:, :16].max() == still[33:].max() == 0
    mean = (frames[0, 16, 25].astype(int) + frames[0, 16, 23]) / 2
    half = augment_frames(frames, Look(False, PLAIN, bend=bend * (1, 0)))[0, 16, 24]  # half as far, half way
    np.testing.assert_allclose(half, frames[0, 16, 25], atol=1 + np.abs(mean - frames[0, 16, 24]).max())


def test_paint_has_its_colours_at_its_points_and_moves_with_the_face() -> None:
    paint = np.ones((7, 7, 3), np.float32)
    paint[4, 3] = 0.5, 1.0, 1.5  # row 32 and column 24 of 49
    frames = np.full((1, 49, 49, 3), 100, np.uint8)
    painted = augment_frames(frames, Look(False, PLAIN, paint=paint))[0]
    assert painted[32, 24].tolist() == [50, 100, 150]
    np.testing.assert_array_equal(painted[28, 24], painted[36, 24])
    assert 50 < painted[28, 24, 0] < 100
    assert (np.delete(np.delete(painted, range(25, 40), 0), range(17, 32), 1) == 100).all()
    moved = augment_frames(frames, Look(False, PLAIN, paint=paint, shift=(5 / 49, -3 / 49)))[0]
    assert moved[29, 29].tolist() == [50, 100, 150]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mouth_grows_about_its_middle_and_the_rest_stays(mirrored: bool) -> None:
    """A bar where an aligned face has its mouth: as many times as wide and as high."""
    frames = np.zeros((1, 192, 192, 3), np.uint8)
    middle = round(TEMPLATE[3, 1] * 192)
    frames[0, middle - 4 : middle + 4, 96 - 12 : 96 + 12] = 200
    wide = augment_frames(frames, Look(mirrored, PLAIN, mouth=(1.25, 1.0)))[0, ..., 0] > 100
    high = augment_frames(frames, Look(mirrored, PLAIN, mouth=(1.0, 1.25)))[0, ..., 0] > 100
    assert (wide[middle].sum(), wide[:, 96].sum()) == pytest.approx((30, 8), abs=1)
    assert (high[middle].sum(), high[:, 96].sum()) == pytest.approx((24, 10), abs=1)
    np.testing.assert_array_equal(wide, wide[:, ::-1])
    corners = np.zeros((1, 192, 192, 3), np.uint8)
    corners[0, ::8, ::8] = 200
    moved = augment_frames(corners, Look(False, PLAIN, mouth=(1.3, 0.7)))[0]
    np.testing.assert_array_equal(moved[:48], corners[0, :48])
    assert not np.array_equal(moved[120:], corners[0, 120:])


@pytest.mark.parametrize("mouth", [-0.1, 0.5])
def test_mouths_that_would_fold_are_refused(mouth: float) -> None:
    with pytest.raises(ConfigError, match=r"augment\.mouth must lie between 0 and 0\.4"):
        AugmentSettings(mouth=mouth)


def test_a_shift_moves_by_a_share_of_the_side() -> None:
    frames = picture()
    moved = augment_frames(frames, Look(False, PLAIN, shift=(2 / 48, -3 / 48)))
    np.testing.assert_array_equal(moved[:, :45, 2:], frames[:, 3:, :46])
    np.testing.assert_array_equal(moved[:, -1], np.concatenate([moved[:, -1:, :2], frames[:, -1:, :46]], 2)[:, 0])


@pytest.mark.parametrize("look", [
    Look(False, PLAIN, turn=10.0), Look(False, PLAIN, scale=1.2), Look(True, PLAIN, turn=-7.0, scale=0.9),
], ids=["turned", "larger", "all"])  # fmt: skip
def test_a_face_turns_and_grows_about_its_middle(look: Look) -> None:
    frames = picture(49)
    moved = augment_frames(frames, look)
    assert not np.array_equal(moved, frames)
    np.testing.assert_array_equal(moved[:, 24, 24], frames[:, 24, 24])
    down = np.array([np.sin(np.radians(look.turn)), np.cos(np.radians(look.turn))]) * 12 * look.scale
    across, below = np.round(24 + down).astype(int)
    assert np.abs(moved[0, below, across].astype(int) - frames[0, 36, 24]).max() <= 6  # 12 pixels under the middle


def test_a_face_is_stretched_downwards_and_slanted_below_its_middle() -> None:
    frames = picture(49)
    taller = augment_frames(frames, Look(False, PLAIN, stretch=1.5))
    assert np.abs(taller[0, 24 + 18].astype(int) - frames[0, 24 + 12]).max() <= 6
    slanted = augment_frames(frames, Look(False, PLAIN, slant=0.25))
    np.testing.assert_array_equal(slanted[0, 24], frames[0, 24])
    assert np.abs(slanted[0, 24 + 12, 3:].astype(int) - frames[0, 24 + 12, :-3]).max() <= 6
    assert np.abs(slanted[0, 24 - 12, :-3].astype(int) - frames[0, 24 - 12, 3:]).max() <= 6


def bent(look: Look) -> NDArray[np.float32]:
    """Where one point of a face is bent to."""
    assert look.bend is not None
    return look.bend[1, 2]


def test_a_look_beside_another_differs_in_place_alone() -> None:
    rng = np.random.default_rng(0)
    looks = [draw_look(rng, STRONG) for _ in range(40)]
    for share in (0.0, 0.5):
        beside = [look.beside(rng, STRONG, share) for look in looks]
        for look, other in zip(looks, beside):
            names = ("mirrored", "gains", "contrast", "gamma", "grey", "blur", "hue", "light", "paint", "mouth")
            assert all(np.array_equal(getattr(look, name), getattr(other, name)) for name in names)
        moves = np.array([
            [*np.subtract(other.shift, look.shift), other.scale / look.scale - 1, other.turn - look.turn,
             other.stretch / look.stretch - 1, other.slant - look.slant, *(bent(other) - bent(look))]
            for look, other in zip(looks, beside)
        ])  # fmt: skip
        s = STRONG
        most = share * np.array([s.shift, s.shift, s.scale, s.turn, s.stretch, s.slant, s.bend, s.bend])
        assert (np.abs(moves) <= most + 1e-7).all()
        assert (np.abs(moves).max(axis=0) >= 0.8 * most).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0.0, 5.0])
def test_lower_rows_are_those_of_the_whole_picture(mirrored: bool, turn: float) -> None:
    look = Look(mirrored, np.array([1.1, 0.9, 1.0], np.float32), shift=(0.02, 0.03), turn=turn, scale=1.05, grey=0.3)
    more = {"stretch": 1.05, "slant": 0.04, "hue": 20.0, "light": (0.1, 0.2), "bend": np.full((4, 4, 2), 0.02)}
    more |= {"mouth": (1.2, 0.8), "paint": np.linspace(0.5, 1.5, 147, dtype=np.float32).reshape(7, 7, 3)}
    look = replace(look, **more) if turn else replace(look, shift=(0.0, 0.0), scale=1.0)  # type: ignore[arg-type]
    frames = picture()
    np.testing.assert_array_equal(augment_frames(frames, look, 24), augment_frames(frames, look)[:, 24:])


def test_a_blur_takes_detail_not_brightness() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    spread = [float(augment_frames(frames, Look(False, PLAIN, blur=sigma)).std()) for sigma in (0, 0.3, 0.6, 1.0, 1.5)]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < spread[0] / 3
    assert abs(augment_frames(frames, Look(False, PLAIN, blur=1.5)).mean() - frames.mean()) < 1


def test_frames_do_not_blur_into_each_other() -> None:
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    frames[1] = 255
    np.testing.assert_array_equal(augment_frames(frames, Look(False, PLAIN, blur=6.0)), frames)


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


def test_stretches_of_bands_and_columns_are_silenced() -> None:
    mels = np.zeros((3, 80, 16), np.float32)
    settings = replace(OFF, mask_bands=10, mask_columns=3)
    shares = []
    for seed in range(200):
        silenced = augment_mels(mels, draw_sound(np.random.default_rng(seed), settings)) == -4
        assert (silenced == silenced[:1]).all()  # the same in all windows of a clip
        bands, columns = silenced[0].all(axis=1), silenced[0].all(axis=0)
        assert (silenced[0] == (bands[:, None] | columns[None])).all()
        for stretch, most in ((bands, 10), (columns, 3)):
            assert stretch.sum() <= most
            assert np.diff(np.flatnonzero(stretch)).tolist() == [1] * max(0, int(stretch.sum()) - 1)
        shares.append((bands, columns))
    assert all(np.any([share[k] for share in shares], axis=0).all() for k in (0, 1))  # each has its turn


def test_muffled_sounds_lose_their_upper_bands_only() -> None:
    mels = np.full((1, 80, 16), 2, np.float32)
    changed = augment_mels(mels, draw_sound(np.random.default_rng(3), replace(OFF, muffle=1)))[0, :, 0]
    assert (np.diff(changed) <= 0).all()
    assert (changed[:20] == 2).all()
    assert changed[-1] < -0.4


@pytest.mark.parametrize("hertz", [300, 900, 2500])
def test_another_voice_has_other_frequencies(hertz: int) -> None:
    times = np.arange(16000) / 16000
    own, higher = (mel_spectrogram(0.1 * np.sin(2 * np.pi * f * times))[None, :, 20:36] for f in (hertz, 1.15 * hertz))
    sound = replace(draw_sound(np.random.default_rng(0), OFF), voice=1.15)
    found = augment_mels(own, sound)[0].mean(axis=1)
    assert abs(int(found.argmax()) - int(higher[0].mean(axis=1).argmax())) <= 1


def test_a_room_fades_after_a_sound_and_leaves_what_comes_before() -> None:
    click = np.full((1, 80, 16), -4, np.float32)
    click[:, :, 5] = 2
    sound = replace(draw_sound(np.random.default_rng(0), OFF), echo=(0.2, 8.0))
    heard = augment_mels(click, sound)[0, 40]
    np.testing.assert_allclose(heard[:6], click[0, 40, :6], atol=0.1)
    assert (np.diff(heard[6:]) < 0).all()
    assert heard[6] > 0


def test_voice_and_room_leave_the_draws_of_older_recipes_alone() -> None:
    old = draw_sound(np.random.default_rng(8), AugmentSettings())
    assert old.voice == 1
    assert old.echo == (0, 0)
    rng = np.random.default_rng(8)
    drawn = [draw_sound(rng, AugmentSettings(voice=0.1, room=0.5)) for _ in range(30)]
    np.testing.assert_array_equal(drawn[0].offset, old.offset)
    assert all(0.9 <= sound.voice <= 1.1 for sound in drawn)
    assert 5 < sum(sound.echo[0] > 0 for sound in drawn) < 25


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
