"""Fit a redrawn crop to the source: its colours by the skin of both, its detail by that of the source.

Patches and crops are float32 RGB in grey levels, (rows, columns, 3), in the crop's own coordinates. Colours are
computed on a grid of at most `GRID` cells per side, on which they are smooth.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.syncing.blend import bands, energy
from w2l.syncing.colours import (
    GAMUT_MARGIN,
    LUMA,
    RimField,
    blurred,
    brightness,
    compress_colours,
    gamut_of,
    limited,
    lip_gamut,
    spread_from,
)
from w2l.syncing.lips import LipPair, lip_map
from w2l.syncing.texture import source_share

GRID = 96
"""Most cells per side of the grid on which colours are computed."""
LOW = 0.016
"""Standard deviation, in crop sides, of the Gaussian that separates shading and shape from detail."""
BROAD = 0.05
"""The same for patches of colour, and for the extrapolation from skin to lips."""
FINE = 0.008
"""The same between the two bands of detail whose strength is matched."""
GAIN_LIMITS = ((0.6, 1.6), (0.6, 2.5))
"""Least and largest gain of the fine and the coarse band of the patch."""
SHAPE_LIMITS = ((10.0, 4.0), (40.0, 8.0))
"""Largest difference in brightness and colour of skin, blurred by `LOW`, from the source, in grey levels: where a face
hardly moves in speech, and around mouth and chin."""
SHADE_LIMITS = ((6.0, 3.0), (14.0, 4.0))
"""The same, blurred by `BROAD`: speech changes shape, not the light or the colour of a cheek."""
MOST_LIGHT = 1.25
"""Largest factor by which lips and teeth that are brighter than skin are corrected more than skin."""
LEAST_SKIN_LUMA = 8.0
"""Lower limit of the brightness of skin in grey levels when lips are compared with it."""
LIKE_LUMA, LIKE_CHROMA = 32.0, 14.0
"""Difference in grey levels, beyond the usual one, from which source and patch do not both show skin: a chin that moved
covers a collar or the wall."""
EDGE = 5
"""Width in grid cells around such pixels that is also excluded, for the soft edge of a chin."""
BESIDE, BESIDE_BLUR = (0.4, 0.25), 1.0
"""How unlike skin beside the chin must be for the source to be shown, 0..1: where the patch was shown in the last
frame, and where the source was; and the standard deviation of the edge between them, in cells."""
GAMUT_STEP = 3
"""Interval of the grid cells that are sampled for the range of colours."""
LEAST_SAMPLE = 50
"""Fewest pixels of skin from which a frame updates the range of colours."""
AGREEMENT = 10.0
"""Difference in grey levels from which source and patch differ, so that the patch's own detail is used."""
REGAIN = 0.15
"""Share of the source's detail that returns per frame where the two agree again; it is dropped immediately."""
INERTIA = 0.85
"""Weight of the last frame's colour correction in the next one, against flicker."""
SUDDEN = 8.0
"""Change of the correction, in grey levels, that is applied immediately, as the light has changed."""
STEADY = 0.95
"""Weight of earlier measurements in the strength of detail, the range of colours and the level of noise."""


@dataclass
class TrackState:
    """State of a track between frames."""

    correction: Floats | None = None
    """(grid rows, grid columns, 3) colour added to the patch."""
    keep: Floats | None = None
    """(grid rows, grid columns) how well source and patch agree."""
    beside: NDArray[np.bool_] | None = None
    """(grid rows, grid columns) where the source is shown instead of the patch."""
    energies: list[float] = field(default_factory=list)
    """Mean squares of the source's bands in the mouth, then of the patch's."""
    gamut: NDArray[np.float64] | None = None
    """Range of the colours of the source's skin around mouth and chin; see `gamut_of`."""
    inside: NDArray[np.float64] | None = None
    """The same within its lips; see `lip_gamut`."""
    noise: float | None = None
    """Standard deviation of the source's noise, in grey levels."""
    jaw: Floats | None = None
    """Displacement of the patch; see `w2l.syncing.jaw`."""

    def update_noise(self, level: float) -> float:
        """Update the noise level with the measurement `level`; return the smoothed level."""
        self.noise = level if self.noise is None else STEADY * self.noise + (1 - STEADY) * level
        return self.noise

    def update_gamut(self, skin: Floats, lips: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Update the ranges of colours of skin and lips with pixels (pixels, 3); return the smoothed ranges."""
        if self.gamut is None or len(skin) >= LEAST_SAMPLE:
            self.gamut = _steadied(self.gamut, gamut_of(skin))
        self.inside = _steadied(self.inside, lip_gamut(self.gamut, lips))
        return self.gamut, self.inside


def _steadied(before: NDArray[np.float64] | None, now: NDArray[np.float64]) -> NDArray[np.float64]:
    return now if before is None else STEADY * before + (1 - STEADY) * now


@dataclass(frozen=True)
class _Regions:
    """Masks of skin and lips on the grid, (rows, columns) 0..1, and their allowed colours."""

    lips: Floats
    """Lips and mouth of the patch."""
    skin: Floats
    """Neither lips nor mouth of the source, nor of the patch."""
    alike: Floats
    """Source and patch are similar enough to show the same part of the face."""
    gamut: NDArray[np.float64]
    """Range of the colours of skin; see `gamut_of`."""
    inside: NDArray[np.float64]
    """Range of the colours within lips; see `lip_gamut`."""


class Fitter:
    """Fits redrawn crops to the source: colours, what is shown beside the chin, strength of detail, texture of skin.

    Parameters
    ----------
    weight : (rows, columns)
        Mask of the patch, 0..1; the lower rows of a crop.
    mouth : (rows, columns)
        1 at the usual position of a mouth, 0 on skin that only follows it.
    moving : (rows, columns)
        1 in the mouth and on the chin below it, 0 where a face hardly moves in speech.
    sharpen : bool
        Whether to match detail and texture, and to show the source beside the chin.
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
        self._free = np.clip(4 * self._moving - 3, 0, 1) * weight  # the chin, which moves over the background
        self._x = (np.arange(side) + 0.5) / side
        self._y = 1 - (rows / self._size) * (1 - (np.arange(self._grid[1]) + 0.5) / self._grid[1])
        self._shape_limits, self._shade_limits = (
            [still + (chin - still) * self._moving for still, chin in zip(*limits)]
            for limits in (SHAPE_LIMITS, SHADE_LIMITS)
        )

    def fit(self, patch: Floats, crop: Floats, lips: LipPair, memory: TrackState) -> tuple[Floats, Floats, Floats]:
        """Return what to paste instead of `patch` (rows, columns, 3), given the source's `crop` of the same shape.

        `lips` are those of both; if none were found, the usual position of a mouth is assumed.

        Returns
        -------
        change : (rows, columns, 3)
        keep : (rows, columns)
            The fitted patch is ``change + keep * source``. Where keep is 1, the change is smooth and the source's
            detail and grain are kept at full resolution; where it is 0, the change is the patch itself.
        bare : (rows, columns)
            1 where grain may lack, 0 where texture has been completed.
        """
        drawn, source = (blurred(self._small(image), LOW * self._side) for image in (patch, crop))
        regions = self._regions(lips, drawn, source, memory)
        fitted = self._toned(drawn, source, regions, memory)
        fitted += self._foreign(fitted, source, regions)
        detail = patch - self._large(drawn)
        if not self._sharpen:
            return self._large(fitted) + detail, np.zeros_like(self._mouth_fine), np.ones_like(self._mouth_fine)
        beside = self._beside(regions, memory)
        fitted += beside[..., None] * (source - fitted)
        smooth = self._large(source)
        own, shown = (bands(brightness(each), (FINE * self._size,)) for each in (detail, crop - smooth))
        gains = self._gains(shown, own, memory)
        keep = self._agreement(fitted - source, memory)
        present, wanted = own[0] * min(gains[0], 1.0) + own[1] * min(gains[1], 1.0), shown[0] + shown[1]
        kept, completed = source_share(keep, self._small(present**2), self._small(wanted**2), regions.skin)
        keep, kept = np.maximum(keep, beside), self._large(np.maximum(kept, beside))
        # Gains above 1 are for the mouth, and for brightness alone.
        lifts = [1 + (gain - 1) * self._mouth_fine if gain > 1 else gain for gain in gains]
        colour = float(regions.gamut[-1]) * min(gains[-1], 1.0)
        detail *= colour
        detail += ((lifts[0] - colour) * own[0] + (lifts[1] - colour) * own[1])[..., None]
        detail *= (1 - self._large(keep))[..., None]
        detail += self._large(fitted)
        detail -= kept[..., None] * smooth
        return detail, kept, 1 - self._large(completed)

    def _regions(self, lips: LipPair, drawn: Floats, source: Floats, memory: TrackState) -> _Regions:
        """Return the masks of lips and skin, and their allowed colours."""
        there, here = (
            self._mouth if points is None else lip_map(points, self._x, self._y) for points in (lips.source, lips.patch)
        )
        skin, mouth = (source[self._face & where][::GAMUT_STEP] for where in (there < 0.5, there > 0))
        if memory.gamut is None and len(skin) < LEAST_SAMPLE:
            skin = source[self._face]
        gamut, inside = memory.update_gamut(skin, mouth)
        # Pixels redder than skin outside of the detected lips: a tongue, or lips that the reader missed.
        redness = source[..., 0] - source @ LUMA - float(gamut[1])
        both = np.asarray((1 - there) * (1 - here) * np.clip(1 - redness / GAMUT_MARGIN, 0, 1), dtype=np.float32)
        return _Regions(here, both, self._alike(source - drawn, both), gamut, inside)

    def _toned(self, drawn: Floats, source: Floats, regions: _Regions, memory: TrackState) -> Floats:
        """Return the patch's shading `drawn` in the source's colours, on the grid.

        Skin is compared with skin. The correction is extrapolated smoothly into lips and mouth, whose own colours come
        from the patch, in proportion to their brightness: light does not brighten the inside of an open mouth.
        """
        alike = regions.alike
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

    def _beside(self, regions: _Regions, memory: TrackState) -> Floats:
        """Return where the source is shown instead of the patch, (rows, columns) 0..1.

        Beside the chin, the face meets hair and background where it does in the source, and folds of the cheeks
        end where they do there. The choice is sharp: a mixture would show two jaws.
        """
        limit = BESIDE[0] if memory.beside is None else np.where(memory.beside, BESIDE[1], BESIDE[0])
        memory.beside = regions.skin * (1 - self._moving) * (1 - regions.alike) > limit
        return blurred(memory.beside.astype(np.float32), BESIDE_BLUR)

    def _alike(self, difference: Floats, skin: Floats) -> Floats:
        """Return the mask (rows, columns), 0..1, of pixels where source and patch are similar enough to be skin."""
        shows = difference[skin > 0.5][::GAMUT_STEP]
        off = difference - (np.median(shows, axis=0) if len(shows) else 0.0)
        luma = off @ LUMA
        chroma = off - luma[..., None]
        far = (luma / LIKE_LUMA) ** 2 + (chroma * chroma).sum(axis=-1) / LIKE_CHROMA**2
        return np.asarray(cv2.erode(1 / (1 + far * far), np.ones((EDGE, EDGE), np.uint8)), dtype=np.float32)

    def _foreign(self, fitted: Floats, source: Floats, regions: _Regions) -> Floats:
        """Return the correction that removes colours foreign to the person from mouth and chin."""
        off = ((fitted - source) / GAMUT_MARGIN) ** 2
        wrong = self._moving * (1 - np.exp(-off.mean(axis=-1)))
        bent = compress_colours(regions.gamut, regions.inside, fitted, regions.lips)
        return np.asarray(wrong[..., None] * (bent - fitted), dtype=np.float32)

    def _agreement(self, difference: Floats, memory: TrackState) -> Floats:
        """Return how well both agree, (rows, columns) 0..1 on the grid; it falls immediately and rises slowly."""
        square = blurred((difference * difference).mean(axis=-1), LOW * self._side)
        keep = (1 - self._mouth) * np.exp(-square / AGREEMENT**2)
        if memory.keep is not None:
            keep = np.minimum(keep, memory.keep + REGAIN)
        memory.keep = keep
        return np.asarray(keep, dtype=np.float32)

    def _gains(self, source: list[Floats], patch: list[Floats], memory: TrackState) -> list[float]:
        """Return the gain of each band of brightness that makes the mouth as sharp as the source's is over time."""
        fresh = [energy(band, self._mouth_fine) for band in (*source, *patch)]
        known = memory.energies or fresh
        memory.energies = [STEADY * old + (1 - STEADY) * new for old, new in zip(known, fresh)]
        wanted, present = memory.energies[: len(source)], memory.energies[len(source) :]
        ratios = [np.sqrt(source / max(drawn, 1e-6)) for source, drawn in zip(wanted, present)]
        return [float(np.clip(ratio, *limits)) for ratio, limits in zip(ratios, GAIN_LIMITS)]

    def _small(self, map_: Floats) -> Floats:
        """Scale a map (rows, columns) or an image (rows, columns, 3) to the grid."""
        if self._side == self._size:
            return map_
        return np.asarray(cv2.resize(map_, self._grid, interpolation=cv2.INTER_AREA), dtype=np.float32)

    def _large(self, map_: Floats) -> Floats:
        """Scale a map or an image of the grid to the crop."""
        rows, columns = self._mouth_fine.shape
        if self._side == self._size:
            return map_
        return np.asarray(cv2.resize(map_, (columns, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
