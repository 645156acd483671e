"""Detection of a collapsed generator training: what is wrong, the likely cause, and which setting to change.

The known failures: the discriminator wins, or is at chance; the sync loss does not fall; the mouth does not move; the
reference is copied.
"""

import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from w2l.core.errors import ConfigError, TrainingError
from w2l.training.losses import CHANCE

logger = logging.getLogger(__name__)

OTHERS = ("disc_fake", "disc_off")
"""Names of a discriminator's own terms besides `disc_real`; see `w2l.training.generator.adversaries`."""
WON_SHARE = 0.05
"""A discriminator has won if `disc_real`, and the others together, are below this share of their chance level."""
CHANCE_SHARE = 0.05
"""It is at chance if both are within this share of it."""
FALL_SHARE = 0.1
"""The sync loss has fallen if it is lower than at its beginning by this share..."""
OUT_OF_SYNC = math.log(2)
"""... or lower than this: the expert then rates mouth and audio as in sync with more than even odds."""
LEAST_ARTICULATION = 0.3
"""Motion of the lips relative to the real ones below which a mouth counts as still."""
COPIED = 0.75
"""From here on `copying` counts as a copy. Measured on GRID at 96 px: a copy has 1, one softened by 2 pixels 0.85, a
small trained generator (width 4) 0.43, the mean face of a clip 0.05."""
CELLS = 24
"""Number of cells, across an image, whose mean colours `copying` compares: grain and sharpness do not count."""


@dataclass(frozen=True)
class CollapseSettings:
    """When a generator's training counts as collapsed."""

    patience: int = 2000
    """Steps for which a failure must persist before it is reported; 0 disables the detection."""
    window: int = 250
    """Steps over which the loss terms are averaged."""
    stop: bool = False
    """Whether the run ends with the report; otherwise it continues."""

    def __post_init__(self) -> None:
        """Reject settings that cannot be monitored."""
        if self.patience < 0 or self.window < 2:
            raise ConfigError(f"patience must be at least 0 and window at least 2, got {self.patience}, {self.window}")
        if 0 < self.patience < self.window:
            raise ConfigError(f"patience must be 0 or at least the window, {self.window}, got {self.patience}")


class CollapseWatch:
    """Monitors the terms of each step and the scores of each validation; see `w2l.training.run_folder.Stateful`."""

    def __init__(self, settings: CollapseSettings, chance: float | None = CHANCE) -> None:
        """Create a monitor; `chance`: `disc_real`, and the discriminator's other terms together, at chance.

        None if there is no discriminator, whose terms are then ignored.
        """
        self.settings, self.chance = settings, chance
        self.values: dict[str, deque[float]] = {}
        """Term -> its last values."""
        self.sync_begin: float | None = None
        """Mean sync loss of the first window of steps."""
        self.since: dict[str, int] = {}
        """Current failure -> the step at which it began."""
        self.said: list[str] = []
        """Failures that have been reported."""

    def push(self, step: int, terms: Mapping[str, float]) -> None:
        """Add the terms of `step`; `sync` and the discriminator's terms are used, any of which may be missing."""
        if not self.settings.patience:
            return
        if "sync" in terms:
            self._keep("sync", terms["sync"])
            self._look_at_sync(step)
        others = [terms[name] for name in OTHERS if name in terms]
        if self.chance is not None and "disc_real" in terms and others:
            self._keep("disc_real", terms["disc_real"])
            self._keep("disc_others", sum(others))
            self._look_at_discriminator(step, self.chance)

    def check(self, step: int, scores: Mapping[str, float], copied: float | None = None) -> list[str]:
        """Return and log failures, in words, that persisted for all of the patience and were not yet reported.

        Uses `articulation` among `scores`, see `mouth_check.py`, and `copied`, the result of `copying`.
        Each is reported once, and again only after it has recovered. Raises TrainingError if the run is to stop.
        """
        if not self.settings.patience:
            return []
        articulation = scores.get("articulation")
        if articulation is not None:
            self._note("still", articulation < LEAST_ARTICULATION, step)
        if copied is not None:
            self._note("copies", copied >= COPIED, step)
        new = [
            name for name, since in self.since.items()
            if name not in self.said and step - since >= self.settings.patience
        ]  # fmt: skip
        self.said.extend(new)
        words = [self._words(name, step, articulation, copied) for name in new]
        for warning in words:
            logger.warning("%s", warning)
        if words and self.settings.stop:
            raise TrainingError(f"{words[0]}; the last saved state is kept (watchdog.stop=false continues anyway)")
        return words

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a resumed run."""
        values = {name: list(values) for name, values in self.values.items()}
        return {"values": values, "sync_begin": self.sync_begin, "since": dict(self.since), "said": list(self.said)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        window = self.settings.window
        self.values = {name: deque(values, maxlen=window) for name, values in state_dict["values"].items()}
        self.sync_begin = state_dict["sync_begin"]
        self.since, self.said = dict(state_dict["since"]), list(state_dict["said"])

    def _look_at_discriminator(self, step: int, chance: float) -> None:
        real, others = self._mean("disc_real"), self._mean("disc_others")
        if real is None or others is None:
            return
        self._note("won", max(real, others) < WON_SHARE * chance, step)
        away = max(abs(real - chance), abs(others - chance))
        self._note("chance", away < CHANCE_SHARE * chance, step)

    def _look_at_sync(self, step: int) -> None:
        mean = self._mean("sync")
        if mean is None:
            return
        if self.sync_begin is None:
            self.sync_begin = mean
        self._note("sync", mean > max(OUT_OF_SYNC, (1 - FALL_SHARE) * self.sync_begin), step)

    def _keep(self, name: str, value: float) -> None:
        self.values.setdefault(name, deque(maxlen=self.settings.window)).append(float(value))

    def _mean(self, name: str) -> float | None:
        """Return the mean over the window; None before it is full."""
        values = self.values.get(name, ())
        return sum(values) / len(values) if len(values) == self.settings.window else None

    def _note(self, name: str, wrong: bool, step: int) -> None:
        if wrong:
            self.since.setdefault(name, step)
        elif name in self.since:
            del self.since[name]
            if name in self.said:
                self.said.remove(name)
                logger.info("step %d: resolved: %s", step, TITLES[name])

    def _words(self, name: str, step: int, articulation: float | None, copied: float | None) -> str:
        figures = {
            "real": self._mean("disc_real"), "others": self._mean("disc_others"), "sync": self._mean("sync"),
            "begin": self.sync_begin, "chance": self.chance, "articulation": articulation, "copied": copied,
        }  # fmt: skip
        shown = {key: "?" if value is None else f"{value:.2f}" for key, value in figures.items()}
        lasted = step - self.since[name]
        return f"step {step}: {TITLES[name]}, for {lasted} steps {FIGURES[name].format(**shown)}: {ADVICE[name]}"


TITLES = {
    "won": "the discriminator has won",
    "chance": "the discriminator is at chance",
    "sync": "the sync loss does not fall",
    "still": "the mouth hardly moves",
    "copies": "the reference is copied",
}
"""Name of each failure in words."""
FIGURES = {
    "won": "(disc_real {real}, other terms {others}, at chance {chance} each)",
    "chance": "(disc_real {real}, other terms {others}, at chance {chance} each)",
    "sync": "({sync}, at the beginning {begin})",
    "still": "(articulation {articulation}, a real mouth has 1)",
    "copies": "({copied} of the way from the target, 1 is the reference)",
}
"""The numbers that show it."""
ADVICE = {
    "won": "it learns too fast for the generator, whose adversarial gradients then vanish; set discriminator.lr "
    "lower, or schedule.adversarial to begin later",
    "chance": "either generated pictures look real (see the samples), or it cannot learn; set discriminator.lr or "
    "discriminator.width higher",
    "sync": "the audio does not affect the mouth; set sync higher or its rise in schedule.sync shorter, and if that "
    "does not help, check whether the expert knows these crops (w2l audit)",
    "still": "an average mouth minimises the loss if nothing asks for more; set sync or lips higher, rest lower",
    "copies": "references show the target mouth itself, or the audio has no influence; set "
    "sampling.distance or sync higher",
}
"""The likely cause and what to change."""


def copying(generated: Tensor, reference: Tensor, target: Tensor) -> float:
    """Return how far generated images lie on the way from the target (0) to the reference (1), averaged over the batch.

    It is the projection of the error on the difference of reference and target: a mouth that resembles neither gets
    one half at most, whatever its distance from both. Items are weighted by the difference of reference and target; of
    several references the one nearest to the image counts. 0 if there is no difference.

    Parameters
    ----------
    generated, target : (batch, 3, frames, rows, width)
        Lower halves in [0, 1].
    reference : (batch, 3 * references, frames, rows, width)
    """
    made, real = _coarse(generated), _coarse(target)
    given = reference.reshape(len(reference), -1, *target.shape[1:])
    along, length = made.new_zeros(len(made)), made.new_zeros(len(made))
    nearest = made.new_full((len(made),), math.inf)
    for number in range(given.shape[1]):
        one = _coarse(given[:, number])
        way, distance = one - real, (made - one).square().sum(1)
        nearer = distance < nearest
        nearest = nearest.where(~nearer, distance)
        along = along.where(~nearer, ((made - real) * way).sum(1))
        length = length.where(~nearer, way.square().sum(1))
    total = float(length.sum())
    return float(along.sum()) / total if total else 0.0


def _coarse(pictures: Tensor) -> Tensor:
    """Return the mean colours of `CELLS` cells across: (batch, 3, frames, rows, width) -> (batch, values)."""
    side = max(pictures.shape[-1] // CELLS, 1)
    return F.avg_pool3d(pictures.detach().float(), (1, side, side)).flatten(1)
