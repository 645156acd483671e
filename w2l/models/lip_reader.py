"""The shipped lip reader: lip apertures and points of aligned faces."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from w2l.core.arrays import Floats, Image
from w2l.models.network_file import load_network, save_network
from w2l.nets.lips import LipDimensions, Lips, mouth_region

WEIGHTS = Path(__file__).parent / "assets" / "lips.npz"
"""The shipped weights: float16 arrays by tensor name, and ``card``, JSON: dimensions, data, licence."""
VERSION = 2
"""Incremented with new shipped weights: their results are not comparable with earlier ones."""
BATCH = 64
"""Mouths per batch."""


@dataclass(frozen=True)
class Mouths:
    """All predictions of a lip reader with extras for a sequence of faces."""

    gaps: Floats
    """(frames,): gap between the lips, in eye distances."""
    points: Floats
    """(frames, 6, 2): in sides of the crop."""
    widths: Floats
    """(frames,): distance between the mouth corners, in eye distances."""
    teeth: Floats
    """(frames,): probability that teeth are visible."""
    covered: Floats
    """(frames,): probability that something covers the lips: the other numbers are then meaningless."""


def save_lips(path: Path, network: Lips, **facts: str) -> None:
    """Write a lip reader with its metadata: training data, licence."""
    save_network(path, network, network.dimensions, facts)


def load_lips(path: Path = WEIGHTS) -> Lips:
    """Return the lip reader of a file, in eval mode; raise CheckpointError if the file is not one."""
    return load_network(path, lambda dimensions: Lips(LipDimensions(**dimensions)), "lip reader")


@functools.cache
def shipped_lips() -> Lips:
    """Return the lip reader that ships with w2l; loaded once."""
    return load_lips()


class LipReader:
    """Reader of aligned faces, one by one; it stores the mouths of one batch, and all predictions."""

    def __init__(self, network: Lips | None = None) -> None:
        self._network = network or shipped_lips()
        self._waiting: list[torch.Tensor] = []
        self._gaps: list[Floats] = []
        self._points: list[Floats] = []

    def add(self, crop: Image) -> None:
        """Add an aligned face (side, side, 3), RGB."""
        face = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        self._waiting.append(mouth_region(face).contiguous())
        if len(self._waiting) == BATCH:
            self._read()

    def finish(self) -> tuple[Floats, Floats]:
        """Return apertures (frames,) in eye distances, and points (frames, 6, 2) in sides of the crop."""
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
    """Return apertures (frames,) and points (frames, 6, 2) of aligned faces (frames, side, side, 3)."""
    reader = LipReader(network)
    for crop in crops:
        reader.add(crop)
    return reader.finish()


def read_mouths(crops: Image, network: Lips | None = None) -> Mouths:
    """Return all predictions for aligned faces (frames, side, side, 3).

    Raises ValueError for a lip reader without the extras, see `Lips.read_all`.
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
