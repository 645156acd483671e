"""preprocess and trainings killed at random moments: always readable, and in the end as if nothing had happened."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages import cli
from tests.helpers.forked import w2l
from tests.helpers.pool_work import until
from tests.helpers.puppet_clips import make_clip
from tests.helpers.random_kills import Kills, group_of
from tests.helpers.tiny_cache import noise_clip
from tests.helpers.training_runs import content, options
from w2l.cache.store import Cache
from w2l.core.files import TEMPORARY
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import read_card

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
SEED = 4
EVERY = 4
"""Steps from one checkpoint to the next."""
LOOP = ["width=2", "loop.steps=30", "loop.log_every=1", "loop.validate_every=10", f"loop.checkpoint_every={EVERY}"]
EXPERT = [*LOOP, "n_clips=3", "per_clip=3"]
GENERATOR = [*LOOP, "layout=warping", "sampling.batch_size=2", "sampling.distance=5", "sampling.resting=0.5", "sync=0",
             "drawn=0.1", "smooth=0.1", "adversarial=0.05", "features=0.1", "schedule.adversarial=[3, 4]", "ema=0.9",
             "discriminator.kind=patches", "discriminator.width=4", "validation_batches=1",
             "validation_tracks=0"]  # fmt: skip


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def check_readable(root: Path) -> int:
    """Opens the cache as a training does, and all that its index names; gives the number of tracks."""
    cache = Cache.open(root)
    rows = cache.all_tracks()
    for row in rows:
        crops, mel = cache.load_track(row)
        assert len(crops) == row.n_frames
        assert np.asarray(crops[0 : len(crops)]).shape[1:] == crops.shape[1:]
        assert mel.shape == (80, row.n_columns)
    for clip in cache.clips():
        record = clip.record()
        assert record.id == clip.id
        assert record.preprocess.outcome in (None, "done", "set aside")
        if clip.faces.exists():
            with np.load(clip.faces) as faces:
                assert faces.files
                assert all(faces[name] is not None for name in faces.files)
    return len(rows)


def preprocess(*given: object) -> int:
    """Runs preprocess in this process; gives its exit status."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["preprocess", *map(str, given), "--device", "cpu"])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_preprocess_killed_amid_its_clips(tmp_path: Path) -> None:
    videos, cache, whole = (tmp_path / name for name in ("in", "cache", "whole"))
    for number in range(4):
        make_clip(videos / f"{number}.mp4", number, 1.0, sound=number != 2, face=number != 3)
    (videos / "cut.mp4").write_bytes((videos / "0.mp4").read_bytes()[:600])
    assert preprocess(videos, "--cache", whole) == 1
    assert check_readable(whole) == 2
    with w2l(tmp_path / "killed", "preprocess", videos, "--jobs", 2, "--device", "cpu", "--cache", cache) as process:
        process.until(lambda: list(cache.glob("clips/*/clip.json")))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        until(lambda: not group_of(process.pid))
    assert 1 <= len(list(cache.glob("clips/*/clip.json"))) < 5
    check_readable(cache)
    assert preprocess(videos, "--cache", cache) == 1
    assert contents(cache) == contents(whole)


@pytest.mark.slow  # one kill is above, and those before any change of a file in test_preprocess_killed.py
def test_preprocess_killed_at_random_moments(tmp_path: Path) -> None:
    videos, cache, whole = (tmp_path / name for name in ("in", "cache", "whole"))
    for number in range(6):
        make_clip(videos / f"{number}.mp4", number, 1.2, sound=number != 3, face=number != 4)
    (videos / "cut.mp4").write_bytes((videos / "0.mp4").read_bytes()[:600])
    kills = Kills(SEED, tmp_path / "log.txt")
    given = ("preprocess", videos, "--jobs", 2, "--device", "cpu")
    assert kills.whole(*given, "--cache", whole) == 1
    assert check_readable(whole) == 4
    expected = contents(whole)
    while not kills.enough(50):
        other = kills.one_of("", "--force", "--set=crop.size=64", "--set=gates.max_silent=0.5")
        other = "--force" if "ended" in kills.how[-1:] else other  # else there is nothing left to be cut short
        kills.once(*given, "--cache", cache, *filter(None, [other]))
        if (cache / "cache.json").exists():
            check_readable(cache)
    assert kills.whole(*given, "--cache", cache) == 1
    found = contents(cache)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    assert not [name for name in found if TEMPORARY in name or name.endswith(".lock")]
    kills.check_log()


def same(left: Any, right: Any) -> bool:
    """Whether two training states are equal, tensors bit for bit."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def state_of(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "state.pt", weights_only=True))


def last_step(folder: Path) -> int:
    """The last step that a run's log tells of, half a line at its end aside; 0 where there is none."""
    if not (folder / "log.jsonl").exists():
        return 0
    lines = (folder / "log.jsonl").read_text().split("\n")[:-1]
    return max((int(json.loads(line)["step"]) for line in lines), default=0)


@pytest.mark.slow  # one kill is in test_train_expert.py and in test_train.py
@pytest.mark.parametrize(
    ("stage", "kind", "settings", "n_kills"),
    [("train-expert", "expert", EXPERT, 50), ("train", "generator", GENERATOR, 20)],
)
def test_trainings_killed_at_random_moments(
    tmp_path: Path, stage: str, kind: str, settings: list[str], n_kills: int
) -> None:
    caches = [Cache.open(tmp_path / name, create=True) for name in ("whole", "killed")]
    for cache in caches:
        for number in range(4):
            noise_clip(cache, f"clip{number}", CropSpec("aligned", 32), 60)
    whole, killed = (cache.run_folder(kind) for cache in caches)
    kills = Kills(SEED, tmp_path / "log.txt")
    given = (stage, "--device", "cpu", *options(settings), "--cache")
    assert kills.whole(*given, caches[0].root) == 0
    while not kills.enough(n_kills):
        again = ["--force"] if "ended" in kills.how[-1:] else []
        kills.once(*given, caches[1].root, *again)
        for model in killed.glob(f"{kind}-*.safetensors"):
            assert read_card(model).kind == kind
        kept = int(state_of(killed)["step"]) if (killed / "state.pt").exists() else 0
        assert last_step(killed) - kept <= EVERY
    assert kills.whole(*given, caches[1].root) == 0
    assert content(killed) == content(whole)
    assert same(state_of(killed), state_of(whole))
    kills.check_log()
