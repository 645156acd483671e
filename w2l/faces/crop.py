"""How a face is cut out of a frame, and where a redrawn face goes back.

Three cuts exist. ``aligned``: a similarity transform brings eyes, nose and mouth to fixed places, so that the mouth is
always where the network expects it. ``box``: the detected box with pads, resized without keeping the aspect, as the
public Wav2Lip checkpoints expect. ``judge``: the wide square of the SyncNet pipeline (Chung & Zisserman, "Out of time",
2016; joonson/syncnet_python), whose lower part reaches below the chin.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.errors import ConfigError

Image = NDArray[np.uint8]
Floats = NDArray[np.floating]

TEMPLATE = np.array([[0.33, 0.28], [0.67, 0.28], [0.50, 0.473], [0.50, 0.676]])
"""Left eye, right eye, nose tip and middle of the mouth in an aligned crop of side 1.

The lower half then runs from under the nose to below the chin of an open mouth. Proportions are those of the common
112 px five-point template."""

JUDGE_MARGIN = 0.40
"""Margin around the box that the SyncNet pipeline adds (its ``crop_scale``)."""
JUDGE_BORDER = 110
"""Grey value that the SyncNet pipeline puts outside the picture."""


@dataclass(frozen=True)
class CropSpec:
    """How a face is cut; a model file carries one, so that a face is always cut as the model was trained."""

    kind: Literal["aligned", "box", "judge"] = "aligned"
    """`aligned` (by the five points), `box` (the detected box with pads) or `judge` (the SyncNet pipeline's square)."""
    size: int = 96
    """Side of the crop in pixels."""
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels added to a box at top, bottom, left and right; `box` only."""
    smooth_s: float = 0.12
    """Standard deviation, in seconds, of the centred Gaussian that steadies box and points."""

    def __post_init__(self) -> None:
        """Refuses what cannot be cut."""
        if self.kind not in ("aligned", "box", "judge"):
            raise ConfigError(f"crop kind {self.kind!r} is unknown; choose aligned, box or judge")
        if self.size < 32 or self.size % 2:
            raise ConfigError(f"crop size {self.size} must be an even number of at least 32 pixels")
        if len(self.pads) != 4:
            raise ConfigError(f"crop pads {list(self.pads)} must be four numbers: top, bottom, left, right")
        if self.smooth_s < 0:
            raise ConfigError(f"crop smooth_s {self.smooth_s} must not be negative")
        object.__setattr__(self, "pads", tuple(self.pads))


@dataclass(frozen=True)
class Placement:
    """A redrawn patch in the coordinates of its frame."""

    rows: slice
    columns: slice
    patch: NDArray[np.float32]
    """(rows, columns, 3), 0..255."""
    weight: NDArray[np.float32]
    """(rows, columns), 0 outside the crop: how much of the patch shows."""


def alignment(points: Floats, size: int) -> NDArray[np.float64]:
    """Similarity transform (2, 3), frame pixels -> pixels of an aligned crop, from five points (5, 2).

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


def cut(image: Image, box: Floats, points: Floats, spec: CropSpec) -> Image:
    """The face as (size, size, 3) uint8; `box` (x1, y1, x2, y2) and `points` (5, 2) are in pixels of `image`."""
    if spec.kind == "aligned":
        return _warp(image, alignment(points, spec.size), spec.size)
    if spec.kind == "judge":
        return _cut_judge(image, box, spec.size)
    x1, y1, x2, y2 = padded_box(box, spec.pads, image.shape[1], image.shape[0])
    return np.asarray(cv2.resize(image[y1:y2, x1:x2], (spec.size, spec.size)), dtype=np.uint8)


def padded_box(box: Floats, pads: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """Whole-pixel box (x1, y1, x2, y2) with pads (top, bottom, left, right), inside the picture, at least 2 px wide."""
    top, bottom, left, right = pads
    x1 = min(max(int(box[0]) - left, 0), width - 2)
    y1 = min(max(int(box[1]) - top, 0), height - 2)
    return x1, y1, max(min(int(box[2]) + right, width), x1 + 2), max(min(int(box[3]) + bottom, height), y1 + 2)


def place(
    patch: Floats, weight: Floats, box: Floats, points: Floats, spec: CropSpec, width: int, height: int
) -> Placement | None:
    """Where a patch (size, size, 3) goes in a frame: the inverse of `cut`; None when nothing of it shows.

    `weight` (size, size), 0..1, travels with the patch and comes back in frame coordinates; an aligned patch is placed
    only as far as its weight reaches.
    """
    if spec.kind == "box":
        x1, y1, x2, y2 = padded_box(box, spec.pads, width, height)
        target = (x2 - x1, y2 - y1)
        return Placement(slice(y1, y2), slice(x1, x2), _resized(patch, target), _resized(weight, target))
    if spec.kind != "aligned":
        raise ConfigError(f"a {spec.kind} crop is for measuring and cannot be put back")
    transform = alignment(points, spec.size)
    inverse = cv2.invertAffineTransform(transform)
    shows = np.argwhere(np.asarray(weight) > 0)
    if not len(shows):
        return None
    (top, left), (bottom, right) = shows.min(axis=0) - 1, shows.max(axis=0) + 2
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], dtype=np.float64)
    in_frame = corners @ inverse[:, :2].T + inverse[:, 2]
    x1, y1 = np.maximum(np.floor(in_frame.min(axis=0)).astype(int), 0)
    x2, y2 = np.minimum(np.ceil(in_frame.max(axis=0)).astype(int), (width, height))
    if x2 <= x1 or y2 <= y1:
        return None
    inverse = inverse - np.array([[0, 0, x1], [0, 0, y1]])
    target = (int(x2 - x1), int(y2 - y1))
    small, to_large = _shrunk(patch, int(np.hypot(transform[0, 0], transform[1, 0])))
    moved = cv2.warpAffine(small, inverse @ to_large, target, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpAffine(np.asarray(weight, dtype=np.float32), inverse, target, flags=cv2.INTER_LINEAR)
    return Placement(
        slice(int(y1), int(y2)), slice(int(x1), int(x2)), np.clip(moved, 0, 255).astype(np.float32), np.asarray(seen)
    )


def _shrunk(patch: Floats, shrink: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A patch for a face much smaller than the crop, averaged down, and the map (3, 3) of its pixels to the patch's."""
    size = len(patch)
    side = max(1, round(size / max(shrink, 1)))
    small = np.asarray(patch, dtype=np.float32)
    if side < size:
        small = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_AREA))
    step = size / side
    return small, np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2], [0, 0, 1]])


def _resized(array: Floats, target: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(np.asarray(array, dtype=np.float32), target), dtype=np.float32)


def _warp(image: Image, transform: NDArray[np.float64], size: int) -> Image:
    """Warp without aliasing: a face much larger than the crop is first averaged down around itself."""
    shrink = int(1 / max(float(np.hypot(transform[0, 0], transform[1, 0])), 1e-6))
    if shrink >= 2:
        image, transform = _averaged_down(image, transform, size, shrink)
    return np.asarray(
        cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
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


def _cut_judge(image: Image, box: Floats, size: int) -> Image:
    """Rows from one half side above the centre to 1.8 below, columns 1.4 to both sides, grey outside the picture."""
    half = max(float(box[3] - box[1]), float(box[2] - box[0]), 2.0) / 2
    x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    border = int(half * (1 + 2 * JUDGE_MARGIN))
    x, y = x + border, y + border
    y1, y2 = int(y - half), int(y + half * (1 + 2 * JUDGE_MARGIN))
    x1, x2 = int(x - half * (1 + JUDGE_MARGIN)), int(x + half * (1 + JUDGE_MARGIN))
    grey = (JUDGE_BORDER,) * 3
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT, value=grey)
    face = wide[max(y1, 0) : y2, max(x1, 0) : x2]
    shrinks = face.shape[0] > size
    return np.asarray(
        cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), dtype=np.uint8
    )
