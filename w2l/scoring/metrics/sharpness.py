"""Amount of fine detail in a picture, without noise."""

import cv2
import numpy as np

from w2l.scoring.metrics.ssim import Singles

SIGMA = 1.0
"""Standard deviation, in pixels, of the Gaussian under the Laplacian: details of two to six pixels count."""
NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
"""Insensitive to slopes and edges along rows or columns (Immerkaer, 1996): on skin it responds only to noise."""
MEDIAN_OF_NORMAL = 0.6745
"""Median of |x| for a standard normal x: the median of many responses is robust to those on edges."""
FLATNESS = 0.05
"""Grey levels squared added to both pictures, so that rounding on a flat part is not detail."""


def _noise_gain() -> float:
    """Return the mean square of the Laplacian of Gaussian for white noise of variance 1."""
    impulse = np.zeros((33, 33), dtype=np.float32)
    impulse[16, 16] = 1
    return float(np.square(_curvature(impulse)).sum())


def detail(brightness: Singles) -> float:
    """Return the energy of fine detail in a picture (rows, columns) of grey levels 0..255, in grey levels squared.

    The mean square of the Laplacian of Gaussian, minus the contribution of the picture's own noise: grain does not
    count as sharpness. Never below 0.
    """
    answers = np.abs(cv2.filter2D(brightness, cv2.CV_32F, NOISE_KERNEL))
    noise = float(np.median(answers)) / (MEDIAN_OF_NORMAL * float(np.sqrt(np.square(NOISE_KERNEL).sum())))
    return max(float(np.square(_curvature(brightness)).mean(dtype=np.float64)) - _noise_gain() * noise**2, 0.0)


def detail_ratio(output: float, reference: float) -> float:
    """Return the amplitude of detail, output over reference, from their energies; 1 is as sharp as the real video."""
    return float(np.sqrt((output + FLATNESS) / (reference + FLATNESS)))


def _curvature(values: Singles) -> Singles:
    return np.asarray(cv2.Laplacian(cv2.GaussianBlur(values, (0, 0), SIGMA), cv2.CV_32F), dtype=np.float32)
