"""Match the colours of a redrawn patch to its picture, measured on skin only.

Patches and crops are float32 RGB in grey levels, (rows, columns, 3), in the crop's own coordinates.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (BT.601), used here only to separate brightness from colour."""
RIM_COLUMNS = 24
"""Columns of the grid on which the colour correction is computed."""
RIM_SPREAD = 1.5
"""Distance in cells over which differences at the rim are averaged."""
MAX_CORRECTION = 40.0
"""Largest colour correction, in grey levels."""
FAR_SKIN = 0.01
"""Share of skin in a neighbourhood at which it counts as much as all skin of the face together."""

GAMUT_MARGIN = 5.0
"""Grey levels by which redrawn colours may exceed the range of the source's colours."""
GAMUT_SHARE = 1.0
"""Percentage of the source's pixels at either end of that range that is ignored."""
LIP_RED = 60.0
"""Grey levels by which lips may be redder than the reddest skin. In 72 portraits, some with lipstick, the reddest 1 %
of the pixels between the corners of the mouth was redder than the median skin by 15 (median), at most 54."""
LIP_YELLOW = 12.0
"""Grey levels by which the blue of teeth and lips may lie below a mix of grey and skin; at most 10 there."""
LIP_BLUE = 8.0
"""Grey levels by which it may lie above; more is an unnaturally blue drawn tooth."""
LIP_PINK = 1.0
"""Additional grey levels above for each level of red."""
STEEPEST = 1.5
"""Largest plausible ratio of blue to red of skin, both minus brightness; 1.2 in these portraits."""


def brightness(image: Floats) -> Floats:
    """Return the brightness (rows, columns) of an image (rows, columns, 3)."""
    return np.asarray(cv2.transform(image, LUMA[None]), dtype=np.float32)


def blurred(image: Floats, sigma: float) -> Floats:
    """Return a Gaussian low-pass with mirrored edges."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def spread_from(skin: Floats, image: Floats, sigma: float) -> Floats:
    """Return `image` (rows, columns, 3) blurred over `skin` (rows, columns, 0..1) and extrapolated beyond it.

    Pixels without skin get the distance-weighted mean of the skin around them, far from any the mean of all skin, or 0
    if there is none.
    """
    shown = image * skin[..., None]
    mean = shown.sum(axis=(0, 1)) / max(float(skin.sum()), 1e-6)
    amount, total = blurred(skin, sigma), blurred(shown, sigma)
    return np.asarray((total + FAR_SKIN * mean) / (amount + FAR_SKIN)[..., None], dtype=np.float32)


class RimField:
    """Smooth interpolation of a difference at the rim of a weight over its whole area.

    Each cell gets the mean of the differences at the rim, weighted with the inverse cube of their distance: close to
    the rim the nearest one, in the middle a mean of all. The distances depend only on the mask and are computed once.
    """

    def __init__(self, weight: Floats) -> None:
        """Take the `weight` (rows, columns) of a patch, 0..1."""
        self._shape = weight.shape
        self._grid = (RIM_COLUMNS, max(1, round(RIM_COLUMNS * weight.shape[0] / weight.shape[1])))
        self._fading = np.asarray(4 * weight * (1 - weight), dtype=np.float32)
        y, x = np.mgrid[: self._grid[1], : self._grid[0]].reshape(2, -1).astype(np.float32)
        self._nearness = ((x[:, None] - x[None, :]) ** 2 + (y[:, None] - y[None, :]) ** 2 + RIM_SPREAD**2) ** -1.5

    def spread(self, difference: Floats, skin: Floats) -> Floats:
        """Return the field (grid rows, grid columns, 3) interpolated from `difference` (rows, columns, 3) at the rim.

        `skin` (rows, columns), 0..1, weights the difference: it is 1 where both source and patch show skin.
        """
        amount = self._fading * skin
        counted = np.dstack([np.clip(difference, -MAX_CORRECTION, MAX_CORRECTION) * amount[..., None], amount])
        near = self._nearness @ cv2.resize(counted, self._grid, interpolation=cv2.INTER_AREA).reshape(-1, 4)
        spread: Floats = near[:, :3] / np.maximum(near[:, 3:], 1e-6)
        return spread.reshape(self._grid[1], self._grid[0], 3)

    def over(self, field: Floats) -> Floats:
        """Return a field of the grid at full size, (rows, columns, 3)."""
        size = (self._shape[1], self._shape[0])
        return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def limited(deviation: Floats, most_luma: Floats, most_chroma: Floats) -> Floats:
    """Return a deviation (rows, columns, 3) with brightness and colour compressed to limits (rows, columns).

    Small deviations are unchanged to first order; none exceeds its limit (tanh).
    """
    luma = deviation @ LUMA
    chroma = deviation - luma[..., None]
    size = np.sqrt((chroma * chroma).sum(axis=-1))
    shrink = most_chroma * np.tanh(size / most_chroma) / np.maximum(size, 1e-3)
    bent: Floats = chroma * shrink[..., None] + (most_luma * np.tanh(luma / most_luma))[..., None]
    return bent


def gamut_of(skin: Floats) -> NDArray[np.float64]:
    """Return the range of skin colours (pixels, 3) as seven numbers.

    Least and largest red minus brightness, in grey levels (grey is always included, for shadows and beards); the slope
    of blue minus brightness over it, and the least and largest distance from that line; the slope of the line from grey
    to the mean skin, along which teeth lie; the saturation, from 0 for a grey picture to 1 for skin.
    """
    red, blue = _chroma(skin)
    spread = red - red.mean()
    slope = float(spread @ blue / (spread @ spread + len(red)))
    ends = (GAMUT_SHARE, 100 - GAMUT_SHARE)
    reds, blues = np.percentile(red, ends), np.percentile(blue - slope * red, ends)
    margin = min(GAMUT_MARGIN, float(np.abs(reds).max()))
    mix = np.clip(blue.mean() / max(abs(red.mean()), 1.0) * np.sign(red.mean()), -STEEPEST, STEEPEST)
    limits = [min(reds[0], 0.0) - margin, max(reds[1], 0.0) + margin, slope, blues[0] - margin, blues[1] + margin]
    return np.array([*limits, mix, margin / GAMUT_MARGIN])


def lip_gamut(gamut: NDArray[np.float64], seen: Floats) -> NDArray[np.float64]:
    """Return the range of colours within the lips of a person whose skin has that `gamut`, as four numbers.

    Least and largest red minus brightness, and distance of blue from the line from grey to skin; the last is added to
    what lips may have for their red. The range includes that of lips, teeth and tongue in general, and the source's own
    pixels, `seen` (pixels, 3).
    """
    least_red, most_red, _, _, _, mix, coloured = gamut
    limits = np.array([least_red, most_red + LIP_RED * coloured, -LIP_YELLOW * coloured, LIP_BLUE * coloured])
    if len(seen):
        red, blue = _chroma(seen)
        beside = blue - mix * red
        least, most = (slice(0, None, 2), slice(1, None, 2))
        ends = np.percentile(np.stack([red, beside]), (GAMUT_SHARE, 100 - GAMUT_SHARE), axis=1)
        limits[least] = np.minimum(limits[least], ends[0] - GAMUT_MARGIN * coloured)
        limits[most] = np.maximum(limits[most], ends[1] + GAMUT_MARGIN * coloured)
    return limits


def compress_colours(gamut: NDArray[np.float64], inside: NDArray[np.float64], colours: Floats, lips: Floats) -> Floats:
    """Return colours (rows, columns, 3) compressed into a gamut, without too red skin, blue teeth or green lips.

    `gamut` is that of skin, `inside` that within the lips; `lips` (rows, columns) is the mask of the lips, 0..1.
    """
    least_red, most_red, slope, least_blue, most_blue, mix, _ = (float(number) for number in gamut)
    luma = colours @ LUMA
    least, most = (skin + lips * (float(lip) - skin) for skin, lip in zip((least_red, most_red), inside[:2]))
    red = np.clip(colours[..., 0] - luma, least, most)
    line = (slope + lips * (mix - slope)) * red
    pink = LIP_PINK * np.maximum(red, 0.0)
    least = least_blue + lips * (float(inside[2]) - least_blue)
    most = most_blue + lips * (float(inside[3]) + pink - most_blue)
    blue = line + np.clip(colours[..., 2] - luma - line, least, most)
    green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
    return np.asarray(np.stack([red, green, blue], axis=-1) + luma[..., None], dtype=np.float32)


def _chroma(colours: Floats) -> tuple[Floats, Floats]:
    """Return red and blue minus brightness of colours (pixels, 3), in double precision."""
    luma = colours @ LUMA
    return colours[:, 0].astype(np.float64) - luma, colours[:, 2].astype(np.float64) - luma
