"""Where batches come from, whatever is trained: this process or worker processes, and which part a process has."""

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
"""Batches that each worker has ready."""
B = TypeVar("B", bound="Sendable")
B_co = TypeVar("B_co", covariant=True)


class Sendable(Protocol):
    """A batch of tensors."""

    def to(self: B, device: torch.device, /) -> B:
        """Return the batch on `device`."""
        ...


class Drawing(Protocol[B_co]):
    """Which batches: how they are drawn, and which share of them this process trains on."""

    def load(self, tracks: Tracks, step: int) -> B_co:
        """Return this process's part of batch `step`, on the CPU."""
        ...


class Loader(Protocol[B_co]):
    """Where batches come from."""

    def batch(self, step: int) -> B_co:
        """Return the batch of `step`, on the device; may be called from another thread, one call at a time."""
        ...

    def close(self) -> None:
        """Stop what was started for it."""


class OwnLoader(Generic[B]):
    """Batches loaded in the thread that asks."""

    def __init__(self, tracks: Tracks, drawing: Drawing[B], device: torch.device) -> None:
        self.tracks, self.drawing, self.device = tracks, drawing, device

    def batch(self, step: int) -> B:
        """Return the batch of `step`."""
        return self.drawing.load(self.tracks, step).to(self.device)

    def close(self) -> None:
        """Do nothing: nothing was started."""


class WorkerLoader(Generic[B]):
    """Batches loaded by `n_workers` processes, each of which opens the tracks itself, in the order of their steps.

    A worker that dies or does not answer for `patience_s` ends in a TrainingError.
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
        except (RuntimeError, OSError, EOFError) as error:  # a worker was killed, also while it sent, or is late
            reason = one_line(error)[:200]
            raise TrainingError(
                f"a process that loads batches has ended or does not answer at step {step} ({reason}); see whether "
                "memory ran out, set workers lower, and run again: it goes on from what was saved"
            ) from error
        if isinstance(found, W2LError):
            raise found
        self.next_step = step + 1
        batch: B = found.to(self.device)
        return batch

    def close(self) -> None:
        """Stop the workers."""
        with suppress(RuntimeError):  # PyTorch says once more, at any moment, that a worker was killed
            stop = getattr(self.batches, "_shutdown_workers", None)
            if stop:
                stop()
            self.batches, self.next_step = iter(()), -1


class _Steps(Dataset[Any]):
    """Step -> batch, in a worker process; an error that the user must see is returned as a value."""

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


def share_of(count: int, rank: int, n_ranks: int) -> range:
    """Return which of `count` things process `rank` of `n_ranks` has: neighbours, in parts as equal as may be."""
    return range(count * rank // n_ranks, count * (rank + 1) // n_ranks)


def tensor_of(array: NDArray[np.generic]) -> Tensor:
    """Return the array as a tensor, without a copy where it is contiguous."""
    return torch.from_numpy(np.ascontiguousarray(array))


def sent(tensors: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """Return the tensors on `device`; they go to a GPU through pinned memory."""
    if device.type == "cuda":
        tensors = [tensor if tensor.is_cuda else tensor.pin_memory() for tensor in tensors]
    return [tensor.to(device, non_blocking=True) for tensor in tensors]
