"""Interface of face detectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from w2l.core.arrays import Floats, Image

INSIGHTFACE_VARIABLE = "W2L_INSIGHTFACE"
"""Environment variable with the path of an InsightFace detector file, or of a folder with one."""
MIN_FACE = 40
"""Side in pixels of the smallest face searched for."""
NAMES = ("auto", "mtcnn", "insightface", "insightface:PATH", "yunet:PATH")
"""Detector names that `make_detector` accepts."""


@dataclass(frozen=True)
class Detection:
    """One face in one image."""

    box: Floats
    """(4,): x1, y1, x2, y2 in pixels, x2 and y2 exclusive; inside the image."""
    score: float
    """Confidence of the detector, 0..1."""
    points: Floats
    """(5, 2): left eye, right eye, nose, left and right mouth corner as seen in the image; x, y in pixels."""
    openness: float | None = None
    """Gap between the lips over the width of the mouth, 0 for a closed one; None if the detector cannot measure it."""


class Detector(Protocol):
    """Finds faces in images."""

    @property
    def name(self) -> str:
        """Short name for logs and tables."""

    @property
    def fingerprint(self) -> str:
        """Text that changes if the weights or any setting change."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (height, width, 3), best score first."""


def best_first(found: Sequence[Detection], min_face: int) -> list[Detection]:
    """Return the faces at least `min_face` pixels high or wide, best score first, without boxes outside the image."""
    sides = [(face, face.box[2:] - face.box[:2]) for face in found]
    large = [face for face, side in sides if float(np.max(side)) >= min_face and float(np.min(side)) > 0]
    return sorted(large, key=lambda face: -face.score)
