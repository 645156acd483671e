"""What of a face is hidden: the lower half, or the jaw and all that it moves over."""

import numpy as np
import pytest

from w2l.features.crop import TEMPLATE
from w2l.features.masks import MASKS, Mask, hidden_pixels


@pytest.mark.parametrize("size", [96, 128, 256])
@pytest.mark.parametrize("mask", MASKS)
def test_nothing_above_the_nose_and_all_of_mouth_and_chin(mask: Mask, size: int) -> None:
    found = hidden_pixels(size, mask)
    assert found.shape == (size, size)
    assert not found[: size // 2].any()
    np.testing.assert_array_equal(found, found[:, ::-1])
    mouth = (TEMPLATE[3] * size).astype(int)
    chin = (int(0.5 * size), int(0.99 * size))
    corner_of_jaw = (int(0.15 * size), int(0.7 * size))
    for x, y in (mouth, chin, corner_of_jaw):
        assert found[y, x]


def test_the_jaw_leaves_what_is_beside_it() -> None:
    jaw, half = hidden_pixels(128, "jaw"), hidden_pixels(128)
    assert half[64:].all()
    assert 0.6 < jaw.sum() / half.sum() < 0.9
    assert not jaw[-10:, :12].any()


def test_masks_of_all_sizes_hide_the_same_part() -> None:
    small, large = hidden_pixels(96, "jaw"), hidden_pixels(192, "jaw")
    assert (large[::2, ::2] == small).mean() > 0.98
