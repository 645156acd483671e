"""Interface between the training loop and a task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from w2l.models.checkpoint import ModelCard


@dataclass(frozen=True)
class Validation:
    """Result of a validation."""

    scores: dict[str, float]
    """Scores by name."""
    quality: float
    """Higher is better; decides which model is kept as best."""
    warnings: tuple[str, ...] = ()
    """Problems, in words."""
    settled: bool = True
    """Whether the loss has reached its final form: before that, patience is not used up."""


class TrainingTask(Protocol):
    """Networks, their optimisers, and one step of training."""

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    learning_rates: dict[str, float]

    def batch(self, step: int) -> Any:
        """Return the batch of `step`, a pure function of the settings and the step; runs in another thread."""

    def step(self, step: int, batch: Any) -> dict[str, float]:
        """Do one update and return every loss term by name."""

    def validate(self, step: int, folder: Path) -> Validation:
        """Evaluate the current networks; may write images to `folder`."""

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """Return the model files to write, by name."""


@runtime_checkable
class Describing(Protocol):
    """A task that can describe what a batch is made of."""

    def describe(self, batch: Any) -> str:
        """Return the clips of a batch, in a few words, for the error that ends a run on it."""
