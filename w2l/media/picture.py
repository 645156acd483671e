"""Pictures between decoder and encoder: planar Y'CbCr, of which only redrawn regions are converted to RGB."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import ALL, Floats, Image
from w2l.media.chroma import (
    LEFT_SITED,
    REDUCERS,
    STEPS,
    Chroma,
    Plane,
    doubled,
    halved,
    inside,
    plane_size,
)
from w2l.media.tone import CURVES, Curve, rendered, restored

Matrix = Literal["bt601", "bt709", "bt2020"]

UNSAID = 2
"""The H.273 code point of a colour property that a file does not state."""
LUMA_SHARES: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
"""Weights of red and blue in luma; the weight of green is the remainder."""
SPACE_OF: dict[str, int] = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""Matrix -> its H.273 code point."""
HD_HEIGHT = 720
"""Height from which the matrix is BT.709 if the file does not state one; below it is BT.601."""
MARGIN = 4
"""Pixels around a painted region that the chroma filters read; even."""
BAND_ROWS = 64
"""Rows converted to RGB at a time, so that intermediate results fit the processor's cache; even."""


@dataclass(frozen=True)
class Colour:
    """Colour encoding of a picture, and the tags that state it in a file."""

    matrix: Matrix = "bt709"
    """Y'CbCr matrix of the samples."""
    full_range: bool = False
    """Whether samples use 0..255 (0..1023) instead of 16..235 (64..940)."""
    depth: int = 8
    """Bits per sample: 8 or 10."""
    primaries: int = UNSAID
    """H.273 colour primaries as in the source."""
    transfer: int = UNSAID
    """H.273 transfer characteristics as in the source."""
    space: int = UNSAID
    """H.273 matrix coefficients as in the source; calculations use `matrix`."""
    siting: tuple[float, float] = LEFT_SITED
    """Position of a chroma sample within its 2 x 2 pixels, horizontal and vertical: 0, 0.5 or 1 each."""
    chroma: Chroma = "4:2:0"
    """Chroma subsampling."""
    has_alpha: bool = False
    """Whether pictures have an alpha plane."""

    def __post_init__(self) -> None:
        if self.matrix not in LUMA_SHARES or self.depth not in (8, 10):
            raise ValueError(f"matrix must be {'|'.join(LUMA_SHARES)} and depth 8|10, got {self}")
        if not all(along in REDUCERS for along in self.siting):
            raise ValueError(f"siting must be 0, 0.5 or 1 along each axis, got {self.siting}")
        if self.chroma not in STEPS:
            raise ValueError(f"chroma must be {'|'.join(STEPS)}, got {self.chroma}")

    @property
    def steps(self) -> tuple[int, int]:
        """Rows and columns of pixels that share a sample of chroma."""
        return STEPS[self.chroma]

    @property
    def curve(self) -> Curve | None:
        """Transfer curve of high dynamic range; None for standard range."""
        return CURVES.get(self.transfer)

    @property
    def levels(self) -> tuple[float, float, float, float]:
        """Black level of luma, its range up to white, the neutral level of chroma, and its whole range."""
        if self.full_range:
            top = float(2**self.depth - 1)
            return 0.0, top, float(2 ** (self.depth - 1)), top
        unit = 2.0 ** (self.depth - 8)
        return 16 * unit, 219 * unit, 128 * unit, 224 * unit


@dataclass(frozen=True, eq=False)
class RgbPicture:
    """An RGB image with the interface of a `Picture`."""

    image: Image
    """(height, width, 3) RGB."""

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.image.shape[0])

    def rgb(self, rows: slice = ALL, columns: slice = ALL) -> Image:
        """Return a copy of a region, (rows, columns, 3)."""
        return self.image[rows, columns].copy()

    def painted(self, rows: slice, columns: slice, patch: Floats, weight: Floats) -> "RgbPicture":
        """Return a copy with source + weight * (patch - source) in a region, rounded half to even."""
        image = self.image.copy()
        region = image[rows, columns]
        mixed = region + weight[..., None] * (patch - region)
        region[:] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        return RgbPicture(image)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture as videos store it: a luma plane, two chroma planes and, if transparent, an alpha plane."""

    y: Plane
    """(height, width) luma, uint8, or uint16 at 10 bits."""
    u: Plane
    """(rows, columns) blue difference; of 4:2:0, ceil(height / 2) and ceil(width / 2)."""
    v: Plane
    """(rows, columns) red difference."""
    colour: Colour
    alpha: Plane | None = None
    """(height, width) from 0, transparent, to the largest value of that depth, opaque."""

    def __post_init__(self) -> None:
        size = plane_size(self.height, self.width, self.colour.steps)
        if self.u.shape != size or self.v.shape != size:
            raise ValueError(f"luma {self.y.shape} needs chroma {size}, got {self.u.shape} and {self.v.shape}")
        if (None if self.alpha is None else self.alpha.shape) != (self.y.shape if self.colour.has_alpha else None):
            raise ValueError(
                f"alpha must have the shape {self.y.shape} if colour.has_alpha is set, else it must be None"
            )

    @classmethod
    def from_rgb(cls, image: Image, colour: Colour | None = None, alpha: Plane | None = None) -> "Picture":
        """Convert an RGB image (height, width, 3) to a picture; by default 8 bits, with the usual matrix."""
        if colour is None:
            matrix: Matrix = "bt709" if len(image) >= HD_HEIGHT else "bt601"
            colour = Colour(matrix, space=SPACE_OF[matrix])
        dtype = np.dtype(np.uint8 if colour.depth == 8 else np.uint16)
        luma, *chroma = _from_rgb(image.astype(np.float32), colour)
        down, across = (step == 2 for step in colour.steps)
        reduced = (halved(plane, colour.siting, in_height=down, in_width=across) for plane in chroma)
        y, u, v = (quantised(plane, colour.depth, dtype) for plane in (luma, *reduced))
        return cls(y, u, v, colour, alpha)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.y.shape[0])

    @property
    def nbytes(self) -> int:
        """Size of all planes in bytes."""
        return sum(plane.nbytes for plane in (self.y, self.u, self.v, self.alpha) if plane is not None)

    def rgb(self, rows: slice = ALL, columns: slice = ALL) -> Image:
        """Return a region as RGB, (rows, columns, 3), chroma interpolated linearly; only that region is converted.

        High dynamic range is converted to standard range; see `w2l.media.tone`.
        """
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        image = np.empty((max(0, bottom - top), max(0, right - left), 3), dtype=np.uint8)
        if image.size:
            for start in range(top, bottom, BAND_ROWS):
                stop = min(bottom, start + BAND_ROWS)
                self._convert(start, stop, left, right, image[start - top : stop - top])
        return image

    def small_bgr(self, width: int) -> Image:
        """Return the whole picture as BGR at that width, for coarse analysis: (rows, width, 3)."""
        size = (width, max(1, round(self.height * width / self.width)))
        planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (self.y, self.u, self.v)]
        black, luma, middle, chroma = self.colour.levels
        to_rgb = _matrices(self.colour.matrix)[0] @ np.diag([255 / luma, 255 / chroma, 255 / chroma])
        offset = to_rgb @ np.array([[-black], [-middle], [-middle]])
        bgr = cv2.transform(cv2.merge(planes).astype(np.float32), np.hstack([to_rgb, offset])[::-1])
        if self.colour.curve is not None:
            bgr = rendered(bgr[..., ::-1] / 255, self.colour.curve)[..., ::-1]
        return np.asarray(np.clip(np.rint(bgr), 0, 255), dtype=np.uint8)

    def painted(self, rows: slice, columns: slice, patch: Floats, weight: Floats) -> "Picture":
        """Return a copy with source + weight * (patch - source) in a region; see `Canvas.painted`.

        Samples that do not contribute to a pixel with a weight are unchanged, so that `rgb` is the same wherever the
        weight is 0. In high dynamic range, the difference of patch and source is converted back from standard range
        and added to the source's own samples: equal pixels, highlights too, are unchanged.
        """
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        if bottom <= top or right <= left or not weight.any():
            return self
        curve = self.colour.curve
        luma, *chroma = _from_rgb(patch if curve is None else 255 * restored(patch, curve), self.colour)
        before: list[Floats] | None = None
        y = self.y.copy()
        region = y[top:bottom, left:right]
        if curve is None:
            mixed = region + weight * (luma - region)
        else:
            was, *before = _from_rgb(255 * restored(self.rgb(rows, columns).astype(np.float32), curve), self.colour)
            mixed = region + weight * (luma - was)
        region[:] = np.where(weight > 0, quantised(mixed, self.colour.depth, y.dtype), region)
        # Chroma is mixed at full size over a region that starts at even positions and has all that its filters read.
        outer = (
            max(0, top // 2 * 2 - MARGIN),
            min(self.height, bottom + MARGIN),
            max(0, left // 2 * 2 - MARGIN),
            min(self.width, right + MARGIN),
        )
        around = (top - outer[0], outer[1] - bottom, left - outer[2], outer[3] - right)
        if before is not None:
            chroma = [wanted - was for wanted, was in zip(chroma, before)]
        share, *chroma = (_widened(plane, around) for plane in (weight, *chroma))
        if before is None:
            own = (doubled(plane, outer, self.colour.siting, self.colour.steps) for plane in (self.u, self.v))
            chroma = [wanted - plane for wanted, plane in zip(chroma, own)]
        u, v = (self._mixed(plane, change, share, outer) for plane, change in zip((self.u, self.v), chroma))
        return Picture(y, u, v, self.colour, self.alpha)

    def turned(self, matrix: NDArray[np.int32]) -> "Picture":
        """Return the picture rotated and mirrored by a display matrix (2, 2); samples are moved, not changed.

        Raises ValueError for a quarter turn of 4:2:2, which would halve the rows of chroma instead of its columns.
        """
        step_x, step_y = (int(step) for step in matrix.sum(axis=0))
        swaps = matrix[0, 0] == 0
        siting = self.colour.siting[::-1] if swaps else self.colour.siting
        width, height = (self.height, self.width) if swaps else (self.width, self.height)
        planes = [
            None if plane is None else np.ascontiguousarray((plane.T if swaps else plane)[::step_y, ::step_x])
            for plane in (self.y, self.u, self.v, self.alpha)
        ]
        # Mirroring moves a sample from position 0 of its two pixels to 1; with an odd size, pairs shift by a pixel.
        along = [
            abs((1 - size % 2) - at) if step < 0 and shared == 2 else at
            for at, step, size, shared in zip(siting, (step_x, step_y), (width, height), self.colour.steps[::-1])
        ]
        y, u, v, alpha = planes
        assert y is not None
        assert u is not None
        assert v is not None
        return Picture(y, u, v, replace(self.colour, siting=(along[0], along[1])), alpha)

    def _mixed(self, source: Plane, change: Floats, weight: Floats, region: tuple[int, int, int, int]) -> Plane:
        """Return a copy of a chroma plane with `change`, one value per pixel of the region, added by `weight`."""
        siting, steps = self.colour.siting, self.colour.steps
        change = halved(weight * change, siting, in_height=steps[0] == 2, in_width=steps[1] == 2)
        plane = source.copy()
        part = plane[region[0] // steps[0] :, region[2] // steps[1] :][: change.shape[0], : change.shape[1]]
        shown = inside(weight > 0, siting, steps)
        part[:] = np.where(shown, quantised(part + change, self.colour.depth, plane.dtype), part)
        return plane

    def _convert(self, top: int, bottom: int, left: int, right: int, out: Image) -> None:
        """Write one region as RGB to `out`."""
        depth = cv2.CV_8U if self.colour.curve is None else cv2.CV_32F
        black, luma, middle, chroma = self.colour.levels
        to_rgb = _matrices(self.colour.matrix)[0] * (255 / chroma)
        y = self.y[top:bottom, left:right].astype(np.float32)
        region = (top, bottom, left, right)
        u, v = (doubled(plane, region, self.colour.siting, self.colour.steps) for plane in (self.u, self.v))
        scale = 255 / luma
        red, blue = to_rgb[0, 2], to_rgb[2, 1]
        green = cv2.addWeighted(u, to_rgb[1, 1], v, to_rgb[1, 2], -middle * (to_rgb[1, 1] + to_rgb[1, 2]))
        channels = [
            cv2.addWeighted(y, scale, v, red, -black * scale - middle * red, dtype=depth),
            cv2.addWeighted(y, scale, green, 1.0, -black * scale, dtype=depth),
            cv2.addWeighted(y, scale, u, blue, -black * scale - middle * blue, dtype=depth),
        ]
        if self.colour.curve is None:
            cv2.merge(channels, out)
        else:
            shown = rendered(cv2.merge(channels) / 255, self.colour.curve)
            out[:] = np.clip(np.rint(shown), 0, 255)


@cache
def _matrices(matrix: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices (3, 3) from Y'CbCr (luma 0..1, chroma -0.5..0.5) to RGB 0..1, and back; read-only."""
    red, blue = LUMA_SHARES[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    to_blue = (np.array([0, 0, 1]) - luma) / (2 - 2 * blue)
    to_red = (np.array([1, 0, 0]) - luma) / (2 - 2 * red)
    to_ycc = np.stack([luma, to_blue, to_red])
    to_rgb = np.linalg.inv(to_ycc)
    for each in (to_rgb, to_ycc):
        each.flags.writeable = False
    return to_rgb, to_ycc


def _from_rgb(image: Floats, colour: Colour) -> tuple[Floats, Floats, Floats]:
    """Return luma and both chroma planes, each (rows, columns), of RGB (rows, columns, 3) 0..255, not rounded."""
    black, luma, middle, chroma = colour.levels
    scale = np.array([[luma], [chroma], [chroma]]) / 255
    to_ycc = np.hstack([_matrices(colour.matrix)[1] * scale, [[black], [middle], [middle]]])
    y, u, v = cv2.split(cv2.transform(np.ascontiguousarray(image, dtype=np.float32), to_ycc))
    return np.asarray(y, np.float32), np.asarray(u, np.float32), np.asarray(v, np.float32)


def quantised(plane: NDArray[Any], depth: int, dtype: np.dtype[Any]) -> Plane:
    """Round half to even and clip to the range of `depth` bits."""
    rounded: Plane = np.clip(np.rint(plane), 0, 2**depth - 1).astype(dtype)
    return rounded


def _widened(plane: Floats, around: tuple[int, int, int, int]) -> Floats:
    """Pad a plane with zeros: (top, bottom, left, right) pixels."""
    return np.asarray(cv2.copyMakeBorder(plane, *around, cv2.BORDER_CONSTANT, value=0), dtype=np.float32)
