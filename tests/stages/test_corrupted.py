"""A dataset in which a quarter of the files is broken: all is looked at, every reason is named, all good clips stay."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.puppet_clips import N_FRAMES, ODD_NAME, make_dataset
from tests.helpers.sync_runs import Run
from w2l.cache.store import Cache, safe_id

GATES = {
    "text": {"unreadable"}, "zero": {"unreadable"}, "mute": {"no sound"}, "wall": {"no face"},
    "cut": {"unreadable", "no sound", "no face", "too short", "no frames in common"},
}  # fmt: skip
SAID = {"mute": "has no audio stream", "wall": "no face", "zero": "the file is empty", "text": "not a readable"}


@pytest.mark.parametrize(("n_clips", "jobs"), [(10, 1), pytest.param(100, 2, marks=pytest.mark.slow)])
def test_a_dataset_with_broken_files(w2l: Run, tmp_path: Path, n_clips: int, jobs: int) -> None:
    wrong = {safe_id(stem): kind for stem, kind in make_dataset(tmp_path / "in", n_clips).items()}
    ended = w2l("preprocess", "in", "--jobs", jobs, "--device", "cpu", "--json")
    assert ended.status == 1, ended.err
    assert "Traceback" not in ended.err
    found = json.loads(ended.out)
    long_enough = {clip_id for clip_id, kind in wrong.items() if kind == "cut"} - found["set_aside"].keys()
    bad = {clip_id: kind for clip_id, kind in wrong.items() if kind and clip_id not in long_enough}
    assert (found["done"], found["skipped"], found["tracks"]) == (n_clips, 0, n_clips - len(bad))
    assert found["set_aside"].keys() == bad.keys()
    assert sorted(clip_id for clips in found["reasons"].values() for clip_id in clips) == sorted(bad)
    gates = {clip_id: gate for gate, clips in found["reasons"].items() for clip_id in clips}
    for clip_id, kind in bad.items():
        reason = found["set_aside"][clip_id]
        assert gates[clip_id] in GATES[kind]
        assert SAID.get(kind, ".mp4") in reason
        assert "\n" not in reason
        assert f"set aside {clip_id}: {reason}\n" in ended.err

    cache = Cache.open(tmp_path / "cache")
    assert {clip.id for clip in cache.clips()} == wrong.keys()
    rows = cache.tracks()
    assert {row.clip for row in rows} == wrong.keys() - bad.keys()
    assert safe_id(f"{ODD_NAME} odd") in {row.clip for row in rows}
    for row in rows:
        crops, mel = cache.load_track(row)
        assert len(crops) == row.n_frames
        assert (row.n_frames < N_FRAMES) is (row.clip in long_enough)
        assert mel.shape == (80, row.n_columns)
        assert np.ptp(np.asarray(crops[0])) > 100
    for clip in cache.clips():
        record = clip.record()
        assert record.preprocess.outcome == ("set aside" if clip.id in bad else "done")
        assert Path(record.source or "").is_file()

    # Again: nothing to do, and the same is said. Strict: the first bad clip ends it, in one line.
    again = w2l("preprocess", "in", "--device", "cpu", "--json")
    assert again.status == 1
    told = json.loads(again.out)
    assert (told["done"], told["skipped"]) == (0, n_clips)
    assert {key: told[key] for key in ("set_aside", "reasons", "tracks")} == {
        key: found[key] for key in ("set_aside", "reasons", "tracks")
    }
    strict = w2l("preprocess", "in", "--device", "cpu", "--strict", "-q")
    assert strict.status == 1
    assert (strict.out, strict.err.count("\n")) == ("", 1)
    assert "without --strict" in strict.err
