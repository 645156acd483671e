"""The trained models that a generator's training uses: the expert, and the initial generator and discriminator."""

import logging
from dataclasses import dataclass
from typing import Any

import torch

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.models import registry as weights
from w2l.models.checkpoint import Model, card_fingerprint
from w2l.models.lineage import TaughtBy
from w2l.training.generator.adversaries import KINDS
from w2l.training.generator.person_settings import PersonSettings
from w2l.training.generator.settings import GeneratorSettings
from w2l.training.generator.teacher import Teacher

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModels:
    """The trained models that a generator's training uses; any may be missing."""

    expert: Model | None = None
    """The expert for the sync loss."""
    init: Model | None = None
    """The generator to start from."""
    discriminator: Model | None = None
    """The initial network trained against the generator."""

    @property
    def taught_by(self) -> str:
        """The expert, in words."""
        return f"expert {self.expert.path}" if self.expert else "no expert"

    def identity(self) -> list[Any]:
        """Return what distinguishes a run with these models from one with others."""
        models = (self.expert, self.init, self.discriminator)
        return [card_fingerprint(model.card) for model in models if model]

    def teachers(self, teacher: Teacher | None) -> tuple[TaughtBy, ...]:
        """Return the experts used to train the generator: those of its initial weights, and `teacher`, the last."""
        before = self.init.card.teachers if self.init else ()
        own = (teacher.record,) if teacher else ()
        return (*(each for each in before if each not in own), *own)


def load_models(settings: GeneratorSettings, cache: Cache, device: torch.device) -> TrainedModels:
    """Load the models given by `settings`."""
    expert = weights.load_by_name(settings.expert, "expert", cache, device) if settings.sync else None
    init = weights.load_by_name(settings.init, "generator", cache, device) if settings.init else None
    return TrainedModels(expert, init, load_discriminator(settings, cache, device))


def load_discriminator(settings: GeneratorSettings, cache: Cache, device: torch.device) -> Model | None:
    """Load the initial discriminator given by `settings`; None for random weights."""
    chosen = settings.discriminator
    return weights.load_by_name(chosen.init, KINDS[chosen.kind], cache, device) if chosen.init else None


def load_fitting_expert(settings: PersonSettings, init: Model, cache: Cache, device: torch.device) -> Model | None:
    """Load the expert for the sync loss; None, with a warning, if the shipped one does not fit the crops of `init`."""
    if not settings.sync:
        return None
    expert = weights.load_by_name(settings.expert, "expert", cache, device)
    try:
        Teacher(expert, init.card.crop, settings.precision)
    except ConfigError as error:
        if settings.expert != weights.SHIPPED:
            raise
        logger.warning("the sync loss is disabled: %s, or choose another one with --expert", error)
        return None
    return expert
