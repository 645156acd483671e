"""The example that measures an expert: rows, tables and pictures, on a made cache and on puppets drawn for it."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from examples.research import evaluate_expert as example
from tests.helpers.tiny_cache import ALIGNED, JUDGE, talking_cache
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, dimensions_of, save_model
from w2l.nets.expert import Expert, ExpertDimensions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache with clips of three splits."""
    for seed, split in enumerate(("train", "val", "test")):
        cache = talking_cache(tmp_path / split, 2, n_frames=60, split=split, seed=seed)
        for clip in list(cache.clips()):
            target = tmp_path / "cache" / "clips" / f"{split}-{clip.id}"
            target.parent.mkdir(parents=True, exist_ok=True)
            clip.folder.rename(target)
    (tmp_path / "cache" / "cache.json").write_text((tmp_path / "val" / "cache.json").read_text())
    return tmp_path / "cache"


def save_expert(path: Path, seed: int, crop: CropSpec = ALIGNED) -> Path:
    torch.manual_seed(seed)
    network = Expert(ExpertDimensions(crop.size, width=2, signed=True))
    save_model(path, network, ModelCard("expert", dimensions_of(network), crop))
    return path


def test_tables_scores_and_pictures(root: Path, tmp_path: Path) -> None:
    first, second = (save_expert(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2))
    out = tmp_path / "out"
    given = [str(root), str(first), "--beside", str(second), "--split", "test", "--split", "moon", "--out", str(out)]
    done = CliRunner().invoke(example.main, [*given, "--device", "cpu"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "not in the cache: moon" in done.stderr
    assert done.stdout == (out / "scores.md").read_text()
    rows = json.loads((out / "scores.json").read_text())["rows"]
    told = [(row["split"], row["model"], row["n_clips"]) for row in rows]
    names = [str(first), str(second), "random weights"]
    assert told == [(split, name, 2) for split in ("val", "test") for name in names]
    thresholds = {(row["model"], row["found"]["threshold"]) for row in rows}
    assert len(thresholds) == 3  # chosen on val and kept
    lines = done.stdout.splitlines()
    assert len({line.count("|") for line in lines[:8]}) == len({line.count("|") for line in lines[9:15]}) == 1
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {f"{kind}-{split}.png" for kind in ("gaps", "similarities") for split in ("val", "test")}


def test_a_model_for_other_crops_is_refused(root: Path, tmp_path: Path) -> None:
    path = save_expert(tmp_path / "other.safetensors", 1, JUDGE)
    done = CliRunner().invoke(example.main, [str(root), str(path)])
    assert done.exit_code == 2
    assert "the cache contains aligned crops of 32 px" in done.stderr


def test_puppets_that_no_data_set_holds() -> None:
    with example.puppets(2, CropSpec(size=48)) as opened:
        tracks = opened(5)
        assert sorted(tracks.names) == ["p0000", "p0001"]
        assert tracks.frames(0)[0:1].shape == (1, 48, 48, 3)
        assert not torch.equal(torch.from_numpy(tracks.mel(0)), torch.from_numpy(tracks.mel(1)))
