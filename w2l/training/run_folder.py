"""The folder of one training run: its log, its models, its state, and resuming from them."""

import json
import logging
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import fingerprint, remove_leftovers, write_text
from w2l.core.own_files import append
from w2l.core.reading import Unreadable, read_text
from w2l.models.checkpoint import ModelCard, load_state, read_card, save_model, save_state
from w2l.training.begun import differences, is_longer, kept_text
from w2l.training.run_log import read_lines

logger = logging.getLogger(__name__)
BOARD = "tensorboard"
"""Folder of the events within the run's folder: ``tensorboard --logdir checkpoints`` shows all runs."""


class Exporting(Protocol):
    """An object with models to write; see `w2l.training.task.TrainingTask`."""

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """Return the model files to write, by name."""


class Stateful(Protocol):
    """Any other object whose state a resumed run needs."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, made of numbers, text and tensors."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Restore such a state."""


@dataclass
class RunProgress:
    """Progress of a run."""

    step: int = 0
    best: float = -math.inf
    scores: dict[str, float] = field(default_factory=dict)
    stale: int = 0
    """Validations since the best one."""
    saved: int | None = None
    """Step of the state on disk; None if there is none."""
    finished_at: int | None = None
    """Steps after which the run had finished before, if it continues with more."""


@dataclass(frozen=True)
class Destination:
    """Location of a run, and what must match for it to continue there."""

    folder: Path
    identity: dict[str, Any]
    """The settings that shape a step: a run started with others is not continued."""
    config: str = ""
    """The settings as text, stored beside the models."""
    anew: bool = False
    """Whether to remove an earlier run of this name first."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run; a process that does not `write` leaves them unchanged."""

    path: Path
    identity: str
    """Fingerprint of the settings that shape a step."""
    writes: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those settings."""
    config: str = ""
    """All settings as text."""

    @property
    def log(self) -> Path:
        """One JSON object per line: the terms of a step, or the scores of a validation."""
        return self.path / "log.jsonl"

    def append(self, line: dict[str, Any]) -> None:
        """Add a line to the log."""
        if not self.writes:
            return
        try:
            append(self.log, json.dumps(line) + "\n")
        except OSError as error:
            raise CacheError(f"{self.log} cannot be written: {error.strerror}; check space and permissions") from error

    def export(self, task: Exporting, progress: RunProgress, tag: str) -> None:
        """Write the models under the `tag`."""
        if self.writes:
            for name, (network, card) in task.exports(progress.step, progress.scores).items():
                save_model(self.path / f"{name}-{tag}.safetensors", network, card)

    def save(self, task: Exporting, progress: RunProgress, others: Mapping[str, Stateful]) -> None:
        """Write the models and, last, the state from which the run resumes."""
        self.export(task, progress, "latest")
        state = {
            "identity": self.identity,
            "begun": kept_text(self.settings),
            "step": progress.step,
            "best": progress.best,
            "scores": progress.scores,
            "stale": progress.stale,
            "networks": {name: network.state_dict() for name, network in task.networks.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in task.optimisers.items()},
            "others": {name: other.state_dict() for name, other in others.items()},
        }
        if self.writes:
            save_state(self.path / "state.pt", state)
        progress.saved = progress.step

    def kept(self, progress: RunProgress) -> str:
        """Return which state of the run is on disk, as a clause for an error that ends it."""
        if progress.saved is None:
            return "no state was saved"
        return f"the state saved at step {progress.saved} is kept in {self.path}"

    def resume(self, task: Exporting, others: Mapping[str, Stateful]) -> RunProgress:
        """Load the saved state, if any, into the task; raise ConfigError if the settings differ."""
        if self.writes:
            for folder in self.path.glob("**/"):
                remove_leftovers(folder, held=True)
        path = self.path / "state.pt"
        if not path.exists():
            if self.writes:
                write_text(self.log, "")
            return RunProgress()
        state = load_state(path)
        longer = is_longer(state, self.settings)
        if state.get("identity") != self.identity and not longer:
            raise ConfigError(
                f"run {self.path.name} was started with other settings{self._other_settings(state)} (see "
                f"{self.path / 'config.yaml'}); choose another --run, or --force to restart it"
            )
        self._check_crops(task, state)
        for name, network in task.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimiser in task.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, other in others.items():
            other.load_state_dict(state["others"][name])
        if self.writes:
            self._cut_log(state["step"])
            logger.info("run %s resumes at step %d", self.path.name, state["step"])
        step = state["step"]
        return RunProgress(step, state["best"], state["scores"], state.get("stale", 0), step, step if longer else None)

    def _other_settings(self, state: dict[str, Any]) -> str:
        """Return which settings differ from those of the state, as a clause; empty if unknown."""
        try:
            kept = read_text(self.path / "config.yaml")
        except Unreadable:
            kept = ""
        found = differences(state, kept, self.settings, self.config)
        return f": {found}" if found else ""

    def _check_crops(self, task: Exporting, state: dict[str, Any]) -> None:
        """Raise ConfigError if the crops differ from those that the run was started with."""
        for name, (_, card) in task.exports(state["step"], state["scores"]).items():
            path = self.path / f"{name}-latest.safetensors"
            if path.exists() and (begun := read_card(path)).crop != card.crop:
                raise ConfigError(
                    f"run {self.path.name} was started on {begun.crop.kind} crops of {begun.crop.size} px, the cache "
                    f"contains {card.crop}; choose another --run, or --force to restart it"
                )

    def _cut_log(self, step: int) -> None:
        """Drop the lines of steps that a killed run logged but did not save, and invalid lines."""
        lines = read_lines(self.log) if self.log.exists() else []
        kept = [json.dumps(line) for line in lines if line["step"] <= step]
        write_text(self.log, "".join(f"{line}\n" for line in kept))


def open_run(destination: Destination, writes: bool) -> RunFolder:
    """Open the folder of a run, creating it if missing; raise CacheError if it cannot be created."""
    path = destination.folder
    make_run_folder(path)
    return RunFolder(path, fingerprint(destination.identity), writes, destination.identity, destination.config)


def make_run_folder(path: Path) -> None:
    """Create the folder of a run if it is missing; raise CacheError if it cannot be created or written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(f"run folder {path} cannot be created: {error.strerror}; choose another --run") from error
    if not os.access(path, os.W_OK):
        raise CacheError(f"run folder {path} cannot be written; check permissions or choose another --run")


def clear_run(path: Path) -> None:
    """Remove the files of an earlier run of this name, and nothing else."""
    for pattern in ("state.pt", "log.jsonl", "config.yaml", "curves.png", "report.html", "*.safetensors"):
        for left in path.glob(pattern):
            left.unlink(missing_ok=True)
    for folder in ("samples", BOARD):
        shutil.rmtree(path / folder, ignore_errors=True)


def has_begun(path: Path) -> bool:
    """Whether a run has saved a state in `path`."""
    return (path / "state.pt").exists()
