"""The story of a generator's training: data, models, the run itself and its page; and of tuning one to a person."""

import functools
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.core.files import fingerprint
from w2l.data.batches.generator import GeneratorSampling
from w2l.data.batches.tracks import Tracks, crop_spec, open_splits
from w2l.data.sources.word_times import Words, read_words, words_of
from w2l.features.crop import CropSpec
from w2l.models import registry as weights
from w2l.models.checkpoint import Model, ModelCard
from w2l.training.generator.person import open_person
from w2l.training.generator.sample_video import SourceSound, sound_of
from w2l.training.generator.settings import GeneratorSettings, Schedule
from w2l.training.generator.task import GeneratorTask
from w2l.training.generator.teacher import Teacher
from w2l.training.guards import memory_told
from w2l.training.loop import LoopSettings, Surroundings, fit, rate_share
from w2l.training.parallel import ALONE, Ranks, joined, under_torchrun
from w2l.training.report.page import PageFacts, describe_tracks
from w2l.training.report.write import Reports

logger = logging.getLogger(__name__)
STAGE = "train"
PERSON = "person"
"""The name of a run that tunes to a person, and of the cache within its folder."""
THRIFT = "sampling.batch_size (or raise accumulate), the width (scale, discriminator.width) or crop.size"
"""Which settings to lower where memory does not suffice."""
SHAPELESS = ("loop", "resident", "compile", "watchdog")
"""Settings that change no step."""


@dataclass(frozen=True)
class PersonSettings(GeneratorSettings):
    """How a generator is tuned to one person: as `GeneratorSettings`, but from weights, slowly and not for long.

    Layout, width, rows, mask and references are those of `init`, whatever is set.
    """

    expert: str = weights.SHIPPED
    init: str = weights.SHIPPED
    sampling: GeneratorSampling = field(default_factory=lambda: GeneratorSampling(batch_size=8))
    sync: float = 0.01
    schedule: Schedule = field(default_factory=lambda: Schedule(sync=(0, 0)))
    """At once: what is trained on has been taught all of it, and the first validation must count like all others."""
    mouth_focus: float = 4.0
    lr: float = 3e-4
    warm_up: int = 50
    ema: float = 0.99
    validation_tracks: int = 1
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(1000, 25, 50, 50, patience=6))


@dataclass(frozen=True)
class GeneratorResult:
    """What the training ended with."""

    model: Path
    """The best model file."""
    steps: int
    scores: dict[str, float]
    """Of the last validation."""
    samples: Path
    """Folder of the sample sheets."""


@dataclass(frozen=True)
class GeneratorData:
    """What a generator is trained and validated on."""

    cache: Cache
    crop: CropSpec
    train: Tracks
    val: Tracks
    about: str
    """For the card, where the settings say nothing."""
    mark: str = ""
    """Tells a run on these data from one on others; empty where the cache may grow."""


def train_generator(
    settings: GeneratorSettings, cache: Cache, name: str = "generator", device: str = "auto", force: bool = False
) -> GeneratorResult:
    """Trains the run `name`, or goes on with it, until its steps are done; with the other processes of `torchrun`.

    See `w2l.training.loop.fit` for what is raised.
    """
    where = choose_device(device)
    with joined(where) as ranks:
        crop = crop_spec(cache)
        expert = weights.load(settings.expert, "expert", cache, where) if settings.sync else None
        init = weights.load(settings.init, "generator", cache, where) if settings.init else None
        train, val = open_splits(cache, crop)
        data = GeneratorData(cache, crop, train, val, f"{len(train)} tracks")
        return _train(settings, data, cache.run_folder(name), (expert, init), where, ranks, force)


def tune_to_person(
    settings: PersonSettings, clips: Sequence[Path], cache: Cache, name: str = PERSON, device: str = "auto",
    force: bool = False,
) -> GeneratorResult:  # fmt: skip
    """Tunes the generator `settings.init` to the person in `clips`, in the run `name`, or goes on with it.

    The crops lie in a cache of their own in the run's folder; no other clips are used. The end of the clips is held
    out: the best model is the one that draws it best, which may be the one it began as, and the run ends when that
    gets no better. See `w2l.training.generator.person.open_person` and `w2l.training.loop.fit` for what is raised.
    """
    if under_torchrun():
        raise ConfigError(
            "--person trains in one process, which suffices for minutes of video; run it without torchrun"
        )
    where, folder = choose_device(device), cache.run_folder(name)
    init = weights.load(settings.init, "generator", cache, where)
    settings = like(settings, init.card)
    crop = init.card.crop
    footage = open_person(clips, folder / PERSON, crop, str(where), cache.models)
    about = f"{init.card.data}; {footage.about}"
    data = GeneratorData(footage.cache, crop, footage.train, footage.val, about, footage.mark)
    expert = _fitting_expert(settings, crop, cache, where)
    if not expert:
        settings = replace(settings, sync=0.0)
    return _train(settings, data, folder, (expert, init), where, ALONE, force)


def like(settings: PersonSettings, card: ModelCard) -> PersonSettings:
    """The settings for a generator of the same dimensions, mask and references as the one with this card.

    Without a focus on the mouth where its crops do not hold the mouth in one place.
    """
    dimensions = card.dimensions
    sampling = replace(
        settings.sampling,
        n_references=dimensions.get("n_references", 1),
        references="still" if card.references == "still" else "consecutive",
    )
    return replace(
        settings, layout=dimensions.get("layout", "published"), scale="", width=dimensions["width"],
        rows=dimensions.get("rows", "full"), mask=card.mask, sampling=sampling,
        mouth_focus=settings.mouth_focus if card.crop.kind == "aligned" else 0.0,
    )  # fmt: skip


def _fitting_expert(settings: PersonSettings, crop: CropSpec, cache: Cache, device: torch.device) -> Model | None:
    """The expert that teaches; None, with a warning, where the shipped one does not judge such crops."""
    if not settings.sync:
        return None
    expert = weights.load(settings.expert, "expert", cache, device)
    try:
        Teacher(expert, crop, settings.precision)
    except ConfigError as error:
        if settings.expert != weights.SHIPPED:
            raise
        logger.warning("the sync loss is left out: %s, or name another one with --expert", error)
        return None
    return expert


def _train(
    settings: GeneratorSettings, data: GeneratorData, folder: Path, models: tuple[Model | None, Model | None],
    device: torch.device, ranks: Ranks, force: bool,
) -> GeneratorResult:  # fmt: skip
    """One run in `folder`; `models` are the expert and the generator to begin with."""
    expert, init = models
    taught = f"taught by {expert.path}" if expert else "no expert teaches"
    if ranks.first:
        logger.info("%d tracks to train on, %d to validate on; %s", len(data.train), len(data.val), taught)
    words = _words(settings, [*data.train.names, *data.val.names])
    with memory_told(lambda: f"run {folder.name}, before its first step", THRIFT):
        task = GeneratorTask(
            settings, data.train, data.val, data.crop, expert, device, data.about, init, ranks, words,
            functools.partial(_sound, data),
        )  # fmt: skip
    identity, text = _identity(settings, data, models), config.dump(settings, STAGE)
    with closing(Reports(_facts(settings, task, data, taught))) as reports:
        around = Surroundings(
            settings.lr_end, settings.sampling.batch_size, ranks, device, task.others, reports,
            validate_first=init is not None, thrift=THRIFT,
        )  # fmt: skip
        progress = fit(task, folder, settings.loop, identity, settings.warm_up, text, force, around)
    return GeneratorResult(folder / "generator-best.safetensors", progress.step, progress.scores, folder / "samples")


def _words(settings: GeneratorSettings, names: Sequence[str]) -> Words | None:
    """The words of each of the clips `names`; a warning where those that are asked for say nothing of the clips."""
    if not settings.words:
        if settings.sampling.bilabials:
            logger.info("sampling.bilabials changes nothing without words; name a table of them with --set words=FILE")
        return None
    if not Path(settings.words).is_file():
        raise ConfigError(f"words {settings.words} is no file; name a table of words, or leave it empty")
    words = read_words(Path(settings.words))
    found = {name: spoken for name in names if (spoken := words_of(words, name))}
    if not found:
        logger.warning(
            "words %s names none of the clips, such as %s; its first column must hold their names in the cache, or the "
            "last parts of them", settings.words, names[0],
        )  # fmt: skip
    return found


def _sound(data: GeneratorData, track: int, frame: int) -> SourceSound | None:
    """The sound of a validation track's source from a frame on; see `w2l.training.generator.sample_video`."""
    return sound_of(data.cache, data.val.rows[track], int(data.val.begins[track]) + frame)


def _identity(
    settings: GeneratorSettings, data: GeneratorData, models: tuple[Model | None, Model | None]
) -> dict[str, Any]:
    """What shapes a step: a run that was begun with other settings, models or clips of a person is not continued."""
    identity = {name: value for name, value in config.plain(settings).items() if name not in SHAPELESS}
    identity["loop"] = {"steps": settings.loop.steps}
    identity["models"] = [fingerprint(config.plain(model.card)) for model in models if model]
    return {**identity, "data of": data.mark} if data.mark else identity


def _facts(settings: GeneratorSettings, task: GeneratorTask, data: GeneratorData, taught: str) -> PageFacts:
    """What the run's page says."""

    def rates(step: int) -> dict[str, float]:
        share = rate_share(step, settings.loop.steps, settings.warm_up, settings.lr_end)
        return {name: rate * share for name, rate in task.learning_rates.items()}

    described = {**describe_tracks(data.train, data.val), "crops": data.crop, "trained on": data.about}
    chance = {"disc_real": task.adversary.undecided} if task.adversary else {}
    return PageFacts(taught, described, weights=settings.weights, rates=rates, chance=chance)
