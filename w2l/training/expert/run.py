"""The story of an expert's training: data, checks, the run itself, and training again on what an audit has repaired."""

import functools
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, TrainingError
from w2l.data.batches.expert_loaders import ExpertDrawing, choose_expert_loader
from w2l.data.batches.tracks import Tracks, crop_spec, open_splits
from w2l.features.crop import CropSpec
from w2l.training.expert.data_check import Finding, check_data
from w2l.training.expert.plateau import Plateau, RunFacts, overfit_test
from w2l.training.expert.settings import ExpertSettings
from w2l.training.expert.task import ExpertTask
from w2l.training.loop import Surroundings, fit
from w2l.training.parallel import Ranks, joined
from w2l.training.report.page import PageFacts, describe_tracks
from w2l.training.report.write import Reports
from w2l.training.run_folder import Stateful, has_begun

logger = logging.getLogger(__name__)
STAGE = "train-expert"
THRIFT = "n_clips (or raise accumulate), width or crop.size"
"""Which settings to lower where memory does not suffice."""
SMALL_CLIPS, SMALL_PER_CLIP = 4, 2
"""The batch that is learnt by heart."""
QUICK_RATE = 1e-4
"""Least learning rate with which it is: a recipe that goes slowly is none that cannot learn. Measured at 16 frames with
group norm: 63 steps at 1e-4, 150 at 3e-4, and not within 200 at 1e-3."""


@dataclass(frozen=True)
class ExpertResult:
    """What the training ended with."""

    model: Path
    """The best model file."""
    steps: int
    scores: dict[str, float]
    """Of the last validation."""


@dataclass(frozen=True)
class ExpertData:
    """What an expert is trained and validated on."""

    cache: Cache
    crop: CropSpec
    train: Tracks
    val: Tracks

    def check(self, settings: ExpertSettings) -> list[Finding]:
        """What is odd about the training data; see `w2l.training.expert.data_check`."""
        return check_data(self.train, self.cache.all_tracks(), settings.gap, settings.per_clip)


def open_data(settings: ExpertSettings, cache: Cache) -> ExpertData:
    """The cache's tracks; ConfigError when its crops are not of the kind that `settings` need."""
    crop = crop_spec(cache)
    if (settings.arch == "judge") != (crop.kind == "judge"):
        raise ConfigError(
            f"arch={settings.arch} does not fit the cache's crops ({crop.kind}): a judge needs crops made with "
            "--set crop.kind=judge, an expert needs aligned or box crops; use a cache of its own for each"
        )
    if settings.augment.mouth and crop.kind != "aligned":
        raise ConfigError(
            f"augment.mouth needs aligned crops, where the mouth has its place; the cache holds {crop.kind} crops: "
            "leave it out, or preprocess with crop.kind=aligned"
        )
    train, val = open_splits(cache, crop, settings.n_frames)
    logger.info("%d tracks to train on, %d to validate on", len(train), len(val))
    return ExpertData(cache, crop, train, val)


def train_expert(
    settings: ExpertSettings, cache: Cache, name: str = "expert", device: str = "auto", force: bool = False,
    audited_by: str = "",
) -> ExpertResult:  # fmt: skip
    """Trains the run `name`, or goes on with it, until its steps are done; with the other processes of `torchrun`.

    A fresh run is preceded by `check_expert`. `audited_by`, where it is given, tells the run from one on other data.
    See `w2l.training.loop.fit` for what is raised.
    """
    identity = {**settings.identity(), **({"audited by": audited_by} if audited_by else {})}
    where = choose_device(device)
    with joined(where) as ranks:
        data = open_data(settings, cache)
        folder = cache.run_folder(name)
        if settings.check and ranks.first and (force or not has_begun(folder)):
            _refuse(_say(check_expert(settings, data, where)))
        facts = PageFacts(data=describe_tracks(data.train, data.val))
        with closing(_task(settings, data, where, ranks)) as task, closing(Reports(facts)) as reports:
            others: dict[str, Stateful] = {"scaler": task.scaler, **({"plateau": task.plateau} if task.plateau else {})}
            around = Surroundings(
                settings.lr_end, settings.n_clips * settings.per_clip, ranks, where, others, reports, thrift=THRIFT,
            )  # fmt: skip
            text = config.dump(settings, STAGE)
            progress = fit(task, folder, settings.loop, identity, settings.warm_up, text, force, around)
    return ExpertResult(folder / f"{settings.arch}-best.safetensors", progress.step, progress.scores)


def check_expert(settings: ExpertSettings, data: ExpertData, device: torch.device) -> list[Finding]:
    """What is odd about the data, and whether a fresh network learns one small batch by heart."""
    findings = data.check(settings)
    if settings.overfit_steps and not any(finding.severity == "error" for finding in findings):
        small = replace(
            settings, n_clips=SMALL_CLIPS, per_clip=SMALL_PER_CLIP, max_silent=0.0, accumulate=1, ema=0.0,
            curriculum_steps=0, lr=max(settings.lr, QUICK_RATE), optimiser="adam", weight_decay=0.0,
        )  # fmt: skip
        task = ExpertTask(small, data.train, data.val, data.crop, device)
        batch = task.batch(0)
        findings.append(overfit_test(lambda step: task.step(step, batch), settings.overfit_steps))
    return findings


def _task(settings: ExpertSettings, data: ExpertData, device: torch.device, ranks: Ranks) -> ExpertTask:
    drawing = ExpertDrawing(settings.sampling, settings.seed, ranks.rank, ranks.size)
    reopen = functools.partial(_train_tracks, data.cache, data.crop, settings.n_frames)
    loader = choose_expert_loader(data.train, reopen, drawing, device, settings.workers, settings.resident)
    joint = settings.n_clips * settings.per_clip
    facts = RunFacts(settings.objective, settings.lr, joint, settings.gap)
    plateau = Plateau(settings.watchdog, facts, functools.partial(data.check, settings), settings.warm_up)
    about = f"{len(data.train)} tracks"
    return ExpertTask(settings, data.train, data.val, data.crop, device, about, ranks, loader, plateau)


def _train_tracks(cache: Cache, crop: CropSpec, n_frames: int) -> Tracks:
    return open_splits(cache, crop, n_frames)[0]


def _say(findings: Sequence[Finding]) -> Sequence[Finding]:
    for finding in findings:
        logger.log(logging.INFO if finding.severity == "note" else logging.WARNING, "%s", finding)
    return findings


def _refuse(findings: Sequence[Finding]) -> None:
    """TrainingError when a finding says that no expert can be trained like this."""
    errors = [str(finding).removeprefix("error: ") for finding in findings if finding.severity == "error"]
    if errors:
        raise TrainingError(f"{'; '.join(errors)} (--set check=false trains all the same)")
