"""Settings common to all trainings: length and learning rate schedule."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from w2l.core import config
from w2l.core.errors import ConfigError


@dataclass(frozen=True)
class LoopSettings:
    """Length of training and intervals; none of it changes a step."""

    steps: int = 20000
    """Total number of steps; a run that has done them is finished."""
    log_every: int = 50
    """Steps between lines of the log."""
    validate_every: int = 500
    """Steps between validations; the best model is kept."""
    checkpoint_every: int = 500
    """Steps between saved states: a killed run loses at most these."""
    patience: int = 0
    """Consecutive validations without a better model after which the run ends early; 0: never."""

    def __post_init__(self) -> None:
        """Reject intervals of zero."""
        if min(self.steps, self.log_every, self.validate_every, self.checkpoint_every) < 1:
            raise ConfigError("steps, log_every, validate_every and checkpoint_every must be at least 1")
        if self.patience < 0:
            raise ConfigError(f"patience must be at least 0, got {self.patience}")


@dataclass(frozen=True)
class RateSchedule:
    """Learning rate schedule: a linear warm-up, then a cosine."""

    warm_up: int = 0
    """Steps over which the rates rise."""
    end: float = 0.05
    """Share of the learning rates that remains at the last step; 1 keeps them constant."""

    def share(self, step: int, steps: int) -> float:
        """Return the share of the learning rates at `step` of `steps`."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        return rise * (self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


LATER = ("voice", "room", "near", "shifted_voice")
"""Settings added after runs existed: while they are off, they do not identify a run."""


def shaping(settings: Any, shapeless: Collection[str]) -> dict[str, Any]:
    """Return the settings that shape a step: all but the `shapeless`, and of the loop only its steps."""
    found = {name: value for name, value in config.plain(settings).items() if name not in shapeless}
    return {**_without_later(found), "loop": {"steps": settings.loop.steps}}


def _without_later(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings without those of `LATER` that are off."""
    kept = {name: value for name, value in values.items() if value or name not in LATER}
    return {name: _without_later(value) if isinstance(value, dict) else value for name, value in kept.items()}
