"""Visibility of the rim of a pasted part: gradients across it, after and before."""

import numpy as np
from numpy.typing import NDArray

FLATNESS = 0.05
"""Grey levels per pixel added to both pictures, so that rounding in a flat source does not count as a seam."""


def seam_ratio(source: NDArray[np.uint8], output: NDArray[np.uint8], weight: NDArray[np.floating]) -> float:
    """Return the mean absolute gradient across the rim in `output` over that in `source`; 1 for an invisible rim.

    The rim is where the weight changes. Across means along the weight's own gradient; at each pixel the derivative of
    the picture in that direction (central differences, each of red, green and blue, absolute values averaged) is
    weighted by the change of the weight, so that a hard edge is measured only at the edge and a soft one over its whole
    width. Above 1: a line, a jump of colour or foreign detail on the rim. Below 1: it was smoothed. A weight without a
    rim, or a source that is and stays flat there, gives 1.

    Parameters
    ----------
    source, output : (rows, columns, 3) uint8
        The same part of the picture before and after pasting.
    weight : (rows, columns)
        Opacity of the pasted patch, 0..1.
    """
    levels = np.asarray(weight, dtype=np.float64)
    down, across = (np.asarray(np.gradient(levels, axis=axis)) for axis in (0, 1))
    steepness = np.hypot(down, across)
    if not steepness.any():
        return 1.0
    before, after = (_gradient_along(image, down, across) for image in (source, output))
    floor = FLATNESS * float(steepness.sum())
    return (after + floor) / (before + floor)


def _gradient_along(image: NDArray[np.uint8], down: NDArray[np.float64], across: NDArray[np.float64]) -> float:
    """Return the sum over the picture of |derivative along (down, across)|, times that vector's length."""
    levels = image.astype(np.float64)
    slope = np.gradient(levels, axis=0) * down[..., None] + np.gradient(levels, axis=1) * across[..., None]
    return float(np.abs(slope).mean(axis=-1).sum())
