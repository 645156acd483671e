"""The last part of every training's story: the loop, with its reports, and what comes of it."""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from w2l.training.loop import Surroundings, fit
from w2l.training.report.page import PageFacts
from w2l.training.report.write import Reports
from w2l.training.run_folder import Destination, RunProgress
from w2l.training.settings import LoopSettings, RateSchedule
from w2l.training.task import TrainingTask


@dataclass(frozen=True)
class TrainingResult:
    """What a training ended with."""

    model: Path
    """The best model file."""
    steps: int
    scores: dict[str, float]
    """Of the last validation."""


class CourseSettings(Protocol):
    """Settings of a training that say how long it takes and how its learning rates rise and fall."""

    @property
    def loop(self) -> LoopSettings:
        """How long to train and how often to look."""
        ...

    @property
    def rates(self) -> RateSchedule:
        """How the learning rates rise and fall."""
        ...


def fit_with_reports(
    task: TrainingTask, destination: Destination, settings: CourseSettings, around: Surroundings, facts: PageFacts
) -> RunProgress:
    """Train as `fit` does, and write curves, page and TensorBoard events after each validation."""
    with closing(Reports(facts)) as reports:
        reporting = replace(around, after_validation=reports)
        return fit(task, destination, settings.loop, settings.rates, reporting)
