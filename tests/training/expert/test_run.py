"""The story of an expert's training: the checks before it, and what may change in a run that has begun."""

from pathlib import Path

import pytest
import torch

from tests.helpers.tiny_cache import add_voices, talking_cache
from w2l.cache.store import Cache
from w2l.core.config import load
from w2l.core.errors import ConfigError, TrainingError
from w2l.models.checkpoint import load_model
from w2l.training.expert.run import check_training, open_data, train_expert
from w2l.training.expert.settings import ExpertSettings
from w2l.training.run_checks import read_checks

TINY = ["width=2", "n_clips=3", "per_clip=3", "ema=0.5", "check=false", "loop.steps=3", "loop.log_every=1",
        "loop.validate_every=3", "loop.checkpoint_every=3"]  # fmt: skip


def settings(*more: str) -> ExpertSettings:
    return load(ExpertSettings, "train-expert", None, [*TINY, *more])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return talking_cache(tmp_path / "cache", 4)


class TestChecks:
    def test_a_recipe_that_goes_slowly_is_not_refused(self, cache: Cache) -> None:
        """The small batch is learnt at a rate of its own."""
        chosen = settings("width=16", "lr=1e-7", "optimiser=adamw")
        findings = check_training(chosen, open_data(chosen, cache), torch.device("cpu"))
        assert [one.severity for one in findings if one.name == "overfit"] == ["note"]

    def test_a_run_keeps_the_findings_from_before_it_began(self, cache: Cache) -> None:
        train_expert(settings("check=true", "overfit_steps=0"), cache, device="cpu")
        kept = read_checks(cache.run_folder("expert"))
        assert kept
        assert all(text.startswith(f"{severity}: ") for severity, text in kept)
        train_expert(settings(), cache, device="cpu", force=True)
        assert read_checks(cache.run_folder("expert")) == []

    def test_what_no_step_depends_on_may_change(self, cache: Cache) -> None:
        train_expert(settings(), cache, device="cpu")
        other = settings("resident=always", "watchdog.patience=0", "overfit_steps=7", "loop.log_every=2")
        assert train_expert(other, cache, device="cpu").steps == 3
        with pytest.raises(ConfigError, match="started with other settings"):
            train_expert(settings("lr=0.1"), cache, device="cpu")

    def test_runs_begun_before_there_was_init_voice_or_room_go_on(self) -> None:
        older = settings().identity()
        assert "init" not in older
        assert not {"voice", "room", "shifted_voice"} & set(older["augment"])
        for more in ("init=w2l", "augment.voice=0.1", "augment.room=0.5", "augment.shifted_voice=0.5"):
            assert settings(more).identity() != older

    def test_stored_voices_are_needed_by_what_draws_them(self, cache: Cache) -> None:
        with pytest.raises(TrainingError, match=r"^augment\.shifted_voice is 0\.5, .*voices\.semitones=\[-3,3\]"):
            train_expert(settings("augment.shifted_voice=0.5"), cache, device="cpu")
        add_voices(cache)
        assert train_expert(settings("augment.shifted_voice=0.5"), cache, device="cpu").steps == 3

    def test_a_run_begins_with_the_weights_of_init(self, cache: Cache) -> None:
        first = train_expert(settings(), cache, "first", device="cpu")
        still = ["lr=1e-12", "ema=0", "loop.steps=1", "loop.validate_every=1"]
        second = train_expert(settings("init=first", "seed=5", *still), cache, "second", device="cpu")
        own = train_expert(settings("seed=5", *still), cache, "own", device="cpu")
        weights, begun, other = (
            dict(load_model(run.model, "expert").network.named_parameters()) for run in (first, second, own)
        )
        for name, value in weights.items():
            torch.testing.assert_close(begun[name], value, atol=1e-6, rtol=1e-5)
        assert any(not torch.allclose(other[name], value, atol=1e-3) for name, value in weights.items())

    def test_a_small_batch_is_learnt_by_heart(self, cache: Cache) -> None:
        chosen = settings("width=4", "lr=0.01")
        findings = check_training(chosen, open_data(chosen, cache), torch.device("cpu"))
        assert [one.severity for one in findings if one.name == "overfit"] == ["note"]

    def test_without_it(self, cache: Cache) -> None:
        chosen = settings("overfit_steps=0")
        findings = check_training(chosen, open_data(chosen, cache), torch.device("cpu"))
        assert "overfit" not in {one.name for one in findings}
        assert "sample" in {one.name for one in findings}
