"""Detail bands, noise and grain of an image, and multi-band blending.

Images are float32 RGB in grey levels, (rows, columns, 3); a "region" is the part of a frame that a patch covers.
"""

from itertools import pairwise

import cv2
import numpy as np

from w2l.core.arrays import Floats
from w2l.syncing.colours import blurred

NOISE_FLOOR = 0.5
"""Standard deviation in grey levels that rounding to 8 bits alone may cause; less counts as clean."""
FLAT_SHARE = 0.3
"""Share of pixels, the smoothest, that count as flat skin when noise is measured."""
FLAT_QUANTILE = 0.3853
"""The 30 % quantile of the absolute value of a standard normal variable, to which the smoothest pixels are compared."""
GRAIN_TILE = 512
"""Side in pixels of the field of grain from which frames take their pieces."""


def bands(image: Floats, sigmas: tuple[float, ...]) -> list[Floats]:
    """Split an image into bands, finest first, that add up to it. `sigmas` are in pixels, increasing."""
    levels = [image, *(blurred(image, sigma) for sigma in sigmas)]
    return [*(fine - coarse for fine, coarse in pairwise(levels)), levels[-1]]


def energy(luma: Floats, where: Floats) -> float:
    """Return the mean square of a band's brightness (rows, columns), weighted by `where` of the same shape."""
    return float((luma * luma * where).sum() / max(float(where.sum()), 1e-6))


def noise_level(luma: Floats) -> float:
    """Return the standard deviation in grey levels of the white noise in `luma` (rows, columns), 0 if it is clean.

    A second difference in both directions removes shading (Immerkaer, 1996). Its magnitude over the smoothest 30 % of
    the pixels is compared with that of white noise, so that edges, hair and beard do not count.
    """
    if min(luma.shape) < 5:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
    residual = np.abs(cv2.filter2D(luma, cv2.CV_32F, kernel)[1:-1, 1:-1]).ravel()
    rank = int(FLAT_SHARE * residual.size)
    sigma = float(np.partition(residual, rank)[rank]) / FLAT_QUANTILE
    return float(np.sqrt(max(sigma * sigma - NOISE_FLOOR * NOISE_FLOOR, 0.0)))


class Grain:
    """A field of grain with standard deviation 1; every frame uses a different piece, the same in every run."""

    def __init__(self) -> None:
        noise = np.random.default_rng(0).standard_normal((GRAIN_TILE, GRAIN_TILE), dtype=np.float32)
        soft = blurred(noise, 0.5)
        self._field = soft / float(soft.std())

    def piece(self, shape: tuple[int, int], frame_idx: int) -> Floats:
        """Return grain for a region of `shape` (rows, columns)."""
        down, across = np.random.default_rng(frame_idx).integers(0, GRAIN_TILE, 2)
        rows, columns = (np.arange(n) + start for n, start in zip(shape, (down, across)))
        if shape[0] <= GRAIN_TILE - down and shape[1] <= GRAIN_TILE - across:
            return self._field[down : down + shape[0], across : across + shape[1]]
        return np.asarray(self._field.take(rows % GRAIN_TILE, axis=0).take(columns % GRAIN_TILE, axis=1))


def multi_band(source: Floats, patch: Floats, weight: Floats, levels: int) -> Floats:
    """Replace `source` by `patch` (region, 3 channels) with multi-band blending (Burt, Adelson 1983).

    `weight` (region) is 0..1; coarse shading is blended over a wide transition, fine detail over a narrow one.
    """
    below = [np.asarray(patch - source, dtype=np.float32)]
    masks = [np.asarray(weight > 0.5, dtype=np.float32)]
    for _ in range(levels):
        if min(masks[-1].shape) < 4:
            break
        below.append(np.asarray(cv2.pyrDown(below[-1])))
        masks.append(np.asarray(cv2.pyrDown(masks[-1])))
    mixed = below[-1] * masks[-1][..., None]
    for fine, coarse, mask in zip(below[-2::-1], below[:0:-1], masks[-2::-1]):
        size = (fine.shape[1], fine.shape[0])
        detail = fine - cv2.pyrUp(coarse, dstsize=size)
        mixed = cv2.pyrUp(mixed, dstsize=size) + detail * mask[..., None]
    return np.asarray(source + mixed, dtype=np.float32)
