"""Bootstrapping an expert: train on all tracks, audit, train again on what the audit has repaired."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.tiny_cache import talking_cache
from w2l.api.bootstrap import bootstrap
from w2l.cache.store import Cache
from w2l.core.config import load
from w2l.core.errors import ConfigError
from w2l.training.expert.run import train_expert
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
    refused: str = ""


TINY = ["width=2", "n_clips=3", "per_clip=3", "ema=0.5", "check=false", "loop.steps=3", "loop.log_every=1",
        "loop.validate_every=3", "loop.checkpoint_every=3"]  # fmt: skip


def settings(*more: str) -> ExpertSettings:
    return load(ExpertSettings, "train-expert", None, [*TINY, *more])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return talking_cache(tmp_path / "cache", 4)


def test_goes_on_in_the_part_in_which_it_was_stopped(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    audits: list[str] = []

    def audit(_cache: Cache, model: str, *_: Any) -> Audited:
        audits.append(model)
        assert has_begun(cache.run_folder("expert-all"))
        assert not has_begun(cache.run_folder("expert"))
        if len(audits) == 1:
            raise KeyboardInterrupt
        return Audited()

    monkeypatch.setattr("w2l.api.bootstrap.audit_cache", audit)
    with pytest.raises(KeyboardInterrupt):
        bootstrap(settings(), cache, device="cpu")
    first = cache.run_folder("expert-all") / "state.pt"
    before = first.stat().st_mtime_ns
    result = bootstrap(settings(), cache, device="cpu")
    assert first.stat().st_mtime_ns == before  # the first part was done
    assert audits == [str(cache.run_folder("expert-all") / "expert-best.safetensors")] * 2
    assert (result.model, result.steps) == (cache.run_folder("expert") / "expert-best.safetensors", 3)


def test_a_run_on_unaudited_data_is_not_taken_for_its_last_part(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("w2l.api.bootstrap.audit_cache", lambda *_: Audited())
    train_expert(settings(), cache, device="cpu")
    with pytest.raises(ConfigError, match="run expert was started with other settings"):
        bootstrap(settings(), cache, device="cpu")


def test_the_warning_of_the_audit_is_said(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(Zero("the data lag by 3 frames"))
    monkeypatch.setattr("w2l.api.bootstrap.audit_cache", lambda *_: audited)
    bootstrap(settings(), cache, device="cpu")
    said = [record.levelname for record in caplog.records if "the data lag by 3 frames" in record.getMessage()]
    assert said.count("WARNING") == 1


def test_a_weak_first_run_poisons_nothing(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    """Three steps teach it nothing: the audit leaves the cache alone, and what is trained next finds its tracks."""
    bootstrap(settings(), cache, device="cpu")
    assert sum("the audit changed nothing" in record.getMessage() for record in caplog.records) == 1
    assert cache.all_tracks().usable.all()
    assert all(clip.record().audit.tracks is None for clip in cache.clips())
    assert train_expert(settings(), cache, "another", device="cpu").steps == 3
