"""Several processes that train one network on one joint batch, as started by `torchrun`."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from w2l.core.errors import ConfigError, TrainingError
from w2l.core.text import one_line

PATIENCE_S = 600.0
"""Seconds that a process waits for the others before it gives up."""


@dataclass(frozen=True)
class Ranks:
    """Rank of this process among all."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def joint(self, part: Tensor, first: int, total: int) -> Tensor:
        """Return the rows of all processes, (total, features), from `part`, the own rows from `first` on; no gradient.

        Rows of others are added to zeros, which preserves every bit and does not require equal parts.
        """
        if self.size == 1:
            return part.detach().clone()
        rows = torch.zeros((total, *part.shape[1:]), dtype=part.dtype, device=part.device)
        rows[first : first + len(part)] = part.detach()
        _together(rows)
        return rows

    def add_gradients(self, parts: Iterable[nn.Parameter], same: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of `parts`, of which each process has a summand, and average those of `same`.

        The loss of the joint batch is a function of all embeddings, and each process has propagated it to its own: the
        sum is the gradient that one process with the joint batch would have.
        """
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parts if parameter.grad is not None]
        shared = [parameter.grad for parameter in same if parameter.grad is not None]
        for gradient in shared:
            gradient /= self.size
        gradients += shared
        if not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        _together(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients])):
            gradient.copy_(summed.view_as(gradient))

    def agree(self, value: int, what: str, device: torch.device) -> None:
        """Raise TrainingError unless all processes have the same `value`; also synchronises them."""
        if self.size == 1:
            return
        values = torch.zeros(self.size, dtype=torch.int64, device=device)
        values[self.rank] = value
        _together(values)
        if len(set(values.tolist())) > 1:
            raise TrainingError(
                f"the {self.size} processes differ in {what}: {values.tolist()}; all need the same settings, and the "
                "same cache on a shared disk"
            )


ALONE = Ranks()
"""A single process that trains alone."""


@contextmanager
def joined_ranks(device: torch.device, patience_s: float = PATIENCE_S) -> Iterator[Ranks]:
    """Connect the processes started by `torchrun`; return a single rank without it.

    Raises TrainingError if another process has ended or does not respond for `patience_s`.
    """
    size, rank = _number("WORLD_SIZE", 1), _number("RANK", 0)
    if size == 1:
        yield ALONE
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=patience_s), rank=rank, world_size=size)
    except (RuntimeError, ValueError) as error:
        reason = f"process {rank} of {size} did not meet the others ({_line(error)})"
        raise TrainingError(f"{reason}; run torchrun again") from error
    try:
        yield Ranks(rank, size)
    finally:
        dist.destroy_process_group()


def under_torchrun() -> bool:
    """Whether `torchrun` has started several processes."""
    return _number("WORLD_SIZE", 1) > 1


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return _number("RANK", 0) == 0


def _together(tensor: Tensor) -> None:
    """Replace `tensor` by its sum over all processes."""
    try:
        dist.all_reduce(tensor)
    except RuntimeError as error:
        raise TrainingError(
            f"another of the {dist.get_world_size()} processes has ended or does not respond ({_line(error)}); see its "
            "own message, and start torchrun again: the run resumes from the last saved state"
        ) from error


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(f"${name} is {text!r}, must be a whole number; torchrun sets it")
    return int(text)


def _line(error: BaseException) -> str:
    return one_line(error)[:200]
