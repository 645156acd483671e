"""Frames of a track with a mouth and pose similar to a window: references chosen as in `sync`."""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.cache.crops import Crops
from w2l.core.arrays import Floats, Image
from w2l.core.timing import WINDOW_FRAMES
from w2l.models.lip_reader import BATCH, read_mouths
from w2l.nets.lips import N_POINTS

Likeness = NDArray[np.float16]
"""(frames, features): lips and pose, scaled so that all features count equally."""
N_LIPS = 2 * N_POINTS + 1
"""Number of lip features, which come first: points, then the gap."""
POINT_STEP, GAP_STEP = 0.01, 0.03
"""Scale of lip points (sides of the crop) and of the gap between the lips (eye distances)."""
POSE_STEP = 0.03
"""Scale of the brightness of the rest of the face, as a share of the range from black to white."""
POSE_ROWS, POSE_SIZE = 0.6, (8, 6)
"""Upper share of the crop that represents pose and light, and its reduced number of columns and rows."""


def track_likeness(crops: Crops) -> Likeness:
    """Return the features of lips and pose for each of a track's aligned crops."""
    parts = [_measured(np.asarray(crops[first : first + BATCH])) for first in range(0, len(crops), BATCH)]
    return np.concatenate(parts).astype(np.float16)


def _measured(crops: Image) -> Floats:
    mouths = read_mouths(np.array(crops))  # a copy: files are read-only
    lips = mouths.points.reshape(len(crops), -1) / (POINT_STEP * np.sqrt(N_POINTS))
    rows = round(POSE_ROWS * crops.shape[1])
    small = [cv2.resize(each[:rows], POSE_SIZE, interpolation=cv2.INTER_AREA).mean(axis=-1).ravel() for each in crops]
    pose = np.array(small) / (255 * POSE_STEP * np.sqrt(np.prod(POSE_SIZE)))
    return np.column_stack([lips, mouths.gaps / GAP_STEP, pose])


def borrowed(own: Likeness, start: int, other: Likeness, other_start: int) -> Likeness:
    """Return the window at `start` with the lips of another track's window: as far from its median as there."""
    window = own[start : start + WINDOW_FRAMES].astype(np.float32)
    lips = other[other_start : other_start + WINDOW_FRAMES, :N_LIPS].astype(np.float32)
    window[:, :N_LIPS] = lips - _usual(other) + _usual(own)
    return window.astype(np.float16)


def resting(own: Likeness, start: int) -> Likeness:
    """Return the window at `start` with the track's most closed lips."""
    window = own[start : start + WINDOW_FRAMES].copy()
    window[:, :N_LIPS] = own[own[:, N_LIPS - 1].argmin(), :N_LIPS]
    return window


def nearest(own: Likeness, window: Likeness, firsts: NDArray[np.int64], length: int, count: int) -> NDArray[np.int64]:
    """Return the `count` of `firsts` whose `length` frames of a track are most similar to a window, best first.

    `length` 5 compares frame with frame of the window; 1 compares one frame with all of them.
    """
    away = np.zeros(len(firsts))
    for frame, wanted in enumerate(window.astype(np.float32)):
        there = own[firsts + (frame if length > 1 else 0)].astype(np.float32)
        away += np.linalg.norm(there - wanted, axis=1)
    return firsts[np.argsort(away, kind="stable")[:count]]


def _usual(likeness: Likeness) -> Floats:
    """Return the median lip features (features of lips,) of a track."""
    return np.asarray(np.median(likeness[:, :N_LIPS].astype(np.float32), axis=0))
