"""How a generator's batches get to the device: loaded in the thread that asks, or gathered where all crops are kept."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from w2l.data.batches.generator import (
    Draw,
    GeneratorBatch,
    GeneratorSampling,
    Spans,
    load_generator_batch,
    plan_generator_batch,
    sounds_of,
)
from w2l.data.batches.resident import KeptCrops, is_kept, vary
from w2l.data.batches.tracks import Tracks

TENSORS = ("target", "reference", "mels", "expert_mels", "own", "silent")
"""What of a batch goes to the device."""


@dataclass(frozen=True)
class GeneratorTensors:
    """A `GeneratorBatch` as tensors; see there for shapes and meaning."""

    target: Tensor
    reference: Tensor
    mels: Tensor
    expert_mels: Tensor
    own: Tensor
    silent: Tensor
    clips: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.target)

    def parts(self, count: int) -> list["GeneratorTensors"]:
        """The windows in `count` parts, as equal as may be; fewer where there are fewer windows."""
        edges = [len(self) * part // count for part in range(count + 1)]
        names = [each.name for each in fields(self)]
        pieces = ({name: getattr(self, name)[a:b] for name in names} for a, b in itertools.pairwise(edges) if b > a)
        return [replace(self, **piece) for piece in pieces]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {name: getattr(self, name) for name in TENSORS}

    def to(self, device: torch.device) -> "GeneratorTensors":
        """The batch on `device`; to a GPU through pinned memory."""
        found = self.tensors()
        if device.type == "cuda":
            found = {name: tensor if tensor.is_cuda else tensor.pin_memory() for name, tensor in found.items()}
        return _from({name: tensor.to(device, non_blocking=True) for name, tensor in found.items()}, self.clips)


def as_tensors(batch: GeneratorBatch) -> GeneratorTensors:
    """The arrays of a loaded batch as tensors, without a copy where they are contiguous."""
    arrays = {name: np.ascontiguousarray(getattr(batch, name)) for name in TENSORS}
    return _from({name: torch.from_numpy(array) for name, array in arrays.items()}, batch.clips)


def _from(tensors: dict[str, Tensor], clips: tuple[str, ...]) -> GeneratorTensors:
    target, reference, mels, expert_mels, own, silent = (tensors[name] for name in TENSORS)
    return GeneratorTensors(target, reference, mels, expert_mels, own, silent, clips)


class GeneratorLoader(Protocol):
    """Where a generator's batches come from."""

    def batch(self, step: int) -> GeneratorTensors:
        """The batch of `step`, on the device; may be called from another thread, one call at a time."""
        ...


@dataclass(frozen=True)
class GeneratorDrawing:
    """Which batches: how they are drawn, and which share of them this process trains on."""

    sampling: GeneratorSampling
    seed: int
    spans: Spans = field(default_factory=dict)
    """Where bilabials are, by clip."""
    rank: int = 0
    n_ranks: int = 1

    def plan(self, tracks: Tracks, step: int) -> list[Draw]:
        """This process's windows of the joint batch `step`."""
        plan = plan_generator_batch(tracks, self.sampling, self.seed, step, self.spans)
        return plan[len(plan) * self.rank // self.n_ranks : len(plan) * (self.rank + 1) // self.n_ranks]


def choose_generator_loader(
    tracks: Tracks, drawing: GeneratorDrawing, device: torch.device, resident: str
) -> GeneratorLoader:
    """Keeps all crops on the device where `resident` is "always", or "auto" and they fit a GPU's free memory."""
    size = int(tracks.lengths.sum() * np.prod(tracks.frames(0).shape[1:]))
    if is_kept(size, device, resident):
        return ResidentGeneratorLoader(tracks, drawing, device)
    return OwnGeneratorLoader(tracks, drawing, device)


class OwnGeneratorLoader:
    """Loads in the thread that asks."""

    def __init__(self, tracks: Tracks, drawing: GeneratorDrawing, device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device

    def batch(self, step: int) -> GeneratorTensors:
        """See `GeneratorLoader`."""
        return as_tensors(load_generator_batch(self.tracks, self.drawing.plan(self.tracks, step))).to(self.device)


class ResidentGeneratorLoader:
    """Batches of the same windows, looks and sounds as loaded ones, from crops that are all on the device.

    Sounds, which are small, are made as for loaded batches; faces differ from those by the rounding of their grey
    levels, and where they are moved by that of the bilinear weights.
    """

    def __init__(self, tracks: Tracks, drawing: GeneratorDrawing, device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device
        self.crops = KeptCrops(tracks, tracks.lengths, 0, device)

    def batch(self, step: int) -> GeneratorTensors:
        """See `GeneratorLoader`."""
        plan = self.drawing.plan(self.tracks, step)
        target, reference = self._faces(plan)
        heard = torch.from_numpy(np.stack([sounds_of(self.tracks, draw) for draw in plan]))
        own, silent = (torch.tensor([getattr(draw, name) for draw in plan]) for name in ("own", "silent"))
        clips = tuple(self.tracks.names[draw.track] for draw in plan)
        sounds = GeneratorTensors(target, reference, heard[:, :-1], heard[:, -1], own, silent, clips)
        return sounds.to(self.device)

    def _faces(self, plan: Sequence[Draw]) -> tuple[Tensor, Tensor]:
        """(windows, frames, rows, width, 3), and (windows, frames, rows, width, 3 * references)."""
        n_frames, n_references = self.tracks.n_frames, len(plan[0].references)
        still = all(len(set(places)) == 1 for draw in plan for places in draw.references)  # then one of each suffices
        shown = 1 if still else n_frames
        frames = np.array([
            [*range(draw.start, draw.start + n_frames), *(f for places in draw.references for f in places[:shown])]
            for draw in plan
        ])  # fmt: skip
        gathered = self.crops.gather(np.array([draw.track for draw in plan]), frames)
        target = vary(gathered[:, :n_frames], [draw.look for draw in plan])
        each = gathered[:, n_frames:].reshape(len(plan) * n_references, shown, *gathered.shape[2:])
        varied = vary(each, [look for draw in plan for look in draw.reference_looks])
        references = varied.reshape(len(plan), n_references, *varied.shape[1:]).expand(-1, -1, n_frames, -1, -1, -1)
        return target, references.permute(0, 2, 3, 4, 1, 5).flatten(4)
