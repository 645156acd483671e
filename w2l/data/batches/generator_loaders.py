"""Loading a generator's batches: in the calling thread, or gathered from crops kept on the device."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from w2l.data.batches.generator import (
    Draw,
    GeneratorBatch,
    GeneratorSampling,
    load_generator_batch,
    plan_generator_batch,
    sounds_of,
)
from w2l.data.batches.loaders import Loader, OwnLoader, sent, share_of, tensor_of
from w2l.data.batches.resident import KeptCrops, Resident, is_kept, vary
from w2l.data.batches.spans import NO_SPANS, Spans
from w2l.data.batches.tracks import Tracks

TENSORS = ("target", "reference", "mels", "expert_mels", "own", "silent")
"""Arrays of a batch that are sent to the device."""


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
        """Return the number of windows."""
        return len(self.target)

    def parts(self, count: int) -> list["GeneratorTensors"]:
        """Split the windows into `count` parts, as equal as possible; fewer if there are fewer windows."""
        shares = [share_of(len(self), part, count) for part in range(count)]
        names = [each.name for each in fields(self)]
        pieces = ({name: getattr(self, name)[s.start : s.stop] for name in names} for s in shares if s)
        return [replace(self, **piece) for piece in pieces]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {name: getattr(self, name) for name in TENSORS}

    def to(self, device: torch.device) -> "GeneratorTensors":
        """Return the batch on `device`."""
        target, reference, mels, expert_mels, own, silent = sent(self.tensors().values(), device)
        return GeneratorTensors(target, reference, mels, expert_mels, own, silent, self.clips)


def generator_tensors(batch: GeneratorBatch) -> GeneratorTensors:
    """Convert the arrays of a loaded batch to tensors, without a copy if they are contiguous."""
    target, reference, mels, expert_mels, own, silent = (tensor_of(getattr(batch, name)) for name in TENSORS)
    return GeneratorTensors(target, reference, mels, expert_mels, own, silent, batch.clips)


@dataclass(frozen=True)
class GeneratorDrawing:
    """How batches are drawn, and which share of them this process trains on."""

    sampling: GeneratorSampling
    seed: int
    spans: Spans = NO_SPANS
    """What is known of the clips."""
    rank: int = 0
    n_ranks: int = 1

    def plan(self, tracks: Tracks, step: int) -> list[Draw]:
        """Draw this process's windows of the joint batch `step`."""
        plan = plan_generator_batch(tracks, self.sampling, self.seed, step, self.spans)
        return [plan[window] for window in share_of(len(plan), self.rank, self.n_ranks)]

    def load(self, tracks: Tracks, step: int) -> GeneratorTensors:
        """Return this process's windows of the joint batch `step`."""
        return generator_tensors(load_generator_batch(tracks, self.plan(tracks, step)))


def choose_generator_loader(
    tracks: Tracks, drawing: GeneratorDrawing, device: torch.device, resident: Resident
) -> Loader[GeneratorTensors]:
    """Keep all crops on the device if `resident` is "always", or "auto" and they fit a GPU's free memory."""
    size = int(tracks.lengths.sum() * np.prod(tracks.frames(0).shape[1:]))
    if is_kept(size, device, resident):
        return ResidentGeneratorLoader(tracks, drawing, device)
    return OwnLoader(tracks, drawing, device)


class ResidentGeneratorLoader:
    """Batches equal to loaded ones, gathered from crops that are all on the device.

    Audio, which is small, is prepared as for loaded batches; faces differ by the rounding of their grey levels and,
    where pixels are moved, of the bilinear weights.
    """

    def __init__(self, tracks: Tracks, drawing: GeneratorDrawing, device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device
        self.crops = KeptCrops(tracks, tracks.lengths, 0, device)

    def batch(self, step: int) -> GeneratorTensors:
        """Return the batch of `step`."""
        plan = self.drawing.plan(self.tracks, step)
        target, reference = self._faces(plan)
        heard = torch.from_numpy(np.stack([sounds_of(self.tracks, draw) for draw in plan]))
        own, silent = (torch.tensor([getattr(draw, name) for draw in plan]) for name in ("own", "silent"))
        clips = tuple(self.tracks.names[draw.track] for draw in plan)
        sounds = GeneratorTensors(target, reference, heard[:, :-1], heard[:, -1], own, silent, clips)
        return sounds.to(self.device)

    def close(self) -> None:
        """Do nothing: nothing was started."""

    def _faces(self, plan: Sequence[Draw]) -> tuple[Tensor, Tensor]:
        """Return targets and references: (windows, frames, rows, width, 3) and (..., 3 * references)."""
        n_frames, n_references = self.tracks.n_frames, len(plan[0].references)
        still = all(len(set(places)) == 1 for draw in plan for places in draw.references)  # one frame suffices
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
