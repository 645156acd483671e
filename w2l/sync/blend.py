"""Making a redrawn patch fit the picture around it: colour from its rim, sharpness, detail, grain; pure on arrays.

Patches and crops here are float32 RGB in grey levels, (rows, columns, 3), in the crop's own coordinates unless it says
"region", which is the part of the frame that they end up in.
"""

from dataclasses import dataclass, field
from itertools import pairwise

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
NOISE_FLOOR = 0.5
"""Grey levels (standard deviation) of noise that rounding to 8 bits may show alone; less counts as clean."""
FLAT_SHARE = 0.3
"""Share of pixels that are taken for flat skin when noise is measured: the calmest."""
FLAT_QUANTILE = 0.3853
"""The 30 % quantile of the size of a standard normal number, which the calmest pixels are compared with."""
GRAIN_TILE = 512
"""Side in pixels of the field of grain that frames take their pieces from."""

LOW = 0.016
"""Gaussian, in crop sides, that parts shading and shape from detail."""
BROAD = 0.05
"""The same for what counts as a patch of colour."""
FINE = 0.008
"""The same between the two bands of detail whose strength is matched."""
GAIN_LIMITS = ((0.6, 1.6), (0.6, 2.5))
"""How much the fine and the coarse band of the patch may be softened or lifted."""
SHAPE_LIMITS = ((10.0, 4.0), (40.0, 8.0), (200.0, 20.0))
"""How far brightness and colour, blurred by `LOW`, may lie from the source's, in grey levels: on skin that hardly moves
in speech, on the chin, in the mouth."""
SHADE_LIMITS = ((6.0, 3.0), (14.0, 4.0), (60.0, 8.0))
"""The same, blurred by `BROAD`: speech changes shape, not the light or the colour of a cheek."""
GAMUT_MARGIN = 5.0
"""Grey levels by which redrawn colours may leave the range of the source's own."""
GAMUT_SHARE = 1.0
"""Per cent of the source's pixels at either end of that range that do not count."""
GAMUT_STEP = 3
"""Of how many pixels one is looked at for it."""
AGREEMENT = 10.0
"""Difference in grey levels at which source and patch no longer show the same: the patch's own detail is used."""
REGAIN = 0.15
"""How fast the source's detail comes back, a frame, where the two agree again; it goes at once."""
INERTIA = 0.85
"""Share of the last frame's colour correction in the next one's, against flicker."""
SUDDEN = 8.0
"""Change of the correction, in grey levels, that is followed at once: the light changed."""
STEADY = 0.95
"""Share of what was measured before in the strength of detail and the level of noise."""


def blurred(image: Floats, sigma: float) -> Floats:
    """Gaussian low-pass; what lies beyond the edge is taken to be as at the edge mirrored."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


class RimField:
    """Spreads a difference that is seen at the rim of a weight smoothly over all of it.

    Each place gets the mean of the rim's differences, weighted with the inverse cube of their distance: near the rim
    what is there, in the middle a mean of all around. The weights depend on the mask alone, so they are made once.
    """

    def __init__(self, weight: Floats) -> None:
        """`weight` (rows, columns), 0..1: how much of a patch shows."""
        self._shape = weight.shape
        self._grid = (RIM_COLUMNS, max(1, round(RIM_COLUMNS * weight.shape[0] / weight.shape[1])))
        self._fading = np.asarray(4 * weight * (1 - weight), dtype=np.float32)
        self._amount = np.asarray(cv2.resize(self._fading, self._grid, interpolation=cv2.INTER_AREA))
        y, x = np.mgrid[: self._grid[1], : self._grid[0]].reshape(2, -1).astype(np.float32)
        distance = (x[:, None] - x[None, :]) ** 2 + (y[:, None] - y[None, :]) ** 2
        kernel = self._amount.reshape(1, -1) * (distance + RIM_SPREAD**2) ** -1.5
        self._kernel = kernel / np.maximum(kernel.sum(axis=1, keepdims=True), 1e-12)

    def spread(self, difference: Floats) -> Floats:
        """The field (grid rows, grid columns, 3) that `difference` (rows, columns, 3) asks for at the rim."""
        limited = np.clip(difference, -MAX_CORRECTION, MAX_CORRECTION) * self._fading[..., None]
        cells = cv2.resize(limited, self._grid, interpolation=cv2.INTER_AREA)
        cells = cells / np.maximum(self._amount, 1e-6)[..., None]
        spread: Floats = (self._kernel @ cells.reshape(-1, 3)).reshape(cells.shape)
        return spread

    def over(self, field: Floats) -> Floats:
        """A field of the grid as (rows, columns, 3)."""
        size = (self._shape[1], self._shape[0])
        return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def limited(deviation: Floats, most_luma: Floats, most_chroma: Floats) -> Floats:
    """A deviation (rows, columns, 3) whose brightness and colour are bent to stay within limits (rows, columns).

    Small deviations stay as they are to first order; none exceeds its limit (tanh).
    """
    luma = deviation @ LUMA
    chroma = deviation - luma[..., None]
    size = np.sqrt((chroma * chroma).sum(axis=-1))
    shrink = most_chroma * np.tanh(size / most_chroma) / np.maximum(size, 1e-3)
    bent: Floats = chroma * shrink[..., None] + (most_luma * np.tanh(luma / most_luma))[..., None]
    return bent


def gamut_of(colours: Floats) -> NDArray[np.float64]:
    """The range of some colours (pixels, 3), as six numbers.

    Least and most of red less brightness, in grey levels (grey always within, for teeth); the slope of the line that
    blue less brightness follows over it, and least and most distance from that line: skin and lips lie along such a
    line; last, how coloured all that is: 0 for a grey picture, 1 for skin.
    """
    red, blue = (colours[:, c].astype(np.float64) - colours @ LUMA for c in (0, 2))
    spread = red - red.mean()
    slope = float(spread @ blue / (spread @ spread + len(red)))
    ends = (GAMUT_SHARE, 100 - GAMUT_SHARE)
    reds, blues = np.percentile(red, ends), np.percentile(blue - slope * red, ends)
    margin = min(GAMUT_MARGIN, float(np.abs(reds).max()))
    limits = [min(reds[0], 0.0) - margin, max(reds[1], 0.0) + margin, slope, blues[0] - margin, blues[1] + margin]
    return np.array([*limits, margin / GAMUT_MARGIN])


def bands(image: Floats, sigmas: tuple[float, ...]) -> list[Floats]:
    """Band-pass pictures, finest first, and what is left: they add up to `image`. `sigmas` in pixels, rising."""
    levels = [image, *(blurred(image, sigma) for sigma in sigmas)]
    return [*(fine - coarse for fine, coarse in pairwise(levels)), levels[-1]]


def energy(band: Floats, where: Floats) -> float:
    """Mean square of a band's brightness (rows, columns, 3), weighted by `where` (rows, columns)."""
    luma = band @ LUMA
    return float((luma * luma * where).sum() / max(float(where.sum()), 1e-6))


def noise_level(luma: Floats) -> float:
    """Standard deviation in grey levels of the white noise in `luma` (rows, columns), 0 where it is clean.

    A second difference in both directions removes shading (Immerkaer, 1996); its size over the calmest 30 % of the
    pixels is compared with what noise would give there, so that edges, hair and beard do not count.
    """
    if min(luma.shape) < 5:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
    residual = np.abs(cv2.filter2D(luma, cv2.CV_32F, kernel)[1:-1, 1:-1]).ravel()
    rank = int(FLAT_SHARE * residual.size)
    sigma = float(np.partition(residual, rank)[rank]) / FLAT_QUANTILE
    return float(np.sqrt(max(sigma * sigma - NOISE_FLOOR * NOISE_FLOOR, 0.0)))


class Grain:
    """A field of grain, standard deviation 1; every frame shows another piece of it, the same in every run."""

    def __init__(self) -> None:
        noise = np.random.default_rng(0).standard_normal((GRAIN_TILE, GRAIN_TILE), dtype=np.float32)
        soft = blurred(noise, 0.5)
        self._field = soft / float(soft.std())

    def piece(self, shape: tuple[int, int], frame_idx: int) -> Floats:
        """Grain for a region of `shape` (rows, columns)."""
        down, across = np.random.default_rng(frame_idx).integers(0, GRAIN_TILE, 2)
        rows, columns = (np.arange(n) + start for n, start in zip(shape, (down, across)))
        if shape[0] <= GRAIN_TILE - down and shape[1] <= GRAIN_TILE - across:
            return self._field[down : down + shape[0], across : across + shape[1]]
        return np.asarray(self._field.take(rows % GRAIN_TILE, axis=0).take(columns % GRAIN_TILE, axis=1))


def multi_band(source: Floats, patch: Floats, weight: Floats, levels: int) -> Floats:
    """`patch` in place of `source` (region, 3 channels), each octave fading over in its own width (Burt, Adelson 1983).

    `weight` (region), 0..1; coarse shading fades over widely, fine detail at the sharp middle of the weight.
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


@dataclass
class Memory:
    """What is carried over from one frame of a track to the next."""

    correction: Floats | None = None
    """(grid rows, grid columns, 3) What was added to the patch's colour."""
    keep: Floats | None = None
    """(rows, columns) Share of the source's own detail."""
    energies: list[float] = field(default_factory=list)
    """Mean squares of the source's bands in the mouth, then of the patch's."""
    gamut: NDArray[np.float64] | None = None
    """Colours of the source's mouth and chin, see `gamut_of`."""
    noise: float | None = None
    """Standard deviation of the source's noise, in grey levels."""

    def hear_noise(self, level: float) -> float:
        """The noise level, steadied, when `level` was measured now."""
        self.noise = level if self.noise is None else STEADY * self.noise + (1 - STEADY) * level
        return self.noise


class Fitter:
    """Fits redrawn crops to the source's: colour from the rim, no foreign patches of colour, detail of like strength.

    Parameters
    ----------
    weight : (rows, columns)
        How much of the patch shows, 0..1.
    mouth : (rows, columns)
        1 in the mouth, 0 on skin that only follows it.
    moving : (rows, columns)
        1 in the mouth and on the chin below it, 0 where a face hardly moves in speech.
    size : int
        Side of the whole crop in pixels, the unit of all widths.
    sharpen : bool
        Whether detail is matched.
    """

    def __init__(self, weight: Floats, mouth: Floats, moving: Floats, size: int, sharpen: bool = True) -> None:
        self._rim = RimField(weight)
        self._mouth = mouth
        self._moving = moving
        self._face = (moving > 0.5) & (weight > 0)
        self._size = size
        self._sharpen = sharpen
        self._shape_limits, self._shade_limits = (
            [cheek + (chin - cheek) * moving + (inside - chin) * mouth for cheek, chin, inside in zip(*limits)]
            for limits in (SHAPE_LIMITS, SHADE_LIMITS)
        )

    def fit(self, patch: Floats, crop: Floats, memory: Memory) -> tuple[Floats, Floats]:
        """What to paste in place of `patch` (rows, columns, 3), given the source's `crop` (the same).

        Returns
        -------
        change : (rows, columns, 3)
        keep : (rows, columns)
            The fitted patch is ``change + keep * source``. Where keep is 1 the change is smooth and the source's detail
            and grain stay, beyond what a crop can hold; where it is 0 the change is the patch itself.
        """
        fine, low = FINE * self._size, LOW * self._size
        *patch_bands, patch_low = bands(patch, (fine, low))
        *crop_bands, crop_low = bands(crop, (fine, low))
        gamut = self._gamut(crop_low, memory)
        toned = self._within(gamut, self._toned(patch_low, crop_low, memory))
        if not self._sharpen:
            return toned + patch_bands[0] + patch_bands[1], np.zeros_like(self._mouth)
        keep = self._agreement(toned - crop_low, memory)
        change = toned - keep[..., None] * crop_low
        for band, gain in zip(patch_bands, self._gains(patch_bands, crop_bands, memory)):
            luma = (band @ LUMA)[..., None]
            lift = 1 + (gain - 1) * self._mouth if gain > 1 else np.full_like(keep, gain)
            own = (1 - keep)[..., None]
            change += own * (lift[..., None] * luma + gamut[-1] * min(gain, 1.0) * (band - luma))
        return change, keep

    def _toned(self, patch_low: Floats, crop_low: Floats, memory: Memory) -> Floats:
        """The patch's shading in the source's colours."""
        correction = self._rim.spread(crop_low - patch_low)
        if memory.correction is not None:
            moved = float(np.abs(correction - memory.correction).mean())
            inertia = INERTIA * float(np.exp(-((moved / SUDDEN) ** 2)))
            correction = correction + inertia * (memory.correction - correction)
        memory.correction = correction
        toned = patch_low + self._rim.over(correction)
        toned = crop_low + limited(toned - crop_low, *self._shape_limits)
        deviation = blurred(toned - crop_low, BROAD * self._size)
        toned += limited(deviation, *self._shade_limits) - deviation
        return toned

    def _gamut(self, crop_low: Floats, memory: Memory) -> list[float]:
        """The range of colours of the source's mouth and chin, steadied; see `gamut_of`."""
        fresh = gamut_of(crop_low[self._face][::GAMUT_STEP])
        memory.gamut = fresh if memory.gamut is None else STEADY * memory.gamut + (1 - STEADY) * fresh
        return [float(limit) for limit in memory.gamut]

    def _within(self, gamut: list[float], toned: Floats) -> Floats:
        """No colour on mouth and chin that the source's do not have: no blue teeth, no green lips."""
        least_red, most_red, slope, least_blue, most_blue, _ = gamut
        luma = toned @ LUMA
        red = np.clip(toned[..., 0] - luma, least_red, most_red)
        blue = slope * red + np.clip(toned[..., 2] - luma - slope * red, least_blue, most_blue)
        green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
        inside = np.stack([red, green, blue], axis=-1) + luma[..., None]
        return np.asarray(toned + self._moving[..., None] * (inside - toned), dtype=np.float32)

    def _agreement(self, difference: Floats, memory: Memory) -> Floats:
        """How far source and patch show the same, (rows, columns) 0..1, never in the mouth; it falls at once."""
        square = blurred((difference * difference).mean(axis=-1), LOW * self._size)
        keep = (1 - self._mouth) * np.exp(-square / AGREEMENT**2)
        if memory.keep is not None:
            keep = np.minimum(keep, memory.keep + REGAIN)
        memory.keep = keep
        return np.asarray(keep, dtype=np.float32)

    def _gains(self, patch_bands: list[Floats], crop_bands: list[Floats], memory: Memory) -> list[float]:
        """How much to lift each band so that the mouth is as sharp as the source's own is over time."""
        fresh = [energy(band, self._mouth) for band in (*crop_bands, *patch_bands)]
        known = memory.energies or fresh
        memory.energies = [STEADY * old + (1 - STEADY) * new for old, new in zip(known, fresh)]
        wanted, present = memory.energies[: len(patch_bands)], memory.energies[len(patch_bands) :]
        ratios = [np.sqrt(source / max(drawn, 1e-6)) for source, drawn in zip(wanted, present)]
        return [float(np.clip(ratio, *limits)) for ratio, limits in zip(ratios, GAIN_LIMITS)]
