"""PSNR and SSIM against their definitions, written out slowly, and on pictures whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.scoring.metrics.ssim import MAX_PSNR, SCALE_WEIGHTS, luma, ms_ssim, n_scales, psnr, similarity, ssim

Singles = NDArray[np.float32]


def picture(rows: int = 40, columns: int = 50, seed: int = 0) -> Singles:
    """Slopes, an edge and noise, (rows, columns) in 0..255."""
    y, x = np.mgrid[:rows, :columns]
    smooth = 90 + 50 * np.sin(x / 6) + 30 * np.cos(y / 9) + 40 * (x > columns // 2)
    noise = np.random.default_rng(seed).normal(0, 6, (rows, columns))
    return np.asarray(np.clip(smooth + noise, 0, 255), dtype=np.float32)


def slow_ssim(first: Singles, second: Singles) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure factor, window by window in double precision."""
    offsets = np.arange(-5, 6)
    bell = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(bell, bell) / np.outer(bell, bell).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    whole, structure = [], []
    for row in range(first.shape[0] - 10):
        for column in range(first.shape[1] - 10):
            a, b = (part[row : row + 11, column : column + 11].astype(float) for part in (first, second))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            variance_a, variance_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            structure.append((2 * covariance + c2) / (variance_a + variance_b + c2))
            whole.append(structure[-1] * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1))
    return float(np.mean(whole)), float(np.mean(structure))


def damaged(first: Singles, strength: float) -> Singles:
    noise = np.random.default_rng(7).normal(0, strength, first.shape)
    return np.asarray(np.clip(first * 0.9 + 12 + noise, 0, 255), dtype=np.float32)


@pytest.mark.parametrize("strength", [0.0, 4.0, 40.0])
def test_ssim_is_the_published_formula(strength: float) -> None:
    first = picture()
    second = damaged(first, strength)
    whole, structure = similarity(first, second)
    assert whole.shape == (30, 40)
    expected = slow_ssim(first, second)
    assert (float(whole.mean()), float(structure.mean())) == pytest.approx(expected, abs=1e-5)
    assert ssim(second, first) == pytest.approx(ssim(first, second), abs=1e-6)


def test_equal_pictures_get_one_and_inverted_ones_less_than_nothing() -> None:
    first = picture()
    assert ssim(first, first) == pytest.approx(1, abs=1e-6)
    assert ms_ssim(first, first) == pytest.approx(1, abs=1e-6)
    assert ssim(first, 255 - first) < 0
    assert ms_ssim(first, 255 - first) == 0


def test_bright_flat_pictures_that_differ_by_a_constant_have_the_known_value() -> None:
    first, second = np.full((20, 20), 250, np.float32), np.full((20, 20), 240, np.float32)
    c1 = 6.5025
    assert ssim(first, second) == pytest.approx((2 * 250 * 240 + c1) / (250**2 + 240**2 + c1), abs=1e-6)


def test_multi_scale_takes_brightness_at_the_coarsest_scale_alone() -> None:
    first = picture(44, 60)
    second = damaged(first, 10.0)
    halves = [part.reshape(22, 2, 30, 2).mean(axis=(1, 3)) for part in (first, second)]
    quarters = [part.reshape(11, 2, 15, 2).mean(axis=(1, 3)) for part in halves]
    factors = [slow_ssim(first, second)[1], slow_ssim(*halves)[1], slow_ssim(*quarters)[0]]
    assert n_scales(44, 60) == 3
    exponents = np.array(SCALE_WEIGHTS[:3]) / sum(SCALE_WEIGHTS[:3]) * sum(SCALE_WEIGHTS)
    assert ms_ssim(first, second) == pytest.approx(float(np.prod(np.array(factors) ** exponents)), abs=1e-5)


@pytest.mark.parametrize(("side", "scales"), [(10, 0), (11, 1), (21, 1), (22, 2), (175, 4), (176, 5), (700, 5)])
def test_as_many_scales_as_fit(side: int, scales: int) -> None:
    assert n_scales(side, 900) == n_scales(900, side) == scales


def test_the_five_published_exponents_are_taken_as_they_are() -> None:
    first = picture(176, 180)
    second = np.asarray(first + np.float32(20), dtype=np.float32)
    low = [part.reshape(11, 16, -1, 4).mean(axis=1).reshape(11, -1, 4, 4).mean(axis=(2, 3))[:, :11]
           for part in (first[:, :176], second[:, :176])]  # fmt: skip
    expected = slow_ssim(*(part.astype(np.float32) for part in low))[0] ** SCALE_WEIGHTS[-1]
    assert ms_ssim(first[:, :176], second[:, :176]) == pytest.approx(expected, abs=2e-5)


def test_psnr_of_known_differences() -> None:
    first = np.full((30, 30, 3), 100, np.uint8)
    assert psnr(first, first) == MAX_PSNR
    assert psnr(first, first + 5) == pytest.approx(20 * np.log10(255 / 5))
    one = first.copy()
    one[..., 0] += 3  # a third of the values
    assert psnr(first, one) == pytest.approx(10 * np.log10(255**2 / 3))
    noisy = np.rint(first + np.random.default_rng(0).normal(0, 8, first.shape)).astype(np.uint8)
    assert psnr(first, noisy) == pytest.approx(20 * np.log10(255 / 8), abs=0.3)


def test_brightness_follows_bt601() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 200, 200]]], dtype=np.uint8)
    assert luma(colours)[0] == pytest.approx([76.245, 149.685, 29.07, 200], abs=1e-2)
