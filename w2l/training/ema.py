"""Moving average of a network's weights: more stable than the last step's; it is validated and exported."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """A copy of a network whose weights, and batch norm statistics, follow it slowly.

    Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992, with exponential weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards `network`, as it is after `step` (from 0)."""
        mine, theirs = _moving(self.network), _moving(network)
        torch._foreach_lerp_(mine, theirs, 1 - decay_at(self.decay, step))


def _moving(network: nn.Module) -> list[Tensor]:
    """Return all weights and statistics; counters stay out."""
    return [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point()]


def decay_at(decay: float, step: int) -> float:
    """Return the decay after `step`: short at first, so that the random initial weights are soon forgotten."""
    return min(decay, (1 + step) / (10 + step))
