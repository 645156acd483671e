"""How much detail a crop shows, by its parts and bands."""

import cv2
import numpy as np

from examples.research import detail as script
from w2l.core.arrays import Image


def grainy(side: int, sigma: float = 0.0) -> Image:
    """Return grain of standard deviation 12, smoothed by a Gaussian."""
    noise = np.random.default_rng(0).normal(127, 12, (side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma) if sigma else noise
    return np.repeat(np.clip(np.rint(smooth), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def test_a_blurred_crop_has_less_of_both_bands_and_least_of_the_finest() -> None:
    sharp, soft = (np.sqrt(script.bands_of(grainy(192, sigma))) for sigma in (0.0, 1.0))
    finest, coarser = (soft / sharp)[::2], (soft / sharp)[1::2]
    assert (finest < 0.5).all()
    assert (coarser < 0.95).all()
    assert (finest < coarser).all()


def test_lips_and_chin_are_measured_apart() -> None:
    crop = np.full((192, 192, 3), 127, np.uint8)
    crop[155:175] = grainy(192)[155:175]  # the chin
    lips, chin = np.split(np.array(script.bands_of(crop)), 2)
    assert lips.max() < 0.01
    assert chin.min() > 1


def test_the_table_ends_with_the_mean() -> None:
    rows = [("clips/a", np.array([0.8, 1.0, 0.9, 1.0])), ("clips/b", np.array([1.0, 1.0, 1.1, 1.0]))]
    lines = script.table(rows).splitlines()
    assert lines[0] == "| video | lips, finest | lips, coarser | chin, finest | chin, coarser |"
    assert lines[-1] == "| mean | 0.90 | 1.00 | 1.00 | 1.00 |"
