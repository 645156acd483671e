"""Arithmetic on boxes (x1, y1, x2, y2): overlap, suppression, clipping, bridging gaps in time, smoothing (pure)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Indices = NDArray[np.intp]

REFERENCE_SMOOTHING = 5
"""T of the published inference: number of boxes averaged."""
GAUSSIAN_REACH = 4.0
"""Standard deviations at which the Gaussian window is truncated."""


def area(boxes: Floats) -> Floats:
    """Return the areas in square pixels of boxes (..., 4); zero for an inverted box."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0.0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def intersection(a: Floats, b: Floats) -> Floats:
    """Return the shared areas (n, m), in square pixels, of every box in `a` (n, 4) with every box in `b` (m, 4)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return area(np.concatenate([top_left, bottom_right], axis=2))


def iou(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union (n, m), 0..1, of every box in `a` (n, 4) with every box in `b` (m, 4)."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return shared / np.maximum(union, 1e-9)


def nms(boxes: Floats, scores: Floats, threshold: float, over: Literal["union", "smaller"] = "union") -> Indices:
    """Return the indices of the boxes kept by non-maximum suppression at `threshold`, best first.

    Parameters
    ----------
    boxes : (boxes, 4)
    scores : (boxes,)
    over : "union" or "smaller"
        What the shared area is divided by: the union, or the smaller of the two boxes.
    """
    order = np.argsort(-scores, kind="stable")
    areas = area(boxes)
    kept: list[int] = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(int(best))
        shared = intersection(boxes[best : best + 1], boxes[order])[0]
        if over == "union":
            whole = areas[best] + areas[order] - shared
        else:
            whole = np.minimum(areas[best], areas[order])
        order = order[shared <= threshold * whole]
    return np.asarray(kept, dtype=np.intp)


def clip(boxes: Floats, width: int, height: int) -> Floats:
    """Clip boxes (..., 4) to an image of `width` x `height` pixels."""
    return np.clip(boxes, 0.0, np.array([width, height, width, height], dtype=np.float64))


def square(boxes: Floats) -> Floats:
    """Return boxes (..., 4) with the same centres and both sides as long as the longer one."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def interpolate(known: NDArray[np.int64], rows: Floats, wanted: NDArray[np.int64]) -> Floats:
    """Interpolate rows linearly at the frames `wanted`, constant before the first and after the last known frame.

    Parameters
    ----------
    known : (known,)
        Increasing frame indices, at least one.
    rows : (known, ...)
        One row of numbers (a box, five points, a score) for each.
    wanted : (wanted,)

    Returns
    -------
    (wanted, ...)
    """
    flat = rows.reshape(len(known), -1)
    columns = [np.interp(wanted, known, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(len(wanted), *rows.shape[1:])


def smooth_gaussian(rows: Floats, sigma_frames: float) -> Floats:
    """Smooth rows (frames, ...) over time with a centred Gaussian, renormalised at both ends: no lag."""
    if sigma_frames <= 0 or len(rows) < 2:
        return rows.copy()
    reach = min(int(np.ceil(GAUSSIAN_REACH * sigma_frames)), len(rows) - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_frames) ** 2)
    flat = rows.reshape(len(rows), -1)
    total = np.convolve(np.ones(len(rows)), weights)[reach : reach + len(rows)]
    columns = [np.convolve(column, weights)[reach : reach + len(rows)] / total for column in flat.T]
    return np.stack(columns, axis=1).reshape(rows.shape)


def smooth_boxes_reference(boxes: NDArray[np.int64], n_averaged: int = REFERENCE_SMOOTHING) -> NDArray[np.int64]:
    """Smooth integer boxes (frames, 4) exactly as the published inference does, quirks included.

    Box i becomes the mean of boxes i .. i + T - 1, the last ones that of the last T boxes; means are truncated to
    integers, and later means include the boxes already replaced. With fewer than T boxes the start of the last window
    is negative and counts from the end, so only the boxes from there on are averaged.
    """
    smoothed = boxes.copy()
    n_frames = len(smoothed)
    for idx in range(n_frames):
        last_window = idx + n_averaged > n_frames
        window = smoothed[n_frames - n_averaged :] if last_window else smoothed[idx : idx + n_averaged]
        smoothed[idx] = window.mean(axis=0)
    return smoothed
