"""The training loop: steps, log, validation, checkpoints and exact resume."""

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
from typing import Any

import torch

from w2l.core.errors import CacheError, TrainingError
from w2l.core.files import write_text
from w2l.core.locks import claim
from w2l.core.progress import Advance, no_display, progress
from w2l.training.guards import memory_errors
from w2l.training.parallel import ALONE, Ranks
from w2l.training.run_folder import Destination, RunFolder, RunProgress, Stateful, clear_run, open_run
from w2l.training.run_log import WARNING
from w2l.training.settings import LoopSettings, RateSchedule
from w2l.training.task import Describing, TrainingTask

logger = logging.getLogger(__name__)
LONGEST_DESCRIPTION = 400
"""Characters of a batch's description quoted in an error."""


@dataclass(frozen=True)
class Surroundings:
    """Optional context of a run."""

    windows: int = 0
    """Samples per step, for the speed on the console; 0 shows only steps per second."""
    ranks: Ranks = ALONE
    """The processes that train together; the first one writes files."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device for communication between the processes."""
    others: Mapping[str, Stateful] = field(default_factory=dict)
    """Other objects whose state is saved."""
    after_validation: Callable[[Path], None] | None = None
    """Called with the run's folder after each validation is logged, for example to draw curves."""
    validate_first: bool = False
    """Whether to validate before the first step, so that the initial model is kept if all others are worse."""
    stage: str = "train"
    """Names the run in its progress."""
    memory_hint: str = "the batch (batch_size or n_clips), the width or crop.size"
    """Settings to reduce if memory does not suffice."""


ALL_ALONE = Surroundings()
NO_WARM_UP = RateSchedule()


def fit(
    task: TrainingTask, destination: Destination, settings: LoopSettings, rates: RateSchedule = NO_WARM_UP,
    around: Surroundings = ALL_ALONE,
) -> RunProgress:  # fmt: skip
    """Train until `settings.steps` are done, resuming the run at `destination`.

    A resumed run gives the same numbers as an uninterrupted one.

    Raises
    ------
    ConfigError
        If the run was started with other settings or crops.
    CacheError
        If the folder cannot be written or the disk is full; the last saved state is kept.
    TrainingError
        If a loss is not a number or memory runs out (the last saved state is kept), or another process trains this run.
    """
    folder = destination.folder
    run = open_run(destination, writes=around.ranks.first)
    with _held(run) as mine:
        if not mine:
            raise TrainingError(f"another process is training the run in {folder}; wait for it or choose another --run")
        if run.writes and destination.anew:
            clear_run(folder)
        around.ranks.agree(settings.steps, "loop.steps", around.device)  # the others read the first one's state
        progress = run.resume(task, around.others)
        around.ranks.agree(progress.step, f"the step at which the run in {folder} stands", around.device)
        if run.writes:
            write_text(folder / "config.yaml", destination.config)
        if progress.finished_at is not None:
            logger.info(
                "run %s had finished its %d steps and continues to %d; learning rates are those of a run of %d steps:"
                " %.0f %% of their full value from here, falling to %.0f %%",
                folder.name, progress.finished_at, settings.steps, settings.steps,
                100 * rates.share(progress.step, settings.steps), 100 * rates.end,
            )  # fmt: skip
        if progress.step >= settings.steps:
            logger.info("run %s has finished its %d steps", folder.name, progress.step)
            return progress
        if _out_of_patience(progress, settings):
            logger.info("run %s has ended early, at step %d; see loop.patience", folder.name, progress.step)
            return progress
        with _steps_kept_whole() as interrupted:
            _Fitting(task, run, settings, progress, rates, around).go(interrupted)
    return progress


@contextmanager
def _held(run: RunFolder) -> Iterator[bool]:
    """Hold the run's lock in the process that writes."""
    if not run.writes:
        yield True
        return
    with claim(run.path / ".lock") as mine:
        yield mine


@contextmanager
def _steps_kept_whole() -> Iterator[threading.Event]:
    """Delay Ctrl-C, and SIGTERM if it ends the command similarly, until the end of a step, so that none is saved half.

    A second signal takes effect immediately.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # where signals do not arrive
        yield asked
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGINT] = before[signal.SIGINT] or signal.default_int_handler

    def wait_for_step(number: int, _frame: Any) -> None:
        asked.set()
        first.append(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    first: list[int] = []
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, wait_for_step)
    try:
        yield asked
    except KeyboardInterrupt:
        for handler in (before[number] for number in first[:1]):
            if callable(handler):
                handler(first[0], None)  # raises the error for the signal
        raise
    finally:
        restore()


@dataclass(frozen=True)
class _Fitting:
    """A training run in progress."""

    task: TrainingTask
    run: RunFolder
    settings: LoopSettings
    progress: RunProgress
    rates: RateSchedule
    around: Surroundings

    def go(self, interrupted: threading.Event) -> None:
        """Do all remaining steps; raise KeyboardInterrupt, after saving, once `interrupted` is set."""
        watched = progress if self.run.writes else no_display
        with (
            memory_errors(self._where, self.around.memory_hint),
            ThreadPoolExecutor(1) as loader,
            watched(self.around.stage, self.settings.steps, "steps", self.progress.step) as advance,
        ):
            self._go(loader, interrupted, advance)

    def _go(self, loader: ThreadPoolExecutor, interrupted: threading.Event, advance: Advance) -> None:
        task, progress, settings = self.task, self.progress, self.settings
        ahead: Future[Any] = loader.submit(task.batch, progress.step)
        if progress.step == 0 and self.around.validate_first:
            self._validate()
        began, at, done = time.monotonic(), progress.step, False
        while not done:
            batch = ahead.result()
            if progress.step + 1 < settings.steps:
                ahead = loader.submit(task.batch, progress.step + 1)
            share = self.rates.share(progress.step, settings.steps)
            _set_rates(task, share)
            terms = task.step(progress.step, batch)
            self._check(terms, batch)
            progress.step += 1
            advance()
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
        """Raise TrainingError if a term is not a number."""
        for name, value in terms.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"run {self.run.path.name}: {name} is {value} at step {self.progress.step}{self._clips(batch)}; "
                    f"{self.run.kept(self.progress)}: reduce the learning rate and choose another --run, or --force to "
                    "restart this one"
                )

    def _clips(self, batch: Any) -> str:
        said = self.task.describe(batch) if isinstance(self.task, Describing) else ""
        return f", in a batch of {said[:LONGEST_DESCRIPTION]}" if said else ""

    def _ends_early(self) -> bool:
        early = _out_of_patience(self.progress, self.settings)
        if early and self.run.writes:
            logger.info("step %d: no better model in the last %d validations; the run ends", self.progress.step,
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


def _out_of_patience(progress: RunProgress, settings: LoopSettings) -> bool:
    return 0 < settings.patience <= progress.stale


def _set_rates(task: TrainingTask, share: float) -> None:
    for name, optimiser in task.optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = task.learning_rates[name] * share
