"""One cache linked from several."""

from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from examples.research.join_caches import join, main
from tests.helpers.tiny_cache import ALIGNED, add_track
from w2l.cache.store import Cache
from w2l.core.timing import mel_columns
from w2l.features.crop import CropSpec


def make(root: Path, clips: dict[str, str], crop: CropSpec = ALIGNED) -> Path:
    """Make a cache of clips with their splits; the speaker is the first part of a clip's name."""
    cache = Cache.open(root, create=True)
    for name, split in clips.items():
        frames = np.zeros((30, crop.size, crop.size, 3), np.uint8)
        add_track(cache, name, frames, {"mel": np.zeros((80, mel_columns(30 * 640)), np.float32)}, crop, split)
        clip = cache.clip(name)
        clip.note(clip.record().preprocess, split=split, speaker=name.split("/")[0])
    return root


def test_speakers_with_many_clips_are_thinned_where_they_train(tmp_path: Path) -> None:
    many = {f"s1/{k}": "train" for k in range(9)} | {"s1/v": "val", "s2/a": "train", "s2/b": "train"}
    roots = [make(tmp_path / "grid", many), make(tmp_path / "portraits", {"p1/x": "train", "p2/x": "train"})]
    assert join(tmp_path / "union", roots, {"s1": 3}) == {"train": 7, "val": 1}
    found = [clip.id for clip in Cache.open(tmp_path / "union").clips()]
    assert len([name for name in found if name.startswith("s1/")]) == 4
    assert {"s1/v", "s2/a", "s2/b", "p1/x", "p2/x"} < set(found)
    assert len(Cache.open(tmp_path / "union").tracks()) == 8
    assert len(Cache.open(roots[0]).tracks()) == 12
    crops = "clips/p1/x/tracks/0/frames.npy"
    assert (tmp_path / "union" / crops).samefile(roots[1] / crops)
    again = [clip.id for clip in Cache.open(tmp_path / "union").clips()]
    join(tmp_path / "other", roots, {"s1": 3})
    assert again == [clip.id for clip in Cache.open(tmp_path / "other").clips()]


def test_other_crops_and_clips_of_one_name_are_refused(tmp_path: Path) -> None:
    one = make(tmp_path / "one", {"s1/a": "train"})
    with pytest.raises(click.UsageError, match="crops differ"):
        join(tmp_path / "a", [one, make(tmp_path / "two", {"s2/a": "train"}, CropSpec("aligned", 64))], {})
    with pytest.raises(click.UsageError, match="in two caches"):
        join(tmp_path / "b", [one, one], {})


def test_what_is_asked_for_wrongly(tmp_path: Path) -> None:
    root = str(make(tmp_path / "one", {"s1/a": "train"}))
    for arguments, said in (
        ([root, root], "exists; pass a new folder"),
        ([str(tmp_path / "new"), root, "--most", "s1"], "expected NAME=COUNT"),
        ([str(tmp_path / "new")], "Missing argument"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert said in result.output
