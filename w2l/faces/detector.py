"""What a face detector promises, and which one a setting names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from w2l.errors import ConfigError

Image = NDArray[np.uint8]

INSIGHTFACE_VARIABLE = "W2L_INSIGHTFACE"
"""Environment variable that names an InsightFace detector file, or a directory with one."""
MIN_FACE = 40
"""Side in pixels of the smallest face looked for."""
NAMES = ("auto", "mtcnn", "insightface:PATH", "yunet:PATH")
"""What `make_detector` understands."""


@dataclass(frozen=True)
class Detection:
    """One face in one picture."""

    box: NDArray[np.float64]
    """(4,): x1, y1, x2, y2 in pixels, x2 and y2 exclusive; inside the picture."""
    score: float
    """How sure the detector is, 0..1."""
    points: NDArray[np.float64]
    """(5, 2): left eye, right eye, nose, left and right mouth corner as seen in the picture; x, y in pixels."""


class Detector(Protocol):
    """Finds faces in pictures."""

    @property
    def name(self) -> str:
        """Short name for logs and tables."""

    @property
    def fingerprint(self) -> str:
        """Text that changes when the weights or any setting change."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The faces of each RGB picture (height, width, 3), best score first."""


def best_first(found: Sequence[Detection], min_face: int) -> list[Detection]:
    """The faces at least `min_face` pixels high or wide, best score first."""
    large = [face for face in found if float(np.max(face.box[2:] - face.box[:2])) >= min_face]
    return sorted(large, key=lambda face: -face.score)


def make_detector(spec: str = "auto", device: str = "cpu", min_face: int = MIN_FACE) -> Detector:
    """The detector that `spec` names; each kind is imported only when it is asked for.

    Parameters
    ----------
    spec : str
        "mtcnn", "insightface:PATH" (an SCRFD .onnx file or a directory with one), "yunet:PATH", or "auto": the model
        at $W2L_INSIGHTFACE if set, else MTCNN.
    device : str
        "cpu" or "cuda"; YuNet runs on the CPU always.
    min_face : int
        Side in pixels of the smallest face that is looked for.
    """
    if min_face < 1:
        raise ConfigError(f"min_face {min_face}: must be at least 1 pixel")
    kind, _, path = spec.partition(":")
    if spec == "auto":
        path = os.environ.get(INSIGHTFACE_VARIABLE, "")
        kind = "insightface" if path else "mtcnn"
    if kind == "mtcnn" and not path:
        from w2l.faces.mtcnn import MtcnnDetector

        return MtcnnDetector(device=device, min_face=min_face)
    if kind == "insightface" and path:
        from w2l.faces.insight import ScrfdDetector

        return ScrfdDetector(Path(path), device=device, min_face=min_face)
    if kind == "yunet" and path:
        from w2l.faces.insight import YunetDetector

        return YunetDetector(Path(path), min_face=min_face)
    raise ConfigError(f"detector '{spec}' is not known; choose one of {', '.join(NAMES)}")
