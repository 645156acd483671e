"""The 106 face points of an InsightFace pack: more accurate eyes, nose and mouth than a detector's, and mouth opening.

The network takes a square around the box, half as large again, and returns points in -1..1 of that square.
"""

from pathlib import Path

import cv2
import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.core.errors import CheckpointError
from w2l.models.onnx_session import open_session, run_session

N_POINTS = 106
MARGIN = 1.5
"""Side of the square relative to the longer side of the box."""
LEFT_EYE, RIGHT_EYE = slice(33, 43), slice(87, 97)
"""Rim and pupil of each eye as seen in the image; their mean is stable if the pupil moves."""
NOSE, LEFT_CORNER, RIGHT_CORNER = 86, 52, 61
INNER_UPPER, INNER_LOWER = (66, 62, 70), (54, 60, 57)
"""Points of the inner rims of the lips, from left to right."""
FAR = 0.25
"""Five points that differ by more than this share of the box on average belong to another face, or to none."""


class Landmarks:
    """Predicts 106 points of a face whose box is known."""

    def __init__(self, file: Path, device: str = "cpu") -> None:
        self._session, self._input = open_session(file, device)
        self._file = file
        side = self._input.shape[-1]
        shape = self._run(np.zeros((side, side, 3), np.uint8)).shape if isinstance(side, int) else ()
        if shape != (N_POINTS, 2):
            raise CheckpointError(f"{file}: not a model of {N_POINTS} face points; choose the 2d106det.onnx of a pack")

    def place(self, image: Image, box: Floats) -> Floats:
        """Return the points (106, 2) in pixels of the RGB image (height, width, 3), for a face with `box` (4,)."""
        side = int(self._input.shape[-1])
        zoom = side / (float(np.max(box[2:] - box[:2])) * MARGIN)
        centre = (box[:2] + box[2:]) / 2
        shift = side / 2 - zoom * centre
        matrix = np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]]])
        square = np.asarray(cv2.warpAffine(image, matrix, (side, side)), dtype=np.uint8)
        return ((self._run(square) + 1) * (side // 2) - shift) / zoom

    def _run(self, square: Image) -> Floats:
        """Return the prediction (106, 2) for a square (side, side, 3)."""
        batch = square.transpose(2, 0, 1)[None].astype(np.float32)
        answer = run_session(self._session, {self._input.name: batch}, self._file)[0]
        return np.asarray(answer, dtype=np.float64).reshape(-1, 2)


def five_points(points: Floats) -> Floats:
    """Return eyes, nose and mouth corners (5, 2) of the 106 `points`."""
    eyes = [points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0)]
    return np.stack([*eyes, points[NOSE], points[LEFT_CORNER], points[RIGHT_CORNER]])


def mouth_openness(points: Floats) -> float:
    """Return the mean gap between the lips over the distance of the mouth corners, for 106 `points`; 0 if closed."""
    gap = np.linalg.norm(points[list(INNER_LOWER)] - points[list(INNER_UPPER)], axis=1).mean()
    width = np.linalg.norm(points[RIGHT_CORNER] - points[LEFT_CORNER])
    return float(gap / max(float(width), 1e-6))


def agree(refined: Floats, found: Floats, box: Floats) -> bool:
    """Whether refined points (5, 2) lie near the detected ones for the face with `box` (4,)."""
    off = np.linalg.norm(refined - found, axis=1).mean()
    return bool(np.isfinite(refined).all() and off <= FAR * float(np.max(box[2:] - box[:2])))


def landmark_file(path: Path) -> Path | None:
    """Return the 106-point model in the folder `path`, if there is one."""
    file = path / "2d106det.onnx"
    return file if file.is_file() else None
