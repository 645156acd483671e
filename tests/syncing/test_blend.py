"""The arithmetic of detail: bands, noise, grain, pyramids."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.syncing.blend import GRAIN_TILE, Grain, bands, multi_band, noise_level


def test_bands_add_up() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)
    parts = bands(image, (0.8, 1.5))
    assert len(parts) == 3
    np.testing.assert_allclose(sum(parts), image, atol=1e-3)


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
