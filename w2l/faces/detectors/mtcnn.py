"""MTCNN (Zhang et al., Signal Processing Letters 2016) in torch, with the weights from the `mtcnn` wheel.

Three small networks in a row: P-Net proposes squares on an image pyramid, R-Net rejects most of them, O-Net
refines the rest and predicts five points. The wheel itself would need TensorFlow; only its weight files are used.
"""

import hashlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2l.core.arrays import Floats, Image
from w2l.core.errors import CheckpointError, ConfigError
from w2l.faces.detectors.base import MIN_FACE, Detection, best_first
from w2l.features import boxes as bx

WEIGHT_SHA256 = {
    "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Weight files of mtcnn 1.0.0. They are pickles, so no other files are ever opened."""
CELL = 12
"""Side of the square that P-Net classifies, in pixels of a pyramid level."""
CELL_STRIDE = 2
"""Pixels from one P-Net square to the next."""
REFINE_SIZE, OUTPUT_SIZE = 24, 48
"""Input sides of R-Net and O-Net in pixels."""
PATCHES_AT_ONCE = 512
"""Largest batch of R-Net or O-Net: limits the memory on crowded images."""


@dataclass(frozen=True)
class MtcnnSettings:
    """Parameters of the cascade."""

    min_face: int = MIN_FACE
    """Side in pixels of the smallest face searched for."""
    min_face_share: float = 1 / 24
    """The same as a share of the image's shorter side; the larger of both counts, so large images stay fast."""
    pyramid_factor: float = 0.709
    """Size of each pyramid level relative to the previous one: half the area."""
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)
    """Smallest score that passes P-Net, R-Net and O-Net."""
    least_known: float = 0.5
    """Smallest O-Net score for a face at a known position."""
    second_look: float = 0.8
    """Overlap of a known face with its expected position below which it is refined again, at its new position."""
    level_overlap: float = 0.5
    """Largest overlap (intersection over union) of P-Net's squares within one level."""
    overlap: float = 0.7
    """Largest overlap between levels and after R-Net (over the union) and after O-Net (over the smaller box)."""


class MtcnnDetector:
    """Finds faces and five points with MTCNN; requires no download."""

    name = "mtcnn"

    def __init__(self, device: str = "cpu", min_face: int = MIN_FACE, settings: MtcnnSettings | None = None) -> None:
        self.settings = settings or MtcnnSettings(min_face=min_face)
        self.device = torch.device(device)
        self._pnet, self._rnet, self._onet = (net.to(self.device).eval() for net in load_networks())

    @property
    def fingerprint(self) -> str:
        """Text that changes with the weights and the settings."""
        text = repr((self.name, sorted(WEIGHT_SHA256.items()), sorted(asdict(self.settings).items())))
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (height, width, 3), best score first."""
        with torch.inference_mode():
            return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Detection]:
        least_proposed, least_refined, least_final = self.settings.thresholds
        overlap = self.settings.overlap
        squares = self._propose(image, least_proposed)
        found, scores, _ = self._judge(self._rnet, image, squares, REFINE_SIZE)
        found, scores = _passing(found, scores, least_refined)
        squares = _whole_squares(found[bx.nms(found, scores, overlap)])
        found, scores, _ = self._judge(self._onet, image, squares, OUTPUT_SIZE)
        found, scores = _passing(found, scores, least_final)
        order = bx.nms(found, scores, overlap, over="smaller")
        # Refining its own result halves the jitter of boxes and points from frame to frame.
        found, _, points = self._judge(self._onet, image, _whole_squares(found[order]), OUTPUT_SIZE)
        inside = bx.clip(found, image.shape[1], image.shape[0])
        faces = [
            Detection(box, float(score), five) for box, score, five in zip(inside, scores[order], points, strict=True)
        ]
        return best_first(faces, self.settings.min_face)

    def refine(self, image: Image, boxes: Floats) -> list[Detection | None]:
        """Return the face at each box (boxes, 4) of an RGB image (height, width, 3); None where there is none."""
        squares = _whole_squares(boxes)
        with torch.inference_mode():
            found, scores, points = self._judge(self._onet, image, squares, OUTPUT_SIZE)
            again = _whole_squares(found)
            moved = np.diag(bx.iou(again, squares)) < self.settings.second_look
            if moved.any():
                better = self._judge(self._onet, image, again[moved], OUTPUT_SIZE)
                found[moved], scores[moved], points[moved] = better
        return [
            Detection(box, float(score), five) if score > self.settings.least_known else None
            for box, score, five in zip(found, scores, points, strict=True)
        ]

    def _propose(self, image: Image, least_score: float) -> Floats:
        """Return P-Net's squares (n, 4) in integer pixels of `image`, over all levels of the pyramid."""
        all_boxes, all_scores = [np.zeros((0, 4))], [np.zeros(0)]
        for level in _pyramid(image, self.settings):
            probability, shifts = self._pnet(_to_network(level[None], self.device))
            face = probability[0, 1].cpu().numpy().astype(np.float64)
            rows, columns = np.nonzero(face > least_score)
            corner = np.stack([columns, rows], axis=1) * float(CELL_STRIDE)
            cells = np.concatenate([corner, corner + CELL], axis=1)
            shift = shifts[0].permute(1, 2, 0).cpu().numpy()[rows, columns].astype(np.float64)
            scores = face[rows, columns]
            kept = bx.nms(cells, scores, self.settings.level_overlap)
            zoom = np.array([image.shape[1] / level.shape[1], image.shape[0] / level.shape[0]] * 2)
            all_boxes.append(_shift(cells[kept], shift[kept]) * zoom)
            all_scores.append(scores[kept])
        proposed, scores = np.concatenate(all_boxes), np.concatenate(all_scores)
        return _whole_squares(proposed[bx.nms(proposed, scores, self.settings.overlap)])

    def _judge(self, net: nn.Module, image: Image, squares: Floats, size: int) -> tuple[Floats, Floats, Floats]:
        """Return refined boxes (n, 4), scores (n,) and, from O-Net, points (n, 5, 2) for squares (n, 4)."""
        if not len(squares):
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
        patches = np.stack([_cut(image, square, size) for square in squares.astype(int)])
        answers = [
            [part.cpu().numpy().astype(np.float64) for part in net(_to_network(some, self.device))]
            for some in np.array_split(patches, -(-len(patches) // PATCHES_AT_ONCE))
        ]
        probability, shifts, *rest = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        relative = rest[0].reshape(-1, 2, 5).transpose(0, 2, 1) if rest else np.zeros((len(squares), 0, 2))
        points = squares[:, None, :2] + relative * (squares[:, 2:] - squares[:, :2])[:, None]
        return _shift(squares, shifts), probability[:, 1], points


class ProposalNet(nn.Module):
    """P-Net: a fully convolutional classifier of 12 x 12 squares, two pixels apart."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 10, 3), nn.PReLU(10), nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(10, 16, 3), nn.PReLU(16),
            nn.Conv2d(16, 32, 3), nn.PReLU(32),
        )  # fmt: skip
        self.shift = nn.Conv2d(32, 4, 1)
        self.face = nn.Conv2d(32, 2, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (n, 2, rows, columns) and box shifts (n, 4, rows, columns) of images (n, 3, h, w)."""
        features = self.trunk(pictures)
        return torch.softmax(self.face(features), dim=1), self.shift(features)


class RefineNet(nn.Module):
    """R-Net: classifies and shifts patches of 24 x 24."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 28, 3), nn.PReLU(28), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(28, 48, 3), nn.PReLU(48), nn.MaxPool2d(3, 2),
            nn.Conv2d(48, 64, 2), nn.PReLU(64),
        )  # fmt: skip
        self.dense = nn.Sequential(nn.Linear(576, 128), nn.PReLU(128))
        self.shift = nn.Linear(128, 4)
        self.face = nn.Linear(128, 2)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (n, 2) and box shifts (n, 4) of patches (n, 3, 24, 24)."""
        features = self.dense(_columns_first(self.trunk(patches)))
        return torch.softmax(self.face(features), dim=1), self.shift(features)


class OutputNet(nn.Module):
    """O-Net: classifies and shifts patches of 48 x 48 and predicts five points."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.PReLU(32), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(32, 64, 3), nn.PReLU(64), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 64, 3), nn.PReLU(64), nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(64, 128, 2), nn.PReLU(128),
        )  # fmt: skip
        self.dense = nn.Sequential(nn.Linear(1152, 256), nn.PReLU(256))
        self.shift = nn.Linear(256, 4)
        self.points = nn.Linear(256, 10)
        self.face = nn.Linear(256, 2)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities (n, 2), box shifts (n, 4) and points (n, 10: x, then y) of patches (n, 3, 48, 48)."""
        features = self.dense(_columns_first(self.trunk(patches)))
        return torch.softmax(self.face(features), dim=1), self.shift(features), self.points(features)


def load_networks() -> tuple[ProposalNet, RefineNet, OutputNet]:
    """Return the three networks with the wheel's weights; each file's hash is checked before it is opened."""
    nets = ProposalNet(), RefineNet(), OutputNet()
    for net, name in zip(nets, WEIGHT_SHA256, strict=True):
        _fill(net, _read_arrays(_weights_folder() / name, WEIGHT_SHA256[name]))
    return nets


def _weights_folder() -> Path:
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or spec.origin is None:
        raise ConfigError("detector 'mtcnn': the mtcnn package with its weights is missing; pip install 'mtcnn>=1.0'")
    return Path(spec.origin).parent / "assets" / "weights"


def _read_arrays(path: Path, sha256: str) -> list[NDArray[np.float32]]:
    """Return the arrays of one weight file in layer order; the hashed bytes are the ones that are read."""
    import joblib

    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the face detector's weights ({error}); reinstall mtcnn") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CheckpointError(f"{path}: not the weights of mtcnn 1.0.0 (sha256 differs); pip install mtcnn==1.0.0")
    arrays: list[NDArray[np.float32]] = joblib.load(io.BytesIO(content))
    return arrays


def _fill(net: nn.Module, arrays: list[NDArray[np.float32]]) -> None:
    """Copy arrays in Keras order and layout into the parameters of `net`, which are declared in the same order."""
    for parameter, array in zip(net.parameters(), arrays, strict=True):
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            array = array.T
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)).reshape(parameter.shape))
        parameter.requires_grad_(False)


def _columns_first(features: Tensor) -> Tensor:
    """Flatten features (n, channels, height, width) as the dense weights expect: width, height, channels."""
    return features.permute(0, 3, 2, 1).flatten(1)


def _to_network(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Convert RGB images (n, height, width, 3), 0..255, to (n, 3, height, width), -1..1."""
    return (torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() - 127.5) / 128.0


def _pyramid(image: Image, settings: MtcnnSettings) -> Iterator[Image]:
    """Yield `image` at decreasing sizes; in the first, the smallest face fills one P-Net square.

    Each level is computed from the previous one: four times faster on large images than from the image itself.
    """
    height, width = image.shape[:2]
    scale = CELL / max(settings.min_face, settings.min_face_share * min(height, width))
    level = image
    while min(height, width) * scale >= CELL:
        size = (round(width * scale), round(height * scale))
        level = np.asarray(cv2.resize(level, size, interpolation=_interpolation(scale)), dtype=np.uint8)
        yield level
        scale *= settings.pyramid_factor


def _interpolation(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def _shift(found: Floats, shifts: Floats) -> Floats:
    """Move boxes (n, 4) by shifts (n, 4) that are relative to their sides."""
    sides = found[:, 2:] - found[:, :2]
    return found + shifts * np.tile(sides, (1, 2))


def _whole_squares(found: Floats) -> Floats:
    """Return boxes (n, 4) as squares with integer corners, so that a patch is exactly what its box says."""
    squares = bx.square(found)
    corner = np.round(squares[:, :2])
    side = np.maximum(np.round(squares[:, 2:] - squares[:, :2]), 1.0)
    return np.concatenate([corner, corner + side], axis=1)


def _passing(found: Floats, scores: Floats, least_score: float) -> tuple[Floats, Floats]:
    passed = scores > least_score
    return found[passed], scores[passed]


def _cut(image: Image, square: NDArray[np.int64], size: int) -> Image:
    """Return the patch under `square` scaled to `size`, grey outside the image."""
    x1, y1, x2, y2 = square.tolist()
    height, width = image.shape[:2]
    patch = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    margins = (max(-y1, 0), max(y2 - height, 0), max(-x1, 0), max(x2 - width, 0))
    if any(margins):
        if patch.size == 0:
            return np.full((size, size, 3), 127, dtype=np.uint8)
        patch = cv2.copyMakeBorder(patch, *margins, cv2.BORDER_CONSTANT, value=(127, 127, 127))  # type: ignore[assignment]
    return np.asarray(cv2.resize(patch, (size, size), interpolation=_interpolation(size / (x2 - x1))), dtype=np.uint8)
