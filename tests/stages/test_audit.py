"""`w2l audit` on drawn mouths: its text, its JSON, its refusals, and undoing it."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.sync_runs import Run
from tests.helpers.tiny_cache import ALIGNED, talking_cache
from w2l.cache.store import Cache
from w2l.models.checkpoint import ModelCard, dimensions_of, save_model
from w2l.nets.expert import Expert, ExpertDimensions

DOUBT_ALL = ("--set", "min_confidence=50")
TRUST_MOST = ("--set", "audit.min_confidence=-9", "--set", "min_odds=-99", "--set", "tolerance=14")


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expert counts as one that knows something."""
    monkeypatch.setattr("w2l.training.audit.run.why_at_chance", lambda _tracks: "")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Four talking mouths, and an expert with random weights, which can be sure of nothing."""
    made = talking_cache(tmp_path / "cache", 4)
    torch.manual_seed(0)
    network = Expert(ExpertDimensions(32, 5, 4, signed=True))
    card = ModelCard("expert", dimensions_of(network), ALIGNED, calibrated=True, scale=8.0, bias=-4.0)
    save_model(made.run_folder("mine") / "expert-best.safetensors", network, card)
    return made


def test_the_table_and_the_json(w2l: Run, cache: Cache) -> None:
    text = w2l("audit", "--expert", "mine", "--device", "cpu")
    assert text.status == 0, text.err
    assert "kept" in text.out
    assert "set aside" in text.out
    shown = json.loads(w2l("audit", "--expert", "mine", "--device", "cpu", "--json").out)
    assert sum(shown["counts"].values()) == len(shown["findings"]) == 4
    assert shown["measured"] == 0
    first = shown["findings"][0]
    assert (first["clip"], first["track"]) == ("clip0", 0)
    assert first["verdict"]["verdict"] in ("kept", "shifted", "set aside")


@pytest.mark.usefixtures("believed")
def test_thresholds_decide(w2l: Run, cache: Cache) -> None:
    doubted = w2l("audit", "--expert", "mine", *DOUBT_ALL, "--clips", "clip0")
    assert doubted.status == 0
    assert cache.all_tracks().usable.tolist() == [False, True, True, True]
    assert w2l("audit", "--expert", "mine", *TRUST_MOST).status == 0
    assert cache.all_tracks().usable.any()


def test_an_expert_at_chance_changes_nothing(w2l: Run, cache: Cache) -> None:
    audited = w2l("audit", "--expert", "mine")
    assert audited.status == 0
    assert "nothing was changed: on these tracks it detects sync hardly better than chance" in audited.out
    assert cache.all_tracks().usable.all()
    assert "hardly better" in json.loads(w2l("audit", "--expert", "mine", *DOUBT_ALL, "--json").out)["refused"]


@pytest.mark.usefixtures("believed")
def test_undo(w2l: Run, cache: Cache) -> None:
    for clip in ("clip0", "clip1"):
        w2l("audit", "--expert", "mine", *DOUBT_ALL, "--clips", clip)
    assert cache.all_tracks().usable.sum() == 2
    undone = w2l("audit", "--undo")
    assert (undone.status, undone.out) == (0, "the audit of 2 clips is undone\n")
    assert cache.all_tracks().usable.all()
    assert json.loads(w2l("audit", "--undo", "--json").out) == {"undone": 0}


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        (["--expert", "nobody"], 1, "mine"),
        (["--expert", "mine", "--clips", "x*"], 2, "no clip"),
        (["--expert", "mine", "--set", "max_shift=0"], 2, "max_shift"),
        (["--expert", "w2l"], 2, "aligned crops of 96 px"),
        (["--undo", "--expert", "mine"], 2, "--undo"),
    ],
)
def test_refusals_are_one_line(w2l: Run, cache: Cache, given: list[str], status: int, says: str) -> None:
    refused = w2l("audit", *given)
    assert refused.status == status
    assert refused.err.startswith("error: ")
    assert refused.err.count("\n") == 1
    assert says in refused.err


def test_a_cache_without_tracks(w2l: Run, tmp_path: Path) -> None:
    Cache.open(tmp_path / "cache", create=True)
    assert "w2l preprocess" in w2l("audit").err
