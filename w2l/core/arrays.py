"""Array types that many modules share."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""An image (height, width, 3) in RGB, or several of them (count, height, width, 3)."""
Floats = NDArray[np.floating]
"""Numbers of single or double precision, of any shape."""

ALL = slice(None)


class Canvas(Protocol):
    """An image that a face can be cut from and pasted back into, one region at a time."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    def rgb(self, rows: slice = ALL, columns: slice = ALL) -> Image:
        """Return a region as RGB, (rows, columns, 3)."""

    def painted(self, rows: slice, columns: slice, patch: Floats, weight: Floats) -> "Canvas":
        """Return a copy with `patch` (rows, columns, 3), RGB 0..255, blended in by `weight` (rows, columns)."""
