"""Which file a model's name means, bringing in models under a name, and the list of all names."""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.models import packs
from w2l.models import registry as weights
from w2l.models.card import PUBLIC_DATA, data_licences
from w2l.models.checkpoint import (
    NETWORKS,
    PUBLIC_LICENCE,
    Kind,
    ModelCard,
    dimensions_of,
    load_model,
    marks_of,
    read_card,
    save_model,
)
from w2l.models.fetch import take
from w2l.models.packs import PACKS, PackFile
from w2l.nets.expert import Expert, ExpertDimensions


def put(path: Path, step: int = 0, licence: str = "") -> Path:
    network = Expert(ExpertDimensions(64, 5, 1))
    save_model(path, network, ModelCard("expert", dimensions_of(network), step=step, licence=licence))
    return path


def published(kind: str) -> dict[str, Tensor]:
    """What a public checkpoint of `kind` holds, all numbers alike, so that its file is small."""
    with torch.device("meta"):
        build, dimensions = NETWORKS[kind]
        network: nn.Module = build(dimensions())
    state = network.state_dict()
    return {key: torch.full((), 0.5).to(value.dtype).expand(value.shape) for key, value in state.items()}


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
    with pytest.raises(CheckpointError, match="does not ship any judge"):
        weights.find("w2l", "judge")


def test_a_path(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.safetensors", step=5)
    assert weights.load_by_name(str(path), "expert").card.step == 5


def test_the_best_of_a_run_else_its_latest(cache: Cache) -> None:
    latest = put(cache.run_folder("mine") / "expert-latest.safetensors")
    assert weights.find("mine", "expert", cache) == latest
    best = put(cache.run_folder("mine") / "expert-best.safetensors", step=7)
    assert weights.find("mine", "expert", cache) == best
    assert weights.load_by_name("mine", "expert", cache).card.step == 7


def test_an_unknown_name_lists_what_there_is(bundled: Path, cache: Cache) -> None:
    with pytest.raises(CheckpointError, match=r"no expert named 'expert'.*no run has produced one; train one"):
        weights.find("expert", "expert", cache)
    put(cache.run_folder("one") / "expert-best.safetensors")
    put(cache.run_folder("two") / "expert-latest.safetensors")
    (cache.run_folder("empty")).mkdir()
    with pytest.raises(CheckpointError, match=r"no expert named 'expert'.*are one, two; choose one of them.*"):
        weights.find("expert", "expert", cache)
    put(bundled / "expert.safetensors")
    with pytest.raises(CheckpointError, match=r"available experts are w2l, one, two; choose one of them, or train"):
        weights.find("expert", "expert", cache)
    with pytest.raises(CheckpointError, match="no judge named 'one'"):
        weights.find("one", "judge", cache)


def test_without_a_cache(bundled: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no expert named 'mine'"):
        weights.find("mine", "expert")


@pytest.mark.parametrize("kind", ["generator", "expert", "discriminator", "judge"])
def test_a_public_checkpoint_is_brought_in_by_what_it_holds(cache: Cache, tmp_path: Path, kind: Kind) -> None:
    source = tmp_path / "public.pth"
    state = {f"module.{key}": value for key, value in published(kind).items()}
    torch.save({"state_dict": state, "global_step": 261000, "optimizer": None}, source)
    entry = weights.bring(source, "theirs", cache)
    assert (entry.kind, entry.name, entry.origin, entry.step) == (kind, "theirs", "imported", 261000)
    assert entry.licence == PUBLIC_LICENCE
    assert weights.find("theirs", kind, cache) == entry.path == cache.models / "theirs.safetensors"
    assert entry.size == entry.path.stat().st_size
    direct, brought = load_model(source, kind), weights.load_by_name("theirs", kind, cache)
    assert dataclasses.replace(direct.card, ancestors=marks_of(direct)) == brought.card
    for key, value in brought.network.state_dict().items():
        assert torch.equal(value, direct.network.state_dict()[key]), key
    other: Kind = "judge" if kind == "expert" else "expert"
    with pytest.raises(CheckpointError, match=f"is of kind {kind}, not {other}"):
        weights.load_by_name("theirs", other, cache)
    with pytest.raises(CheckpointError, match=f"available {kind}s are .*theirs"):
        weights.find("nobody", kind, cache)


def test_our_own_files_can_be_brought_in_and_their_licence_said(cache: Cache, tmp_path: Path) -> None:
    source = put(tmp_path / "mine.safetensors", step=9, licence="as trained")
    assert weights.bring(source, "mine", cache).licence == "as trained"
    again = weights.bring(source, "mine", cache, licence="CC BY 4.0", overwrite=True)
    assert again.licence == read_card(again.path).licence == "CC BY 4.0"
    assert weights.load_by_name("mine", "expert", cache).card.step == 9
    source.unlink()
    assert weights.load_by_name("mine", "expert", cache).card.step == 9


def test_names_are_looked_up_in_order(bundled: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped, a file, imported, a run."""
    put(bundled / "expert.safetensors", step=1)
    imported, run = cache.models / "x.safetensors", cache.run_folder("x") / "expert-best.safetensors"
    for path, step in ((run, 4), (imported, 3)):
        put(path, step)
        assert weights.load_by_name("x", "expert", cache).card.step == step
    monkeypatch.chdir(bundled)
    put(Path("x.safetensors"), step=2).rename("x")
    assert weights.find("x", "expert", cache) == Path("x")
    put(cache.models / "w2l.safetensors", step=5)
    assert weights.load_by_name("w2l", "expert", cache).card.step == 1


@pytest.mark.parametrize(("name", "said"), [
    ("w2l", "shipped models"),
    ("buffalo_l", "pack"),
    ("run", "a run named"),
    ("file", "a file named"),
    ("taken", "already exists.*-y"),
    ("", "plain"),
    ("a/b", "plain"),
    ("../up", "plain"),
    (".hidden", "plain"),
    ("-y", "plain"),
    (" x", "plain"),
    ("a\0b", "plain"),
])  # fmt: skip
def test_names_that_cannot_be_had(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    put(cache.run_folder("run") / "judge-latest.safetensors")
    source = put(tmp_path / "mine.safetensors", step=1)
    taken = weights.bring(source, "taken", cache).path
    before = hashlib.sha256(taken.read_bytes()).digest()
    with pytest.raises(ConfigError, match=said):
        weights.bring(put(tmp_path / "mine.safetensors", step=2), name, cache)
    assert [path.name for path in cache.models.iterdir()] == ["taken.safetensors"]
    assert hashlib.sha256(taken.read_bytes()).digest() == before
    assert weights.bring(source, "taken", cache, overwrite=True).step == 2


@pytest.mark.parametrize("name", ["../models/taken", "taken/", "", ".", "a\0b"])
def test_a_name_never_leads_out_of_its_folder(cache: Cache, tmp_path: Path, name: str) -> None:
    weights.bring(put(tmp_path / "mine.safetensors"), "taken", cache)
    with pytest.raises(CheckpointError, match="no expert named"):
        weights.find(name, "expert", cache)


class Runs:
    """What a pickle that runs code looks like."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("content", [
    b"", b"no model", {"state_dict": Runs()}, {"state_dict": {"some.weight": torch.zeros(3)}},
    {"state_dict": {"binary_pred.0.weight": torch.zeros(3)}}, {"state_dict": [1, 2]}, [torch.zeros(2)],
], ids=["empty", "text", "code", "unknown", "incomplete", "list", "a dictionary"])  # fmt: skip
def test_what_is_no_model_leaves_nothing(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "public.pth"
    if isinstance(content, bytes):
        source.write_bytes(content)
    else:
        torch.save(content, source)
    with pytest.raises(CheckpointError, match=r"public\.pth"):
        weights.bring(source, "theirs", cache)
    with pytest.raises(CheckpointError, match="does not exist"):
        weights.bring(tmp_path / "none.pth", "theirs", cache)
    assert not cache.models.exists() or not list(cache.models.iterdir())
    assert not (tmp_path / "executed").exists()


def test_the_list_holds_what_can_be_named(
    bundled: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.entries() == weights.entries(cache) == []
    put(bundled / "expert.safetensors", step=1, licence="CC BY 4.0")
    put(cache.run_folder("run") / "expert-latest.safetensors", step=2)
    put(cache.run_folder("run") / "expert-best.safetensors", step=3)
    weights.bring(put(tmp_path / "mine.safetensors", step=4), "mine", cache)
    (cache.models / "bad.safetensors").write_bytes(b"half")
    (cache.models / ".tmp-x.safetensors").write_bytes(b"half")
    content = b"a detector"
    file = PackFile("det_10g.onnx", len(content), hashlib.sha256(content).hexdigest())
    pack = dataclasses.replace(PACKS["buffalo_l"], files=(file,))
    monkeypatch.setitem(packs.PACKS, "buffalo_l", pack)
    (tmp_path / "det_10g.onnx").write_bytes(content)
    take(pack, tmp_path, cache.models)
    found = weights.entries(cache)
    assert [(entry.name, entry.kind, entry.origin, entry.step) for entry in found] == [
        ("w2l", "expert", "shipped", 1),
        ("bad", "?", "imported", 0),
        ("mine", "expert", "imported", 4),
        ("run", "expert", "run", 3),
        ("buffalo_l", "detector", "pack", 0),
    ]
    assert [bool(entry.problem) for entry in found] == [False, True, False, False, False]
    assert found[0].licence == "CC BY 4.0"
    assert found[-1].size == len(content)
    for entry in found:
        if entry.kind == "expert":
            assert weights.find(entry.name, "expert", cache) == entry.path
    assert weights.entries() == found[:1]


def test_cards_give_the_licences_of_the_data_they_name() -> None:
    assert data_licences("") == data_licences("videos of my own") == ""
    assert data_licences("GRID audio-visual sentence corpus, 3 clips") == "GRID audio-visual sentence corpus: CC BY 4.0"
    shipped = {entry.kind: entry.data_licence for entry in weights.entries() if entry.origin == "shipped"}
    assert "Face Research Lab London Set: CC BY 4.0" in shipped["generator"]
    assert "US Congress: public domain" in shipped["generator"]
    assert all(text.startswith("GRID audio-visual sentence corpus: CC BY 4.0") for text in shipped.values())
    assert "non-commercial" in data_licences(PUBLIC_DATA)
