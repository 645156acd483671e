"""The arithmetic of fitting a patch in: colour fields, limits, bands, noise, grain, pyramids."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.sync.blend import GRAIN_TILE, Grain, RimField, bands, gamut_of, limited, multi_band, noise_level
from w2l.sync.compose import soft_weight

SIZE = 96
WEIGHT = soft_weight(SIZE)[46:]


class TestRimField:
    def test_a_uniform_difference_is_the_same_everywhere(self) -> None:
        rim = RimField(WEIGHT)
        difference = np.broadcast_to(np.array([10.0, -5.0, 2.0], np.float32), (*WEIGHT.shape, 3))
        field = rim.over(rim.spread(difference))
        np.testing.assert_allclose(field[WEIGHT > 0], difference[WEIGHT > 0], atol=1e-3)

    def test_what_happens_inside_does_not_matter(self) -> None:
        rim = RimField(WEIGHT)
        difference = np.zeros((*WEIGHT.shape, 3), np.float32)
        difference[WEIGHT == 1] = 99.0
        assert np.abs(rim.spread(difference)).max() < 1e-6

    def test_it_follows_a_slope_at_the_rim_and_is_smooth_between(self) -> None:
        rim = RimField(WEIGHT)
        slope = np.linspace(-20, 20, SIZE, dtype=np.float32)
        field = rim.over(rim.spread(np.broadcast_to(slope[None, :, None], (*WEIGHT.shape, 3))))[..., 0]
        assert field[24, 15] < -9
        assert field[24, 80] > 9
        assert abs(field[24, 47:49].mean()) < 1
        assert np.abs(np.diff(field, axis=1)).max() < 2


def test_limited_keeps_small_deviations_and_bounds_large_ones() -> None:
    deviation = np.array([[[1.0, 1.2, 0.9], [90.0, -60.0, 200.0]]], np.float32)
    most = np.full((1, 2), 10.0, np.float32)
    bent = limited(deviation, most, most)
    np.testing.assert_allclose(bent[0, 0], deviation[0, 0], atol=0.02)
    assert np.abs(bent[0, 1]).max() <= 20


def test_bands_add_up() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)
    parts = bands(image, (0.8, 1.5))
    assert len(parts) == 3
    np.testing.assert_allclose(sum(parts), image, atol=1e-3)


def test_a_gamut_holds_its_colours_and_grey_red() -> None:
    colours = np.array([170, 130, 110], np.float32) + np.random.default_rng(0).normal(0, 3, (500, 3)).astype(np.float32)
    least_red, most_red, slope, least_blue, most_blue, coloured = gamut_of(colours)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    red, blue = colours[:, 0] - luma, colours[:, 2] - luma
    assert least_red <= -5 < red.max() < most_red
    assert ((least_blue < blue - slope * red) & (blue - slope * red < most_blue)).mean() > 0.99
    assert coloured == 1
    assert np.abs(gamut_of(colours[:, :1].repeat(3, axis=1))).max() < 1e-3


@pytest.mark.parametrize("sigma", [1.5, 3.0, 8.0])
def test_noise_is_measured_whatever_the_texture(sigma: float) -> None:
    rng = np.random.default_rng(0)
    luma = np.full((128, 128), 120.0) + np.linspace(0, 40, 128)
    luma[::32] -= 60
    luma[:, 112:] += rng.uniform(-60, 60, (128, 16))
    noisy = np.rint(luma + rng.normal(0, sigma, luma.shape)).astype(np.float32)
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.35)


def test_a_clean_picture_has_no_noise() -> None:
    y, x = np.mgrid[:100, :100]
    assert noise_level(np.rint(120 + 30 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)) == 0
    assert noise_level(np.zeros((3, 3), np.float32)) == 0


def test_grain_has_unit_strength_and_covers_any_region() -> None:
    grain = Grain()
    piece = grain.piece((100, 2 * GRAIN_TILE), 3)
    assert piece.shape == (100, 2 * GRAIN_TILE)
    assert float(piece.std()) == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(piece, Grain().piece((100, 2 * GRAIN_TILE), 3))
    assert (grain.piece((50, 50), 1) != grain.piece((50, 50), 2)).mean() > 0.9


def disc(radius: float) -> NDArray[np.float32]:
    """(100, 120): 1 within the radius, 0 outside, linear over 10 pixels."""
    y, x = np.mgrid[:100, :120]
    return np.clip((radius - np.hypot(x - 60, y - 50)) / 10 + 0.5, 0, 1).astype(np.float32)


def test_bands_fade_over_each_in_its_own_width() -> None:
    source, step = np.full((100, 120, 3), 100.0, np.float32), np.full((100, 120, 3), 140.0, np.float32)
    made = multi_band(source, step, disc(30), 4)
    assert made[50, 60, 0] == pytest.approx(140, abs=4)
    assert made[2, 2, 0] == pytest.approx(100, abs=2)
    assert np.abs(np.diff(made[50, :, 0])).max() < 8
    np.testing.assert_allclose(multi_band(source, source, disc(30), 4), source, atol=1e-3)
    stripes = source + 20 * (np.arange(120) % 2)[None, :, None].astype(np.float32)
    detail = multi_band(source, stripes, disc(30), 4)
    assert np.abs(cv2.Laplacian(detail, cv2.CV_32F)[50, 75:85]).min() > 30
    assert np.abs(cv2.Laplacian(detail, cv2.CV_32F)[50, 100:]).max() < 6
