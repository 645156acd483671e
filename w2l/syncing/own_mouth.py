"""Keep the teeth and the lip colours of a still picture in its redrawn mouth.

Upper teeth are fixed to the skull, so in a still picture they do not move with the lips: between redrawn lips, the
picture's own teeth are shown instead of drawn ones. Crops are float32 RGB in grey levels, (rows, columns, 3); points
are the six of `w2l.nets.lips`, in sides of the crop.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.syncing.colours import LUMA, blurred
from w2l.syncing.lips import lip_map, smooth_step

TOLERANCE = 0.012
"""Width over which the outline of the inside of a mouth fades, in sides of the crop."""
TEETH_BLUR = 0.004
"""Standard deviation of the Gaussian that softens the outline of teeth, in sides."""
PALER, PALEST = 0.9, 0.65
"""Redness relative to the lips below which a pixel may be a tooth, and below which it is one. Redness is red minus
brightness, over brightness: 0.06 in teeth and 0.27 in lips (medians of 15 open mouths among the portraits)."""
DARK, BRIGHT = 0.75, 1.0
"""Brightness relative to the lips from which a pixel may be a tooth, and from which it is one."""
LEAST_RED, LEAST_DARK_RED = 0.02, 0.23
"""Least redness of teeth (3 % of the pixels inside these open mouths have less, median) and of the dark behind them
(the least median of these mouths)."""
TEETH_LEVEL, DARK_LEVEL = 1.43, 0.48
"""Brightness of teeth and of the dark behind them, relative to the lips (medians)."""
WHITE_LIT = 0.16
"""Redness of skin in white light; above it, teeth are redder, too, as the light is, or the face is dim. Cheeks of 17
people of all complexions in one light (Face Research Lab London Set) have 0.14 to 0.26, median 0.16."""
AROUND = 0.08
"""Distance from the lips, in sides, up to which skin is measured."""
TEETH_END, DARK_FROM = 0.3, 1.0
"""Depth below the upper lip, as a share of the gap, at which drawn teeth begin to fade into the dark, and end."""
CORNER_FROM, CORNER_END = 0.45, 0.9
"""The same towards the corners, as a share of half the mouth's width."""
SHUT, OPEN = 0.012, 0.037
"""Gap between the inner edges of the lips up to which no teeth show, and from which they show fully, in sides."""
MIDDLE = 0.6
"""Share of a mouth's width in which its lips are measured."""
LEAST_SAMPLE = 20
"""Fewest pixels of lips from which their colour is measured."""
LEAST_LUMA = 16.0
"""Lower limit in grey levels of a brightness that is a divisor."""
SLACK = 2.0
"""Grey levels by which redrawn lips may exceed the range of the picture's own lips."""
FADE_RED = 30.0
"""Grey levels by which pixels may be bluer than lips if they are not red at all; less if they are redder."""


@dataclass(frozen=True)
class Shape:
    """Masks of the lips and of the inside of a mouth, on a grid (rows, columns)."""

    lips: NDArray[np.bool_]
    """The middle of both lips."""
    inside: Floats
    """The area between the lips, 0..1."""
    gap: float
    """Gap between the lips in the middle, in sides."""
    lit: Floats
    """Share of light, 0..1, that teeth would have there: less towards the lower lip and the corners."""

    @property
    def opened(self) -> float:
        """Share to which teeth show, 0..1."""
        return float(np.clip((self.gap - SHUT) / (OPEN - SHUT), 0, 1))

    @classmethod
    def of(cls, points: Floats, x: Floats, y: Floats, widened: float = 0.0) -> "Shape":
        """Return the shape of the mouth with six `points`; edges are parabolas through its corners.

        Parameters
        ----------
        points : (6, 2)
        x, y : (columns,), (rows,)
            Positions of the pixels, in sides of the crop.
        widened : float
            Margin added to the inside, in sides.
        """
        centre = (points[0] + points[1]) / 2
        along = points[1] - points[0]
        half = max(float(np.hypot(*along)) / 2, 1e-6)
        along = along / (2 * half)
        down = np.array([-along[1], along[0]])
        dx, dy = (x - centre[0])[None, :], (y - centre[1])[:, None]
        across, away = (dx * along[0] + dy * along[1]) / half, dx * down[0] + dy * down[1]
        bow = 1 - across * across
        top, upper, lower, bottom = (float((point - centre) @ down) for point in points[2:])
        middle = np.abs(across) < MIDDLE
        lips = ((away > top * bow) & (away < upper * bow)) | ((away > lower * bow) & (away < bottom * bow))
        depth = np.minimum(away - upper * bow, lower * bow - away) + widened
        inside = np.clip(depth / TOLERANCE + 0.5, 0, 1) * (np.abs(across) < 1)
        deep = (away - upper * bow) / np.maximum((lower - upper) * bow, 1e-6)
        lit = smooth_step((DARK_FROM - deep) / (DARK_FROM - TEETH_END))
        lit = lit * smooth_step((CORNER_END - np.abs(across)) / (CORNER_END - CORNER_FROM))
        return cls(middle & lips, inside.astype(np.float32), lower - upper, lit)


@dataclass(frozen=True)
class OwnMouth:
    """Teeth and lip colours measured in a still picture."""

    teeth: Floats
    """(rows, columns) mask of the teeth, 0..1."""
    reds: tuple[float, float]
    """Median and largest red minus brightness of the lips, in grey levels."""
    most_blue: float
    """Largest blue minus brightness of the lips, in grey levels."""
    least_redness: tuple[float, float]
    """Least redness inside a mouth: of teeth, and of the dark behind them."""
    level: float
    """Brightness of the lips, in grey levels."""

    @property
    def shows_teeth(self) -> bool:
        """Whether teeth are visible in the picture."""
        return bool(self.teeth.max() > 0.5)

    @classmethod
    def of(cls, crop: Floats, points: Floats, x: Floats, y: Floats) -> "OwnMouth | None":
        """Measure the mouth with six `points` of a crop; return None if too little of its lips is visible."""
        shape = Shape.of(points, x, y, TOLERANCE)
        if int(shape.lips.sum()) < LEAST_SAMPLE:
            return None
        luma = crop @ LUMA
        red, blue = crop[..., 0] - luma, crop[..., 2] - luma
        level = max(float(np.median(luma[shape.lips])), LEAST_LUMA)
        redness = float(np.median(red[shape.lips])) / level
        pale = (PALER * redness - red / np.maximum(luma, LEAST_LUMA)) / max((PALER - PALEST) * redness, 0.02)
        bright = (luma / level - DARK) / (BRIGHT - DARK)
        teeth = shape.inside * np.clip(pale, 0, 1) * np.clip(bright, 0, 1)
        least, median, most = np.percentile(red[shape.lips], (3, 50, 97))
        skin = _around(points, x, y)
        redness_of_skin = float(np.median((red / np.maximum(luma, LEAST_LUMA))[skin])) if skin.any() else WHITE_LIT
        warm = max(redness_of_skin - WHITE_LIT, 0.0)
        return cls(
            blurred(np.asarray(teeth, dtype=np.float32), TEETH_BLUR * len(x)),
            (float(median), float(most) + SLACK),
            float(np.percentile(blue[shape.lips], 97)) + SLACK,
            (min(LEAST_RED + warm, float(least) / level), min(LEAST_DARK_RED + warm, redness)),
            level,
        )

    def shown(self, mouth: Shape) -> Floats:
        """Return the mask (rows, columns), 0..1, of the picture's own teeth in a redrawn mouth."""
        return np.asarray(self.teeth * mouth.inside * mouth.opened, dtype=np.float32)

    def shaded(self, patch: Floats, mouth: Shape) -> Floats:
        """Return a patch in which the redrawn mouth is at most as bright as real ones.

        Where the picture does not show its teeth, a network draws an even band. Real teeth stand out below the upper
        lip alone, and only where the mouth is open; behind them it is dark.
        """
        if self.shows_teeth:
            return patch
        most = self.level * (DARK_LEVEL + mouth.opened * mouth.lit * (TEETH_LEVEL - DARK_LEVEL))
        gain = np.minimum(most / np.maximum(patch @ LUMA, LEAST_LUMA), 1.0)
        return np.asarray(patch * (1 + mouth.inside * (gain - 1))[..., None], dtype=np.float32)

    def coloured(self, patch: Floats, lips: Floats) -> Floats:
        """Return a patch with the colours of lips and mouth, where `lips` (rows, columns) is 1, limited to those here.

        No pixel is redder, or bluer at equal red, and none is greener than the inside of a mouth. Brightness is kept.
        """
        luma = patch @ LUMA
        of_teeth, of_dark = self.least_redness
        dark = np.clip((TEETH_LEVEL - luma / self.level) / (TEETH_LEVEL - DARK_LEVEL), 0, 1)
        least = np.minimum((of_teeth + dark * (of_dark - of_teeth)) * luma, self.reds[0])
        red = np.clip(patch[..., 0] - luma, least, self.reds[1])
        free = np.clip(1 - red / max(self.reds[0], 1.0), 0, 1) * FADE_RED
        blue = np.minimum(patch[..., 2] - luma, self.most_blue + free)
        green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
        bent = np.stack([red, green, blue], axis=-1) + luma[..., None]
        return np.asarray(patch + lips[..., None] * (bent - patch), dtype=np.float32)


def _around(points: Floats, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return the pixels (rows, columns) of the skin around a mouth with six `points`."""
    left, top = points.min(axis=0) - AROUND
    right, bottom = points.max(axis=0) + AROUND
    near = ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))[None, :]
    return np.asarray(near & (lip_map(points, x, y) == 0))
