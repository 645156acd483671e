"""Face identity: embeddings of an insightface recogniser (ArcFace: Deng, Guo, Xue and Zafeiriou, 2019)."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.core.errors import CheckpointError
from w2l.models.onnx_session import named_errors, open_session

SIDE = 112
"""Rows and columns of an aligned face, pixels."""
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Positions of eyes, nose tip and mouth corners in it, in pixels: the template that recognisers are trained with."""
MIN_FEATURES = 64
"""Shortest embedding; a network with a shorter output predicts something else: an age, a pose."""


class Recogniser:
    """Embeds faces with the recogniser .onnx of an insightface pack (w600k_r50.onnx, w600k_mbf.onnx, glintr100.onnx).

    Raises CheckpointError for a file that cannot be read or contains another kind of network.
    """

    def __init__(self, file: Path, device: str = "cpu") -> None:
        if not file.is_file():
            raise CheckpointError(f"face recogniser {file} does not exist; choose the recogniser .onnx of a pack")
        self._file = file
        session, expected = open_session(file, device)
        self._one_by_one = isinstance(expected.shape[0], int)
        fits = len(session.get_outputs()) == 1
        fits = fits and all(not isinstance(side, int) or side == SIDE for side in expected.shape[2:])
        self._model: Any = _arcface(file, session) if fits else None
        shape = self._run(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape if fits else ()
        if len(shape) != 2 or shape[1] < MIN_FEATURES:
            raise CheckpointError(f"{file}: not a face recogniser; choose w600k_r50.onnx of the pack buffalo_l")

    def embed(self, faces: list[tuple[Image, Floats]]) -> Floats:
        """Return unit embeddings (faces, features) of faces, each an RGB image and five points (5, 2) in its pixels."""
        answers = self._run(np.stack([aligned(image, points) for image, points in faces]))
        lengths = np.linalg.norm(answers, axis=1, keepdims=True)
        return np.asarray(answers / np.maximum(lengths, 1e-9))

    def _run(self, faces: Image) -> Floats:
        """Return the outputs for aligned faces (faces, 112, 112, 3) RGB."""
        images = [np.ascontiguousarray(face[..., ::-1]) for face in faces]
        batches = [[image] for image in images] if self._one_by_one else [images]
        with named_errors(self._file):
            answers = [self._model.get_feat(batch) for batch in batches]
        return np.concatenate(answers).astype(np.float64)


def aligned(image: Image, points: Floats) -> Image:
    """Return the face with five points (5, 2) in an RGB image, warped such that they match the template.

    Least squares in closed form (Umeyama, 1991), written with complex numbers: ``target = a * source + b``.
    """
    source, target = (values[:, 0] + 1j * values[:, 1] for values in (points, TEMPLATE))
    centred = source - source.mean()
    a = np.vdot(centred, target - target.mean()) / max(float(np.vdot(centred, centred).real), 1e-9)
    b = target.mean() - a * source.mean()
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE)), dtype=np.uint8)


def _arcface(file: Path, session: Any) -> Any:
    """Return insightface's recogniser of a file whose session is open.

    It knows a model that normalises its input itself by the names of its first nodes; exports of other tools have other
    names, so the operations are looked at, too.
    """
    import onnx
    from insightface.model_zoo import ArcFaceONNX

    model = ArcFaceONNX(str(file), session)
    model.input_size = (SIDE, SIDE)
    if {"Sub", "Mul"} <= {node.op_type for node in onnx.load(str(file)).graph.node[:8]}:
        model.input_mean, model.input_std = 0.0, 1.0
    return model
