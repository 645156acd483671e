"""PSNR, SSIM and multi-scale SSIM of two pictures of one size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image

Singles = NDArray[np.float32]

WINDOW = 11
"""Side of the Gaussian window, pixels."""
SIGMA = 1.5
"""Its standard deviation, pixels."""
STABLE = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
"""C1 and C2 of Wang et al. (2004), for grey levels 0..255."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales of Wang, Simoncelli and Bovik (2003), the finest first."""
MAX_PSNR = 60.0
"""PSNR of equal pictures, and the largest PSNR in dB: an infinite value would spoil every mean."""


def luma(image: Image) -> Singles:
    """Return the brightness (rows, columns) in 0..255 of an RGB picture (rows, columns, 3), weighted as in BT.601."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY), dtype=np.float32)


def psnr(first: Image, second: Image) -> float:
    """Return the peak signal-to-noise ratio in dB over all values of two uint8 pictures, at most `MAX_PSNR`."""
    error = float(np.square(first.astype(np.float32) - second).mean(dtype=np.float64))
    return min(MAX_PSNR, 10 * float(np.log10(255.0**2 / max(error, 1e-12))))


def similarity(first: Singles, second: Singles) -> tuple[Singles, Singles]:
    """Return SSIM and its contrast-structure factor around each pixel of two pictures (rows, columns) in 0..255.

    As published (Wang, Bovik, Sheikh and Simoncelli, 2004): Gaussian window of 11 x 11, population moments, and only
    windows that lie inside the picture: both maps are (rows - 10, columns - 10).
    """
    c1, c2 = STABLE
    mean_1, mean_2 = _blurred(first), _blurred(second)
    product, square_1, square_2 = mean_1 * mean_2, mean_1 * mean_1, mean_2 * mean_2
    # The middle grey is subtracted first: squares of large numbers would lose digits in single precision.
    low_1, low_2 = first - 128, second - 128
    shift_1, shift_2 = mean_1 - 128, mean_2 - 128
    covariance = _blurred(low_1 * low_2) - shift_1 * shift_2
    variances = _blurred(low_1 * low_1 + low_2 * low_2) - shift_1 * shift_1 - shift_2 * shift_2
    structure = (2 * covariance + c2) / (variances + c2)
    return (2 * product + c1) / (square_1 + square_2 + c1) * structure, structure


def ssim(first: Singles, second: Singles) -> float:
    """Return the mean SSIM, -1..1, of two pictures (rows, columns) of at least 11 x 11 pixels."""
    return float(similarity(first, second)[0].mean(dtype=np.float64))


def n_scales(rows: int, columns: int) -> int:
    """Return how many of the five scales fit: the window must fit the coarsest. 0 for less than 11 pixels."""
    return sum(min(rows, columns) >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def ms_ssim(first: Singles, second: Singles) -> float:
    """Return the multi-scale SSIM, 0..1, of two pictures (rows, columns) of at least 11 x 11 pixels.

    From scale to scale blocks of 2 x 2 pixels are averaged; contrast and structure count at each, brightness only at
    the coarsest. Five scales require 176 pixels; a smaller picture gets as many as fit, their exponents scaled to the
    same sum. A negative factor counts as 0.
    """
    count = n_scales(*first.shape)
    exponents = np.array(SCALE_WEIGHTS[:count]) / sum(SCALE_WEIGHTS[:count]) * sum(SCALE_WEIGHTS)
    result = 1.0
    for scale, exponent in enumerate(exponents):
        whole, structure = similarity(first, second)
        factor = whole if scale == count - 1 else structure
        result *= max(float(factor.mean(dtype=np.float64)), 0.0) ** float(exponent)
        first, second = _halved(first), _halved(second)
    return result


def _blurred(values: Singles) -> Singles:
    """Return Gaussian means over the windows that lie inside."""
    margin = WINDOW // 2
    whole = cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)
    return np.asarray(whole[margin : values.shape[0] - margin, margin : values.shape[1] - margin], dtype=np.float32)


def _halved(values: Singles) -> Singles:
    """Return means of blocks of 2 x 2; an odd last row or column is left out."""
    rows, columns = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    return np.asarray(cv2.resize(values[:rows, :columns], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA))
