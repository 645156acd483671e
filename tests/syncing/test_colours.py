"""Colours of skin and lips: fields spread from skin, limits, and which colours a person has."""

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.syncing.colours import RimField, compress_colours, gamut_of, limited, lip_gamut, spread_from
from w2l.syncing.compose import soft_weight

SIZE = 96
WEIGHT = soft_weight(SIZE)[46:]
SKIN = np.ones(WEIGHT.shape, np.float32)
FAIR, DARK = (215.0, 170.0, 145.0), (95.0, 62.0, 48.0)
GREY = (120.0, 120.0, 120.0)


class TestRimField:
    def test_a_uniform_difference_is_the_same_everywhere(self) -> None:
        rim = RimField(WEIGHT)
        difference = np.broadcast_to(np.array([10.0, -5.0, 2.0], np.float32), (*WEIGHT.shape, 3))
        field = rim.over(rim.spread(difference, SKIN))
        np.testing.assert_allclose(field[WEIGHT > 0], difference[WEIGHT > 0], atol=1e-3)

    def test_what_happens_inside_does_not_matter(self) -> None:
        rim = RimField(WEIGHT)
        difference = np.zeros((*WEIGHT.shape, 3), np.float32)
        difference[WEIGHT == 1] = 99.0
        assert np.abs(rim.spread(difference, SKIN)).max() < 1e-6

    def test_what_is_not_skin_does_not_matter(self) -> None:
        rim = RimField(WEIGHT)
        difference = np.full((*WEIGHT.shape, 3), 5.0, np.float32)
        skin = SKIN.copy()
        difference[:, 40:60], skin[:, 40:60] = 99.0, 0.0
        np.testing.assert_allclose(rim.spread(difference, skin), 5.0, atol=1e-3)
        assert not rim.spread(difference, 0 * skin).any()

    def test_it_follows_a_slope_at_the_rim_and_is_smooth_between(self) -> None:
        rim = RimField(WEIGHT)
        slope = np.linspace(-20, 20, SIZE, dtype=np.float32)
        field = rim.over(rim.spread(np.broadcast_to(slope[None, :, None], (*WEIGHT.shape, 3)), SKIN))[..., 0]
        assert field[24, 15] < -9
        assert field[24, 80] > 9
        assert abs(field[24, 47:49].mean()) < 1
        assert np.abs(np.diff(field, axis=1)).max() < 2


def test_far_from_skin_a_few_odd_pixels_count_no_more_than_all_the_skin() -> None:
    """A chin whose shadow is elsewhere must not light up all of a closed mouth."""
    skin, image = SKIN.copy(), np.zeros((*WEIGHT.shape, 3), np.float32)
    skin[4:, 20:76] = 0.0  # lips, and what was not alike around them
    image[44, 40:56], skin[44, 40:56] = 60.0, 0.02
    spread = spread_from(skin, image, 0.05 * SIZE)
    assert spread[:38, 36:60].max() < 10
    np.testing.assert_allclose(spread_from(skin, image * 0 + 7.0, 0.05 * SIZE), 7.0, atol=1e-3)
    assert not spread_from(skin * 0, image, 0.05 * SIZE).any()


def test_limited_keeps_small_deviations_and_bounds_large_ones() -> None:
    deviation = np.array([[[1.0, 1.2, 0.9], [90.0, -60.0, 200.0]]], np.float32)
    most = np.full((1, 2), 10.0, np.float32)
    bent = limited(deviation, most, most)
    np.testing.assert_allclose(bent[0, 0], deviation[0, 0], atol=0.02)
    assert np.abs(bent[0, 1]).max() <= 20


def test_a_gamut_holds_its_colours_and_grey_red() -> None:
    colours = np.array([170, 130, 110], np.float32) + np.random.default_rng(0).normal(0, 3, (500, 3)).astype(np.float32)
    least_red, most_red, slope, least_blue, most_blue, mix, coloured = gamut_of(colours)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    red, blue = colours[:, 0] - luma, colours[:, 2] - luma
    assert least_red <= -5 < red.max() < most_red
    assert ((least_blue < blue - slope * red) & (blue - slope * red < most_blue)).mean() > 0.99
    assert coloured == 1
    assert mix == pytest.approx(blue.mean() / red.mean(), rel=0.01)
    assert np.abs(gamut_of(colours[:, :1].repeat(3, axis=1))).max() < 1e-3


def some(colour: tuple[float, ...], spread: float = 3.0) -> NDArray[np.float32]:
    """Return 500 pixels of about that colour."""
    noise = np.random.default_rng(0).normal(0, spread, (500, 3))
    return np.asarray(np.array(colour) + noise, dtype=np.float32)


def bent(colour: tuple[float, ...], lips: float, skin: tuple[float, ...] = FAIR) -> NDArray[np.float32]:
    """Return a colour bent into the gamut of a person with that skin, on skin (0) or within the lips (1)."""
    gamut = gamut_of(some(skin))
    pixel = np.array(colour, np.float32).reshape(1, 1, 3)
    return compress_colours(gamut, lip_gamut(gamut, some(skin)[:0]), pixel, np.full((1, 1), lips, np.float32))[0, 0]


@pytest.mark.parametrize("skin", [FAIR, DARK])
@pytest.mark.parametrize("real", [(200, 190, 175), (175, 80, 80), (175, 40, 60), (90, 30, 30), (190, 110, 120)],
                         ids=["teeth", "lips", "lipstick", "throat", "tongue"])  # fmt: skip
def test_colours_of_real_mouths_stay_within_lips(real: tuple[float, ...], skin: tuple[float, ...]) -> None:
    np.testing.assert_allclose(bent(real, 1.0, skin), real, atol=6)


@pytest.mark.parametrize("wrong", [(150, 170, 215), (80, 150, 90), (170, 175, 120)], ids=["blue", "green", "olive"])
def test_colours_that_no_mouth_has_are_bent(wrong: tuple[float, ...]) -> None:
    assert np.abs(bent(wrong, 1.0) - wrong).max() > 8


def test_what_the_source_shows_within_its_lips_is_not_bent() -> None:
    gamut, blue = gamut_of(some(FAIR)), some((90.0, 100.0, 190.0))
    made = compress_colours(gamut, lip_gamut(gamut, blue), blue[None], np.ones((1, len(blue)), np.float32))
    assert np.abs(made - blue).max(axis=-1).mean() < 1


@pytest.mark.parametrize("skin", [FAIR, DARK])
def test_red_on_skin_is_bent_to_skin(skin: tuple[float, ...]) -> None:
    red = (skin[0] + 30, skin[1] - 15, skin[2] - 15)
    luma = np.array([0.299, 0.587, 0.114])
    made = bent(red, 0.0, skin)
    assert made[0] - made @ luma < skin[0] - np.array(skin) @ luma + 15
    assert made @ luma == pytest.approx(np.array(red) @ luma, abs=0.1)


def test_a_grey_person_stays_grey() -> None:
    gamut = gamut_of(np.full((500, 3), 120, np.float32))
    for lips in (0.0, 1.0):
        mask = np.full((1, 500), lips, np.float32)
        made = compress_colours(gamut, lip_gamut(gamut, some(GREY)[:0]), some((150.0, 100.0, 90.0))[None], mask)
        assert np.ptp(made, axis=-1).max() < 1e-2


def test_what_is_spread_comes_from_skin_alone() -> None:
    image, skin = np.full((40, 60, 3), 7.0, np.float32), np.ones((40, 60), np.float32)
    image[10:30, 20:40], skin[8:32, 18:42] = 200.0, 0.0
    np.testing.assert_allclose(spread_from(skin, image, 5.0), 7.0, atol=0.1)
    assert not spread_from(0 * skin, image, 5.0).any()
