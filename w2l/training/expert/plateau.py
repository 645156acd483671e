"""Safeguards against a run that does not learn: an overfit test before it, detection of the plateau at ln 2 during it.

Chung & Zisserman's and the paper's expert are known to stay at ln 2, the loss at chance, for 100,000s of steps or for
ever. Such a run ends here with a diagnosis in words.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import ConfigError, TrainingError
from w2l.core.timing import WINDOW_FRAMES
from w2l.training.expert.data_check import CheckFinding
from w2l.training.losses import CHANCE

logger = logging.getLogger(__name__)
SETTLED = 3
"""Number of values whose mean decides whether the overfit test is passed."""
HIGH_RATE = 1e-3
"""Learning rate above which it is doubted."""
SMALL_BATCH = 64
"""Windows per batch below which the batch is doubted."""


@dataclass(frozen=True)
class PlateauSettings:
    """When a run counts as stuck."""

    patience: int = 2000
    """Steps at chance after which the run ends with a diagnosis; 0 disables this."""
    window: int = 250
    """Steps over which the curve is averaged."""
    margin: float = 0.03
    """The average counts as chance if it is above ln 2 minus this."""

    def __post_init__(self) -> None:
        """Reject settings that cannot be monitored."""
        if self.patience < 0 or self.window < 2 or self.margin <= 0:
            raise ConfigError("patience must be at least 0, window at least 2 and margin above 0")
        if 0 < self.patience < self.window:
            raise ConfigError(f"patience must be 0 or at least the window, {self.window}, got {self.patience}")


@dataclass(frozen=True)
class RunFacts:
    """Settings of a run that are relevant for a diagnosis."""

    loss: str
    lr: float
    batch: int
    """Windows in the joint batch."""
    gap: int
    """Smallest distance of off-sync windows, in frames, while the run was stuck."""


class Plateau:
    """Monitors the choice between own and partner's audio (`pair`), whose chance level is ln 2, step by step."""

    def __init__(
        self, settings: PlateauSettings, facts: RunFacts, findings: Callable[[], Sequence[CheckFinding]] = tuple,
        warm_up: int = 0,
    ) -> None:  # fmt: skip
        """Use `findings`, called if the run is stuck, for what was checked; `warm_up` steps do not count."""
        self.settings, self.facts, self.findings = settings, facts, findings
        self.values: deque[float] = deque(maxlen=max(settings.patience, 1))
        """The last values, as many as the patience."""
        self.since = warm_up
        """Step since which the average has been at chance."""

    def push(self, step: int, value: float) -> None:
        """Add the value of `step`; if the run is stuck, log a diagnosis and raise TrainingError.

        It is stuck if the average over a window has been at or above chance for all of the patience, and a straight
        line through all these values does not fall by more than noise: three standard errors of its slope.
        """
        s = self.settings
        if not s.patience:
            return
        self.values.append(value)
        if len(self.values) >= s.window and self._mean() < CHANCE - s.margin:
            self.since = max(self.since, step)
        if step - self.since >= s.patience and len(self.values) == s.patience and not _falls(np.array(self.values)):
            logger.error("%s", diagnosis(self.findings(), self.facts))
            raise TrainingError(
                f"nothing was learned in {step - self.since} steps: at step {step} pair is {self._mean():.3f}, and "
                f"chance is ln 2 = {CHANCE:.3f}; see the likely causes above; the last saved state is kept"
            )

    def _mean(self) -> float:
        return float(np.mean(list(self.values)[-self.settings.window :]))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to continue as if it had never stopped."""
        return {"values": list(self.values), "since": self.since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.values.clear()
        self.values.extend(float(value) for value in state_dict["values"])
        self.since = int(state_dict["since"])


def _falls(values: NDArray[np.float64]) -> bool:
    """Whether a line through the values, (steps,), falls by more than three standard errors of its slope."""
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    spread = float(steps @ steps)
    slope = float(steps @ values) / spread
    left = values - values.mean() - slope * steps
    return slope < -3 * math.sqrt(float(left @ left) / max(len(values) - 2, 1) / spread)


def overfit_test(step: Callable[[int], Mapping[str, float]], n_steps: int = 200, goal: float = 0.2) -> CheckFinding:
    """Test whether a fresh network can overfit one small batch: `pair` falls below `goal` within `n_steps`.

    `step`, given the number of the step, makes one update on that batch and returns its terms, `pair` among them. No
    two windows of the batch should be silent, as they cannot be distinguished. Ends as soon as it is passed.
    """
    values: list[float] = []
    for number in range(n_steps):
        values.append(float(step(number)["pair"]))
        if not math.isfinite(values[-1]):
            break
        if len(values) >= SETTLED and np.mean(values[-SETTLED:]) < goal:
            return CheckFinding("note", "overfit", f"the network overfits one small batch in {number + 1} steps")
    shown = f"the network cannot overfit one small batch: pair went from {values[0]:.3f} to {values[-1]:.3f} in "
    advice = "reduce lr and set precision=fp32; if that does not help, the network or its inputs are broken"
    return CheckFinding("error", "overfit", f"{shown}{len(values)} steps (goal {goal:g}, chance {CHANCE:.3f})", advice)


def diagnosis(findings: Sequence[CheckFinding], facts: RunFacts) -> str:
    """Explain in lines why a run may be stuck: what was checked, the likely causes in order, what to try."""
    checked = [f"  {finding}" for finding in findings] or ["  only the curve"]
    causes = [f"  {number}. {cause}" for number, cause in enumerate(_causes(findings, facts), 1)]
    lines = ["this run does not learn. What was checked:", *checked]
    return "\n".join([*lines, "Likely causes, most likely first, and what to try:", *causes])


def _causes(findings: Sequence[CheckFinding], facts: RunFacts) -> list[str]:
    found = sorted((one for one in findings if one.severity != "note"), key=lambda one: one.severity != "error")
    causes = [f"{one.figure}: {one.advice}" for one in found]
    if facts.gap < WINDOW_FRAMES:
        causes.append(
            f"off-sync audio is only {facts.gap} frames away, which is hardly distinguishable: set gap={WINDOW_FRAMES}"
        )
    if facts.loss == "bce":
        causes.append("the paper's loss compares one pair per face and often stays at ln 2 for long: set loss=auto")
    if facts.lr > HIGH_RATE:
        causes.append(f"the learning rate {facts.lr:g} is high: set lr={HIGH_RATE / 3:.0e}")
    if facts.batch < SMALL_BATCH:
        causes.append(f"{facts.batch} windows per batch are few: increase n_clips, for {SMALL_BATCH} or more")
    if not any(one.name == "lag" for one in found):
        causes.append("audio and picture of single clips are out of sync: run w2l audit, then train again")
    causes.append("it only takes longer: with --set watchdog.patience=0 this run resumes from its last saved state")
    return causes
