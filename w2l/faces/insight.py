"""Face detectors from a model file that the user has: SCRFD (through insightface) and YuNet (through OpenCV)."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.errors import CheckpointError, ConfigError
from w2l.faces import boxes as bx
from w2l.faces.detector import MIN_FACE, Detection, Image, best_first

log = logging.getLogger(__name__)

INPUT_SIDE = 640
"""Side in pixels of the square that SCRFD looks at, and the longest side that YuNet does; larger pictures shrink."""
LEAST_SCORE = 0.5
"""Least score of a SCRFD face."""
YUNET_LEAST_SCORE = 0.6
"""Least score of a YuNet face."""
OVERLAP = 0.4
"""Most overlap (intersection over union) of two faces."""
FILE_PATTERNS = ("det_*.onnx", "scrfd*.onnx", "*.onnx")
"""Where a directory holds several models, the first that fits: detectors of the published packs, then any."""


class ScrfdDetector:
    """SCRFD (Guo et al., 2021) from an InsightFace model pack; finds five points as well."""

    name = "insightface"

    def __init__(self, path: Path, device: str = "cpu", min_face: int = MIN_FACE) -> None:
        file = _model_file(path, self.name)
        self.fingerprint = _fingerprint(self.name, file, (INPUT_SIDE, LEAST_SCORE, OVERLAP, min_face))
        self._min_face = min_face
        self._model = _load_scrfd(file, device)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The faces of each RGB picture (height, width, 3), best score first."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Detection]:
        found, points = self._model.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return _detections(found[:, :4], found[:, 4], points, image, self._min_face)


class YunetDetector:
    """YuNet (Wu et al., 2023) through OpenCV; finds five points as well. Runs on the CPU."""

    name = "yunet"

    def __init__(self, path: Path, min_face: int = MIN_FACE) -> None:
        file = _model_file(path, self.name)
        self.fingerprint = _fingerprint(self.name, file, (INPUT_SIDE, YUNET_LEAST_SCORE, OVERLAP, min_face))
        self._min_face = min_face
        side = 64
        try:
            self._model = cv2.FaceDetectorYN.create(str(file), "", (side, side), YUNET_LEAST_SCORE, OVERLAP)
            self._model.detect(np.zeros((side, side, 3), dtype=np.uint8))
        except cv2.error as error:
            raise CheckpointError(f"{file}: not a YuNet model ({error.err}); give its .onnx file") from error

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The faces of each RGB picture (height, width, 3), best score first."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        scale = min(1.0, INPUT_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        self._model.setInputSize(size)
        _, rows = self._model.detect(np.ascontiguousarray(small[:, :, ::-1]))
        if rows is None:
            return []
        numbers = np.asarray(rows, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers).all(axis=1)]  # pictures of a few pixels give infinities
        zoom = np.array([width / size[0], height / size[1]])
        corner, side = numbers[:, 0:2], numbers[:, 2:4]
        found = np.concatenate([corner * zoom, (corner + side) * zoom], axis=1)
        return _detections(found, numbers[:, 14], numbers[:, 4:14].reshape(-1, 5, 2) * zoom, image, self._min_face)


def _detections(
    found: NDArray[np.floating],
    scores: NDArray[np.floating],
    points: NDArray[np.floating],
    image: Image,
    min_face: int,
) -> list[Detection]:
    """Boxes (n, 4), scores (n,) and points (n, 5, 2) of one picture as detections."""
    height, width = image.shape[:2]
    inside = bx.clip(found.astype(np.float64), width, height)
    detections = [
        Detection(box, float(score), five)
        for box, score, five in zip(inside, scores, points.astype(np.float64), strict=True)
    ]
    return best_first(detections, min_face)


def _load_scrfd(file: Path, device: str) -> Any:
    """The insightface model of a file, refused unless it detects faces with five points."""
    import onnxruntime
    from insightface import model_zoo

    providers = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        else:
            log.info("this onnxruntime has no CUDA; faces are detected on the CPU")
    states = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        model = model_zoo.get_model(str(file), providers=providers)
    except (states.InvalidProtobuf, states.InvalidGraph, states.InvalidArgument, states.Fail) as error:
        raise CheckpointError(f"{file}: not a readable ONNX model ({_first_line(error)}); fetch it again") from error
    if getattr(model, "taskname", None) != "detection" or not getattr(model, "use_kps", False):
        raise CheckpointError(
            f"{file}: not an SCRFD face detector with 5 points; name a det_*.onnx or scrfd_*_kps.onnx"
        )
    model.prepare(ctx_id=0, input_size=(INPUT_SIDE, INPUT_SIDE), det_thresh=LEAST_SCORE, nms_thresh=OVERLAP)
    return model


def _model_file(path: Path, name: str) -> Path:
    """The model that `path` names: itself, or the first fitting file of a directory."""
    if path.is_file():
        return path
    if path.is_dir():
        for pattern in FILE_PATTERNS:
            fitting = sorted(path.glob(pattern))
            if fitting:
                return fitting[0]
        listing = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise ConfigError(f"detector '{name}:{path}': no .onnx file in the directory; it holds {listing}")
    raise ConfigError(f"detector '{name}:{path}': no such file or directory")


def _fingerprint(name: str, file: Path, settings: tuple[float, ...]) -> str:
    digest = hashlib.sha256(file.read_bytes())
    digest.update(repr(settings).encode())
    return f"{name}-{digest.hexdigest()[:16]}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
