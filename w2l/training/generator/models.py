"""The trained models that a generator's training needs: the expert that teaches, and the generator it begins as."""

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
    """The models that a generator's training takes; either may be missing."""

    expert: Model | None = None
    """Teaches sync."""
    init: Model | None = None
    """The generator whose weights are the start."""
    discriminator: Model | None = None
    """What the network that is trained against the generator begins as."""

    @property
    def taught_by(self) -> str:
        """Who teaches, in words."""
        return f"taught by {self.expert.path}" if self.expert else "no expert teaches"

    def identity(self) -> list[Any]:
        """Return what tells a run with these models from one with others."""
        models = (self.expert, self.init, self.discriminator)
        return [card_fingerprint(model.card) for model in models if model]

    def teachers(self, teacher: Teacher | None) -> tuple[TaughtBy, ...]:
        """Return the experts that taught the generator of a run: those of its beginning, and `teacher`, the last."""
        before = self.init.card.teachers if self.init else ()
        own = (teacher.record,) if teacher else ()
        return (*(each for each in before if each not in own), *own)


def load_models(settings: GeneratorSettings, cache: Cache, device: torch.device) -> TrainedModels:
    """Load the models that `settings` name."""
    expert = weights.load(settings.expert, "expert", cache, device) if settings.sync else None
    init = weights.load(settings.init, "generator", cache, device) if settings.init else None
    return TrainedModels(expert, init, load_discriminator(settings, cache, device))


def load_discriminator(settings: GeneratorSettings, cache: Cache, device: torch.device) -> Model | None:
    """Load the discriminator that `settings` begin with; None where they begin with random weights."""
    chosen = settings.discriminator
    return weights.load(chosen.init, KINDS[chosen.kind], cache, device) if chosen.init else None


def load_fitting_expert(settings: PersonSettings, init: Model, cache: Cache, device: torch.device) -> Model | None:
    """Load the expert that teaches; None, with a warning, where the shipped one does not judge crops as of `init`."""
    if not settings.sync:
        return None
    expert = weights.load(settings.expert, "expert", cache, device)
    try:
        Teacher(expert, init.card.crop, settings.precision)
    except ConfigError as error:
        if settings.expert != weights.SHIPPED:
            raise
        logger.warning("the sync loss is left out: %s, or name another one with --expert", error)
        return None
    return expert
