"""Says when the training of a generator has collapsed: what is wrong, the likely cause, and which setting to change.

The known ways to fail: the discriminator wins, or tells nothing; the sync loss stays where it began; the mouth does not
move; the reference is copied.
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
"""What a discriminator's own terms besides `disc_real` are called; see `w2l.training.generator.adversaries`."""
WON_SHARE = 0.05
"""A discriminator has won when `disc_real`, and the others together, are under this share of their chance level."""
CHANCE_SHARE = 0.05
"""It tells nothing when both are within this share of it."""
FALL_SHARE = 0.1
"""The sync loss has fallen when it is lower than at its beginning by this share..."""
OUT_OF_SYNC = math.log(2)
"""... or lower than this: the expert then finds it more likely than not that mouth and sound agree."""
LEAST_ARTICULATION = 0.3
"""Motion of the lips over that of the real ones, under which a mouth counts as not moving."""
COPIED = 0.75
"""From here on `copying` counts as a copy. Measured on GRID at 96 px: a copy has 1, one softened by 2 pixels 0.85, a
small trained generator (width 4) 0.43, the mean face of a clip 0.05."""
CELLS = 24
"""Cells, across a picture, whose mean colours `copying` compares: grain and sharpness do not count."""


@dataclass(frozen=True)
class CollapseSettings:
    """When a generator's training counts as collapsed."""

    patience: int = 2000
    """Steps for which something must be wrong without a break before it is said; 0: nobody watches."""
    window: int = 250
    """Steps over which the loss terms are averaged."""
    stop: bool = False
    """Whether the run ends with what is said; else it goes on."""

    def __post_init__(self) -> None:
        """Refuses what cannot be watched."""
        if self.patience < 0 or self.window < 2:
            raise ConfigError(f"patience must be at least 0 and window at least 2, got {self.patience}, {self.window}")
        if 0 < self.patience < self.window:
            raise ConfigError(f"patience must be 0 or at least the window, {self.window}, got {self.patience}")


class CollapseWatch:
    """Watches the terms of each step and the scores of each validation; see `w2l.training.run_folder.Stateful`."""

    def __init__(self, settings: CollapseSettings, chance: float | None = CHANCE) -> None:
        """`chance`: what `disc_real` is, and the discriminator's other terms together, while it tells nothing.

        None where there is no discriminator, whose terms are then not looked at.
        """
        self.settings, self.chance = settings, chance
        self.values: dict[str, deque[float]] = {}
        """Term -> its last values."""
        self.sync_begin: float | None = None
        """Mean sync loss of the first window."""
        self.since: dict[str, int] = {}
        """What is wrong now -> the step at which that began."""
        self.said: list[str] = []
        """What of it has been said."""

    def push(self, step: int, terms: Mapping[str, float]) -> None:
        """Takes the terms of `step`; looks at `sync` and the discriminator's terms, any of which may be missing."""
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
        """What has been wrong for all of the patience and was not yet said, in words; they go to the log, too.

        Looks at `articulation` among `scores`, see `mouth_check.py`, and at `copied`, what `copying` gave.
        Each is said once, and again only after it has been right in between. TrainingError where the run is to stop.
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
            raise TrainingError(f"{words[0]}; what was saved before is kept (watchdog.stop=false goes on all the same)")
        return words

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on watching as if it had never stopped."""
        values = {name: list(values) for name, values in self.values.items()}
        return {"values": values, "sync_begin": self.sync_begin, "since": dict(self.since), "said": list(self.said)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
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
        """Mean over the window; None before it is full."""
        values = self.values.get(name, ())
        return sum(values) / len(values) if len(values) == self.settings.window else None

    def _note(self, name: str, wrong: bool, step: int) -> None:
        if wrong:
            self.since.setdefault(name, step)
        elif name in self.since:
            del self.since[name]
            if name in self.said:
                self.said.remove(name)
                logger.info("step %d: no longer so: %s", step, TITLES[name])

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
    "chance": "the discriminator tells nothing",
    "sync": "the sync loss does not fall",
    "still": "the mouth hardly moves",
    "copies": "the reference is copied",
}
"""What can be wrong -> its name in words."""
FIGURES = {
    "won": "(disc_real {real}, its other terms {others}, at chance {chance} each)",
    "chance": "(disc_real {real}, its other terms {others}, at chance {chance} each)",
    "sync": "({sync}, at the beginning {begin})",
    "still": "(articulation {articulation}, a real mouth has 1)",
    "copies": "({copied} of the way from the target, 1 is the reference)",
}
"""The numbers that show it."""
ADVICE = {
    "won": "it learns too quickly for the generator, whose adversarial gradients then say little; set discriminator.lr "
    "lower, or schedule.adversarial to begin later",
    "chance": "either generated pictures look real (see the samples), or it cannot learn; set discriminator.lr or "
    "discriminator.width higher",
    "sync": "the sound does not reach the mouth; set sync higher or its rise in schedule.sync shorter, and if that "
    "does not help, see whether the expert knows these crops (w2l audit)",
    "still": "a mean mouth is the cheapest where nothing asks for more; set sync or lips higher, rest lower",
    "copies": "references show the very mouth that is asked for, or the sound does not matter; set "
    "sampling.distance or sync higher",
}
"""The likely cause and what to change."""


def copying(generated: Tensor, reference: Tensor, target: Tensor) -> float:
    """How far generated pictures lie on the way from the target (0) to the reference (1), as a mean over the batch.

    It is the projection of the error on the difference of reference and target: a mouth that resembles neither lies
    half-way at most, whatever its distance from both. Items count by how much reference and target differ; of several
    references the one that is nearest to the picture counts. 0 where there is no difference to be seen.

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
    """Mean colours of `CELLS` cells across: (batch, 3, frames, rows, width) -> (batch, values)."""
    side = max(pictures.shape[-1] // CELLS, 1)
    return F.avg_pool3d(pictures.detach().float(), (1, side, side)).flatten(1)
