"""The one training loop: steps, log, validation, checkpoints and exact resume."""

import json
import logging
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from w2l.errors import CacheError, ConfigError, TrainingError
from w2l.files import TEMPORARY, fingerprint, write_text
from w2l.locks import claim
from w2l.training.checkpoint import ModelCard, load_state, read_card, save_model, save_state

logger = logging.getLogger(__name__)


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

    def __post_init__(self) -> None:
        """Refuses intervals of zero."""
        if min(self.steps, self.log_every, self.validate_every, self.checkpoint_every) < 1:
            raise ConfigError("steps, log_every, validate_every and checkpoint_every must be at least 1")


@dataclass(frozen=True)
class Validation:
    """What a validation found."""

    scores: dict[str, float]
    """By name."""
    quality: float
    """The higher the better: decides which model is kept as best."""


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


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    best: float = -math.inf
    scores: dict[str, float] = field(default_factory=dict)


def fit(
    task: Task, folder: Path, settings: LoopSettings, identity: dict[str, Any], warm_up: int = 0,
    config: str = "", anew: bool = False,
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
        When a loss is no number (the last saved state is kept), or another process trains this run.
    """
    _make_folder(folder)
    with claim(folder / ".lock") as mine:
        if not mine:
            raise TrainingError(f"another process trains the run in {folder}; wait for it or choose another --run")
        if anew:
            _clear(folder)
        progress = _resume(task, folder, identity)
        write_text(folder / "config.yaml", config)
        if progress.step >= settings.steps:
            logger.info("run %s has done its %d steps", folder.name, progress.step)
            return progress
        with _steps_kept_whole() as interrupted:
            _steps(task, folder, settings, identity, progress, warm_up, interrupted)
    return progress


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(f"run folder {folder} cannot be made: {error.strerror}; choose another --run") from error
    if not os.access(folder, os.W_OK):
        raise CacheError(f"run folder {folder} cannot be written; check permissions or choose another --run")


def _clear(folder: Path) -> None:
    """Removes what an earlier run of this name left, and nothing else."""
    for pattern in ("state.pt", "log.jsonl", "config.yaml", "*.safetensors"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    shutil.rmtree(folder / "samples", ignore_errors=True)


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


def _steps(
    task: Task, folder: Path, settings: LoopSettings, identity: dict[str, Any], progress: Progress, warm_up: int,
    interrupted: threading.Event,
) -> None:  # fmt: skip
    began, at = time.monotonic(), progress.step
    with ThreadPoolExecutor(1) as loader:
        ahead: Future[Any] = loader.submit(task.batch, progress.step)
        while progress.step < settings.steps:
            batch = ahead.result()
            if progress.step + 1 < settings.steps:
                ahead = loader.submit(task.batch, progress.step + 1)
            _set_rates(task, progress.step, settings.steps, warm_up)
            terms = task.step(progress.step, batch)
            _check(terms, progress.step, folder)
            progress.step += 1
            if progress.step % settings.log_every == 0 or progress.step == 1:
                _log(folder, progress.step, terms, (progress.step - at) / (time.monotonic() - began))
            done = progress.step == settings.steps
            if progress.step % settings.validate_every == 0 or done:
                _validate(task, folder, progress)
            if progress.step % settings.checkpoint_every == 0 or done or interrupted.is_set():
                _save(task, folder, identity, progress)
            if interrupted.is_set():
                raise KeyboardInterrupt


def _set_rates(task: Task, step: int, steps: int, warm_up: int) -> None:
    """Linear warm-up, then a cosine down to a twentieth."""
    share = min(1.0, (step + 1) / (warm_up + 1))
    decay = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    for name, optimiser in task.optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = task.learning_rates[name] * share * decay


def _check(terms: dict[str, float], step: int, folder: Path) -> None:
    for name, value in terms.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"run {folder.name}: {name} is {value} at step {step}; what was saved before is kept: lower the "
                "learning rate and choose another --run, or --force to start this one anew"
            )


def _log(folder: Path, step: int, terms: dict[str, float], rate: float) -> None:
    shown = " | ".join(f"{name} {value:.4f}" for name, value in terms.items())
    logger.info("step %d | %s | %.2f it/s", step, shown, rate)
    _append(folder, {"step": step, **{name: round(value, 6) for name, value in terms.items()}})


def _append(folder: Path, line: dict[str, Any]) -> None:
    path = folder / "log.jsonl"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror}; check space and permissions") from error


def _validate(task: Task, folder: Path, progress: Progress) -> None:
    for network in task.networks.values():
        network.eval()
    with torch.no_grad():
        found = task.validate(progress.step, folder / "samples")
    for network in task.networks.values():
        network.train()
    progress.scores = found.scores
    logger.info("step %d | %s", progress.step, " | ".join(f"{name} {v:.4f}" for name, v in found.scores.items()))
    _append(folder, {"step": progress.step, **{f"val/{name}": round(v, 6) for name, v in found.scores.items()}})
    if found.quality > progress.best:
        progress.best = found.quality
        _export(task, folder, progress, "best")


def _export(task: Task, folder: Path, progress: Progress, tag: str) -> None:
    for name, (network, card) in task.exports(progress.step, progress.scores).items():
        save_model(folder / f"{name}-{tag}.safetensors", network, card)


def _save(task: Task, folder: Path, identity: dict[str, Any], progress: Progress) -> None:
    _export(task, folder, progress, "latest")
    state = {
        "identity": fingerprint(identity),
        "step": progress.step,
        "best": progress.best,
        "scores": progress.scores,
        "networks": {name: network.state_dict() for name, network in task.networks.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in task.optimisers.items()},
    }
    save_state(folder / "state.pt", state)


def _resume(task: Task, folder: Path, identity: dict[str, Any]) -> Progress:
    for left in folder.rglob(f"{TEMPORARY}*"):  # by a process that was killed while it wrote
        left.unlink(missing_ok=True)
    path = folder / "state.pt"
    if not path.exists():
        write_text(folder / "log.jsonl", "")
        return Progress()
    state = load_state(path)
    if state.get("identity") != fingerprint(identity):
        raise ConfigError(
            f"run {folder.name} was begun with other settings (see {folder / 'config.yaml'}); choose another --run, "
            "or --force to start it anew"
        )
    _check_crops(task, folder, state)
    for name, network in task.networks.items():
        network.load_state_dict(state["networks"][name])
    for name, optimiser in task.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    _cut_log(folder, state["step"])
    logger.info("run %s goes on at step %d", folder.name, state["step"])
    return Progress(state["step"], state["best"], state["scores"])


def _check_crops(task: Task, folder: Path, state: dict[str, Any]) -> None:
    """Refuses to go on with other crops than those that the run began with."""
    for name, (_, card) in task.exports(state["step"], state["scores"]).items():
        path = folder / f"{name}-latest.safetensors"
        if path.exists() and (begun := read_card(path)).crop != card.crop:
            raise ConfigError(
                f"run {folder.name} was begun on {begun.crop.kind} crops of {begun.crop.size} px, the cache now holds "
                f"{card.crop}; choose another --run, or --force to start it anew"
            )


def _cut_log(folder: Path, step: int) -> None:
    """Drops the lines of steps that a killed run logged but did not save."""
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except ValueError:  # the line that a kill cut off
            continue
    write_text(path, "".join(f"{line}\n" for line in kept))
