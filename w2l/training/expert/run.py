"""Training of an expert: open the data, check them, create the task, fit it with reports."""

import functools
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import torch

from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, TrainingError
from w2l.data.batches.expert_loaders import ExpertDrawing, choose_expert_loader
from w2l.data.batches.tracks import Tracks, crop_spec
from w2l.features.crop import CropSpec
from w2l.models import registry
from w2l.training.data import TrainingData, open_training_data
from w2l.training.expert.data_check import CheckFinding, check_data
from w2l.training.expert.plateau import Plateau, RunFacts, overfit_test
from w2l.training.expert.settings import ExpertSettings
from w2l.training.expert.task import ExpertTask
from w2l.training.loop import Surroundings
from w2l.training.parallel import Ranks, joined_ranks
from w2l.training.report.page import PageFacts, describe_tracks
from w2l.training.reported import TrainingResult, fit_with_reports
from w2l.training.run_checks import keep_checks
from w2l.training.run_folder import Destination, has_begun

logger = logging.getLogger(__name__)
STAGE = "train-expert"
MEMORY_HINT = "n_clips (or raise accumulate), width or crop.size"
"""Settings to reduce if memory does not suffice."""
SMALL_CLIPS, SMALL_PER_CLIP = 4, 2
"""Size of the batch for the overfit test."""
QUICK_RATE = 1e-4
"""Smallest learning rate of that test, as a recipe with a low one can still learn. Measured at 16 frames with group
norm: 63 steps at 1e-4, 150 at 3e-4, and not within 200 at 1e-3."""


def train_expert(
    settings: ExpertSettings, cache: Cache, name: str = "expert", device: str = "auto", force: bool = False,
    audited_by: str = "",
) -> TrainingResult:  # fmt: skip
    """Train the run `name`, or resume it, until its steps are done; with the other processes of `torchrun`.

    A new run is preceded by `check_training`. `audited_by`, if given, distinguishes the run from one on other data.
    See `w2l.training.loop.fit` for the errors.
    """
    where = choose_device(device)
    with joined_ranks(where) as ranks:
        data = open_data(settings, cache)
        folder = cache.run_folder(name)
        if ranks.first and (force or not has_begun(folder)):
            findings = _say(check_training(settings, data, where)) if settings.check else ()
            _refuse(findings)
            keep_checks(folder, [(finding.severity, str(finding)) for finding in findings])
        identity = {**settings.identity(), **({"audited by": audited_by} if audited_by else {})}
        destination = Destination(folder, identity, config.dump(settings, STAGE), force)
        facts = PageFacts(data=describe_tracks(data.train, data.val))
        with closing(_make_task(settings, data, where, ranks)) as task:
            windows = settings.n_clips * settings.per_clip
            around = Surroundings(windows, ranks, where, task.others, stage=STAGE, memory_hint=MEMORY_HINT)
            progress = fit_with_reports(task, destination, settings, around, facts)
    return TrainingResult(folder / f"{settings.arch}-best.safetensors", progress.step, progress.scores)


def open_data(settings: ExpertSettings, cache: Cache) -> TrainingData:
    """Open the cache's tracks; raise ConfigError if its crops are not of the kind that `settings` require."""
    crop = crop_spec(cache)
    if (settings.arch == "judge") != (crop.kind == "judge"):
        raise ConfigError(
            f"arch={settings.arch} does not fit the cache's crops ({crop.kind}): a judge requires crops made with "
            "--set crop.kind=judge, an expert requires aligned or box crops; use a separate cache for each"
        )
    if settings.augment.mouth and crop.kind != "aligned":
        raise ConfigError(
            f"augment.mouth requires aligned crops, with a fixed mouth position; the cache contains {crop.kind} "
            "crops: leave it out, or preprocess with crop.kind=aligned"
        )
    data = open_training_data(cache, crop, settings.n_frames)
    data.train.check_voices(settings.augment.shifted_voice, "augment.shifted_voice")
    logger.info("%d tracks to train on, %d to validate on", len(data.train), len(data.val))
    return data


def check_training(settings: ExpertSettings, data: TrainingData, device: torch.device) -> list[CheckFinding]:
    """Return what is unusual about the data, and whether a fresh network overfits one small batch."""
    findings = _check_tracks(settings, data)
    if settings.overfit_steps and not any(finding.severity == "error" for finding in findings):
        small = replace(
            settings, n_clips=SMALL_CLIPS, per_clip=SMALL_PER_CLIP, max_silent=0.0, accumulate=1, ema=0.0,
            curriculum_steps=0, lr=max(settings.lr, QUICK_RATE), optimiser="adam", weight_decay=0.0,
        )  # fmt: skip
        task = ExpertTask(small, data, device)
        batch = task.batch(0)
        findings.append(overfit_test(lambda step: task.step(step, batch), settings.overfit_steps))
    return findings


def _check_tracks(settings: ExpertSettings, data: TrainingData) -> list[CheckFinding]:
    return check_data(data.train, data.cache.all_tracks(), settings.gap, settings.per_clip)


def _make_task(settings: ExpertSettings, data: TrainingData, device: torch.device, ranks: Ranks) -> ExpertTask:
    """Create the task, with its source of batches and its plateau detection."""
    drawing = ExpertDrawing(settings.sampling, settings.seed, ranks.rank, ranks.size)
    reopen = functools.partial(_train_tracks, data.cache, data.crop, settings.n_frames)
    loader = choose_expert_loader(data.train, reopen, drawing, device, settings.workers, settings.resident)
    facts = RunFacts(settings.objective, settings.lr, settings.n_clips * settings.per_clip, settings.gap)
    findings = functools.partial(_check_tracks, settings, data)
    plateau = Plateau(settings.watchdog, facts, findings, settings.warm_up)
    task = ExpertTask(settings, data, device, ranks, loader, plateau)
    if settings.init:
        task.start_from(registry.load_by_name(settings.init, settings.arch, data.cache, device))
    return task


def _train_tracks(cache: Cache, crop: CropSpec, n_frames: int) -> Tracks:
    return open_training_data(cache, crop, n_frames).train


def _say(findings: Sequence[CheckFinding]) -> Sequence[CheckFinding]:
    for finding in findings:
        logger.log(logging.INFO if finding.severity == "note" else logging.WARNING, "%s", finding)
    return findings


def _refuse(findings: Sequence[CheckFinding]) -> None:
    """Raise TrainingError if a finding says that no expert can be trained on these data."""
    errors = [str(finding).removeprefix("error: ") for finding in findings if finding.severity == "error"]
    if errors:
        raise TrainingError(f"{'; '.join(errors)} (--set check=false trains anyway)")
