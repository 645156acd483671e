"""Flicker: how much the lower face jitters from frame to frame where neither output nor real video moves."""

from collections import deque

import cv2
import numpy as np

from w2l.core.arrays import Floats
from w2l.features.crop import alignment
from w2l.scoring.metrics.ssim import Singles

SIDE = 128
"""Side in pixels of the aligned crop, in which the head stands still."""
TOP = 56
"""First row that is looked at: just above the nose tip."""
CELL = 8
"""Pixels each way that are averaged: grain and codec noise average out, jitter that one sees does not."""
STILL_SHARE = 1 / 3
"""Share of all cells of all frames, the stillest, that count."""
EDGES = np.geomspace(0.01, 256.0, 128)
"""Limits of the classes of motion in grey levels: the stillest third is found without keeping every cell."""
FLOOR = 0.1
"""Grey levels that both sides get on top, so that rounding in a still picture is no flicker."""


class Flicker:
    """Frame-to-frame jitter of a clip over that of the real video; memory does not grow with length.

    In cells of an aligned crop's lower half, jitter is the second difference over three frames, |b - 2 c + d|: it
    answers to what goes back and forth and not to what moves on steadily. Only the cells that stand stillest in both
    videos count, so that another mouth movement is no flicker. Motion is the difference of means of two frames each,
    from which alternation drops out.
    """

    def __init__(self) -> None:
        self._recent: deque[Singles] = deque(maxlen=4)
        self._jitter = np.zeros((2, len(EDGES) + 1))
        self._cells = np.zeros(len(EDGES) + 1)

    def add(self, output: Singles, reference: Singles, points: Floats) -> None:
        """The brightness (rows, columns) of both videos' next frame, and the five points (5, 2) that align both."""
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
        """Jitter of the output over that of the reference; 1 is as steady as the real video. None under 4 frames."""
        if not self._cells.any():
            return None
        counted = np.cumsum(self._cells) <= STILL_SHARE * self._cells.sum()
        counted[int(counted.sum())] = True  # the class that the share ends in
        floor = FLOOR * float(self._cells[counted].sum())
        output, reference = self._jitter[:, counted].sum(axis=1)
        return float((output + floor) / (reference + floor))


def _cells(picture: Singles, points: Floats) -> Singles:
    """Mean brightness of the cells of an aligned lower face."""
    lower = alignment(points, SIDE)
    lower[1, 2] -= TOP
    crop = cv2.warpAffine(picture, lower, (SIDE, SIDE - TOP), borderMode=cv2.BORDER_REPLICATE)
    size = (SIDE // CELL, (SIDE - TOP) // CELL)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
