"""The one training loop: steps, log, validation, checkpoints and exact resume."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from w2l.core.errors import CacheError, ConfigError, TrainingError
from w2l.core.files import write_text
from w2l.core.locks import claim
from w2l.models.checkpoint import ModelCard
from w2l.training.guards import memory_told
from w2l.training.parallel import ALONE, Ranks
from w2l.training.run_folder import Progress, RunFolder, Stateful, clear_run, open_run
from w2l.training.run_log import WARNING

logger = logging.getLogger(__name__)
LONGEST_DESCRIPTION = 400
"""Characters of a batch's description that an error quotes."""


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
        """Refuses intervals of zero."""
        if min(self.steps, self.log_every, self.validate_every, self.checkpoint_every) < 1:
            raise ConfigError("steps, log_every, validate_every and checkpoint_every must be at least 1")
        if self.patience < 0:
            raise ConfigError(f"patience must be at least 0, got {self.patience}")


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


class Task(Protocol):
    """What is trained: networks, their optimisers, and what one step does."""

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    learning_rates: dict[str, float]

    def batch(self, step: int) -> Any:
        """The batch of `step`, a pure function of the settings and the step; runs in another thread."""

    def step(self, step: int, batch: Any) -> dict[str, float]:
        """One update; returns every loss term by name."""

    def validate(self, step: int, folder: Path) -> Validation:
        """Measures the networks as they are; may write pictures to `folder`."""

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """The model files to write, by name."""


@runtime_checkable
class Describing(Protocol):
    """A task that can say what a batch is made of."""

    def describe(self, batch: Any) -> str:
        """The clips of a batch, in a few words, for the error that ends a run on it."""


@dataclass(frozen=True)
class Surroundings:
    """What a run may have around its task."""

    rate_end: float = 0.05
    """Share of the learning rate that is left at the last step; 1 keeps it all."""
    windows: int = 0
    """Samples a step, for the speed on the console; 0 gives steps a second alone."""
    ranks: Ranks = ALONE
    """The processes that train together; the first one writes."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where the processes meet."""
    others: Mapping[str, Stateful] = field(default_factory=dict)
    """What else has a state that is saved."""
    after_validation: Callable[[Path], None] | None = None
    """Called with the run's folder when the scores are in its log, such as for drawing them."""
    validate_first: bool = False
    """Whether to validate before the first step, so that a model that only becomes worse is the one it began as."""
    thrift: str = "the batch (batch_size or n_clips), the width or crop.size"
    """Which settings to lower where memory does not suffice."""


ALL_ALONE = Surroundings()


def fit(
    task: Task, folder: Path, settings: LoopSettings, identity: dict[str, Any], warm_up: int = 0,
    config: str = "", anew: bool = False, around: Surroundings = ALL_ALONE,
) -> Progress:  # fmt: skip
    """Trains until `settings.steps` are done, from where the run in `folder` stands, or `anew`.

    `identity` holds the settings that shape a step: a run that was begun with others is not continued. `config`, the
    settings as text, is kept beside the models. Resuming gives the same numbers as never stopping.

    Raises
    ------
    ConfigError
        When the run was begun with other settings or crops.
    CacheError
        When the folder cannot be written or the disk is full; what was saved before is kept.
    TrainingError
        When a loss is no number or memory runs out (the last saved state is kept), or another process trains this run.
    """
    run = open_run(folder, identity, writes=around.ranks.first)
    with _held(run) as mine:
        if not mine:
            raise TrainingError(f"another process trains the run in {folder}; wait for it or choose another --run")
        if run.writes and anew:
            clear_run(folder)
        around.ranks.agree(settings.steps, "loop.steps", around.device)  # the others read what the first one left
        progress = run.resume(task, around.others)
        around.ranks.agree(progress.step, f"the step at which the run in {folder} stands", around.device)
        if run.writes:
            write_text(folder / "config.yaml", config)
        if progress.step >= settings.steps:
            logger.info("run %s has done its %d steps", folder.name, progress.step)
            return progress
        if _out_of_patience(progress, settings):
            logger.info("run %s has ended early, at step %d; see loop.patience", folder.name, progress.step)
            return progress
        with _steps_kept_whole() as interrupted:
            _Fitting(task, run, settings, progress, warm_up, around).go(interrupted)
    return progress


@contextmanager
def _held(run: RunFolder) -> Iterator[bool]:
    """Holds the run for the process that writes."""
    if not run.writes:
        yield True
        return
    with claim(run.path / ".lock") as mine:
        yield mine


@contextmanager
def _steps_kept_whole() -> Iterator[threading.Event]:
    """Makes Ctrl-C wait for the end of a step: half a step must not be saved. A second Ctrl-C does not wait."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # where Ctrl-C does not arrive
        yield asked
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def wait_for_step(_number: int, _frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, wait_for_step)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _Fitting:
    """One run while it trains."""

    task: Task
    run: RunFolder
    settings: LoopSettings
    progress: Progress
    warm_up: int
    around: Surroundings

    def go(self, interrupted: threading.Event) -> None:
        """All steps that are left; raises KeyboardInterrupt, after saving, once `interrupted` is set."""
        with memory_told(self._where, self.around.thrift), ThreadPoolExecutor(1) as loader:
            self._go(loader, interrupted)

    def _go(self, loader: ThreadPoolExecutor, interrupted: threading.Event) -> None:
        task, progress, settings = self.task, self.progress, self.settings
        ahead: Future[Any] = loader.submit(task.batch, progress.step)
        if progress.step == 0 and self.around.validate_first:
            self._validate()
        began, at, done = time.monotonic(), progress.step, False
        while not done:
            batch = ahead.result()
            if progress.step + 1 < settings.steps:
                ahead = loader.submit(task.batch, progress.step + 1)
            share = rate_share(progress.step, settings.steps, self.warm_up, self.around.rate_end)
            _set_rates(task, share)
            terms = task.step(progress.step, batch)
            self._check(terms, batch)
            progress.step += 1
            if progress.step % settings.log_every == 0 or progress.step == 1:
                self._log(terms, (progress.step - at) / (time.monotonic() - began))
                began, at = time.monotonic(), progress.step
            done = progress.step == settings.steps
            if progress.step % settings.validate_every == 0 or done:
                self._validate()
                done = done or self._ends_early()
                began, at = time.monotonic(), progress.step
            if progress.step % settings.checkpoint_every == 0 or done or interrupted.is_set():
                self._save()
            if interrupted.is_set():
                raise KeyboardInterrupt

    def _save(self) -> None:
        try:
            self.run.save(self.task, self.progress, self.around.others)
        except CacheError as error:
            raise CacheError(f"{error}; {self._where()}") from error

    def _where(self) -> str:
        return f"run {self.run.path.name}, step {self.progress.step}, {self.run.kept(self.progress)}"

    def _check(self, terms: dict[str, float], batch: Any) -> None:
        """TrainingError when a term is no number."""
        for name, value in terms.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"run {self.run.path.name}: {name} is {value} at step {self.progress.step}{self._clips(batch)}; "
                    f"{self.run.kept(self.progress)}: lower the learning rate and choose another --run, or --force to "
                    "start this one anew"
                )

    def _clips(self, batch: Any) -> str:
        said = self.task.describe(batch) if isinstance(self.task, Describing) else ""
        return f", in a batch of {said[:LONGEST_DESCRIPTION]}" if said else ""

    def _ends_early(self) -> bool:
        early = _out_of_patience(self.progress, self.settings)
        if early and self.run.writes:
            logger.info("step %d: no better model in the last %d validations: the run is done", self.progress.step,
                        self.progress.stale)  # fmt: skip
        return early

    def _log(self, terms: dict[str, float], rate: float) -> None:
        shown = " | ".join(f"{name} {value:.4f}" for name, value in terms.items())
        if self.run.writes:
            speed = f" | {rate * self.around.windows:.0f} windows/s" if self.around.windows else ""
            logger.info("step %d | %s | %.2f it/s%s", self.progress.step, shown, rate, speed)
        self.run.append({"step": self.progress.step, **{name: round(value, 6) for name, value in terms.items()}})

    def _validate(self) -> None:
        task, progress, run = self.task, self.progress, self.run
        for network in task.networks.values():
            network.eval()
        with torch.no_grad():
            found = task.validate(progress.step, run.path / "samples")
        for network in task.networks.values():
            network.train()
        progress.scores = found.scores
        run.append({"step": progress.step, **{f"val/{name}": round(v, 6) for name, v in found.scores.items()}})
        if found.warnings:
            run.append({"step": progress.step, WARNING: list(found.warnings)})
        if found.quality > progress.best:
            progress.best, progress.stale = found.quality, 0
            run.export(task, progress, "best")
        else:
            progress.stale += found.settled
        if run.writes:
            shown = " | ".join(f"{name} {value:.4f}" for name, value in found.scores.items())
            logger.info("step %d | %s", progress.step, shown)
            for warning in found.warnings:
                logger.warning("step %d: %s", progress.step, warning)
            if self.around.after_validation:
                self.around.after_validation(run.path)


def _out_of_patience(progress: Progress, settings: LoopSettings) -> bool:
    return 0 < settings.patience <= progress.stale


def rate_share(step: int, steps: int, warm_up: int, rate_end: float) -> float:
    """Share of the learning rate at `step` of `steps`: a linear warm-up, then a cosine down to `rate_end`."""
    rise = min(1.0, (step + 1) / (warm_up + 1))
    return rise * (rate_end + (1 - rate_end) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def _set_rates(task: Task, share: float) -> None:
    for name, optimiser in task.optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = task.learning_rates[name] * share
