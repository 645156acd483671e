"""The detector that a setting names."""

import os
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.faces.detectors.base import INSIGHTFACE_VARIABLE, MIN_FACE, NAMES, Detector


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
        from w2l.faces.detectors.mtcnn import MtcnnDetector

        return MtcnnDetector(device=device, min_face=min_face)
    if kind == "insightface" and path:
        from w2l.faces.detectors.insightface import ScrfdDetector

        return ScrfdDetector(Path(path), device=device, min_face=min_face)
    if kind == "yunet" and path:
        from w2l.faces.detectors.insightface import YunetDetector

        return YunetDetector(Path(path), min_face=min_face)
    raise ConfigError(f"detector '{spec}' is not known; choose one of {', '.join(NAMES)}")


def _insightface_here(models: Path | None) -> str:
    """Where an InsightFace model is, named by the environment or fetched; empty when there is none."""
    named = os.environ.get(INSIGHTFACE_VARIABLE, "")
    if named or models is None:
        return named
    from w2l.models.fetch import fetched

    return next((str(folder) for folder in fetched(models, "detector").values()), "")
