"""`w2l.train_expert`: train the sync expert."""

from typing import Literal

from w2l.api.bootstrap import bootstrap as train_twice
from w2l.api.given import PathLike, Settings, open_cache, settings_of
from w2l.core.progress import ProgressCallback, reported_to
from w2l.training.expert.run import STAGE
from w2l.training.expert.run import train_expert as train_once
from w2l.training.expert.settings import ExpertSettings
from w2l.training.reported import TrainingResult


def train_expert(
    *,
    run: str | None = None,
    arch: Literal["expert", "judge"] | None = None,
    init: str | None = None,
    bootstrap: bool = False,
    force: bool = False,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> TrainingResult:
    """Train an expert on the crops and mels of the cache, or resume its run; the result is the same as without a stop.

    Parameters
    ----------
    run : str, optional
        Name of the run in the cache; default: the `arch`.
    arch : "expert" or "judge"
        What to train; default ``expert``.
    init : str
        Run, file or ``w2l`` (shipped) whose weights are the start.
    bootstrap : bool
        Train on all tracks, audit them, and train on those in sync.
    force : bool
        Restart the run.
    cache, device, config, settings, progress
        As for `w2l.detect`; the section of `config` is ``train-expert``. Progress counts steps.

    Returns
    -------
    TrainingResult
        The best model file, the steps, and the scores of the last validation.

    Raises
    ------
    TrainingError, CheckpointError, CacheError, ConfigError
        See `w2l.errors`.
    """
    chosen = settings_of(ExpertSettings, STAGE, config, settings, {"arch": arch, "init": init})
    opened = open_cache(cache)
    train = train_twice if bootstrap else train_once
    with reported_to(progress):
        return train(chosen, opened, run or chosen.arch, device, force)
