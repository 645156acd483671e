"""Loading an expert's batches: in this process, by workers, or gathered from crops kept on the device."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.expert import (
    ExpertBatch,
    ExpertPlan,
    ExpertSampling,
    expert_batch,
    plan_expert_batch,
    sounds_of_clip,
)
from w2l.data.batches.loaders import Loader, OwnLoader, WorkerLoader, sent, tensor_of
from w2l.data.batches.resident import KeptCrops, Resident, is_kept, vary
from w2l.data.batches.tracks import Tracks


@dataclass(frozen=True)
class ExpertTensors:
    """An `ExpertBatch` as tensors: the windows of one process, plus arrays of the joint batch."""

    faces: Tensor
    """(windows, frames, rows, width, 3) uint8: of this process only."""
    sounds: Tensor
    """(windows, bands, columns): of this process only."""
    first: int
    """Position of the first of them in the joint batch."""
    partner: Tensor
    """(joint windows,): for each window another one of the same clip, off sync."""
    in_sync: Tensor
    """(joint windows,): the paper's coin flip."""
    silent: Tensor
    """(joint windows,)"""

    def __len__(self) -> int:
        """Return the number of windows in the joint batch."""
        return len(self.partner)

    def to(self, device: torch.device) -> "ExpertTensors":
        """Return the batch on `device`."""
        tensors = (self.faces, self.sounds, self.partner, self.in_sync, self.silent)
        faces, sounds, partner, in_sync, silent = sent(tensors, device)
        return ExpertTensors(faces, sounds, self.first, partner, in_sync, silent)


def expert_tensors(batch: ExpertBatch) -> ExpertTensors:
    """Convert the arrays of a loaded batch to tensors."""
    return ExpertTensors(
        tensor_of(batch.faces), tensor_of(batch.sounds), int(batch.own[0]), tensor_of(batch.partner),
        tensor_of(batch.in_sync), tensor_of(batch.silent),
    )  # fmt: skip


@dataclass(frozen=True)
class ExpertDrawing:
    """How batches are drawn, and which share of them this process trains on."""

    sampling: ExpertSampling
    seed: int
    rank: int = 0
    n_ranks: int = 1

    def load(self, tracks: Tracks, step: int) -> ExpertTensors:
        """Return this process's windows of the joint batch `step`."""
        return expert_tensors(expert_batch(tracks, self.sampling, self.seed, step, self.rank, self.n_ranks))


def choose_expert_loader(
    tracks: Tracks, reopen: Callable[[], Tracks], drawing: ExpertDrawing, device: torch.device, n_workers: int,
    resident: Resident,
) -> Loader[ExpertTensors]:  # fmt: skip
    """Choose the source of batches.

    With `resident` "always", or "auto" if the crops fit a GPU's free memory: crops kept on the device; else
    `n_workers` processes that `reopen` the tracks, or with 0 this process.
    """
    if is_kept(crop_bytes(tracks, drawing.sampling.augment), device, resident):
        return ResidentExpertLoader(tracks, drawing, device)
    if n_workers:
        return WorkerLoader(reopen, drawing, device, n_workers)
    return OwnLoader(tracks, drawing, device)


class ResidentExpertLoader:
    """Batches equal to loaded ones, gathered from crops that are all on the device.

    Audio, which is small, is prepared as for loaded batches; faces differ by the rounding of their grey levels and,
    where pixels are moved, of the bilinear weights.
    """

    def __init__(self, tracks: Tracks, drawing: ExpertDrawing, device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device
        self.cut = _cut(tracks, drawing.sampling.augment)
        self.crops = KeptCrops(tracks, _seen_frames(tracks), self.cut, device)

    def batch(self, step: int) -> ExpertTensors:
        """Return the batch of `step`."""
        drawing = self.drawing
        plan = plan_expert_batch(self.tracks, drawing.sampling, drawing.seed, step)
        clips = plan.clips_of(drawing.rank, drawing.n_ranks)
        facts = (torch.from_numpy(each).to(self.device) for each in (plan.partner, plan.in_sync, plan.silent))
        partner, in_sync, silent = facts
        first = clips.start * plan.start.shape[1]
        sounds = np.concatenate([sounds_of_clip(self.tracks, plan, clip) for clip in clips])
        sent_sounds = torch.from_numpy(sounds).to(self.device)
        return ExpertTensors(self._faces(plan, clips), sent_sounds, first, partner, in_sync, silent)

    def close(self) -> None:
        """Do nothing: nothing was started."""

    def _faces(self, plan: ExpertPlan, clips: range) -> Tensor:
        """Return the faces, (windows, frames, rows, width, 3)."""
        own = slice(clips.start, clips.stop)
        places = plan.start[own, :, None] + np.arange(self.tracks.n_frames)  # (clips, windows, frames)
        by_clip = self.crops.gather(plan.track[own], places.reshape(len(clips), -1))
        varied = vary(by_clip, plan.looks[own], self.tracks.first_row - self.cut)
        return varied.reshape(-1, self.tracks.n_frames, *varied.shape[2:])


def crop_bytes(tracks: Tracks, augment: AugmentSettings) -> int:
    """Return the size in bytes of the parts of all crops of `tracks` that are used."""
    _, height, width, channels = tracks.frames(0).shape
    return int(_seen_frames(tracks).sum()) * (height - _cut(tracks, augment)) * width * channels


def _seen_frames(tracks: Tracks) -> NDArray[np.int64]:
    """Return the number of frames of each track that belong to a window, (tracks,)."""
    return np.asarray(tracks.counts + tracks.n_frames - 1)


def _cut(tracks: Tracks, augment: AugmentSettings) -> int:
    """Return the first row that is kept: if crops are moved, rows above the used ones may be needed."""
    return 0 if augment.moves else tracks.first_row
