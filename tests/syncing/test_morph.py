"""One mouth in the shape of another: where its lips are, and that nothing tears or moves far away."""

import numpy as np

from w2l.core.arrays import Floats
from w2l.syncing.morph import morphed

SIZE = 96
OPEN = np.array([[0.36, 0.70], [0.64, 0.70], [0.5, 0.64], [0.5, 0.67], [0.5, 0.76], [0.5, 0.80]])
HALF = np.array([[0.37, 0.70], [0.63, 0.70], [0.5, 0.65], [0.5, 0.68], [0.5, 0.72], [0.5, 0.75]])


def places() -> Floats:
    """Return (size, size, 3): the place of each pixel, across and down, in pixels."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    return np.stack([x, y, 0 * x], axis=-1)


def test_lips_are_where_they_are_wanted() -> None:
    made = morphed(places(), OPEN, HALF)
    for wanted, was in zip(HALF, OPEN):
        column, row = np.rint(wanted * SIZE - 0.5).astype(int)
        offset = wanted * SIZE - 0.5 - (column, row)
        np.testing.assert_allclose(made[row, column, :2] + offset, was * SIZE - 0.5, atol=1.0)


def test_nothing_tears_and_the_rest_stays() -> None:
    made = morphed(places(), OPEN, HALF)
    assert np.diff(made[..., 1], axis=0).min() > 0
    assert np.diff(made[..., 0], axis=1).min() > 0
    moved = np.abs(made - places())
    assert moved.max() > 3
    assert moved[:40].max() < 0.5


def test_a_mouth_in_its_own_shape_is_unchanged() -> None:
    np.testing.assert_allclose(morphed(places(), OPEN, OPEN), places(), atol=1e-3)
