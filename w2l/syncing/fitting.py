"""Making a redrawn crop fit the source's: its colours by the skin of both, its detail by that of the source's mouth.

Patches and crops are float32 RGB in grey levels, (rows, columns, 3), in the crop's own coordinates. Colours are worked
out on a grid no finer than `GRID` to a side, on which everything is smooth already.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.syncing.blend import bands, energy
from w2l.syncing.colours import GAMUT_MARGIN, LUMA, RimField, blurred, gamut_of, limited, lip_gamut, spread_from, within
from w2l.syncing.lips import LipPair, lip_map

GRID = 96
"""Most pixels to a side of the crop on which colours are worked out."""
LOW = 0.016
"""Gaussian, in crop sides, that parts shading and shape from detail."""
BROAD = 0.05
"""The same for what counts as a patch of colour, and for what is carried from skin on into lips."""
FINE = 0.008
"""The same between the two bands of detail whose strength is matched."""
GAIN_LIMITS = ((0.6, 1.6), (0.6, 2.5))
"""How much the fine and the coarse band of the patch may be softened or lifted."""
SHAPE_LIMITS = ((10.0, 4.0), (40.0, 8.0))
"""How far brightness and colour of skin, blurred by `LOW`, may lie from the source's, in grey levels: where a face
hardly moves in speech, and around mouth and chin."""
SHADE_LIMITS = ((6.0, 3.0), (14.0, 4.0))
"""The same, blurred by `BROAD`: speech changes shape, not the light or the colour of a cheek."""
MOST_LIGHT = 1.25
"""Most by which lips and teeth, where they are brighter than skin, are corrected more than skin is."""
LEAST_SKIN_LUMA = 8.0
"""Grey levels that the brightness of skin is taken to have at least when lips are compared with it."""
LIKE_LUMA, LIKE_CHROMA = 32.0, 14.0
"""Difference in grey levels, on top of the usual one, at which source and patch no longer show skin both: a chin that
moved lies over a collar or the wall."""
EDGE = 5
"""Pixels of the grid, across, within which one such place spoils the others: the soft edge of a chin."""
GAMUT_STEP = 3
"""Of how many pixels of the grid one is looked at for the range of colours."""
LEAST_SAMPLE = 50
"""Pixels of skin under which a frame says nothing about the range of its colours."""
AGREEMENT = 10.0
"""Difference in grey levels at which source and patch no longer show the same: the patch's own detail is used."""
REGAIN = 0.15
"""How fast the source's detail comes back, a frame, where the two agree again; it goes immediately."""
INERTIA = 0.85
"""Share of the last frame's colour correction in the next one's, against flicker."""
SUDDEN = 8.0
"""Change of the correction, in grey levels, that is followed immediately: the light changed."""
STEADY = 0.95
"""Share of what was measured before in the strength of detail, the range of colours and the level of noise."""


@dataclass
class Memory:
    """What is carried over from one frame of a track to the next."""

    correction: Floats | None = None
    """(grid rows, grid columns, 3) What was added to the patch's colour."""
    keep: Floats | None = None
    """(rows, columns) of the grid. Share of the source's own detail."""
    energies: list[float] = field(default_factory=list)
    """Mean squares of the source's bands in the mouth, then of the patch's."""
    gamut: NDArray[np.float64] | None = None
    """Range of the colours of the source's skin around mouth and chin, see `gamut_of`."""
    inside: NDArray[np.float64] | None = None
    """The same within its lips, see `lip_gamut`."""
    noise: float | None = None
    """Standard deviation of the source's noise, in grey levels."""

    def update_noise(self, level: float) -> float:
        """Return the noise level, steadied, when `level` was measured now."""
        self.noise = level if self.noise is None else STEADY * self.noise + (1 - STEADY) * level
        return self.noise

    def update_gamut(self, skin: Floats, lips: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ranges of colours of skin and within lips, steadied, when these (pixels, 3) are seen now."""
        if self.gamut is None or len(skin) >= LEAST_SAMPLE:
            self.gamut = _steadied(self.gamut, gamut_of(skin))
        self.inside = _steadied(self.inside, lip_gamut(self.gamut, lips))
        return self.gamut, self.inside


def _steadied(before: NDArray[np.float64] | None, now: NDArray[np.float64]) -> NDArray[np.float64]:
    return now if before is None else STEADY * before + (1 - STEADY) * now


@dataclass(frozen=True)
class _Regions:
    """Where skin and lips are on the grid, (rows, columns) 0..1, and which colours they may have."""

    lips: Floats
    """Lips and mouth of the patch."""
    skin: Floats
    """Neither lips nor mouth of the source, nor of the patch."""
    gamut: NDArray[np.float64]
    """Range of the colours of skin, see `gamut_of`."""
    inside: NDArray[np.float64]
    """Range of the colours within lips, see `lip_gamut`."""


class Fitter:
    """Fits redrawn crops to the source's: colour by their skin, no foreign patches of colour, detail of like strength.

    Parameters
    ----------
    weight : (rows, columns)
        How much of the patch shows, 0..1; the lower rows of a crop.
    mouth : (rows, columns)
        1 where a mouth usually is, 0 on skin that only follows it.
    moving : (rows, columns)
        1 in the mouth and on the chin below it, 0 where a face hardly moves in speech.
    sharpen : bool
        Whether detail is matched.
    """

    def __init__(self, weight: Floats, mouth: Floats, moving: Floats, sharpen: bool = True) -> None:
        rows, self._size = weight.shape
        self._sharpen = sharpen
        self._mouth_fine = mouth
        side = min(self._size, GRID)
        self._grid = (side, max(1, round(rows * side / self._size)))
        self._side = side
        weight, self._mouth, self._moving = (self._small(map_) for map_ in (weight, mouth, moving))
        self._rim = RimField(weight)
        self._face = (self._moving > 0.5) & (weight > 0)
        self._free = np.clip(4 * self._moving - 3, 0, 1) * weight  # the chin, which moves over what is behind it
        self._x = (np.arange(side) + 0.5) / side
        self._y = 1 - (rows / self._size) * (1 - (np.arange(self._grid[1]) + 0.5) / self._grid[1])
        self._shape_limits, self._shade_limits = (
            [still + (chin - still) * self._moving for still, chin in zip(*limits)]
            for limits in (SHAPE_LIMITS, SHADE_LIMITS)
        )

    def fit(self, patch: Floats, crop: Floats, lips: LipPair, memory: Memory) -> tuple[Floats, Floats]:
        """Return what to paste in place of `patch` (rows, columns, 3), given the source's `crop` (the same).

        `lips` are those of both; where none were found, they are taken to be where a mouth usually is.

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
        drawn, source = self._small(patch_low), self._small(crop_low)
        regions = self._regions(lips, source, memory)
        fitted = self._toned(drawn, source, regions, memory)
        fitted += self._foreign(fitted, source, regions)
        toned = patch_low + self._large(fitted - drawn)
        if not self._sharpen:
            return toned + patch_bands[0] + patch_bands[1], np.zeros_like(self._mouth_fine)
        keep = self._large(self._agreement(fitted - source, memory))
        change = toned - keep[..., None] * crop_low
        coloured = float(regions.gamut[-1])
        for band, gain in zip(patch_bands, self._gains(patch_bands, crop_bands, memory)):
            luma = (band @ LUMA)[..., None]
            lift = 1 + (gain - 1) * self._mouth_fine if gain > 1 else np.full_like(keep, gain)
            own = (1 - keep)[..., None]
            change += own * (lift[..., None] * luma + coloured * min(gain, 1.0) * (band - luma))
        return change, keep

    def _regions(self, lips: LipPair, source: Floats, memory: Memory) -> _Regions:
        """Return where lips and skin are, and which colours they may have."""
        there, here = (
            self._mouth if points is None else lip_map(points, self._x, self._y) for points in (lips.source, lips.patch)
        )
        skin, mouth = (source[self._face & where][::GAMUT_STEP] for where in (there < 0.5, there > 0))
        if memory.gamut is None and len(skin) < LEAST_SAMPLE:
            skin = source[self._face]
        gamut, inside = memory.update_gamut(skin, mouth)
        # What is redder than skin, though no lips were read there: a tongue, or lips that the reader took for skin.
        redness = source[..., 0] - source @ LUMA - float(gamut[1])
        both = (1 - there) * (1 - here) * np.clip(1 - redness / GAMUT_MARGIN, 0, 1)
        return _Regions(here, np.asarray(both, dtype=np.float32), gamut, inside)

    def _toned(self, drawn: Floats, source: Floats, regions: _Regions, memory: Memory) -> Floats:
        """Return the patch's shading `drawn` in the source's colours, on the grid.

        Skin is compared with skin. What is asked for there is carried on smoothly into lips and mouth, whose own
        colours come from the patch alone, in proportion to how bright they are: light does not lift the dark of an open
        mouth.
        """
        alike = self._alike(source - drawn, regions.skin)
        sure = regions.skin * alike
        correction = self._rim.spread(source - drawn, sure)
        if memory.correction is not None:
            moved = float(np.abs(correction - memory.correction).mean())
            inertia = INERTIA * float(np.exp(-((moved / SUDDEN) ** 2)))
            correction = correction + inertia * (memory.correction - correction)
        memory.correction = correction
        asked = self._rim.over(correction)
        deviation = drawn + asked - source
        excess = limited(deviation, *self._shape_limits) - deviation
        around = spread_from(sure, excess, BROAD * self._side)
        here = regions.skin * (1 - self._free * (1 - alike))
        excess = around + here[..., None] * (excess - around)
        broad = spread_from(here, deviation + excess, BROAD * self._side)
        asked += excess + limited(broad, *self._shade_limits) - broad
        level = np.maximum(spread_from(sure, drawn, BROAD * self._side) @ LUMA, LEAST_SKIN_LUMA)
        share = np.clip(drawn @ LUMA / level, 0, MOST_LIGHT)
        return np.asarray(drawn + asked * (1 + regions.lips * (share - 1))[..., None], dtype=np.float32)

    def _alike(self, difference: Floats, skin: Floats) -> Floats:
        """Return where source and patch can both show skin, (rows, columns) 0..1: they differ about as usual."""
        shows = difference[skin > 0.5][::GAMUT_STEP]
        off = difference - (np.median(shows, axis=0) if len(shows) else 0.0)
        luma = off @ LUMA
        chroma = off - luma[..., None]
        far = (luma / LIKE_LUMA) ** 2 + (chroma * chroma).sum(axis=-1) / LIKE_CHROMA**2
        return np.asarray(cv2.erode(1 / (1 + far * far), np.ones((EDGE, EDGE), np.uint8)), dtype=np.float32)

    def _foreign(self, fitted: Floats, source: Floats, regions: _Regions) -> Floats:
        """Return what takes colours that the person does not have off mouth and chin; nothing off the source's own."""
        off = ((fitted - source) / GAMUT_MARGIN) ** 2
        wrong = self._moving * (1 - np.exp(-off.mean(axis=-1)))
        bent = within(regions.gamut, regions.inside, fitted, regions.lips)
        return np.asarray(wrong[..., None] * (bent - fitted), dtype=np.float32)

    def _agreement(self, difference: Floats, memory: Memory) -> Floats:
        """Return how far both show the same, (rows, columns) 0..1 on the grid; it falls immediately."""
        square = blurred((difference * difference).mean(axis=-1), LOW * self._side)
        keep = (1 - self._mouth) * np.exp(-square / AGREEMENT**2)
        if memory.keep is not None:
            keep = np.minimum(keep, memory.keep + REGAIN)
        memory.keep = keep
        return np.asarray(keep, dtype=np.float32)

    def _gains(self, patch_bands: list[Floats], crop_bands: list[Floats], memory: Memory) -> list[float]:
        """Return how much to lift each band so that the mouth is as sharp as the source's own is over time."""
        fresh = [energy(band, self._mouth_fine) for band in (*crop_bands, *patch_bands)]
        known = memory.energies or fresh
        memory.energies = [STEADY * old + (1 - STEADY) * new for old, new in zip(known, fresh)]
        wanted, present = memory.energies[: len(patch_bands)], memory.energies[len(patch_bands) :]
        ratios = [np.sqrt(source / max(drawn, 1e-6)) for source, drawn in zip(wanted, present)]
        return [float(np.clip(ratio, *limits)) for ratio, limits in zip(ratios, GAIN_LIMITS)]

    def _small(self, map_: Floats) -> Floats:
        """Return a map (rows, columns) or an image (rows, columns, 3) on the grid."""
        if self._side == self._size:
            return map_
        return np.asarray(cv2.resize(map_, self._grid, interpolation=cv2.INTER_AREA), dtype=np.float32)

    def _large(self, map_: Floats) -> Floats:
        """Return a map or an image of the grid as fine as the crop."""
        rows, columns = self._mouth_fine.shape
        if self._side == self._size:
            return map_
        return np.asarray(cv2.resize(map_, (columns, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
