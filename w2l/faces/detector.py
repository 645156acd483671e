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
NAMES = ("auto", "mtcnn", "insightface", "insightface:PATH", "yunet:PATH")
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
    openness: float | None = None
    """Gap between the lips over the width of the mouth, 0 for a closed one; None from detectors that cannot tell."""


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
    """The faces at least `min_face` pixels high or wide, best score first; boxes that left the picture are dropped."""
    sides = [(face, face.box[2:] - face.box[:2]) for face in found]
    large = [face for face, side in sides if float(np.max(side)) >= min_face and float(np.min(side)) > 0]
    return sorted(large, key=lambda face: -face.score)


def make_detector(
    spec: str = "auto", device: str = "cpu", min_face: int = MIN_FACE, models: Path | None = None
) -> Detector:
    """The detector that `spec` names; each kind is imported only when it is asked for, and nothing is fetched.

    Parameters
    ----------
    spec : str
        "mtcnn"; "insightface:PATH" (an SCRFD .onnx file, or a directory with one and perhaps `2d106det.onnx`, which
        then places the points); "insightface" ($W2L_INSIGHTFACE, else the pack that was fetched); "yunet:PATH"; or
        "auto": insightface where it is there, else MTCNN.
    device : str
        "cpu" or "cuda"; YuNet runs on the CPU always.
    min_face : int
        Side in pixels of the smallest face that is looked for.
    models : Path, optional
        Folder of the cache with the fetched packs.
    """
    if min_face < 1:
        raise ConfigError(f"min_face {min_face}: must be at least 1 pixel")
    kind, separator, path = spec.partition(":")
    if spec in ("auto", "insightface"):
        path = _insightface_here(models)
        if spec == "insightface" and not path:
            raise ConfigError(
                "detector 'insightface': no model is here; run w2l weights fetch buffalo_l or give insightface:PATH"
            )
        kind = "insightface" if path else "mtcnn"
        separator = ""
    if kind == "mtcnn" and not separator:
        from w2l.faces.mtcnn import MtcnnDetector

        return MtcnnDetector(device=device, min_face=min_face)
    if kind == "insightface" and path:
        from w2l.faces.insight import ScrfdDetector

        return ScrfdDetector(Path(path), device=device, min_face=min_face)
    if kind == "yunet" and path:
        from w2l.faces.insight import YunetDetector

        return YunetDetector(Path(path), min_face=min_face)
    raise ConfigError(f"detector '{spec}' is not known; choose one of {', '.join(NAMES)}")


def _insightface_here(models: Path | None) -> str:
    """Where an InsightFace model is, named by the environment or fetched; empty when there is none."""
    named = os.environ.get(INSIGHTFACE_VARIABLE, "")
    if named or models is None:
        return named
    from w2l.fetching import fetched

    return next((str(folder) for folder in fetched(models, "detector").values()), "")
