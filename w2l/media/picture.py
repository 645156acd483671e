"""Pictures between decoder and encoder: planar Y'CbCr 4:2:0 of which only redrawn regions ever become RGB."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import ALL, Floats, Image
from w2l.media.tone import CURVES, Curve, rendered, restored

Plane = NDArray[Any]
Matrix = Literal["bt601", "bt709", "bt2020"]

UNSAID = 2
"""The H.273 code point of a colour property that a file does not state."""
LUMA_SHARES: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
"""Shares of red and blue in luma; green has the rest."""
SPACE_OF: dict[str, int] = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""The H.273 matrix code point that stands for each matrix."""
HD_HEIGHT = 720
"""Lines from which a video counts as HD, whose matrix is BT.709 where the file does not say; below it is BT.601."""
LEFT_SITED = (0.0, 0.5)
"""Where a chroma sample lies, right and down from the top left one of its 2 x 2 pixels: the default of H.264."""
CENTRE_SITED = (0.5, 0.5)
"""The siting of JPEG."""
REDUCERS: dict[float, tuple[list[float], int]] = {
    0.0: ([-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8], 2),
    0.5: ([-1 / 4, 3 / 4, 3 / 4, -1 / 4], 1),
    1.0: ([-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8], 1),
}
"""Siting along one axis -> filter (and its anchor) to halve with, which undoes linear interpolation exactly."""
MARGIN = 4
"""Pixels around a painted region whose chroma its filters look at; even."""
BAND_ROWS = 64
"""Rows converted to RGB at a time, so that what lies between stays in the processor's cache; even."""


@dataclass(frozen=True)
class Colour:
    """How the numbers of a picture stand for colours, and the tags that say so in a file."""

    matrix: Matrix = "bt709"
    """Which Y'CbCr matrix the samples follow."""
    full_range: bool = False
    """Whether samples use 0..255 (0..1023) instead of 16..235 (64..940)."""
    depth: int = 8
    """Bits per sample: 8 or 10."""
    primaries: int = UNSAID
    """H.273 colour primaries as in the source."""
    transfer: int = UNSAID
    """H.273 transfer characteristics as in the source."""
    space: int = UNSAID
    """H.273 matrix coefficients as in the source; `matrix` is what is calculated with."""
    siting: tuple[float, float] = LEFT_SITED
    """Where a chroma sample lies within its 2 x 2 pixels, right and down: 0, 0.5 or 1 each."""

    def __post_init__(self) -> None:
        if self.matrix not in LUMA_SHARES or self.depth not in (8, 10):
            raise ValueError(f"a picture has matrix {'|'.join(LUMA_SHARES)} and depth 8|10, not {self}")
        if not all(along in REDUCERS for along in self.siting):
            raise ValueError(f"chroma is sited at 0, 0.5 or 1 along an axis, not {self.siting}")

    @property
    def curve(self) -> Curve | None:
        """The curve of high dynamic range that the samples follow; None for standard range."""
        return CURVES.get(self.transfer)

    @property
    def levels(self) -> tuple[float, float, float, float]:
        """Black of luma, its distance to white, the middle of chroma, its distance from lowest to highest."""
        if self.full_range:
            top = float(2**self.depth - 1)
            return 0.0, top, float(2 ** (self.depth - 1)), top
        unit = 2.0 ** (self.depth - 8)
        return 16 * unit, 219 * unit, 128 * unit, 224 * unit


@dataclass(frozen=True, eq=False)
class RgbPicture:
    """A plain RGB image as a canvas."""

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
    """One picture as videos carry it: a plane of luma, and two of chroma with half its rows and columns."""

    y: Plane
    """(height, width) luma, uint8, or uint16 at 10 bits."""
    u: Plane
    """(ceil(height / 2), ceil(width / 2)) blue difference."""
    v: Plane
    """(ceil(height / 2), ceil(width / 2)) red difference."""
    colour: Colour

    def __post_init__(self) -> None:
        halves = ((self.height + 1) // 2, (self.width + 1) // 2)
        if self.u.shape != halves or self.v.shape != halves:
            raise ValueError(f"luma {self.y.shape} needs chroma {halves}, not {self.u.shape} and {self.v.shape}")

    @classmethod
    def from_rgb(cls, image: Image, colour: Colour | None = None) -> "Picture":
        """Convert an RGB image (height, width, 3) to a picture; by default 8 bits, with the usual matrix."""
        if colour is None:
            matrix: Matrix = "bt709" if len(image) >= HD_HEIGHT else "bt601"
            colour = Colour(matrix, space=SPACE_OF[matrix])
        dtype = np.dtype(np.uint8 if colour.depth == 8 else np.uint16)
        luma, *chroma = _from_rgb(image.astype(np.float32), colour)
        y, u, v = (
            quantised(plane, colour.depth, dtype) for plane in (luma, *(halved(c, colour.siting) for c in chroma))
        )
        return cls(y, u, v, colour)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.y.shape[0])

    def rgb(self, rows: slice = ALL, columns: slice = ALL) -> Image:
        """Return a region as RGB, (rows, columns, 3), chroma interpolated linearly; only that region is converted.

        High dynamic range is rendered as standard range, see `w2l.media.tone`.
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

        Samples that no pixel with a weight looks at stay as they are, so that `rgb` is the same wherever weight is 0.
        Of high dynamic range, the source's own samples get the difference between patch and source, taken back from the
        rendering that `rgb` gives: what is the same there stays as it is, highlights too.
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
        # Chroma is mixed at full size over a region that begins at even places and holds all that its filters reach.
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
            own = (doubled(plane, outer, self.colour.siting) for plane in (self.u, self.v))
            chroma = [wanted - plane for wanted, plane in zip(chroma, own)]
        u, v = (self._mixed(plane, change, share, outer) for plane, change in zip((self.u, self.v), chroma))
        return Picture(y, u, v, self.colour)

    def turned(self, matrix: NDArray[np.int32]) -> "Picture":
        """Return the picture rotated and mirrored by a display matrix (2, 2); samples are moved, never changed."""
        step_x, step_y = (int(step) for step in matrix.sum(axis=0))
        swaps = matrix[0, 0] == 0
        siting = self.colour.siting[::-1] if swaps else self.colour.siting
        width, height = (self.height, self.width) if swaps else (self.width, self.height)
        planes = [plane.T if swaps else plane for plane in (self.y, self.u, self.v)]
        planes = [np.ascontiguousarray(plane[::step_y, ::step_x]) for plane in planes]
        # Mirrored, a sample at 0 of its two pixels lies at 1 of them; with an odd count the pairs shift by a pixel.
        along = [
            abs((1 - size % 2) - at) if step < 0 else at
            for at, step, size in zip(siting, (step_x, step_y), (width, height))
        ]
        return Picture(planes[0], planes[1], planes[2], replace(self.colour, siting=(along[0], along[1])))

    def _mixed(self, source: Plane, change: Floats, weight: Floats, region: tuple[int, int, int, int]) -> Plane:
        """Return a copy of a chroma plane with `change`, one value per pixel of the region, added by `weight`."""
        siting = self.colour.siting
        change = halved(weight * change, siting)
        plane = source.copy()
        part = plane[region[0] // 2 :, region[2] // 2 :][: change.shape[0], : change.shape[1]]
        part[:] = np.where(_inside(weight > 0, siting), quantised(part + change, self.colour.depth, plane.dtype), part)
        return plane

    def _convert(self, top: int, bottom: int, left: int, right: int, out: Image) -> None:
        """Write one region as RGB to `out`."""
        depth = cv2.CV_8U if self.colour.curve is None else cv2.CV_32F
        black, luma, middle, chroma = self.colour.levels
        to_rgb = _matrices(self.colour.matrix)[0] * (255 / chroma)
        y = self.y[top:bottom, left:right].astype(np.float32)
        u, v = (doubled(plane, (top, bottom, left, right), self.colour.siting) for plane in (self.u, self.v))
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


def _matrices(matrix: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3, 3) from Y'CbCr, luma 0..1 and chroma -0.5..0.5, to RGB 0..1, and the way back."""
    red, blue = LUMA_SHARES[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    to_blue = (np.array([0, 0, 1]) - luma) / (2 - 2 * blue)
    to_red = (np.array([1, 0, 0]) - luma) / (2 - 2 * red)
    to_ycc = np.stack([luma, to_blue, to_red])
    return np.linalg.inv(to_ycc), to_ycc


def _from_rgb(image: Floats, colour: Colour) -> tuple[Floats, Floats, Floats]:
    """Luma and both chroma planes, each (rows, columns), of RGB (rows, columns, 3) 0..255, not rounded."""
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


def doubled(plane: Plane, region: tuple[int, int, int, int], siting: tuple[float, float]) -> Floats:
    """Chroma for each pixel of a region (top, bottom, left, right): (rows, columns), interpolated linearly."""
    top, bottom, left, right = region
    first, last = top // 2 - 1, (bottom + 1) // 2 + 1
    before, after = left // 2 - 1, (right + 1) // 2 + 1
    part: Any = plane[max(0, first) : last, max(0, before) : after].astype(np.float32)
    missing = (max(0, -first), max(0, last - plane.shape[0]), max(0, -before), max(0, after - plane.shape[1]))
    if any(missing):
        part = cv2.copyMakeBorder(part, *missing, cv2.BORDER_REPLICATE)
    right_of, below = siting
    n_rows, n_columns = part.shape[0] - 2, part.shape[1] - 2
    tall = np.empty((2 * n_rows, part.shape[1]), dtype=np.float32)
    tall[0::2] = cv2.addWeighted(part[1:-1], 1 - below / 2, part[:-2], below / 2, 0)
    tall[1::2] = cv2.addWeighted(part[1:-1], (1 + below) / 2, part[2:], (1 - below) / 2, 0)
    even = cv2.addWeighted(tall[:, 1:-1], 1 - right_of / 2, tall[:, :-2], right_of / 2, 0)
    odd = cv2.addWeighted(tall[:, 1:-1], (1 + right_of) / 2, tall[:, 2:], (1 - right_of) / 2, 0)
    whole = cv2.merge([even, odd]).reshape(2 * n_rows, 2 * n_columns)
    whole = whole[top % 2 : top % 2 + bottom - top, left % 2 : left % 2 + right - left]
    return np.asarray(whole, dtype=np.float32)


def halved(plane: Floats, siting: tuple[float, float], *, in_width: bool = True, in_height: bool = True) -> Floats:
    """One sample for each 2 x 2 pixels, the inverse of `doubled`; the first pixel has an even place."""
    (across, x) = REDUCERS[siting[0]] if in_width else ([1.0], 0)
    (down, y) = REDUCERS[siting[1]] if in_height else ([1.0], 0)
    filtered = cv2.sepFilter2D(
        plane, cv2.CV_32F, np.array(across), np.array(down), anchor=(x, y), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(filtered[:: 1 + in_height, :: 1 + in_width], dtype=np.float32)


def _inside(support: NDArray[np.bool_], siting: tuple[float, float]) -> NDArray[np.bool_]:
    """Which chroma samples only show in pixels of `support` (rows, columns): (ceil(rows / 2), ceil(columns / 2))."""
    reach = [(-1 if at < 1 else 0, 2 if at > 0 else 1) for at in siting]
    kernel = np.ones((reach[1][1] - reach[1][0] + 1, reach[0][1] - reach[0][0] + 1), dtype=np.uint8)
    kept = cv2.erode(support.astype(np.uint8), kernel, anchor=(-reach[0][0], -reach[1][0]))
    return np.asarray(kept[::2, ::2] > 0)
