"""Sources of batches for any training: this process or worker processes, and a process's share."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from w2l.core.errors import TrainingError, W2LError
from w2l.core.text import one_line
from w2l.data.batches.tracks import Tracks

WORKER_PATIENCE_S = 300.0
"""Time to wait for a batch of a worker process, in seconds."""
AHEAD = 2
"""Batches that each worker prefetches."""
B = TypeVar("B", bound="Sendable")
B_co = TypeVar("B_co", covariant=True)


class Sendable(Protocol):
    """A batch of tensors."""

    def to(self: B, device: torch.device, /) -> B:
        """Return the batch on `device`."""
        ...


class Drawing(Protocol[B_co]):
    """How batches are drawn, and which share of them this process trains on."""

    def load(self, tracks: Tracks, step: int) -> B_co:
        """Return this process's part of batch `step`, on the CPU."""
        ...


class Loader(Protocol[B_co]):
    """A source of batches."""

    def batch(self, step: int) -> B_co:
        """Return the batch of `step`, on the device; may be called from another thread, one call at a time."""
        ...

    def close(self) -> None:
        """Stop what was started for it."""


class OwnLoader(Generic[B]):
    """Batches loaded in the calling thread."""

    def __init__(self, tracks: Tracks, drawing: Drawing[B], device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device

    def batch(self, step: int) -> B:
        """Return the batch of `step`."""
        return self.drawing.load(self.tracks, step).to(self.device)

    def close(self) -> None:
        """Do nothing: nothing was started."""


class WorkerLoader(Generic[B]):
    """Batches loaded by `n_workers` processes, each of which opens the tracks itself, in the order of their steps.

    A worker that dies or does not answer for `patience_s` raises a TrainingError.
    """

    def __init__(
        self, reopen: Callable[[], Tracks], drawing: Drawing[B], device: torch.device, n_workers: int,
        patience_s: float = WORKER_PATIENCE_S,
    ) -> None:  # fmt: skip
        self.device, self.n_workers, self.patience_s = device, n_workers, patience_s
        self.steps = _Steps(reopen, drawing)
        self.next_step = -1
        self.batches: Iterator[Any] = iter(())

    def batch(self, step: int) -> B:
        """Return the batch of `step`; steps other than the next one restart the workers."""
        if step != self.next_step:
            self.close()
            loader = DataLoader(
                self.steps, batch_size=None, sampler=_Onwards(step), num_workers=self.n_workers, collate_fn=_as_is,
                multiprocessing_context="spawn", prefetch_factor=AHEAD, timeout=self.patience_s,
            )  # fmt: skip
            self.batches = iter(loader)
        try:
            found = next(self.batches)
        except (RuntimeError, OSError, EOFError) as error:  # a worker was killed, perhaps while sending, or is late
            reason = one_line(error)[:200]
            raise TrainingError(
                f"a data loading process has ended or does not respond at step {step} ({reason}); check whether memory "
                "ran out, reduce workers, and run again: training resumes from the last saved state"
            ) from error
        if isinstance(found, W2LError):
            raise found
        self.next_step = step + 1
        batch: B = found.to(self.device)
        return batch

    def close(self) -> None:
        """Stop the workers."""
        with suppress(RuntimeError):  # PyTorch may report again that a worker was killed
            stop = getattr(self.batches, "_shutdown_workers", None)
            if stop:
                stop()
            self.batches, self.next_step = iter(()), -1


class _Steps(Dataset[Any]):
    """Dataset of batches by step, in a worker process; an error for the user is returned as a value."""

    def __init__(self, reopen: Callable[[], Tracks], drawing: Drawing[Any]) -> None:
        self.reopen, self.drawing = reopen, drawing
        self.tracks: Tracks | None = None

    def __getitem__(self, step: int) -> Any:
        torch.set_num_threads(1)
        try:
            if self.tracks is None:
                self.tracks = self.reopen()
            return self.drawing.load(self.tracks, step)
        except W2LError as error:
            return error


class _Onwards:
    """Iterates over all steps from one on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        step = self.first
        while True:
            yield step
            step += 1


def _as_is(item: Any) -> Any:
    return item


def share_of(count: int, rank: int, n_ranks: int) -> range:
    """Return the range of `count` items for process `rank` of `n_ranks`: adjacent, in parts as equal as possible."""
    return range(count * rank // n_ranks, count * (rank + 1) // n_ranks)


def tensor_of(array: NDArray[np.generic]) -> Tensor:
    """Return the array as a tensor, without a copy if it is contiguous."""
    return torch.from_numpy(np.ascontiguousarray(array))


def sent(tensors: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """Return the tensors on `device`; pinned memory is used for a GPU."""
    if device.type == "cuda":
        tensors = [tensor if tensor.is_cuda else tensor.pin_memory() for tensor in tensors]
    return [tensor.to(device, non_blocking=True) for tensor in tensors]
