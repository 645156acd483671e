"""Seam visibility when the paste mask is unknown: lines in a face that the real video does not have."""

import cv2
import numpy as np

from w2l.core.arrays import Floats
from w2l.features.crop import alignment
from w2l.scoring.metrics.ssim import Singles

REACH = 1.5
"""Side of the region, in sides of an aligned crop: a pasted box may end outside the face."""
MAX_SIDE = 256
"""Largest side of that region in pixels; larger faces are reduced."""
MOUTH = (0.33, 0.67, 0.54, 0.80)
"""Left, right, top and bottom of the excluded mouth region, as shares of the square: another mouth has other edges."""
EDGE = 0.04
"""Share of the square that is excluded at its borders."""
SIGMA = 1.0
"""Standard deviation in pixels of the Gaussian before the gradient: edges remain, grain does not."""
SPREAD = 1.5
"""Standard deviation in pixels over which the means are averaged, to tolerate an outline that is not fixed."""
SHARE = 0.005
"""Share of the pixels, those with the most added gradient, whose mean is the result: about as many as a seam has."""
FLOOR = 4.0
"""Grey levels over two pixels added to both sides: noise on flat skin is not a line."""


class Lines:
    """Lines in a clip that the real video does not have; memory does not grow with length.

    In aligned crops, in which the head does not move, the gradient magnitude is averaged over the clip for both videos,
    so that moving structures spread out and the outline of a pasted part accumulates. The result is their ratio where
    it is largest: the mean over the top `SHARE` of the face around the mouth.
    """

    def __init__(self) -> None:
        self._side = 0
        self._slopes = np.zeros((2, 0, 0))
        self._frames = 0

    def add(self, output: Singles, reference: Singles, points: Floats) -> None:
        """Add the brightness (rows, columns) of both videos' next frame, and the five points (5, 2) that align both."""
        if not self._side:
            zoom = float(np.linalg.norm(alignment(points, 1)[0, :2]))
            self._side = int(np.clip(round(REACH / max(zoom, 1e-9)), 64, MAX_SIDE))
            self._slopes = np.zeros((2, self._side, self._side))
        transform = alignment(points, self._side)
        transform /= REACH
        transform[:, 2] += np.array([0.5, 1 / 3]) * self._side * (1 - 1 / REACH)
        for total, picture in zip(self._slopes, (output, reference)):
            total += _steepness(picture, transform, self._side)
        self._frames += 1

    def ratio(self) -> float | None:
        """Return gradients of the output over those of the reference along the strongest line; 1 without such a line.

        None without frames.
        """
        if not self._frames:
            return None
        output, reference = (cv2.GaussianBlur(total / self._frames, (0, 0), SPREAD) for total in self._slopes)
        ratios = np.sort(((output + FLOOR) / (reference + FLOOR))[self._around_mouth()])
        return float(ratios[-max(1, round(SHARE * len(ratios))) :].mean())

    def _around_mouth(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return the face without the mouth and without the borders, (side, side)."""
        across, down = np.meshgrid(*2 * ((np.arange(self._side) + 0.5) / self._side,))
        left, right, top, bottom = MOUTH
        mouth = (across > left) & (across < right) & (down > top) & (down < bottom)
        inside = (np.abs(across - 0.5) < 0.5 - EDGE) & (down > 5 * EDGE) & (down < 1 - EDGE)
        return np.asarray(inside & ~mouth)


def _steepness(picture: Singles, transform: Floats, side: int) -> Singles:
    """Return the gradient magnitude in the aligned picture (side, side), grey levels over two pixels."""
    warped = cv2.warpAffine(picture, transform, (side, side), borderMode=cv2.BORDER_REPLICATE)
    smooth = cv2.GaussianBlur(warped, (0, 0), SIGMA)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=1) for order in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), dtype=np.float32)
