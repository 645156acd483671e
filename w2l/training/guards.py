"""Safeguards of a run: gradients that are not finite, and memory errors."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from w2l.core.errors import ConfigError, TrainingError

logger = logging.getLogger(__name__)
MOST_IN_A_ROW = 20
"""Number of consecutive updates of one network that may be skipped before the run ends."""
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""Messages of PyTorch when memory is exhausted: of its CPU allocator on Linux and Windows, and of GPU libraries."""


class GradientGuard:
    """Skips updates whose gradient is not finite, which would make every weight NaN.

    Larger gradients than `clip_norm` are scaled down to it. Its counts are stored in the checkpoint, so that a resumed
    run ends, or not, exactly as an uninterrupted one.
    """

    def __init__(self, clip_norm: float, most_in_a_row: int = MOST_IN_A_ROW) -> None:
        """Set the largest norm of a network's gradient, infinite for no limit."""
        if not clip_norm > 0 or most_in_a_row < 1:
            raise ConfigError(f"clip_norm must be above 0 and most_in_a_row at least 1: {clip_norm}, {most_in_a_row}")
        self.clip_norm, self.most_in_a_row = clip_norm, most_in_a_row
        self.skipped = 0
        """Updates skipped since the run began, of all networks."""
        self._in_a_row: Counter[str] = Counter()

    def update(
        self, name: str, optimiser: torch.optim.Optimizer, parameters: Iterable[nn.Parameter],
        scaler: torch.amp.GradScaler | None = None,
    ) -> Tensor:  # fmt: skip
        """Update the network `name` from its parameters' gradients; return their norm before clipping.

        If that is not finite, weights and optimiser are unchanged, and the norm counts as 0. Gradients for fp16
        must have been unscaled by their `scaler`, which itself skips such updates while it adapts its scale.
        Under `torchrun` they must be those of all processes already, so that all decide alike.

        Raises TrainingError if so many updates in a row were skipped that the run will not recover.
        """
        found = nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        norm = float(found)
        scales = scaler is not None and scaler.is_enabled()
        if scaler is not None and scales:
            scaler.step(optimiser)
        elif math.isfinite(norm):
            optimiser.step()
        if math.isfinite(norm):
            self._in_a_row[name] = 0
            return found
        self.skipped += 1
        self._in_a_row[name] += 1
        if self._in_a_row[name] >= self.most_in_a_row:
            raise TrainingError(
                f"the gradient of the {name} was not finite in {self.most_in_a_row} consecutive steps; the last saved "
                "state is kept: reduce the learning rate, or set precision=fp32, and choose another --run"
            )
        logger.log(logging.DEBUG if scales else logging.WARNING, "the gradient of the %s is %s: skipped", name, norm)
        return torch.zeros_like(found)

    def terms(self) -> dict[str, float]:
        """Return what to log: `skipped`, if there were any."""
        return {"skipped": float(self.skipped)} if self.skipped else {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"skipped": self.skipped, "in_a_row": dict(self._in_a_row)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.skipped = int(state_dict["skipped"])
        self._in_a_row = Counter({str(name): int(count) for name, count in state_dict["in_a_row"].items()})


@contextmanager
def memory_errors(where: Callable[[], str], hint: str) -> Iterator[None]:
    """Convert the various out-of-memory errors to one TrainingError.

    `where` is called only then and returns the current activity; `hint` names the settings to reduce. Others pass.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        kind = "GPU memory" if isinstance(error, torch.cuda.OutOfMemoryError) else "memory"
        raise TrainingError(f"{where()}: out of {kind}; reduce {hint}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is one by which PyTorch, NumPy or Python report that memory is exhausted."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error).lower() for said in OUT_OF_MEMORY)
