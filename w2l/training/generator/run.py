"""Training a generator, and tuning one to a person: open data, load models, create the task, fit."""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.data.batches.tracks import crop_spec
from w2l.data.sources.word_times import Words, read_words, words_of
from w2l.models import registry as weights
from w2l.training.data import TrainingData, open_training_data
from w2l.training.generator.models import TrainedModels, load_discriminator, load_fitting_expert, load_models
from w2l.training.generator.person import open_person
from w2l.training.generator.person_settings import PersonSettings, like
from w2l.training.generator.settings import GeneratorSettings
from w2l.training.generator.task import GeneratorTask
from w2l.training.guards import memory_errors
from w2l.training.loop import Surroundings
from w2l.training.parallel import ALONE, Ranks, joined_ranks, under_torchrun
from w2l.training.report.page import PageFacts, describe_tracks
from w2l.training.reported import TrainingResult, fit_with_reports
from w2l.training.run_folder import Destination

logger = logging.getLogger(__name__)
STAGE = "train"
PERSON = "person"
"""Name of a run that tunes to a person, and of the cache within its folder."""
MEMORY_HINT = "sampling.batch_size (or raise accumulate), the width (scale, discriminator.width) or crop.size"
"""Settings to reduce if memory does not suffice."""


@dataclass(frozen=True)
class GeneratorResult(TrainingResult):
    """Result of the training of a generator."""

    samples: Path
    """Folder of the sample sheets."""


def train_generator(
    settings: GeneratorSettings, cache: Cache, name: str = "generator", device: str = "auto", force: bool = False
) -> GeneratorResult:
    """Train the run `name`, or resume it, until its steps are done; with the other processes of `torchrun`.

    See `w2l.training.loop.fit` for the errors.
    """
    where = choose_device(device)
    with joined_ranks(where) as ranks:
        crop = crop_spec(cache)
        models = load_models(settings, cache, where)
        data = open_training_data(cache, crop)
        data.train.check_voices(settings.sampling.augment.shifted_voice, "sampling.augment.shifted_voice")
        return _train(settings, data, models, cache.run_folder(name), where, ranks, force)


def tune_to_person(
    settings: PersonSettings, clips: Sequence[Path], cache: Cache, name: str = PERSON, device: str = "auto",
    force: bool = False,
) -> GeneratorResult:  # fmt: skip
    """Tune the generator `settings.init` to the person in `clips`, in the run `name`, or resume that.

    The crops lie in a separate cache in the run's folder; no other clips are used. The end of the clips is held
    out: the best model is the one that reproduces it best, which may be the initial one, and the run ends if it does
    not improve. See `w2l.training.generator.person.open_person` and `w2l.training.loop.fit` for the errors.
    """
    if under_torchrun():
        raise ConfigError(
            "--person trains in one process, which is enough for minutes of video; run it without torchrun"
        )
    if settings.sampling.augment.shifted_voice:
        raise ConfigError("sampling.augment.shifted_voice does not apply to --person; set it to 0")
    where, folder = choose_device(device), cache.run_folder(name)
    init = weights.load_by_name(settings.init, "generator", cache, where)
    settings = like(settings, init.card)
    footage = open_person(clips, folder / PERSON, init.card.crop, str(where), cache.models)
    data = replace(footage, about=f"{init.card.data}; {footage.about}")
    discriminator = load_discriminator(settings, cache, where)
    models = TrainedModels(load_fitting_expert(settings, init, cache, where), init, discriminator)
    if not models.expert:
        settings = replace(settings, sync=0.0)
    return _train(settings, data, models, folder, where, ALONE, force)


def _train(
    settings: GeneratorSettings, data: TrainingData, models: TrainedModels, folder: Path, device: torch.device,
    ranks: Ranks, force: bool,
) -> GeneratorResult:  # fmt: skip
    """Train one run in `folder`."""
    if ranks.first:
        n_train, n_val = len(data.train), len(data.val)
        logger.info("%d tracks to train on, %d to validate on; %s", n_train, n_val, models.taught_by)
    words = _read_words(settings, [*data.train.names, *data.val.names])
    with memory_errors(lambda: f"run {folder.name}, before its first step", MEMORY_HINT):
        made = GeneratorTask(settings, data, models, device, ranks, words)
    identity = _identity(settings, data, models)
    destination = Destination(folder, identity, config.dump(settings, STAGE), force)
    with closing(made) as task:
        around = Surroundings(
            settings.sampling.batch_size, ranks, device, task.others, validate_first=models.init is not None,
            memory_hint=MEMORY_HINT,
        )  # fmt: skip
        progress = fit_with_reports(task, destination, settings, around, _page_facts(task, data, models))
    return GeneratorResult(folder / "generator-best.safetensors", progress.step, progress.scores, folder / "samples")


def _read_words(settings: GeneratorSettings, names: Sequence[str]) -> Words | None:
    """Read the words of each of the clips `names`; warn if the table does not contain any of them."""
    if not settings.words:
        if settings.sampling.bilabials:
            logger.info("sampling.bilabials has no effect without words; give a table of them with --set words=FILE")
        return None
    if not Path(settings.words).is_file():
        raise ConfigError(f"words {settings.words} is not a file; choose a table of words, or leave it empty")
    words = read_words(Path(settings.words))
    found = {name: spoken for name in names if (spoken := words_of(words, name))}
    if not found:
        logger.warning(
            "words %s names none of the clips, such as %s; its first column must hold their names in the cache, or the "
            "last parts of them", settings.words, names[0],
        )  # fmt: skip
    return found


def _identity(settings: GeneratorSettings, data: TrainingData, models: TrainedModels) -> dict[str, Any]:
    """Return what shapes a step: a run started with other settings, models or clips of a person is not continued."""
    identity = {**settings.identity(), "models": models.identity()}
    return {**identity, "data of": data.mark} if data.mark else identity


def _page_facts(task: GeneratorTask, data: TrainingData, models: TrainedModels) -> PageFacts:
    """Return the content of the run's page."""
    settings = task.settings

    def rates(step: int) -> dict[str, float]:
        share = settings.rates.share(step, settings.loop.steps)
        return {name: rate * share for name, rate in task.learning_rates.items()}

    described = {**describe_tracks(data.train, data.val), "crops": data.crop, "trained on": data.about}
    chance = {"disc_real": task.adversary.undecided} if task.adversary else {}
    return PageFacts(models.taught_by, described, weights=settings.weights, rates=rates, chance=chance)
