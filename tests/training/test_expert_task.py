"""Training of an expert on drawn mouths: it learns, and stopping leaves no trace."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_cache import ALIGNED, JUDGE, talking_cache

from w2l.cache import Cache
from w2l.data.augment import AugmentSettings
from w2l.data.dataset import Tracks, open_splits
from w2l.errors import ConfigError, TrainingError
from w2l.faces.crop import CropSpec
from w2l.training.checkpoint import load_model
from w2l.training.expert_task import ExpertSettings, ExpertTask, pairing_of
from w2l.training.loop import LoopSettings, fit

CPU = torch.device("cpu")
OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
TINY = ExpertSettings(
    width=2, n_clips=4, per_clip=4, lr=3e-3, warm_up=5, augment=OFF, loop=LoopSettings(6, 1, 3, 2), data="drawn mouths"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("expert") / "cache", 10)


@pytest.fixture(scope="module")
def judge_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("judge") / "cache", 5, crop=JUDGE)


def task_for(cache: Cache, settings: ExpertSettings, crop: CropSpec = ALIGNED) -> ExpertTask:
    return ExpertTask(settings, *open_splits(cache, crop), crop, CPU)


def train(cache: Cache, folder: Path, settings: ExpertSettings, crop: CropSpec = ALIGNED, stop: int = 0) -> ExpertTask:
    """Trains in `folder`; with `stop`, until that step breaks."""
    task = task_for(cache, settings, crop)
    step = task.step

    def breaking(number: int, batch: Any) -> dict[str, float]:
        if stop and number == stop:
            raise KeyboardInterrupt
        return step(number, batch)

    task.step = breaking  # type: ignore[method-assign]
    fit(task, folder, settings.loop, {"seed": settings.seed}, settings.warm_up)
    return task


class TestLearning:
    def test_the_contrastive_loss_learns_what_is_in_sync(self, cache: Cache) -> None:
        task = task_for(cache, replace(TINY, n_clips=6, lr=5e-3))
        terms = [task.step(step, task.batch(step)) for step in range(70)]
        chance = math.log(24)
        assert terms[0]["contrastive"] > 0.8 * chance
        assert np.mean([t["contrastive"] for t in terms[-10:]]) < 0.6 * chance
        assert np.mean([t["pair"] for t in terms[-10:]]) < 0.6 * math.log(2)
        for network in task.networks.values():
            network.eval()
        scores = task.validate(70, Path()).scores
        assert scores["auc"] > 0.8
        assert scores["accuracy"] > 0.75
        assert scores["offset_within_1"] == 1
        assert scores["scale"] > 0
        assert scores["bce"] < 0.55

    @pytest.mark.parametrize("loss", ["contrastive", "bce"])
    def test_one_batch_can_be_overfitted(self, loss: Any, cache: Cache) -> None:
        task = task_for(cache, replace(TINY, loss=loss, lr=1e-2))
        batch = task.batch(0)
        losses = [task.step(step, batch)[loss] for step in range(40)]
        chance = math.log(2) if loss == "bce" else math.log(16)
        assert losses[0] > 0.8 * chance
        assert losses[-1] < 0.4 * chance

    def test_a_judge_can_be_trained(self, judge_cache: Cache) -> None:
        task = task_for(judge_cache, replace(TINY, arch="judge", width=6, lr=1e-2), JUDGE)
        batch = task.batch(0)
        losses = [task.step(step, batch)["contrastive"] for step in range(30)]
        assert losses[-1] < 0.5 * losses[0]


class TestResume:
    @pytest.mark.parametrize(
        ("settings", "crop"),
        [(TINY, ALIGNED), (replace(TINY, loss="bce"), ALIGNED), (replace(TINY, arch="judge", width=6), JUDGE),
         (replace(TINY, precision="bf16", augment=AugmentSettings()), ALIGNED)],
        ids=["contrastive", "bce", "judge", "bf16"],
    )  # fmt: skip
    def test_stopping_leaves_no_trace(
        self, settings: ExpertSettings, crop: CropSpec, cache: Cache, judge_cache: Cache, tmp_path: Path
    ) -> None:
        used = judge_cache if crop == JUDGE else cache
        whole = train(used, tmp_path / "whole", settings, crop)
        for stop in (3, 5):
            with pytest.raises(KeyboardInterrupt):
                train(used, tmp_path / "stopped", settings, crop, stop)
        resumed = train(used, tmp_path / "stopped", settings, crop)
        for name, network in whole.networks.items():
            other = resumed.networks[name].state_dict()
            assert all(torch.equal(other[key], value) for key, value in network.state_dict().items())
        for name in ("log.jsonl", f"{settings.arch}-best.safetensors", f"{settings.arch}-latest.safetensors"):
            assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def test_the_seed_decides(self, cache: Cache) -> None:
        def first_loss(seed: int) -> float:
            task = task_for(cache, replace(TINY, seed=seed))
            return task.step(0, task.batch(0))["contrastive"]

        assert first_loss(1) == first_loss(1) != first_loss(2)


class TestModelFile:
    def test_the_card(self, cache: Cache, tmp_path: Path) -> None:
        train(cache, tmp_path, TINY)
        card = load_model(tmp_path / "expert-best.safetensors", "expert").card
        assert card.dimensions == {"size": ALIGNED.size, "n_frames": 5, "width": 2, "signed": True}
        assert (card.crop, card.colour, card.data) == (ALIGNED, "rgb", "drawn mouths")
        assert card.calibrated
        assert (card.scale, card.bias) == (card.scores["scale"], card.scores["bias"])
        assert load_model(tmp_path / "expert-latest.safetensors", "expert").card.step == 6

    def test_the_papers_expert_gives_probabilities(self, cache: Cache, tmp_path: Path) -> None:
        train(cache, tmp_path, replace(TINY, loss="bce"))
        card = load_model(tmp_path / "expert-latest.safetensors", "expert").card
        assert not card.calibrated
        assert not card.dimensions["signed"]

    def test_a_judge(self, judge_cache: Cache, tmp_path: Path) -> None:
        train(judge_cache, tmp_path, replace(TINY, arch="judge", width=6), JUDGE)
        card = load_model(tmp_path / "judge-latest.safetensors", "judge").card
        assert (card.crop, card.colour, card.dimensions) == (JUDGE, "bgr", {"size": JUDGE.size, "width": 6})

    def test_a_loaded_network_scores_as_the_trained_one(self, cache: Cache, tmp_path: Path) -> None:
        task = train(cache, tmp_path, TINY)
        task.networks["network"].eval()
        loaded = pairing_of(load_model(tmp_path / "expert-latest.safetensors", "expert").network)
        batch = task.batch(0)
        faces, sounds = torch.from_numpy(batch.faces), torch.from_numpy(batch.sounds)
        with torch.no_grad():
            for mine, other in zip(task.pairing.embed(faces, sounds), loaded.embed(faces, sounds)):
                torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"arch": "poet"}, "choose expert or judge"),
            ({"loss": "l2"}, "choose contrastive or bce"),
            ({"precision": "fp16"}, "choose fp32 or bf16"),
            ({"per_clip": 1}, "per_clip at least 2"),
            ({"n_clips": 0}, "at least 1"),
            ({"gap": 0}, "at least 1"),
            ({"width": 0}, "at least 1"),
            ({"lr": 0.0}, "above 0"),
            ({"lr": -1.0}, "above 0"),
            ({"seed": -1}, "at least 0"),
            ({"warm_up": -1}, "at least 0"),
            ({"arch": "judge", "loss": "bce"}, "train it with loss=contrastive"),
        ],
    )
    def test_refused(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            ExpertSettings(**given)

    def test_crops_too_small_for_a_judge(self, tmp_path: Path) -> None:
        crop = CropSpec("judge", 48)
        cache = talking_cache(tmp_path / "cache", 2, crop=crop)
        with pytest.raises(ConfigError, match="no judge fits these crops: size must be at least 51"):
            task_for(cache, replace(TINY, arch="judge"), crop)

    def test_clips_too_short_for_off_sync_pairs(self, tmp_path: Path) -> None:
        cache = talking_cache(tmp_path / "cache", 3, n_frames=12)
        with pytest.raises(TrainingError, match="has room for 4 windows 5 frames apart"):
            train(cache, tmp_path / "run", TINY)

    def test_validation_clips_too_short(self, cache: Cache, tmp_path: Path) -> None:
        short = talking_cache(tmp_path / "cache", 2, n_frames=9)
        task = ExpertTask(TINY, open_splits(cache, ALIGNED)[0], Tracks(short, short.tracks(), ALIGNED), ALIGNED, CPU)
        with pytest.raises(TrainingError, match="validate on longer clips"):
            task.validate(0, tmp_path)
