"""Tiny experts and tasks for the tests of a generator's training."""

from pathlib import Path
from typing import Any

import torch

from tests.helpers.tiny_cache import ALIGNED
from w2l.cache.store import Cache
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.generator import GeneratorSampling
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import Model, ModelCard, dimensions_of
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.training.data import open_training_data
from w2l.training.generator.models import TrainedModels
from w2l.training.generator.settings import DiscriminatorSettings, GeneratorSettings, Schedule
from w2l.training.generator.task import GeneratorTask
from w2l.training.settings import LoopSettings

CPU = torch.device("cpu")
SIZE = ALIGNED.size
OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
SAMPLING = GeneratorSampling(batch_size=2, augment=OFF)
TINY = GeneratorSettings(
    width=2, sampling=SAMPLING, sync=0.1, schedule=Schedule(sync=(0, 4)), lr=2e-3, warm_up=2, validation_batches=1,
    validation_tracks=0, discriminator=DiscriminatorSettings(width=2), loop=LoopSettings(6, 1, 3, 2),
)  # fmt: skip


def make_expert(size: int = SIZE, **facts: Any) -> Model:
    """An expert of random weights and statistics that a training step would move."""
    torch.manual_seed(7)
    network = Expert(ExpertDimensions(size, 5, 2, signed=True))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
    card = ModelCard(
        "expert", dimensions_of(network), CropSpec("aligned", size), calibrated=True, scale=4.0, bias=-1.0, **facts
    )
    return Model(network.eval(), card, Path("expert.safetensors"))


def task_for(
    cache: Cache, settings: GeneratorSettings, expert: Model | None = None, init: Model | None = None, **options: Any
) -> GeneratorTask:
    """A task on the tracks of `cache`, taught by `expert` or a made one where `settings` need one."""
    teacher = expert or make_expert() if settings.sync else None
    return GeneratorTask(settings, open_training_data(cache, ALIGNED), TrainedModels(teacher, init), CPU, **options)
