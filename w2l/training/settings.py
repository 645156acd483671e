"""Settings that every training has: how long it takes, and how its learning rates rise and fall."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from w2l.core import config
from w2l.core.errors import ConfigError


@dataclass(frozen=True)
class LoopSettings:
    """How long to train and how often to look; none of it changes what a step does."""

    steps: int = 20000
    """Steps in all; a run that has done them is done."""
    log_every: int = 50
    """Steps from one line of the log to the next."""
    validate_every: int = 500
    """Steps from one validation to the next; the best model is kept."""
    checkpoint_every: int = 500
    """Steps from one saved state to the next: a killed run loses at most these."""
    patience: int = 0
    """Validations in a row without a better model after which the run is done before its steps are; 0: never."""

    def __post_init__(self) -> None:
        """Refuse intervals of zero."""
        if min(self.steps, self.log_every, self.validate_every, self.checkpoint_every) < 1:
            raise ConfigError("steps, log_every, validate_every and checkpoint_every must be at least 1")
        if self.patience < 0:
            raise ConfigError(f"patience must be at least 0, got {self.patience}")


@dataclass(frozen=True)
class RateSchedule:
    """How learning rates rise and fall: a linear warm-up, then a cosine."""

    warm_up: int = 0
    """Steps over which the rates rise."""
    end: float = 0.05
    """Share of the learning rates that is left at the last step; 1 keeps it all."""

    def share(self, step: int, steps: int) -> float:
        """Return the share of the learning rates at `step` of `steps`."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        return rise * (self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


LATER = ("voice", "room", "near")
"""Settings that came after runs were begun: where they are off, they are no part of what identifies a run."""


def shaping(settings: Any, shapeless: Collection[str]) -> dict[str, Any]:
    """Return the settings that shape a step, all but the `shapeless`; of the loop, which they have, only its steps."""
    found = {name: value for name, value in config.plain(settings).items() if name not in shapeless}
    return {**_without_later(found), "loop": {"steps": settings.loop.steps}}


def _without_later(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings without those of `LATER` that are off."""
    kept = {name: value for name, value in values.items() if value or name not in LATER}
    return {name: _without_later(value) if isinstance(value, dict) else value for name, value in kept.items()}
