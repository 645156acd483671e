"""A generator in an ONNX file, as written by `w2l export`, facefusion and others, run by ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2l.core.errors import CheckpointError
from w2l.models.onnx_session import new_session, run_session

MEL = (1, 80, 16)
"""Shape of a mel window, which identifies that input whatever its name."""
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
USUAL_SIZE = 96
"""Rows and columns of the faces if a file leaves them open."""
MIN_SIZE, MAX_SIZE = 16, 1024
WANTED = "a generator takes mel windows (n, 1, 80, 16) and faces (n, 6, size, size)"


class OnnxGenerator(nn.Module):
    """A generator without PyTorch weights: a graph that takes mel windows and faces and returns faces.

    Parameters
    ----------
    path : Path
        The ONNX file. Its inputs are identified by their shapes: ``mel`` and ``faces`` in files of w2l, ``source`` and
        ``target`` in facefusion's, and any other names.
    device : str
        Where it is run; on a GPU if this ONNX Runtime supports it.

    Raises
    ------
    CheckpointError
        For a file that is damaged or contains another kind of network.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        super().__init__()
        self.path = path
        self._session = new_session(str(path), path, device)
        inputs = {each.name: each for each in self._session.get_inputs()}
        names = _told_apart({name: _sizes(each.shape) for name, each in inputs.items()})
        if names is None or any(inputs[name].type not in TYPES for name in names):
            held = ", ".join(f"{name} {_shown(each.shape)}" for name, each in list(inputs.items())[:6])
            raise CheckpointError(f"model {path} is an ONNX model with the inputs {held}, not a generator ({WANTED})")
        self._mel, self._faces = names
        self._types = [TYPES[inputs[name].type] for name in names]
        shape = _sizes(inputs[self._faces].shape)
        self._batch = shape[0] or _sizes(inputs[self._mel].shape)[0]
        self.n_references = (shape[1] or 6) // 3 - 1
        self.size = shape[2] or shape[3] or USUAL_SIZE
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise CheckpointError(f"model {path} takes faces of {self.size} px, not {MIN_SIZE} to {MAX_SIZE}")
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        channels = 3 * (1 + self.n_references)
        tried = self._generate(np.zeros((1, *MEL)), np.zeros((1, channels, self.size, self.size)))
        if tried.ndim != 4 or tried.shape[:2] != (1, 3) or tried.shape[3] != self.size or tried.shape[2] > self.size:
            raise CheckpointError(f"model {path} returns {tried.shape}, not faces; choose a Wav2Lip generator")
        self.first_row = self.size - tried.shape[2]
        """First row of the face that is generated."""

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Map (batch, 1, 80, 16) and (batch, channels, size, size) to (batch, 3, size - first_row, size)."""
        return torch.from_numpy(self.run(mel.cpu().numpy(), faces.cpu().numpy())).to(faces.device)

    def run(self, mels: NDArray[Any], faces: NDArray[Any]) -> NDArray[np.float32]:
        """Run `forward` on arrays; a graph with a fixed batch size is run as often as needed."""
        if self._batch is None or len(faces) == self._batch:
            return self._generate(mels, faces)
        pieces = [np.zeros((0, 3, self.size - self.first_row, self.size), dtype=np.float32)]
        for start in range(0, len(faces), self._batch):
            stop = start + self._batch
            pieces.append(self._generate(mels[start:stop], faces[start:stop]))
        return np.concatenate(pieces)

    def _generate(self, mels: NDArray[Any], faces: NDArray[Any]) -> NDArray[np.float32]:
        """Run the graph once, padded to its batch size."""
        n_frames, given = len(faces), (mels, faces)
        if self._batch is not None and n_frames < self._batch:
            given = tuple(np.concatenate([each, np.repeat(each[-1:], self._batch - n_frames, 0)]) for each in given)  # type: ignore[assignment]
        ready = {
            name: np.ascontiguousarray(each, dtype=kind)
            for name, each, kind in zip((self._mel, self._faces), given, self._types)
        }
        return np.asarray(run_session(self._session, ready, self.path)[0][:n_frames], dtype=np.float32)


def _sizes(shape: Any) -> tuple[int | None, ...]:
    """Return a shape with None for variable sizes."""
    return tuple(size if isinstance(size, int) and size > 0 else None for size in shape)


def _shown(shape: Any) -> str:
    return "(" + ", ".join(str(size)[:20] for size in shape) + ")"


def _told_apart(shapes: Mapping[str, tuple[int | None, ...]]) -> tuple[str, str] | None:
    """Return the names of the mel input and of the faces input; None if these are not the only inputs."""
    if len(shapes) != 2:
        return None
    mels = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1:] == MEL]
    faces = [name for name, shape in shapes.items() if len(shape) == 4 and _is_faces(shape)]
    return (mels[0], faces[0]) if len(mels) == len(faces) == 1 else None


def _is_faces(shape: tuple[int | None, ...]) -> bool:
    channels, rows, columns = shape[1:]
    return channels is not None and channels >= 6 and channels % 3 == 0 and (rows == columns or None in (rows, columns))
