"""Detect the lips in source crops and in their redrawn patches, so that only skin is compared with skin."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.faces.follow import Face
from w2l.features.crop import CropSpec, alignment, crop_to_frame
from w2l.models.lip_reader import read_mouths

SIDE = 96
"""Side in pixels of the aligned crops that the lip reader takes."""
WIDEN = 0.035
"""Margin added to an outline, in sides of the crop, for blurred edges, a Cupid's bow and errors of the reader."""
FADE = 0.035
"""Width over which the mask fades out beyond that, in sides of the crop."""
CENTRE_X, CENTRE_Y = (0.3, 0.7), (0.55, 0.88)
"""Plausible positions of the middle of a mouth in an aligned crop, in sides."""
WIDTHS = (0.08, 0.5)
"""Least and largest plausible distance of the corners of a mouth, in sides."""
MOST_TILT = 0.4
"""Largest plausible slope of the line from corner to corner."""
ORDER_SLACK = 0.02
"""Tolerance of the vertical order of the four points in the middle of a mouth, in sides."""
COVERED = 0.5
"""Probability from which lips count as covered."""


@dataclass(frozen=True)
class LipPair:
    """Six points (6, 2) of the lips, in sides of the crop, before and after redrawing; see `w2l.nets.lips`."""

    source: Floats | None = None
    """Points in the source's crop; None if no mouth was found."""
    patch: Floats | None = None
    """Points in the redrawn patch, likewise."""


def read_pairs(
    crops: Image | Floats,
    patches: Floats,
    faces: Sequence[Face],
    frame_sizes: Sequence[tuple[int, int]],
    spec: CropSpec,
) -> list[LipPair]:
    """Return the lips of every face in its crop and in its patch, detected in one batch.

    Parameters
    ----------
    crops : (faces, size, size, 3) uint8 or float
    patches : (faces, size, size, 3) float, RGB in 0..255
    faces : sequence of Face
        Positions in their frames.
    frame_sizes : sequence of (width, height)
        Size of the frame of every face.
    spec : CropSpec
        Specification of the crops.
    """
    if not len(crops):
        return []
    maps = [_to_aligned(face, spec, size) for face, size in zip(faces, frame_sizes)] * 2
    aligned = [_moved(crop, map_) for crop, map_ in zip([*crops, *patches], maps)]
    mouths = read_mouths(np.stack(aligned))
    points = [
        None if covered > COVERED or not _believable(placed) else _placed_back(placed, map_, spec.size)
        for placed, covered, map_ in zip(mouths.points, mouths.covered, maps)
    ]
    return [LipPair(source, patch) for source, patch in zip(points[: len(crops)], points[len(crops) :])]


def lip_map(points: Floats, x: Floats, y: Floats) -> NDArray[np.float32]:
    """Return a mask (rows, columns) of the lips with six `points`: 1 within and slightly beyond, fading to 0.

    `x` (columns,) and `y` (rows,) are the positions of the pixels, in sides of the crop. The outline consists of two
    half ellipses through the corners, one for each lip.
    """
    centre = (points[0] + points[1]) / 2
    along = points[1] - points[0]
    half = max(float(np.hypot(*along)) / 2, 1e-6)
    along = along / (2 * half)
    down = np.array([-along[1], along[0]])
    above, below = (max(float(sign * (points[idx] - centre) @ down), 0.0) for idx, sign in ((2, -1), (5, 1)))
    dx, dy = (x - centre[0])[None, :], (y - centre[1])[:, None]
    across, away = dx * along[0] + dy * along[1], dx * down[0] + dy * down[1]
    height = np.where(away < 0, above, below) + WIDEN
    radius = np.sqrt((across / (half + WIDEN)) ** 2 + (away / height) ** 2)
    beyond = np.hypot(across, away) * (1 - 1 / np.maximum(radius, 1e-6))
    return smooth_step(1 - beyond / FADE)


def smooth_step(share: Floats) -> NDArray[np.float32]:
    """Return a step from 0 where `share` is at most 0 to 1 where it is at least 1, with a slope of 0 at both ends."""
    inside = np.clip(share, 0.0, 1.0)
    return np.asarray(inside * inside * (3 - 2 * inside), dtype=np.float32)


def _to_aligned(face: Face, spec: CropSpec, frame_size: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return the map (2, 3) from pixels of a box crop to pixels of an aligned one; None if it is aligned."""
    if spec.kind == "aligned":
        return None
    to_frame = crop_to_frame(face.box, face.points, spec, *frame_size)
    return np.asarray(alignment(face.points, SIDE) @ np.concatenate([to_frame, [[0, 0, 1]]]))


def _moved(crop: Image | Floats, to_aligned: NDArray[np.float64] | None) -> Image:
    """Return a crop (size, size, 3) as input of the lip reader, (96, 96, 3)."""
    if to_aligned is None:
        moved = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    else:
        moved = cv2.warpAffine(crop, to_aligned, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    if crop.dtype == np.uint8:
        return np.asarray(moved)
    return np.asarray(np.clip(np.rint(moved), 0, 255), dtype=np.uint8)


def _placed_back(points: Floats, to_aligned: NDArray[np.float64] | None, size: int) -> Floats:
    """Map points (6, 2) from sides of an aligned crop to sides of the original crop of `size`."""
    if to_aligned is None:
        return points
    back = cv2.invertAffineTransform(to_aligned)
    return np.asarray(((points * SIDE - 0.5) @ back[:, :2].T + back[:, 2] + 0.5) / size)


def _believable(points: Floats) -> bool:
    """Return whether six points (6, 2) in sides of an aligned crop are plausible for a mouth."""
    centre, along = (points[0] + points[1]) / 2, points[1] - points[0]
    ordered = bool((np.diff(points[2:, 1]) > -ORDER_SLACK).all()) and points[2, 1] < points[5, 1]
    level = WIDTHS[0] <= along[0] <= WIDTHS[1] and abs(along[1]) <= MOST_TILT * along[0]
    return ordered and level and CENTRE_X[0] <= centre[0] <= CENTRE_X[1] and CENTRE_Y[0] <= centre[1] <= CENTRE_Y[1]
