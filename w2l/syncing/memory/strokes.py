"""Measure thin strokes on the lower half of a face: letters, wires and lines that small crops average away; pure."""

import cv2
import numpy as np

from w2l.core.arrays import Floats, Image

STROKES_SIDE = 288
"""Side in pixels of the aligned crop on which strokes are measured: there a face has the size that it has in most
videos, and skin is smooth."""
WIDEST = 7
"""Width in pixels from which something is not a stroke."""
FAINT = 16.0
"""Contrast to what is around it, in grey levels of any colour, below which a stroke is texture of the skin."""


def strokes(aligned: Image, n_rows: int) -> Floats:
    """Return the strokes (n_rows, columns) in the square cells of the lower half of an aligned crop, in grey levels.

    Bright strokes and dark ones count, by their contrast above `FAINT`, averaged over a cell.
    """
    half = len(aligned) // 2
    lower = aligned[half:]
    kernel = np.ones((WIDEST, WIDEST), dtype=np.uint8)
    contrast = np.maximum(
        cv2.morphologyEx(lower, cv2.MORPH_TOPHAT, kernel), cv2.morphologyEx(lower, cv2.MORPH_BLACKHAT, kernel)
    ).max(axis=-1)
    clear = np.maximum(contrast.astype(np.float32) - FAINT, 0.0)
    cell = half // n_rows
    return np.asarray(clear.reshape(n_rows, cell, -1, cell).mean(axis=(1, 3)), dtype=np.float64)
