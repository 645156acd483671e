"""What makes a generator's training fast changes no name, no saved file and, but for rounding, no number."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.helpers.makers import CPU, SAMPLING, SIZE, TINY, make_expert, task_for
from tests.helpers.tiny_cache import ALIGNED, talking_cache
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.models.checkpoint import load_model
from w2l.training.data import open_training_data
from w2l.training.generator.models import TrainedModels
from w2l.training.generator.task import GeneratorTask
from w2l.training.loop import Surroundings, fit
from w2l.training.run_folder import Destination
from w2l.training.settings import LoopSettings

BRIEF = replace(TINY, loop=LoopSettings(2, 1, 2, 1))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("speed") / "cache", 6)


def test_resident_crops_train_as_loaded_ones(cache: Cache) -> None:
    loaded, kept = (task_for(cache, replace(TINY, resident=how)) for how in ("never", "always"))
    assert type(loaded.loader) is not type(kept.loader)
    for step in range(3):
        assert kept.step(step, kept.batch(step)) == loaded.step(step, loaded.batch(step))


def test_half_floats_need_a_gpu(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="precision=fp16 requires a CUDA GPU; on a CPU set precision=bf16"):
        task_for(cache, replace(TINY, precision="fp16"))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_compiled_keeps_its_names(
    ema: float, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def compiled(function: object, **_: object) -> object:
        calls.append(function)
        return function  # what a compiler gives computes the same

    monkeypatch.setattr(torch, "compile", compiled)
    plain, fast = task_for(cache, replace(BRIEF, ema=ema)), task_for(cache, replace(BRIEF, ema=ema, compile=True))
    assert len(calls) == 2  # the generator and the expert
    for name, network in plain.networks.items():
        assert list(fast.networks[name].state_dict()) == list(network.state_dict())
    for task, folder in ((plain, tmp_path / "plain"), (fast, tmp_path / "fast")):
        fit(task, Destination(folder, {}), BRIEF.loop, around=Surroundings(others=task.others))
    for tag in ("best", "latest"):
        name = f"generator-{tag}.safetensors"
        assert (tmp_path / "fast" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert load_model(tmp_path / "fast" / "generator-best.safetensors", "generator").card.crop == ALIGNED


@pytest.mark.slow
def test_a_compiled_step_is_that_of_the_eager_one(cache: Cache) -> None:
    data = open_training_data(cache, ALIGNED)
    settings = replace(TINY, layout="warping", sampling=replace(SAMPLING, batch_size=4))
    eager, fast = (
        GeneratorTask(replace(settings, compile=how), data, TrainedModels(make_expert(SIZE)), CPU)
        for how in (False, True)
    )
    batch = eager.batch(0)
    assert fast.step(0, batch) == pytest.approx(eager.step(0, batch), rel=1e-3)
