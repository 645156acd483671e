"""Flicker: frame-to-frame jitter of the lower face where neither output nor real video moves."""

from collections import deque

import cv2
import numpy as np

from w2l.core.arrays import Floats
from w2l.features.crop import alignment
from w2l.scoring.metrics.ssim import Singles

SIDE = 128
"""Side in pixels of the aligned crop, in which the head does not move."""
TOP = 56
"""First row that is used: just above the nose tip."""
CELL = 8
"""Pixels each way that are averaged: grain and codec noise average out, visible jitter does not."""
STILL_SHARE = 1 / 3
"""Share of all cells of all frames, the stillest, that count."""
EDGES = np.geomspace(0.01, 256.0, 128)
"""Limits of the classes of motion in grey levels: the stillest third is found without storing every cell."""
FLOOR = 0.1
"""Grey levels added to both sides, so that rounding in a still picture is not flicker."""


class Flicker:
    """Frame-to-frame jitter of a clip relative to the real video; memory does not grow with length.

    In cells of an aligned crop's lower half, jitter is the second difference over three frames, |b - 2 c + d|: it
    responds to alternation and not to steady motion. Only the cells that are stillest in both videos count, so that a
    different mouth movement is not flicker. Motion is the difference of means of two frames each, in which alternation
    cancels.
    """

    def __init__(self) -> None:
        self._recent: deque[Singles] = deque(maxlen=4)
        self._jitter = np.zeros((2, len(EDGES) + 1))
        self._cells = np.zeros(len(EDGES) + 1)

    def add(self, output: Singles, reference: Singles, points: Floats) -> None:
        """Add the brightness (rows, columns) of both videos' next frame, and the five points (5, 2) that align both."""
        self._recent.append(np.stack([_cells(picture, points) for picture in (output, reference)]))
        if len(self._recent) < 4:
            return
        a, b, c, d = self._recent
        motion = np.abs(c + d - a - b).max(axis=0) / 2
        jitter = np.abs(b - 2 * c + d)
        classes = np.digitize(motion.ravel(), EDGES)
        self._cells += np.bincount(classes, minlength=len(EDGES) + 1)
        for row, values in zip(self._jitter, jitter):
            row += np.bincount(classes, values.ravel(), minlength=len(EDGES) + 1)

    def ratio(self) -> float | None:
        """Return the output's jitter over the reference's; 1 is as steady as the real video; None under 4 frames."""
        if not self._cells.any():
            return None
        counted = np.cumsum(self._cells) <= STILL_SHARE * self._cells.sum()
        counted[int(counted.sum())] = True  # the class in which the share ends
        floor = FLOOR * float(self._cells[counted].sum())
        output, reference = self._jitter[:, counted].sum(axis=1)
        return float((output + floor) / (reference + floor))


def _cells(picture: Singles, points: Floats) -> Singles:
    """Return the mean brightness of the cells of an aligned lower face."""
    lower = alignment(points, SIDE)
    lower[1, 2] -= TOP
    crop = cv2.warpAffine(picture, lower, (SIDE, SIDE - TOP), borderMode=cv2.BORDER_REPLICATE)
    size = (SIDE // CELL, (SIDE - TOP) // CELL)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
