"""Training of an expert on drawn mouths: it learns, and stopping leaves no trace."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.tiny_cache import ALIGNED, JUDGE, add_voices, talking_cache
from tests.helpers.training_runs import break_at
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, TrainingError
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.tracks import Tracks
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import load_model, marks_of
from w2l.training.data import open_training_data
from w2l.training.expert.pairing import pairing_of
from w2l.training.expert.plateau import Plateau, PlateauSettings, RunFacts
from w2l.training.expert.settings import ExpertSettings
from w2l.training.expert.task import ExpertTask
from w2l.training.loop import Surroundings, fit
from w2l.training.run_folder import Destination
from w2l.training.settings import LoopSettings, RateSchedule

CPU = torch.device("cpu")
OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
TINY = ExpertSettings(
    width=2, n_clips=4, per_clip=4, lr=3e-3, warm_up=5, augment=OFF, loop=LoopSettings(6, 1, 3, 2), data="drawn mouths",
    ema=0.5, loss="contrastive",
)  # fmt: skip
PAPERS = replace(TINY, layout="published", loss="bce", ema=0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    made = talking_cache(tmp_path_factory.mktemp("expert") / "cache", 10)
    add_voices(made)
    return made


@pytest.fixture(scope="module")
def judge_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("judge") / "cache", 5, crop=JUDGE)


def task_for(cache: Cache, settings: ExpertSettings, crop: CropSpec = ALIGNED) -> ExpertTask:
    return ExpertTask(settings, open_training_data(cache, crop, settings.n_frames), CPU)


def train(cache: Cache, folder: Path, settings: ExpertSettings, crop: CropSpec = ALIGNED, stop: int = 0) -> ExpertTask:
    """Trains in `folder`; with `stop`, until that step breaks."""
    task = task_for(cache, settings, crop)
    break_at(task, stop)
    rates = RateSchedule(settings.warm_up)
    fit(task, Destination(folder, settings.identity()), settings.loop, rates, Surroundings(others=task.others))
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

    @pytest.mark.parametrize(
        "settings",
        [TINY, replace(TINY, loss="sigmoid"), PAPERS, replace(TINY, precision="bf16"), replace(TINY, precision="fp16"),
         replace(TINY, optimiser="adamw", weight_decay=0.01), replace(TINY, accumulate=2)],
        ids=["contrastive", "sigmoid", "bce", "bf16", "fp16", "adamw", "accumulated"],
    )  # fmt: skip
    def test_one_batch_can_be_overfitted(self, settings: ExpertSettings, cache: Cache) -> None:
        """Whatever the loss, its choice between own and partner's sound leaves chance, ln 2, behind."""
        task = task_for(cache, replace(settings, lr=1e-2))
        batch = task.batch(0)
        pairs = [task.step(step, batch)["pair"] for step in range(15)]
        assert pairs[0] > 0.8 * math.log(2)
        assert pairs[-1] < 0.4 * math.log(2)

    def test_a_judge_can_be_trained(self, judge_cache: Cache) -> None:
        task = task_for(judge_cache, replace(TINY, arch="judge", width=6, lr=1e-2), JUDGE)
        batch = task.batch(0)
        losses = [task.step(step, batch)["contrastive"] for step in range(30)]
        assert losses[-1] < 0.5 * losses[0]


class TestResume:
    @pytest.mark.parametrize(
        ("settings", "crop", "stops"),
        [(TINY, ALIGNED, (3, 5)), (PAPERS, ALIGNED, (5,)), (replace(TINY, arch="judge", width=6), JUDGE, (5,)),
         (replace(TINY, precision="bf16", augment=AugmentSettings()), ALIGNED, (5,)),
         (replace(TINY, precision="fp16", loss="sigmoid", gap_from=8, curriculum_steps=5), ALIGNED, (3, 5)),
         (replace(TINY, augment=replace(OFF, shifted_voice=0.5)), ALIGNED, (3, 5))],
        ids=["contrastive", "bce", "judge", "bf16", "fp16", "voices"],
    )  # fmt: skip
    def test_stopping_leaves_no_trace(
        self,
        settings: ExpertSettings,
        crop: CropSpec,
        stops: tuple[int, ...],
        cache: Cache,
        judge_cache: Cache,
        tmp_path: Path,
    ) -> None:
        used = judge_cache if crop == JUDGE else cache
        whole = train(used, tmp_path / "whole", settings, crop)
        for stop in stops:
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
        assert card.dimensions == {
            "size": ALIGNED.size, "n_frames": 5, "width": 2, "signed": True, "layout": "strided", "norm": "batch",
            "embedding": 0,
        }  # fmt: skip
        assert (card.crop, card.colour, card.data) == (ALIGNED, "rgb", "drawn mouths")
        assert card.calibrated == (card.scores["scale"] > 0)
        assert not card.calibrated or (card.scale, card.bias) == (card.scores["scale"], card.scores["bias"])
        assert load_model(tmp_path / "expert-latest.safetensors", "expert").card.step == 6

    @pytest.mark.parametrize("loss", ["bce", "contrastive", "sigmoid"])
    def test_every_loss_gives_a_calibrated_probability(self, loss: Any, cache: Cache) -> None:
        task = task_for(cache, replace(TINY, loss=loss))
        card = task.exports(1, {"scale": 3.0, "bias": -1.0})["expert"][1]
        assert (card.calibrated, card.scale, card.bias) == (True, 3.0, -1.0)
        assert card.dimensions["signed"] == (loss != "bce")

    @pytest.mark.parametrize("scale", [0.0, -2.0])
    def test_a_curve_that_falls_is_no_calibration(
        self, scale: float, cache: Cache, caplog: pytest.LogCaptureFixture
    ) -> None:
        card = task_for(cache, TINY).exports(7, {"scale": scale, "bias": 0.1})["expert"][1]
        assert (card.calibrated, card.scale) == (False, 1.0)
        assert "step 7: off-sync pairs are more similar" in caplog.text

    def test_longer_windows(self, cache: Cache, tmp_path: Path) -> None:
        settings = replace(TINY, n_frames=8, per_clip=2, norm="group", embedding=48, loop=LoopSettings(1, 1, 1, 1))
        train(cache, tmp_path, settings)
        card = load_model(tmp_path / "expert-latest.safetensors", "expert").card
        assert (card.dimensions["n_frames"], card.dimensions["norm"], card.dimensions["embedding"]) == (8, "group", 48)

    def test_a_judge(self, judge_cache: Cache, tmp_path: Path) -> None:
        train(judge_cache, tmp_path, replace(TINY, arch="judge", width=6), JUDGE)
        card = load_model(tmp_path / "judge-latest.safetensors", "judge").card
        assert (card.crop, card.colour, card.dimensions) == (JUDGE, "bgr", {"size": JUDGE.size, "width": 6})

    def test_a_loaded_network_scores_as_the_trained_one(self, cache: Cache, tmp_path: Path) -> None:
        task = train(cache, tmp_path, TINY)
        task.networks["average"].eval()
        loaded = pairing_of(load_model(tmp_path / "expert-latest.safetensors", "expert").network)
        batch = task.batch(0)
        with torch.no_grad():
            mine_both, other_both = (each.embed(batch.faces, batch.sounds) for each in (task.best_pairing, loaded))
            for mine, other in zip(mine_both, other_both):
                torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [({}, "sigmoid"), ({"arch": "judge"}, "contrastive"), ({"loss": "bce"}, "bce")],
        ids=["expert", "judge", "named"],
    )
    def test_the_loss_that_is_meant(self, given: dict[str, Any], meant: str, cache: Cache) -> None:
        settings = replace(TINY, **{"loss": "auto", **given})
        assert settings.objective == meant
        if settings.arch == "expert":
            assert task_for(cache, settings).objective.name == meant

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"arch": "poet"}, "choose expert or judge"),
            ({"loss": "l2"}, "choose auto or contrastive or bce or sigmoid"),
            ({"precision": "fp8"}, "choose fp32 or bf16 or fp16"),
            ({"layout": "poem"}, "choose strided or published"),
            ({"norm": "layer"}, "choose batch or group"),
            ({"optimiser": "sgd"}, "choose adam or adamw"),
            ({"resident": "maybe"}, "choose auto or always or never"),
            ({"ema": 1.0}, "below 1"),
            ({"max_silent": 1.5}, "between 0 and 1"),
            ({"lr_end": -0.1}, "between 0 and 1"),
            ({"accumulate": 0}, "at least 1"),
            ({"n_clips": 8, "per_clip": 8, "accumulate": 65}, "more than the windows of a batch"),
            ({"workers": -1}, "at least 0"),
            ({"gap_from": 2}, "gap_from 2 is less than gap 5"),
            ({"arch": "judge", "n_frames": 16}, "n_frames, norm and embedding apply only to the expert"),
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
        val = Tracks(short, short.tracks(), ALIGNED)
        task = ExpertTask(TINY, replace(open_training_data(cache, ALIGNED), val=val), CPU)
        with pytest.raises(TrainingError, match="validate on longer clips"):
            task.validate(0, tmp_path)


class TestAccumulation:
    """A batch in parts is the same batch: the loss sees all of it."""

    @pytest.mark.parametrize("loss", ["contrastive", "sigmoid"])
    def test_in_parts_as_at_once(self, loss: Any, cache: Cache) -> None:
        whole, parts = (
            task_for(cache, replace(TINY, width=4, loss=loss, norm="group", accumulate=n, lr=1e-3)) for n in (1, 3)
        )
        for step in range(3):
            one, other = whole.step(step, whole.batch(step)), parts.step(step, parts.batch(step))
            assert one == pytest.approx(other, rel=1e-4)
            assert one["grad_norm"] > 1e-3
        for mine, theirs in zip(whole.networks["network"].parameters(), parts.networks["network"].parameters()):
            torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=2e-4)

    def test_negatives_come_from_all_parts(self, cache: Cache) -> None:
        """With negatives of its own part alone, chance would be ln 4, not ln 16."""
        task = task_for(cache, replace(TINY, accumulate=4))
        assert task.step(0, task.batch(0))["contrastive"] > math.log(16) - 0.5

    def test_batch_norms_count_each_part_once(self, cache: Cache) -> None:
        task = task_for(cache, replace(TINY, accumulate=4))
        task.step(0, task.batch(0))
        counted = [int(value) for name, value in task.networks["network"].named_buffers() if "num_batches" in name]
        assert set(counted) == {4}


class TestEnds:
    def test_an_average_is_validated_and_exported(self, cache: Cache) -> None:
        task = task_for(cache, replace(TINY, ema=0.9))
        for step in range(3):
            task.step(step, task.batch(step))
        exported = task.exports(3, {})["expert"][0]
        assert exported is task.networks["average"]
        latest = task.networks["network"]
        assert not all(torch.equal(a, b) for a, b in zip(exported.parameters(), latest.parameters()))

    def test_a_start_from_other_weights(self, cache: Cache, tmp_path: Path) -> None:
        begun = load_model(train(cache, tmp_path / "begun", TINY) and tmp_path / "begun/expert-best.safetensors", None)
        task = task_for(cache, replace(TINY, seed=9))
        task.start_from(begun)
        for name in ("network", "average"):
            for key, value in begun.network.state_dict().items():
                torch.testing.assert_close(task.networks[name].state_dict()[key], value)
        with pytest.raises(ConfigError, match="is of kind expert"):
            task_for(cache, replace(TINY, width=4)).start_from(begun)

    def test_its_ancestors_are_the_run_and_what_it_began_with(self, cache: Cache, tmp_path: Path) -> None:
        """The best and the latest of one run are related, two runs are not; `init` is an ancestor, with its own."""
        train(cache, tmp_path / "begun", TINY)
        best, latest = (load_model(tmp_path / f"begun/expert-{tag}.safetensors", None) for tag in ("best", "latest"))
        assert set(marks_of(best)) & set(marks_of(latest))
        task = task_for(cache, replace(TINY, seed=9))
        assert not set(task.exports(0, {})["expert"][1].ancestors) & set(marks_of(best))
        task.start_from(best)
        assert set(marks_of(best)) <= set(task.exports(0, {})["expert"][1].ancestors)

    def test_a_run_at_chance_ends_with_a_diagnosis(self, cache: Cache) -> None:
        plateau = Plateau(PlateauSettings(patience=6, window=3), RunFacts("contrastive", 1e-3, 16, 5))
        task = ExpertTask(replace(TINY, lr=1e-12), open_training_data(cache, ALIGNED), CPU, plateau=plateau)
        batch = task.batch(0)

        def go_on() -> None:
            for step in range(30):
                task.step(step, batch)

        with pytest.raises(TrainingError, match="nothing was learned in"):
            go_on()

    def test_a_step_too_large_for_fp16_is_left_out(self, cache: Cache) -> None:
        task = task_for(cache, replace(TINY, precision="fp16"))
        task.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
        before = [parameter.clone() for parameter in task.networks["network"].parameters()]
        terms = task.step(0, task.batch(0))
        assert terms["grad_norm"] == 0
        assert math.isfinite(terms["contrastive"])
        assert all(torch.equal(a, b) for a, b in zip(before, task.networks["network"].parameters()))
        assert task.scaler.get_scale() == 2.0**99
