"""Experts trained without one person after the other: who trains, who is measured, what is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from examples.research import leave_one_out as script
from tests.helpers.tiny_cache import talking_cache
from w2l.core.errors import ConfigError
from w2l.training.expert.settings import ExpertSettings

PEOPLE = ["ann", "bob", "cid", "dot"]
QUICK = [
    "width=2", "n_clips=2", "per_clip=2", "check=false", "max_silent=1", "workers=0", "loop.steps=2",
    "loop.validate_every=2", "loop.checkpoint_every=2", "loop.log_every=1",
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache of two clips of each of three people, and of two whom nobody trains on."""
    root = tmp_path / "cache"
    cache = talking_cache(root, 10, n_frames=40, split="train")
    for number, clip in enumerate(cache.clips()):
        person = ("ann", "bob", "cid", "eve", "fay")[number // 2]
        record = json.loads((clip.folder / "clip.json").read_text())
        record |= {"speaker": person, "split": "train" if number < 6 else "unseen"}
        (clip.folder / "clip.json").write_text(json.dumps(record))
    cache.invalidate_index()
    return root


def run(root: Path, out: Path, *given: str) -> str:
    settings = [word for each in QUICK for word in ("--set", each)]
    done = CliRunner().invoke(
        script.main, [str(root), str(out), *settings, "--device", "cpu", *given], catch_exceptions=False
    )
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_finished_folds_are_kept(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(root, tmp_path / "out", "--person", "ann")
    assert [line.split("|")[1].strip() for line in first.splitlines()[2:4]] == ["ann", "mean of 1 people"]
    both = run(root, tmp_path / "out", "--person", "ann", "--person", "bob")
    monkeypatch.setattr(script, "train_expert", lambda *_: pytest.fail("trained again"))
    assert run(root, tmp_path / "out", "--person", "ann", "--person", "bob") == both
    rows = {line.split("|")[1].strip(): line for line in both.splitlines()}
    assert rows["ann"].split("|")[2].strip() == "2"
    assert rows["ann"].split("|")[3].strip()  # calibrated on bob
    records = [json.loads(path.read_text()) for path in (tmp_path / "out/without-ann/cache/clips").glob("*/clip.json")]
    assert {(record["speaker"], record["split"]) for record in records} == {
        ("ann", "val"), ("bob", "train"), ("cid", "train"), ("eve", "unseen"), ("fay", "unseen"),
    }  # fmt: skip
    (tmp_path / "out/without-ann/pairs.npz").unlink()  # nor is one that was interrupted
    settings = ["--set", "seed=5", "--person", "ann"]
    changed = CliRunner().invoke(script.main, [str(root), str(tmp_path / "out"), *settings])
    assert changed.exit_code == 2
    assert "another recipe" in changed.stderr


def test_the_curve_is_of_people_unseen(root: Path, tmp_path: Path) -> None:
    rows = [line.split("|") for line in run(root, tmp_path / "out", "--train-on", "2").splitlines()[2:]]
    assert [[cell.strip() for cell in row[1:4:2]] for row in rows] == [["2", "2"]]
    records = [json.loads(path.read_text()) for path in (tmp_path / "out/2-people-0/cache/clips").glob("*/clip.json")]
    assert len({record["speaker"] for record in records if record["split"] == "train"}) == 2


def test_a_list_that_the_cache_lacks_is_missed_before_training(root: Path) -> None:
    assert script.training_people(root, {"cid": "bob"}) == ["ann", "bob"]
    with pytest.raises(ConfigError, match="no clips of the list moon"):
        script.training_people(root, {}, ["moon"])


def test_those_whom_the_first_weights_have_seen_always_train() -> None:
    plans = list(script.folds(PEOPLE, [], ["ann"]))
    assert [plan.left_out for plan in plans] == ["bob", "cid", "dot"]
    assert all("ann" in plan.trained and plan.left_out not in plan.trained for plan in plans)
    small, large = script.curve(PEOPLE, [2, 4], ["dot"], 0)
    assert small.trained[0] == "dot"
    assert set(small.trained) < set(large.trained) == set(PEOPLE)
    with pytest.raises(ConfigError, match="cannot be left out"):
        list(script.folds(PEOPLE, ["ann"], ["ann"]))
    with pytest.raises(ConfigError, match="eve: not on the list train"):
        list(script.folds(PEOPLE, ["eve"], []))
    with pytest.raises(ConfigError, match="eve: not on the list train"):
        list(script.curve(PEOPLE, [2], ["eve"], 0))
    with pytest.raises(ConfigError, match="allows 1 to 4 people"):
        list(script.curve(PEOPLE, [5], [], 0))
    with pytest.raises(ConfigError, match="--init-saw"):
        script.check_init(ExpertSettings(init="w2l"), [])


def test_nobody_is_calibrated_on_themselves() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(["near", "far"], 400)
    shift = np.where(person == "near", 0.0, 5.0)
    arrays = {
        "in_sync": rng.normal(1, 0.3, 800) + shift, "off_sync": rng.normal(0, 0.3, 800) + shift, "person": person,
        "offsets": np.array([0, 7]), "offset_person": np.array(["near", "far"]),
    }  # fmt: skip
    half, auc, placed, ece = script.measure(script.by_person(arrays))["far"]
    assert half == pytest.approx(0.5, abs=0.01)  # all of the far one's windows are in sync by the other's scale
    assert auc > 0.95
    assert placed == 0.0
    assert ece > 0.4
