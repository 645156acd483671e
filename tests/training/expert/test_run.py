"""The story of an expert's training: the checks before it, and training again on what an audit has repaired."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.train_expert import bootstrap
from tests.helpers.tiny_cache import talking_cache
from w2l.cache.store import Cache
from w2l.core.config import load
from w2l.core.errors import ConfigError
from w2l.training.expert.run import check_expert, open_data, train_expert
from w2l.training.expert.settings import ExpertSettings
from w2l.training.run_folder import has_begun


@dataclass(frozen=True)
class Zero:
    """What an audit says of the data as a whole."""

    warning: str = ""


@dataclass(frozen=True)
class Audited:
    """The result of an audit."""

    zero: Zero = Zero()


TINY = ["width=2", "n_clips=3", "per_clip=3", "ema=0.5", "check=false", "loop.steps=3", "loop.log_every=1",
        "loop.validate_every=3", "loop.checkpoint_every=3"]  # fmt: skip


def settings(*more: str) -> ExpertSettings:
    return load(ExpertSettings, "train-expert", None, [*TINY, *more])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return talking_cache(tmp_path / "cache", 4)


class TestBootstrap:
    def test_goes_on_in_the_part_in_which_it_was_stopped(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        audits: list[str] = []

        def audit(_cache: Cache, model: str, *_: Any) -> Audited:
            audits.append(model)
            assert has_begun(cache.run_folder("expert-all"))
            assert not has_begun(cache.run_folder("expert"))
            if len(audits) == 1:
                raise KeyboardInterrupt
            return Audited()

        monkeypatch.setattr("w2l.training.audit.audit.audit_cache", audit)
        with pytest.raises(KeyboardInterrupt):
            bootstrap(settings(), cache, device="cpu")
        first = cache.run_folder("expert-all") / "state.pt"
        before = first.stat().st_mtime_ns
        result = bootstrap(settings(), cache, device="cpu")
        assert first.stat().st_mtime_ns == before  # the first part was done
        assert audits == [str(cache.run_folder("expert-all") / "expert-best.safetensors")] * 2
        assert (result.model, result.steps) == (cache.run_folder("expert") / "expert-best.safetensors", 3)

    def test_a_run_on_unaudited_data_is_not_taken_for_its_last_part(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("w2l.training.audit.audit.audit_cache", lambda *_: Audited())
        train_expert(settings(), cache, device="cpu")
        with pytest.raises(ConfigError, match="run expert was begun with other settings"):
            bootstrap(settings(), cache, device="cpu")

    def test_the_warning_of_the_audit_is_said(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        audited = Audited(Zero("the data lag by 3 frames"))
        monkeypatch.setattr("w2l.training.audit.audit.audit_cache", lambda *_: audited)
        bootstrap(settings(), cache, device="cpu")
        said = [record.levelname for record in caplog.records if "the data lag by 3 frames" in record.getMessage()]
        assert said.count("WARNING") == 1


class TestChecks:
    def test_a_recipe_that_goes_slowly_is_not_refused(self, cache: Cache) -> None:
        """The small batch is learnt at a rate of its own."""
        chosen = settings("width=16", "lr=1e-7", "optimiser=adamw")
        findings = check_expert(chosen, open_data(chosen, cache), torch.device("cpu"))
        assert [one.severity for one in findings if one.name == "overfit"] == ["note"]

    def test_what_no_step_depends_on_may_change(self, cache: Cache) -> None:
        train_expert(settings(), cache, device="cpu")
        other = settings("resident=always", "watchdog.patience=0", "overfit_steps=7", "loop.log_every=2")
        assert train_expert(other, cache, device="cpu").steps == 3
        with pytest.raises(ConfigError, match="begun with other settings"):
            train_expert(settings("lr=0.1"), cache, device="cpu")

    def test_a_small_batch_is_learnt_by_heart(self, cache: Cache) -> None:
        chosen = settings("width=4", "lr=0.01")
        findings = check_expert(chosen, open_data(chosen, cache), torch.device("cpu"))
        assert [one.severity for one in findings if one.name == "overfit"] == ["note"]

    def test_without_it(self, cache: Cache) -> None:
        chosen = settings("overfit_steps=0")
        findings = check_expert(chosen, open_data(chosen, cache), torch.device("cpu"))
        assert "overfit" not in {one.name for one in findings}
        assert "sample" in {one.name for one in findings}
