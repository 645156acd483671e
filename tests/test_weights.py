"""Which file a model's name means."""

from pathlib import Path

import pytest

from w2l import weights
from w2l.cache import Cache
from w2l.errors import CheckpointError
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.training.checkpoint import ModelCard, dimensions_of, save_model


def put(path: Path, step: int = 0) -> Path:
    network = Expert(ExpertDimensions(64, 5, 1))
    save_model(path, network, ModelCard("expert", dimensions_of(network), step=step))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache", create=True)


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "models")
    return tmp_path / "models"


def test_the_shipped_one(bundled: Path, cache: Cache) -> None:
    path = put(bundled / "expert.safetensors")
    assert weights.find("w2l", "expert") == weights.find("w2l", "expert", cache) == path
    with pytest.raises(CheckpointError, match="this w2l ships no judge"):
        weights.find("w2l", "judge")


def test_a_path(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.safetensors", step=5)
    assert weights.load(str(path), "expert").card.step == 5


def test_the_best_of_a_run_else_its_latest(cache: Cache) -> None:
    latest = put(cache.run_folder("mine") / "expert-latest.safetensors")
    assert weights.find("mine", "expert", cache) == latest
    best = put(cache.run_folder("mine") / "expert-best.safetensors", step=7)
    assert weights.find("mine", "expert", cache) == best
    assert weights.load("mine", "expert", cache).card.step == 7


def test_an_unknown_name_lists_what_there_is(bundled: Path, cache: Cache) -> None:
    with pytest.raises(CheckpointError, match=r"no expert named 'expert'.*no run here has made one; train one"):
        weights.find("expert", "expert", cache)
    put(cache.run_folder("one") / "expert-best.safetensors")
    put(cache.run_folder("two") / "expert-latest.safetensors")
    (cache.run_folder("empty")).mkdir()
    with pytest.raises(CheckpointError, match=r"no expert named 'expert'.*the experts here are one, two$"):
        weights.find("expert", "expert", cache)
    put(bundled / "expert.safetensors")
    with pytest.raises(CheckpointError, match=r"the experts here are w2l, one, two$"):
        weights.find("expert", "expert", cache)
    with pytest.raises(CheckpointError, match="no judge named 'one'"):
        weights.find("one", "judge", cache)


def test_without_a_cache(bundled: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no expert named 'mine'"):
        weights.find("mine", "expert")
