"""Bringing a redrawn patch to the colours of its picture, judged by skin alone; pure on arrays.

Patches and crops are float32 RGB in grey levels, (rows, columns, 3), in the crop's own coordinates.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Brightness as a mean of red, green and blue (BT.601); here only to tell brightness from colour."""
RIM_COLUMNS = 24
"""Columns of the grid on which the correction of colour is worked out."""
RIM_SPREAD = 1.5
"""Cells within which rim differences are averaged rather than followed."""
MAX_CORRECTION = 40.0
"""Largest correction of colour, in grey levels."""
LEAST_SKIN = 1e-4
"""Share of skin under which a neighbourhood says nothing."""

GAMUT_MARGIN = 5.0
"""Grey levels by which redrawn colours may leave the range of the source's own."""
GAMUT_SHARE = 1.0
"""Per cent of the source's pixels at either end of that range that do not count."""
LIP_RED = 60.0
"""Grey levels by which lips may be redder than the reddest skin. On 72 portraits, lipstick among them, the reddest per
cent of the pixels between the corners of the mouth was redder than skin's median by 15 (median), at most 54."""
LIP_YELLOW = 12.0
"""Grey levels by which the blue of teeth and lips may lie below that of a mix of grey and skin; at most 10 on these."""
LIP_BLUE = 8.0
"""Grey levels by which it may lie above; more is a tooth of a drawn mouth that turned blue."""
LIP_PINK = 1.0
"""How much further above lips may lie for each level of red."""
STEEPEST = 1.5
"""Largest ratio of blue to red, both less brightness, that is taken for a skin's: 1.2 on these portraits."""


def blurred(image: Floats, sigma: float) -> Floats:
    """Return a Gaussian low-pass; what lies beyond the edge is taken to be as at the edge mirrored."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def spread_from(skin: Floats, image: Floats, sigma: float) -> Floats:
    """Return `image` (rows, columns, 3) blurred over `skin` (rows, columns, 0..1) alone, and carried on beyond it.

    A place without skin gets the mean of the skin around it, the nearest counting most; 0 where there is none.
    """
    amount = blurred(skin, sigma)
    total = blurred(image * skin[..., None], sigma)
    return np.asarray(total / np.maximum(amount, LEAST_SKIN)[..., None], dtype=np.float32)


class RimField:
    """Spreads a difference that is seen at the rim of a weight smoothly over all of it.

    Each place gets the mean of the rim's differences, weighted with the inverse cube of their distance: near the rim
    what is there, in the middle a mean of all around. The distances depend on the mask alone, so they are made once.
    """

    def __init__(self, weight: Floats) -> None:
        """`weight` (rows, columns), 0..1: how much of a patch shows."""
        self._shape = weight.shape
        self._grid = (RIM_COLUMNS, max(1, round(RIM_COLUMNS * weight.shape[0] / weight.shape[1])))
        self._fading = np.asarray(4 * weight * (1 - weight), dtype=np.float32)
        y, x = np.mgrid[: self._grid[1], : self._grid[0]].reshape(2, -1).astype(np.float32)
        self._nearness = ((x[:, None] - x[None, :]) ** 2 + (y[:, None] - y[None, :]) ** 2 + RIM_SPREAD**2) ** -1.5

    def spread(self, difference: Floats, skin: Floats) -> Floats:
        """Return the field (grid rows, grid columns, 3) that `difference` (rows, columns, 3) asks for at the rim.

        `skin` (rows, columns), 0..1: where the difference counts; it is one between skin and skin there.
        """
        amount = self._fading * skin
        counted = np.dstack([np.clip(difference, -MAX_CORRECTION, MAX_CORRECTION) * amount[..., None], amount])
        near = self._nearness @ cv2.resize(counted, self._grid, interpolation=cv2.INTER_AREA).reshape(-1, 4)
        spread: Floats = near[:, :3] / np.maximum(near[:, 3:], 1e-6)
        return spread.reshape(self._grid[1], self._grid[0], 3)

    def over(self, field: Floats) -> Floats:
        """Return a field of the grid as (rows, columns, 3)."""
        size = (self._shape[1], self._shape[0])
        return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def limited(deviation: Floats, most_luma: Floats, most_chroma: Floats) -> Floats:
    """Return a deviation (rows, columns, 3) with brightness and colour bent to stay within limits (rows, columns).

    Small deviations stay as they are to first order; none exceeds its limit (tanh).
    """
    luma = deviation @ LUMA
    chroma = deviation - luma[..., None]
    size = np.sqrt((chroma * chroma).sum(axis=-1))
    shrink = most_chroma * np.tanh(size / most_chroma) / np.maximum(size, 1e-3)
    bent: Floats = chroma * shrink[..., None] + (most_luma * np.tanh(luma / most_luma))[..., None]
    return bent


def gamut_of(skin: Floats) -> NDArray[np.float64]:
    """Return the range of some skin's colours (pixels, 3), as seven numbers.

    Least and most of red less brightness, in grey levels (grey always within, for shadows and beards); the slope of the
    line that blue less brightness follows over it, and least and most distance from that line; the slope of the line
    from grey to the mean skin, along which teeth lie; last, how coloured all that is: 0 for a grey picture, 1 for skin.
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

    Least and most of red less brightness, and of the distance of blue from the line from grey to skin; the last on top
    of what lips may have for their red. That of lips, teeth and tongue in general, and whatever the source shows of its
    own, `seen` (pixels, 3): it is not known to be wrong.
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


def within(gamut: NDArray[np.float64], inside: NDArray[np.float64], colours: Floats, lips: Floats) -> Floats:
    """Return colours (rows, columns, 3) bent into a gamut: skin no redder than the person's, no blue teeth, green lips.

    `gamut` is that of skin, `inside` that within the lips, which show where `lips` (rows, columns), 0..1, says.
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
    """Return red and blue less brightness of colours (pixels, 3), in double precision."""
    luma = colours @ LUMA
    return colours[:, 0].astype(np.float64) - luma, colours[:, 2].astype(np.float64) - luma
