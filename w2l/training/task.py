"""What the loop trains: a task, and what it gives back at a validation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from w2l.models.checkpoint import ModelCard


@dataclass(frozen=True)
class Validation:
    """What a validation found."""

    scores: dict[str, float]
    """By name."""
    quality: float
    """The higher the better: decides which model is kept as best."""
    warnings: tuple[str, ...] = ()
    """What looks wrong, in words."""
    settled: bool = True
    """Whether the loss is what it will be from now on: before that no patience is lost."""


class TrainingTask(Protocol):
    """What is trained: networks, their optimisers, and what one step does."""

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    learning_rates: dict[str, float]

    def batch(self, step: int) -> Any:
        """Return the batch of `step`, a pure function of the settings and the step; runs in another thread."""

    def step(self, step: int, batch: Any) -> dict[str, float]:
        """Do one update, and return every loss term by name."""

    def validate(self, step: int, folder: Path) -> Validation:
        """Measure the networks as they are; may write pictures to `folder`."""

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """Return the model files to write, by name."""


@runtime_checkable
class Describing(Protocol):
    """A task that can describe what a batch is made of."""

    def describe(self, batch: Any) -> str:
        """Name the clips of a batch, in a few words, for the error that ends a run on it."""
