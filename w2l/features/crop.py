"""Cropping faces from frames and mapping redrawn faces back.

Three kinds of crop exist. ``aligned``: a similarity transform maps eyes, nose and mouth to fixed places, so that the
mouth is always where the network expects it. ``box``: the detected box with pads, resized ignoring the aspect ratio, as
the public Wav2Lip checkpoints expect. ``judge``: the wide square of the SyncNet pipeline (Chung & Zisserman, "Out of
time", 2016; joonson/syncnet_python), whose lower part extends below the chin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Floats, Image
from w2l.core.errors import ConfigError

TEMPLATE = np.array([[0.33, 0.28], [0.67, 0.28], [0.50, 0.473], [0.50, 0.676]])
"""Left eye, right eye, nose tip and middle of the mouth in an aligned crop of side 1.

The lower half then runs from under the nose to below the chin of an open mouth. Proportions are those of the common
112 px five-point template."""

JUDGE_MARGIN = 0.40
"""Margin around the box that the SyncNet pipeline adds (its ``crop_scale``)."""
JUDGE_BORDER = 110
"""Grey value that the SyncNet pipeline uses outside the image."""


MAX_BLOW_UP = 4
"""How many times finer a patch is made, smoothly, before it is warped into the image."""


@dataclass(frozen=True)
class CropSpec:
    """How a face is cropped; stored in the model file, so that faces are always cropped as in training."""

    kind: Literal["aligned", "box", "judge"] = "aligned"
    """`aligned` (by the five points), `box` (the detected box with pads) or `judge` (the SyncNet pipeline's square)."""
    size: int = 96
    """Side of the crop in pixels."""
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels added to a box at top, bottom, left and right; `box` only."""
    smooth_s: float = 0.12
    """Standard deviation, in seconds, of the centred Gaussian that smooths box and points."""
    shrink: Literal["area", "linear"] = "area"
    """`judge` only: how a larger square is resized. The SyncNet pipeline interpolates linearly, which aliases."""
    interpolation: ClassVar[int] = cv2.INTER_LINEAR
    """How OpenCV resamples aligned crops; linear, as in training."""
    least_scale: ClassVar[float] = 1 / 2
    """Image pixels per pixel of the crop below which a patch is averaged down before it is pasted."""

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.kind not in ("aligned", "box", "judge"):
            raise ConfigError(f"crop kind {self.kind!r} is unknown; choose aligned, box or judge")
        if self.size < 32 or self.size % 2:
            raise ConfigError(f"crop size {self.size} must be an even number of at least 32 pixels")
        if len(self.pads) != 4:
            raise ConfigError(f"crop pads {list(self.pads)} must be four numbers: top, bottom, left, right")
        if self.smooth_s < 0:
            raise ConfigError(f"crop smooth_s {self.smooth_s} must not be negative")
        if self.shrink not in ("area", "linear"):
            raise ConfigError(f"crop shrink {self.shrink!r} is unknown; choose area or linear")
        object.__setattr__(self, "pads", tuple(self.pads))


class FineCrop(CropSpec):
    """How an aligned crop at about the resolution of its frame is cut: cubic, so that it hardly loses detail.

    Pixels that are moved from such crops are hardly finer than those of the image, even where a crop is larger.
    """

    interpolation = cv2.INTER_CUBIC
    least_scale = 1 / 3


def coarser(crop: Image, times: int) -> Image:
    """Return a crop (size, size, channels) downsampled by a whole number: each pixel averages those it covers."""
    if times == 1:
        return crop
    size = len(crop) // times
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def alignment(points: Floats, size: int) -> NDArray[np.float64]:
    """Return the similarity transform (2, 3), frame pixels -> pixels of an aligned crop, from five points (5, 2).

    The two mouth corners count as one point, their middle, so that a widening mouth does not zoom the face.
    Least squares in closed form (Umeyama, 1991), written with complex numbers: ``target = a * source + b``.
    """
    anchors = np.concatenate([points[:3], points[3:].mean(axis=0, keepdims=True)])
    source = anchors[:, 0] + 1j * anchors[:, 1]
    target = (TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]) * size
    centred = source - source.mean()
    a = np.vdot(centred, target - target.mean()) / max(float(np.vdot(centred, centred).real), 1e-9)
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def side_in_frame(boxes: Floats, points: Floats, spec: CropSpec) -> NDArray[np.float64]:
    """Return (faces,): the longer side, in frame pixels, of the crops of boxes (faces, 4) and points (faces, 5, 2).

    For aligned crops and boxes with pads included; for a judge's square without its margin.
    """
    if spec.kind == "aligned":
        return np.array([spec.size / np.hypot(*alignment(each, spec.size)[:, 0]) for each in points])
    top, bottom, left, right = spec.pads
    widths, heights = boxes[:, 2] - boxes[:, 0] + left + right, boxes[:, 3] - boxes[:, 1] + top + bottom
    return np.asarray(np.maximum(widths, heights), dtype=np.float64)


def cut(image: Image, box: Floats, points: Floats, spec: CropSpec) -> Image:
    """Crop a face as (size, size, 3) uint8; `box` (x1, y1, x2, y2) and `points` (5, 2) are in pixels of `image`."""
    if spec.kind == "aligned":
        return _warp(image, alignment(points, spec.size), spec)
    if spec.kind == "judge":
        return _cut_judge(image, box, spec)
    x1, y1, x2, y2 = padded_box(box, spec.pads, image.shape[1], image.shape[0])
    return np.asarray(cv2.resize(image[y1:y2, x1:x2], (spec.size, spec.size)), dtype=np.uint8)


def cut_from(canvas: Canvas, box: Floats, points: Floats, spec: CropSpec) -> Image:
    """Run `cut` on an image of which only the region needed for the crop is converted to RGB."""
    return cut_each(canvas, box, points, (spec,))[0]


def cut_each(canvas: Canvas, box: Floats, points: Floats, specs: Sequence[CropSpec]) -> list[Image]:
    """Return a crop of one face by each of `specs`, as `cut_from` does; what several need is converted to RGB once."""
    if any(spec.kind == "judge" for spec in specs):
        image = canvas.rgb()
        return [cut(image, box, points, spec) for spec in specs]
    regions = [crop_region(box, points, spec, canvas.width, canvas.height) for spec in specs]
    top, left = (min(region[axis].start for region in regions) for axis in (0, 1))
    bottom, right = (max(region[axis].stop for region in regions) for axis in (0, 1))
    image = canvas.rgb(slice(top, bottom), slice(left, right))
    crops = []
    for spec, (rows, columns) in zip(specs, regions):
        if spec.kind == "box":
            own = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            crops.append(np.asarray(cv2.resize(own, (spec.size, spec.size)), dtype=np.uint8))
        else:
            crops.append(cut(image, box, points - np.array([left, top], dtype=np.float64), spec))
    return crops


def crop_region(box: Floats, points: Floats, spec: CropSpec, width: int, height: int) -> tuple[slice, slice]:
    """Return the rows and columns of an image of that size that an aligned or box crop needs, a margin included."""
    if spec.kind == "box":
        x1, y1, x2, y2 = padded_box(box, spec.pads, width, height)
        return slice(y1, y2), slice(x1, x2)
    inverse = cv2.invertAffineTransform(alignment(points, spec.size))
    corners = np.array([[0, 0], [spec.size, 0], [0, spec.size], [spec.size, spec.size]]) @ inverse[:, :2].T
    margin = 2 + 2 * int(np.hypot(inverse[0, 0], inverse[1, 0]))
    low = np.floor(corners.min(axis=0) + inverse[:, 2]).astype(int) - margin
    high = np.ceil(corners.max(axis=0) + inverse[:, 2]).astype(int) + margin
    x1, y1 = np.clip(low, 0, (width - 2, height - 2))
    x2, y2 = np.clip(high, (x1 + 2, y1 + 2), (width, height))
    return slice(int(y1), int(y2)), slice(int(x1), int(x2))


def padded_box(box: Floats, pads: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the integer box (x1, y1, x2, y2) with pads (top, bottom, left, right), clipped, at least 2 px wide."""
    top, bottom, left, right = pads
    x1 = min(max(int(box[0]) - left, 0), width - 2)
    y1 = min(max(int(box[1]) - top, 0), height - 2)
    return x1, y1, max(min(int(box[2]) + right, width), x1 + 2), max(min(int(box[3]) + bottom, height), y1 + 2)


@dataclass(frozen=True)
class Footprint:
    """Region of the frame covered by the visible part of a crop, and the mapping of crop coordinates into it."""

    rows: slice
    columns: slice
    to_region: NDArray[np.float64]
    """(2, 3): pixels of the crop -> pixels of the region that `rows` and `columns` cut out of the frame."""
    outside: int
    """Weight beyond the crop's edge, as an OpenCV border mode: 0 (aligned) or the value at the edge (box)."""
    least_scale: float
    """See `CropSpec.least_scale`."""

    @property
    def scale(self) -> float:
        """Frame pixels per pixel of the crop."""
        return float(np.sqrt(abs(np.linalg.det(self.to_region[:, :2]))))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the region."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def moved(self, layers: Floats, first_row: int = 0) -> NDArray[np.float32]:
        """Resample crop rows from `first_row` on, (rows, size) or (rows, size, up to 4 layers), into the region.

        Cubic, so that detail is kept. Enlarging much: cubic, then linear between the pixels of a crop enlarged two- to
        fourfold, at a third of the cost of cubic all the way. Shrinking much: averaged down first, so that nothing
        aliases.
        """
        rescaled, to_layers = _rescaled(np.asarray(layers, dtype=np.float32), self.scale, self.least_scale)
        to_layers[1, 2] += first_row
        how = cv2.INTER_LINEAR if len(rescaled) > len(layers) else cv2.INTER_CUBIC
        return self._warped(rescaled, self.to_region @ to_layers, cv2.BORDER_REPLICATE, how)

    def moved_weight(self, weight: Floats) -> NDArray[np.float32]:
        """Resample a weight (size, size) into the region; linear, so that it stays within 0..1."""
        return self._warped(np.asarray(weight, dtype=np.float32), self.to_region, self.outside, cv2.INTER_LINEAR)

    def _warped(
        self, layers: NDArray[np.float32], matrix: NDArray[np.float64], border: int, how: int
    ) -> NDArray[np.float32]:
        target = (self.shape[1], self.shape[0])
        return np.asarray(cv2.warpAffine(layers, matrix, target, flags=how, borderMode=border))


def crop_to_frame(box: Floats, points: Floats, spec: CropSpec, width: int, height: int) -> NDArray[np.float64]:
    """Return the map (2, 3) from pixels of an aligned or box crop to pixels of its frame of `width` x `height`."""
    if spec.kind == "aligned":
        return np.asarray(cv2.invertAffineTransform(alignment(points, spec.size)))
    if spec.kind == "box":
        x1, y1, x2, y2 = padded_box(box, spec.pads, width, height)
        across, down = (x2 - x1) / spec.size, (y2 - y1) / spec.size
        return np.array([[across, 0, x1 + (across - 1) / 2], [0, down, y1 + (down - 1) / 2]])
    raise ConfigError(f"a {spec.kind} crop is only for measuring and cannot be pasted back")


def footprint(weight: Floats, box: Floats, points: Floats, spec: CropSpec, width: int, height: int) -> Footprint | None:
    """Return where the pixels of a crop whose `weight` (size, size) is not 0 lie in a frame; None if outside of it."""
    shows = np.asarray(weight) > 0
    columns, rows = np.flatnonzero(shows.any(axis=0)), np.flatnonzero(shows.any(axis=1))
    if not len(rows):
        return None
    limits = padded_box(box, spec.pads, width, height) if spec.kind == "box" else (0, 0, width, height)
    inverse = crop_to_frame(box, points, spec, width, height)
    left, top, right, bottom = columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], dtype=np.float64)
    in_frame = corners @ inverse[:, :2].T + inverse[:, 2]
    x1, y1 = np.maximum(np.floor(in_frame.min(axis=0)).astype(int), limits[:2]).tolist()
    x2, y2 = np.minimum(np.ceil(in_frame.max(axis=0)).astype(int), limits[2:]).tolist()
    if x2 <= x1 or y2 <= y1:
        return None
    outside = cv2.BORDER_REPLICATE if spec.kind == "box" else cv2.BORDER_CONSTANT
    return Footprint(
        slice(y1, y2), slice(x1, x2), inverse - np.array([[0, 0, x1], [0, 0, y1]]), outside, spec.least_scale
    )


def _rescaled(
    layers: NDArray[np.float32], scale: float, least_scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return layers resampled to about the frame's resolution, and the map (3, 3) of their pixels to the original."""
    height, width = layers.shape[:2]
    times = 1 / int(1 / scale) if scale <= least_scale else float(min(MAX_BLOW_UP, max(1, int(np.ceil(scale)))))
    rows, columns = max(1, round(height * times)), max(1, round(width * times))
    if times != 1:
        how = cv2.INTER_CUBIC if times > 1 else cv2.INTER_AREA
        layers = np.asarray(cv2.resize(layers, (columns, rows), interpolation=how))
    across, down = width / columns, height / rows
    return layers, np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


def _warp(image: Image, transform: NDArray[np.float64], spec: CropSpec) -> Image:
    """Warp an image; a face at least twice as large as the crop is first averaged down, so that nothing aliases."""
    size = spec.size
    shrink = int(1 / max(float(np.hypot(transform[0, 0], transform[1, 0])), 1e-6))
    if shrink >= 2:
        image, transform = _averaged_down(image, transform, size, shrink)
    return np.asarray(
        cv2.warpAffine(image, transform, (size, size), flags=spec.interpolation, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.uint8,
    )


def _averaged_down(
    image: Image, transform: NDArray[np.float64], size: int, shrink: int
) -> tuple[Image, NDArray[np.float64]]:
    inverse = cv2.invertAffineTransform(transform)
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) @ inverse[:, :2].T + inverse[:, 2]
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(corners.min(axis=0)).astype(int) - shrink, 0, (width - shrink, height - shrink))
    x2, y2 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + shrink, (x1 + shrink, y1 + shrink), (width, height))
    x2, y2 = x1 + (x2 - x1) // shrink * shrink, y1 + (y2 - y1) // shrink * shrink
    small = cv2.resize(
        image[y1:y2, x1:x2], (int(x2 - x1) // shrink, int(y2 - y1) // shrink), interpolation=cv2.INTER_AREA
    )
    # A pixel centre c of the small picture lies at shrink * (c + 0.5) - 0.5 + corner in the large one.
    to_large = np.array([[shrink, 0, x1 + (shrink - 1) / 2], [0, shrink, y1 + (shrink - 1) / 2], [0, 0, 1]])
    return np.asarray(small, dtype=np.uint8), transform @ to_large


def _cut_judge(image: Image, box: Floats, spec: CropSpec) -> Image:
    """Crop rows from one half side above the centre to 1.8 below, columns 1.4 to both sides, grey outside the image."""
    half = max(float(box[3] - box[1]), float(box[2] - box[0]), 2.0) / 2
    x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    border = int(half * (1 + 2 * JUDGE_MARGIN))
    x, y = x + border, y + border
    y1, y2 = int(y - half), int(y + half * (1 + 2 * JUDGE_MARGIN))
    x1, x2 = int(x - half * (1 + JUDGE_MARGIN)), int(x + half * (1 + JUDGE_MARGIN))
    grey = (JUDGE_BORDER,) * 3
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT, value=grey)
    face = wide[max(y1, 0) : y2, max(x1, 0) : x2]
    averages = spec.shrink == "area" and face.shape[0] > spec.size
    way = cv2.INTER_AREA if averages else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(face, (spec.size, spec.size), interpolation=way), dtype=np.uint8)
