"""The seam measure: 1 for what cannot be told, above it for lines and jumps, below it for fog."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.scoring.metrics.seam import seam_ratio


def textured(seed: int = 0) -> Image:
    """(80, 100, 3): smooth blobs with fine texture."""
    noise = np.random.default_rng(seed).uniform(0, 255, (80, 100, 3))
    return np.rint(0.8 * cv2.GaussianBlur(noise, (0, 0), 4) + 0.2 * noise).astype(np.uint8)


def disc(softness: float) -> NDArray[np.float64]:
    """(80, 100): 1 in the middle, 0 outside."""
    y, x = np.mgrid[:80, :100]
    return np.clip((25 - np.hypot(x - 50, y - 40)) / softness + 0.5, 0, 1)


def pasted(source: Image, patch: NDArray[np.floating], weight: NDArray[np.float64]) -> Image:
    """The source with a patch (80, 100, 3) in it."""
    return np.rint(np.clip(source + weight[..., None] * (patch - source), 0, 255)).astype(np.uint8)


@pytest.mark.parametrize("softness", [0.5, 10.0])
def test_a_picture_that_did_not_change_has_a_ratio_of_one(softness: float) -> None:
    assert seam_ratio(textured(), textured(), disc(softness)) == 1


def test_a_colour_jump_shows_and_the_more_the_harder_its_rim() -> None:
    source = textured()
    hard, soft = (seam_ratio(source, pasted(source, source + 40.0, disc(s)), disc(s)) for s in (0.5, 10.0))
    assert hard > soft > 1.05
    assert hard > 1.5


def test_fog_lowers_it() -> None:
    source = textured()
    fog = cv2.GaussianBlur(source.astype(float), (0, 0), 3)
    assert seam_ratio(source, pasted(source, fog, disc(10.0)), disc(10.0)) < 0.8


def test_what_lies_far_from_the_rim_does_not_count() -> None:
    source, weight = textured(), disc(4.0)
    changed = source.copy()
    changed[36:44, 46:54] = 255 - changed[36:44, 46:54]
    assert seam_ratio(source, changed, weight) == 1


def test_only_gradients_across_the_rim_count() -> None:
    weight = np.repeat(np.clip((np.arange(80) - 30) / 10, 0, 1)[:, None], 100, axis=1)
    stripes = np.full((80, 100, 3), 100, dtype=np.uint8)
    stripes[:, ::2] = 140
    assert seam_ratio(np.full_like(stripes, 120), stripes, weight) == 1


def test_flat_pictures_and_weights_without_a_rim_give_one() -> None:
    flat = np.full((80, 100, 3), 90, dtype=np.uint8)
    assert seam_ratio(flat, flat, disc(4.0)) == 1
    assert seam_ratio(textured(), textured(1), np.ones((80, 100))) == 1
