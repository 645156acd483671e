"""How batches get to the device: loaded by this process, by worker processes, or gathered where all crops are kept."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from w2l.core.errors import TrainingError, W2LError
from w2l.data.batches.expert import ExpertBatch, Sampling, expert_batch
from w2l.data.batches.tracks import Tracks

WORKER_PATIENCE_S = 300.0
"""How long a batch of a worker process is waited for, in seconds."""
AHEAD = 2
"""Batches that each worker has ready."""


@dataclass(frozen=True)
class WindowBatch:
    """A process's windows of a joint batch, as tensors."""

    faces: Tensor
    """(windows, frames, rows, width, 3) uint8: of this process alone."""
    sounds: Tensor
    """(windows, bands, columns): of this process alone."""
    first: int
    """Place of the first of them in the joint batch."""
    partner: Tensor
    """(joint windows,): for each window another one of the same clip, off sync."""
    in_sync: Tensor
    """(joint windows,): the paper's coin."""
    silent: Tensor
    """(joint windows,)"""

    def __len__(self) -> int:
        """Windows of the joint batch."""
        return len(self.partner)

    def to(self, device: torch.device) -> "WindowBatch":
        """The batch on `device`; to a GPU through pinned memory."""
        tensors: tuple[Tensor, ...] = (self.faces, self.sounds, self.partner, self.in_sync, self.silent)
        if device.type == "cuda":
            tensors = tuple(tensor if tensor.is_cuda else tensor.pin_memory() for tensor in tensors)
        faces, sounds, partner, in_sync, silent = (tensor.to(device, non_blocking=True) for tensor in tensors)
        return WindowBatch(faces, sounds, self.first, partner, in_sync, silent)


def as_tensors(batch: ExpertBatch) -> WindowBatch:
    """The arrays of a loaded batch as tensors."""
    return WindowBatch(
        _tensor(batch.faces), _tensor(batch.sounds), int(batch.own[0]), _tensor(batch.partner),
        _tensor(batch.in_sync), _tensor(batch.silent),
    )  # fmt: skip


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


class Loader(Protocol):
    """Where batches come from."""

    def batch(self, step: int) -> WindowBatch:
        """The batch of `step`, on the device; may be called from another thread, one call at a time."""

    def close(self) -> None:
        """Ends what was started for it."""


@dataclass(frozen=True)
class Drawing:
    """Which batches: how they are drawn, and which share of them this process trains on."""

    sampling: Sampling
    seed: int
    rank: int = 0
    n_ranks: int = 1

    def load(self, tracks: Tracks, step: int) -> WindowBatch:
        """The batch of `step`."""
        return as_tensors(expert_batch(tracks, self.sampling, self.seed, step, self.rank, self.n_ranks))


class OwnLoader:
    """Loads in the thread that asks."""

    def __init__(self, tracks: Tracks, drawing: Drawing, device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device

    def batch(self, step: int) -> WindowBatch:
        """See `Loader`."""
        return self.drawing.load(self.tracks, step).to(self.device)

    def close(self) -> None:
        """See `Loader`."""


class WorkerLoader:
    """Loads in `n_workers` processes, each of which opens the tracks anew; batches come in the order of their steps.

    A worker that dies or does not answer for `patience_s` ends in a TrainingError.
    """

    def __init__(
        self, reopen: Callable[[], Tracks], drawing: Drawing, device: torch.device, n_workers: int,
        patience_s: float = WORKER_PATIENCE_S,
    ) -> None:  # fmt: skip
        self.device, self.n_workers, self.patience_s = device, n_workers, patience_s
        self.steps = _Steps(reopen, drawing)
        self.next_step = -1
        self.batches: Iterator[Any] = iter(())

    def batch(self, step: int) -> WindowBatch:
        """See `Loader`; steps other than the next one start the workers anew."""
        if step != self.next_step:
            self.close()
            loader = DataLoader(
                self.steps, batch_size=None, sampler=_Onwards(step), num_workers=self.n_workers, collate_fn=_as_is,
                multiprocessing_context="spawn", prefetch_factor=AHEAD, timeout=self.patience_s,
            )  # fmt: skip
            self.batches = iter(loader)
        try:
            found = next(self.batches)
        except (RuntimeError, OSError, EOFError) as error:  # a worker was killed, also while it sent, or is late
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"a process that loads batches has ended or does not answer at step {step} ({reason}); see whether "
                "memory ran out, set workers lower, and run again: it goes on from what was saved"
            ) from error
        if isinstance(found, W2LError):
            raise found
        self.next_step = step + 1
        batch: WindowBatch = found.to(self.device)
        return batch

    def close(self) -> None:
        """See `Loader`."""
        with suppress(RuntimeError):  # PyTorch says once more, at any moment, that a worker was killed
            stop = getattr(self.batches, "_shutdown_workers", None)
            if stop:
                stop()
            self.batches, self.next_step = iter(()), -1


class _Steps(Dataset[Any]):
    """Step -> batch, in a worker process; an error that the user must see comes as a value."""

    def __init__(self, reopen: Callable[[], Tracks], drawing: Drawing) -> None:
        self.reopen, self.drawing = reopen, drawing
        self.tracks: Tracks | None = None

    def __getitem__(self, step: int) -> "WindowBatch | W2LError":
        torch.set_num_threads(1)
        try:
            if self.tracks is None:
                self.tracks = self.reopen()
            return self.drawing.load(self.tracks, step)
        except W2LError as error:
            return error


class _Onwards:
    """All steps from one on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        step = self.first
        while True:
            yield step
            step += 1


def _as_is(item: Any) -> Any:
    return item
