"""Creation of the detector given by a setting."""

import os
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.faces.detectors.base import INSIGHTFACE_VARIABLE, MIN_FACE, NAMES, Detector


def make_detector(
    spec: str = "auto", device: str = "cpu", min_face: int = MIN_FACE, models: Path | None = None
) -> Detector:
    """Return the detector that `spec` names; only its module is imported, and nothing is downloaded.

    Parameters
    ----------
    spec : str
        "mtcnn"; "insightface:PATH" (an SCRFD .onnx file, or a folder with one and perhaps `2d106det.onnx`, which then
        places the points); "insightface" ($W2L_INSIGHTFACE, else the downloaded pack); "yunet:PATH"; or "auto":
        insightface if available, else MTCNN.
    device : str
        "cpu" or "cuda"; YuNet always runs on the CPU.
    min_face : int
        Side in pixels of the smallest face searched for.
    models : Path, optional
        Folder of the cache with the downloaded packs.
    """
    if min_face < 1:
        raise ConfigError(f"min_face {min_face}: must be at least 1 pixel")
    kind, separator, path = spec.partition(":")
    if spec in ("auto", "insightface"):
        path = _insightface_here(models)
        if spec == "insightface" and not path:
            raise ConfigError(
                "detector 'insightface': no model is installed; run w2l weights fetch buffalo_l or use insightface:PATH"
            )
        kind = "insightface" if path else "mtcnn"
        separator = ""
    if kind == "mtcnn" and not separator:
        from w2l.faces.detectors.mtcnn import MtcnnDetector

        return MtcnnDetector(device=device, min_face=min_face)
    if kind == "insightface" and path:
        from w2l.faces.detectors.insightface import ScrfdDetector

        return ScrfdDetector(Path(path), device=device, min_face=min_face)
    if kind == "yunet" and path:
        from w2l.faces.detectors.insightface import YunetDetector

        return YunetDetector(Path(path), min_face=min_face)
    raise ConfigError(f"detector '{spec}' is unknown; choose one of {', '.join(NAMES)}")


def _insightface_here(models: Path | None) -> str:
    """Return the path of an InsightFace model, from the environment or downloaded; empty if there is none."""
    named = os.environ.get(INSIGHTFACE_VARIABLE, "")
    if named or models is None:
        return named
    from w2l.models.fetch import fetched

    return next((str(folder) for folder in fetched(models, "detector").values()), "")
