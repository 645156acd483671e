"""Pictures for the tests of faces; the face to draw into them is in the folder above."""

import numpy as np
import pytest

from w2l.core.arrays import Image


@pytest.fixture
def wall() -> Image:
    """An empty picture of 240 x 320."""
    return np.full((240, 320, 3), (70, 110, 140), dtype=np.uint8)
