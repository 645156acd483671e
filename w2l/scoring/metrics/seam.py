"""How visible the rim of a pasted part is: gradients across it, after and before."""

import numpy as np
from numpy.typing import NDArray

FLATNESS = 0.05
"""Grey levels a pixel that both pictures get on top, so that rounding in a flat source does not count as a seam."""


def seam_ratio(source: NDArray[np.uint8], output: NDArray[np.uint8], weight: NDArray[np.floating]) -> float:
    """Mean absolute gradient across the rim in `output` over that in `source`; 1 when pasting cannot be told there.

    The rim is where the weight changes. Across means along the weight's own gradient; at each pixel the derivative of
    the picture in that direction (central differences, each of red, green and blue, absolute values averaged) counts as
    much as the weight changes there, so that a hard edge is measured at the edge alone and a soft one over its whole
    width. Above 1: a line, a jump of colour or foreign detail on the rim. Below 1: it was smoothed. A weight without a
    rim, or a source that is quite flat there and stays so, gives 1.

    Parameters
    ----------
    source, output : (rows, columns, 3) uint8
        The same part of the picture before and after pasting.
    weight : (rows, columns)
        How much of the pasted patch shows, 0..1.
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
    """Sum over the picture of |derivative along (down, across)|, in grey levels, times that vector's length."""
    levels = image.astype(np.float64)
    slope = np.gradient(levels, axis=0) * down[..., None] + np.gradient(levels, axis=1) * across[..., None]
    return float(np.abs(slope).mean(axis=-1).sum())
