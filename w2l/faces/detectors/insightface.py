"""Face detectors from a user's model file: SCRFD (through ONNX Runtime) and YuNet (through OpenCV).

SCRFD is decoded here, not by insightface's `model_zoo`, whose import takes 0.4 s and 94 MB; tests compare the two.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.core.errors import CheckpointError, ConfigError
from w2l.faces.detectors.base import MIN_FACE, Detection, best_first
from w2l.faces.detectors.landmarks import Landmarks, agree, five_points, landmark_file, mouth_openness
from w2l.features import boxes as bx
from w2l.models.onnx_session import open_session, run_session

INPUT_SIDE = 640
"""Longest side in pixels at which an image is searched; larger ones are reduced, unless small faces are wanted."""
LARGEST_SIDE = 1280
"""Longest side at which it is searched for small faces."""
LEAST_FACE, YUNET_LEAST_FACE = 20, 28
"""Longer side in pixels, as searched, of the smallest face that SCRFD and YuNet find reliably (real: 16 and 24)."""
LEAST_PICTURE = 12
"""Side in pixels of an image too small for a face; on narrower ones YuNet was observed to answer at random."""
LEAST_SCORE = 0.5
"""Smallest score of an SCRFD face."""
YUNET_LEAST_SCORE = 0.6
"""Smallest score of a YuNet face."""
OVERLAP = 0.4
"""Largest overlap (intersection over union) of two faces."""
STRIDES = (8, 16, 32)
"""Stride in pixels of SCRFD's three grids."""
ANCHORS = 2
"""Anchors of SCRFD per cell."""
GRAY = 127.5
CONTRAST = 128.0
"""SCRFD takes (colour - GRAY) / CONTRAST."""
FILE_PATTERNS = ("det_*.onnx", "scrfd*.onnx", "*.onnx")
"""Preferred names if a folder contains several models: detectors of the published packs, then any."""
VERSION = 2
"""Incremented if the same model would return other boxes."""
_NOTHING: Image = np.zeros((64, 64, 3), dtype=np.uint8)
"""An image for testing a model."""


class ScrfdDetector:
    """SCRFD (Guo et al., 2021) from an InsightFace model pack; the pack's 106-point model places the five points.

    A folder is searched for both models; a file stands for the detector only.
    """

    name = "insightface"

    def __init__(self, path: Path, device: str = "cpu", min_face: int = MIN_FACE) -> None:
        self._file = _model_file(path, self.name)
        points_file = landmark_file(path)
        settings = (VERSION, INPUT_SIDE, LARGEST_SIDE, LEAST_FACE, LEAST_SCORE, OVERLAP, min_face)
        self.fingerprint = _fingerprint(self.name, [self._file, *([points_file] if points_file else [])], settings)
        self._min_face = min_face
        self._landmarks = Landmarks(points_file, device) if points_file else None
        self._session, self._input = open_session(self._file, device)
        side = self._input.shape[-1]
        self._fixed = side if isinstance(side, int) else None
        probe = self._answers(_NOTHING)[0]
        if self._fixed is not None:
            self._free_size(device)
        if [answer.shape[-1] for answer in probe] != [1] * 3 + [4] * 3 + [10] * 3:
            raise CheckpointError(
                f"{self._file}: not an SCRFD face detector with 5 points; choose a det_*.onnx or scrfd_*_kps.onnx"
            )

    def _free_size(self, device: str) -> None:
        """Allow images of any size if the model supports it, although exported for one size: a search takes a tenth."""
        fixed = self._session, self._input, self._fixed
        self._session, self._input = open_session(self._file, device, any_size=True)
        self._fixed = None
        try:
            cells = [len(answer) for answer in self._answers(_NOTHING)[0][: len(STRIDES)]]
        except CheckpointError:
            cells = []
        if cells != [ANCHORS * (len(_NOTHING) // stride) ** 2 for stride in STRIDES]:
            self._session, self._input, self._fixed = fixed

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (height, width, 3), best score first."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Detection]:
        answers, zoom, columns = self._answers(image)
        found, scores, points = _decode(answers, columns)
        order = bx.nms(found, scores, OVERLAP)
        detections = _detections(
            found[order] * np.tile(zoom, 2), scores[order], points[order] * zoom, image, self._min_face
        )
        return [self._refined(face, image) for face in detections]

    def _answers(self, image: Image) -> tuple[list[NDArray[np.float32]], Floats, int]:
        """Return SCRFD's nine outputs (cells, values), image pixels per searched pixel (x, y), and columns searched."""
        height, width = image.shape[:2]
        size, zoom = _searched_size(width, height, LEAST_FACE / self._min_face, self._fixed)
        small = _resized(image, size)
        # Whole cells, or the side that the model was exported with; the padding is black.
        columns, rows = (self._fixed or _whole_cells(side) for side in size)
        padded = cv2.copyMakeBorder(small, 0, rows - size[1], 0, columns - size[0], cv2.BORDER_CONSTANT)
        blob = np.asarray(cv2.dnn.blobFromImage(padded, 1 / CONTRAST, mean=(GRAY, GRAY, GRAY)), dtype=np.float32)
        answers = run_session(self._session, {self._input.name: blob}, self._file)
        return [answer.reshape(-1, answer.shape[-1]) for answer in answers if answer.ndim], zoom, columns

    def _refined(self, face: Detection, image: Image) -> Detection:
        """Return the face with the points of the 106-point model, if there is one and it agrees with the detector."""
        if self._landmarks is None:
            return face
        points = self._landmarks.place(image, face.box)
        five = five_points(points)
        if not agree(five, face.points, face.box):
            return face
        return Detection(face.box, face.score, five, mouth_openness(points))


class YunetDetector:
    """YuNet (Wu et al., 2023) through OpenCV; also finds five points. Runs on the CPU."""

    name = "yunet"

    def __init__(self, path: Path, min_face: int = MIN_FACE) -> None:
        file = _model_file(path, self.name)
        settings = (INPUT_SIDE, LARGEST_SIDE, YUNET_LEAST_FACE, YUNET_LEAST_SCORE, OVERLAP, min_face)
        self.fingerprint = _fingerprint(self.name, [file], settings)
        self._min_face = min_face
        side = 64
        try:
            self._model = cv2.FaceDetectorYN.create(str(file), "", (side, side), YUNET_LEAST_SCORE, OVERLAP)
            self._model.detect(np.zeros((side, side, 3), dtype=np.uint8))
        except cv2.error as error:
            raise CheckpointError(f"{file}: not a YuNet model ({error.err}); choose its .onnx file") from error

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (height, width, 3), best score first."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        if min(height, width) < LEAST_PICTURE:
            return []
        size, zoom = _searched_size(width, height, YUNET_LEAST_FACE / self._min_face)
        columns, rows = (_whole_cells(side) for side in size)
        small = _resized(image, size)
        padded = cv2.copyMakeBorder(small, 0, rows - size[1], 0, columns - size[0], cv2.BORDER_CONSTANT)
        self._model.setInputSize((columns, rows))
        _, found_rows = self._model.detect(np.ascontiguousarray(padded[:, :, ::-1]))
        if found_rows is None:
            return []
        numbers = np.asarray(found_rows, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers).all(axis=1)]  # images of a few pixels give infinities
        corner, side = numbers[:, 0:2], numbers[:, 2:4]
        found = np.concatenate([corner * zoom, (corner + side) * zoom], axis=1)
        return _detections(found, numbers[:, 14], numbers[:, 4:14].reshape(-1, 5, 2) * zoom, image, self._min_face)


def _searched_size(width: int, height: int, needed: float, fixed: int | None = None) -> tuple[tuple[int, int], Floats]:
    """Return width and height at which an image is searched, and its pixels (x, y) per searched pixel.

    An image is not searched larger than it is or than `INPUT_SIDE`, unless the scale `needed` for the smallest face
    requires it; `fixed` is the side of a model that takes only squares of one size.
    """
    longest = max(width, height)
    scale = max(min(1.0, INPUT_SIDE / longest), needed)
    scale = min(scale, (fixed or LARGEST_SIDE) / longest)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return size, np.array([width / size[0], height / size[1]])


def _resized(image: Image, size: tuple[int, int]) -> Image:
    smaller = size[0] < image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def _whole_cells(side: int) -> int:
    return -(-side // STRIDES[-1]) * STRIDES[-1]


def _decode(answers: list[NDArray[np.float32]], n_columns: int) -> tuple[Floats, Floats, Floats]:
    """Return boxes (faces, 4), scores (faces,) and points (faces, 5, 2), in searched pixels, before suppression.

    Each cell of a grid predicts the distances from itself to the four sides and the five points, in strides.
    """
    parts = []
    for level, stride in enumerate(STRIDES):
        scores = answers[level][:, 0].astype(np.float64)
        sure = np.flatnonzero(scores >= LEAST_SCORE)
        row, column = np.divmod(sure // ANCHORS, n_columns // stride)
        cell = np.stack([column, row], axis=1) * float(stride)
        reach = answers[3 + level][sure].astype(np.float64) * stride
        found = np.concatenate([cell - reach[:, :2], cell + reach[:, 2:]], axis=1)
        points = cell[:, None] + answers[6 + level][sure].reshape(-1, 5, 2).astype(np.float64) * stride
        parts.append((found, scores[sure], points))
    found, scores, points = (np.concatenate(part) for part in zip(*parts))
    return found, scores, points


def _detections(found: Floats, scores: Floats, points: Floats, image: Image, min_face: int) -> list[Detection]:
    """Convert boxes (n, 4), scores (n,) and points (n, 5, 2) of one image to detections."""
    height, width = image.shape[:2]
    inside = bx.clip(found, width, height)
    detections = [
        Detection(box, min(1.0, float(score)), five) for box, score, five in zip(inside, scores, points, strict=True)
    ]
    return best_first(detections, min_face)


def _model_file(path: Path, name: str) -> Path:
    """Return the model file for `path`: itself, or the first suitable file of a folder."""
    if path.is_file():
        return path
    if path.is_dir():
        for pattern in FILE_PATTERNS:
            fitting = sorted(path.glob(pattern))
            if fitting:
                return fitting[0]
        listing = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise ConfigError(f"detector '{name}:{path}': no .onnx file in the folder; it contains {listing}")
    raise ConfigError(f"detector '{name}:{path}': no such file or folder")


def _fingerprint(name: str, files: Sequence[Path], settings: tuple[float, ...]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    digest.update(repr(settings).encode())
    return f"{name}-{digest.hexdigest()[:16]}"
