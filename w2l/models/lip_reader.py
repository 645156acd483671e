"""The shipped lip reader: apertures and points of the lips of aligned faces."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from w2l.core.arrays import Floats, Image
from w2l.core.errors import CheckpointError
from w2l.core.files import DAMAGED, read_arrays, write_atomic
from w2l.core.reading import parse_json
from w2l.models.soundness import check_numbers
from w2l.nets.lips import LipDimensions, Lips, mouth_region

WEIGHTS = Path(__file__).parent / "assets" / "lips.npz"
"""The shipped weights: float16 arrays by the name of their tensor, and ``card``, JSON: dimensions, data, licence."""
VERSION = 2
"""Rises with other shipped weights: what they read does not compare with what was read before."""
BATCH = 64
"""Mouths read at once."""



@dataclass(frozen=True)
class Mouths:
    """All that a lip reader with extras predicts of faces, one after the other."""

    gaps: Floats
    """(frames,): between the lips, in eye distances."""
    points: Floats
    """(frames, 6, 2): in sides of the crop."""
    widths: Floats
    """(frames,): from corner to corner, in eye distances."""
    teeth: Floats
    """(frames,): probability that teeth show."""
    covered: Floats
    """(frames,): probability that something hides the lips: the other numbers then mean nothing."""


def save_lips(path: Path, network: Lips, **facts: str) -> None:
    """Writes a lip reader and what is to be known of it: its data, its licence."""
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    arrays = {name: value.detach().cpu().numpy().astype(np.float16) for name, value in state.items()}
    card = json.dumps({"dimensions": vars(network.dimensions), **facts}, sort_keys=True)
    content: dict[str, Any] = {"card": np.frombuffer(card.encode(), np.uint8), **arrays}
    write_atomic(path, lambda file: np.savez_compressed(file, **content))


def load_lips(path: Path = WEIGHTS) -> Lips:
    """The lip reader of a file, in eval mode; CheckpointError for a file that holds none."""
    try:
        arrays = read_arrays(path)
        card = parse_json(arrays.pop("card").tobytes())
        network = Lips(LipDimensions(**card["dimensions"]))
        tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        check_numbers(path, tensors)
        left = network.load_state_dict(tensors, strict=False)
    except (*DAMAGED, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: no weights of a lip reader ({error}); install w2l anew") from error
    if left.unexpected_keys or any(not name.endswith("num_batches_tracked") for name in left.missing_keys):
        raise CheckpointError(f"{path}: weights of another lip reader; install w2l anew")
    return network.eval().requires_grad_(False)


@functools.cache
def shipped_lips() -> Lips:
    """The lip reader that comes with w2l; read once."""
    return load_lips()


class LipReader:
    """Reads one aligned face after the other; holds the mouths of a batch, then only their numbers."""

    def __init__(self, network: Lips | None = None) -> None:
        self._network = network or shipped_lips()
        self._waiting: list[torch.Tensor] = []
        self._gaps: list[Floats] = []
        self._points: list[Floats] = []

    def add(self, crop: Image) -> None:
        """Takes an aligned face (side, side, 3), RGB."""
        face = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        self._waiting.append(mouth_region(face).contiguous())
        if len(self._waiting) == BATCH:
            self._read()

    def finish(self) -> tuple[Floats, Floats]:
        """Apertures (frames,) in eye distances, and points (frames, 6, 2) in sides of the crop, see `Lips.forward`."""
        self._read()
        if not self._gaps:
            return np.zeros(0), np.zeros((0, 6, 2))
        return np.concatenate(self._gaps), np.concatenate(self._points)

    def _read(self) -> None:
        if not self._waiting:
            return
        with torch.inference_mode():
            points, gaps = self._network.read(torch.cat(self._waiting))
        self._waiting.clear()
        self._gaps.append(gaps.double().numpy())
        self._points.append(points.double().numpy())


def read_lips(crops: Image, network: Lips | None = None) -> tuple[Floats, Floats]:
    """Apertures (frames,) and points (frames, 6, 2) of aligned faces (frames, side, side, 3), see `LipReader`."""
    reader = LipReader(network)
    for crop in crops:
        reader.add(crop)
    return reader.finish()


def read_mouths(crops: Image, network: Lips | None = None) -> Mouths:
    """Return all that is to be read of aligned faces (frames, side, side, 3).

    ValueError for a lip reader without the extras, see `Lips.read_all`.
    """
    network = network or shipped_lips()
    found: list[list[Floats]] = [[], [], [], [], []]
    for first in range(0, max(1, len(crops)), BATCH):
        faces = torch.from_numpy(crops[first : first + BATCH]).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            reading = network.read_all(mouth_region(faces).contiguous())
        for column, values in zip(found, reading):
            column.append(values.double().numpy())
    points, gaps, widths, teeth, covered = (np.concatenate(column) for column in found)
    return Mouths(gaps, points, widths, teeth, covered)
