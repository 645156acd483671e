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
        return cls(middle & lips, inside.astype(np.float32), lower - upper)


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
        return cls(
            blurred(np.asarray(teeth, dtype=np.float32), TEETH_BLUR * len(x)),
            (float(median), float(most) + SLACK),
            float(np.percentile(blue[shape.lips], 97)) + SLACK,
            (min(LEAST_RED, float(least) / level), min(LEAST_DARK_RED, redness)),
            level,
        )

    def shown(self, points: Floats, x: Floats, y: Floats) -> Floats:
        """Return the mask (rows, columns), 0..1, of the picture's own teeth between redrawn lips with six `points`."""
        shape = Shape.of(points, x, y)
        opened = float(np.clip((shape.gap - SHUT) / (OPEN - SHUT), 0, 1))
        return np.asarray(self.teeth * shape.inside * opened, dtype=np.float32)

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
