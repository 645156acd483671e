"""Fitting with reports, the last part of every training, and its result."""

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
    """Result of a training."""

    model: Path
    """The best model file."""
    steps: int
    scores: dict[str, float]
    """Scores of the last validation."""


class CourseSettings(Protocol):
    """Settings of a training's length and learning rate schedule."""

    @property
    def loop(self) -> LoopSettings:
        """Length of training and intervals."""
        ...

    @property
    def rates(self) -> RateSchedule:
        """Learning rate schedule."""
        ...


def fit_with_reports(
    task: TrainingTask, destination: Destination, settings: CourseSettings, around: Surroundings, facts: PageFacts
) -> RunProgress:
    """Run `fit`, and write curves, page and TensorBoard events after each validation."""
    with closing(Reports(facts)) as reports:
        reporting = replace(around, after_validation=reports)
        return fit(task, destination, settings.loop, settings.rates, reporting)
