"""Models as a page shows them: they are listed, imported and downloaded as the command does it."""

import json
import shlex
from pathlib import Path

import pytest
import torch

from stages import cli
from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.models import fetch
from w2l.models.checkpoint import ModelCard, save_model
from w2l.models.packs import PACKS
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.queue import models
from w2l.queue.store import read_progress


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Cache.open(tmp_path / "cache", create=True).root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    dimensions = {"size": 112, "width": 8}
    card = ModelCard("judge", dimensions, data="LRS2, a part", licence="none", step=1200)
    save_model(tmp_path / "mine.safetensors", Judge(JudgeDimensions(**dimensions)), card)
    return tmp_path / "mine.safetensors"


def test_the_list_is_that_of_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["weights", "--json", "--cache", str(root)])
    listed = json.loads(capsys.readouterr().out)
    found = models.list_models(root)
    assert [(one.name, one.kind, one.size) for one in found] == [
        (one["name"], one["kind"], one["size"]) for one in listed
    ]
    assert all(one.licence and one.card["training data"] and one.card["file"] for one in found)


def test_an_imported_file_is_that_of_the_command(root: Path, file: Path, tmp_path: Path) -> None:
    seen = models.import_model(root, str(file), " ours ", "CC0", False)
    assert (seen.name, seen.kind, seen.origin, seen.licence) == ("ours", "judge", "imported", "CC0")
    assert seen.card["licence of the data"].startswith("LRS2: BBC")
    assert "ours" in [one.name for one in models.list_models(root)]
    words = shlex.split(models.import_command(tmp_path / "other", str(file), " ours ", "CC0", True))
    Cache.open(tmp_path / "other", create=True)
    cli.main([*words[1:], "-q"])
    ours, theirs = (Cache.open(place).models / "ours.safetensors" for place in (root, tmp_path / "other"))
    assert ours.read_bytes() == theirs.read_bytes()
    with pytest.raises(ConfigError, match="already exists"):
        models.import_model(root, str(file), "ours", "", False)
    models.import_model(root, str(file), "ours", "", True)


def test_what_cannot_be_imported_has_a_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose a model file"):
        models.import_model(root, "", "x", "", False)
    with pytest.raises(ConfigError, match="give the model a name"):
        models.import_model(root, "/x.pth", "  ", "", False)
    (tmp_path / "junk.pth").write_bytes(b"junk" * 99)
    with pytest.raises(CheckpointError, match=r"junk\.pth"):
        models.import_model(root, str(tmp_path / "junk.pth"), "x", "", False)


def test_nothing_is_downloaded_without_consent(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(pack: object, archive: object, timeout_s: float, on_progress: object) -> None:
        asked.append("asked")
        if callable(on_progress):
            on_progress(1000)
        raise CheckpointError("no network here")

    monkeypatch.setattr(fetch, "_download", answer)
    with pytest.raises(ConfigError, match="tick the box"):
        models.fetch_model(root, "buffalo_s", False, tmp_path / "told.json")
    with pytest.raises(ConfigError, match="there is no pack"):
        models.fetch_model(root, "buffalo", True, tmp_path / "told.json")
    assert asked == []
    with pytest.raises(CheckpointError, match="no network here"):
        models.fetch_model(root, "buffalo_s", True, tmp_path / "told.json")
    assert asked == ["asked"]
    assert read_progress(tmp_path / "told.json").total == PACKS["buffalo_s"].size
    assert models.fetch_command(root, "fid-inception") == f"w2l weights fetch fid-inception --yes --cache {root}"
