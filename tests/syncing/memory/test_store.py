"""Looks in the cache: the same after a round trip; what is damaged or foreign is gathered anew, and that is said."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.syncing.memory.made_looks import faces_at
from w2l.features.crop import CropSpec, FineCrop
from w2l.syncing.memory.looks import Looks, Measures, compress
from w2l.syncing.memory.store import kept_covers, kept_looks, looks_mark


def some_looks(count: int = 6) -> Looks:
    """Looks of random numbers."""
    rng = np.random.default_rng(count)
    measures = Measures(
        frame_idx=np.arange(count), pose=rng.normal(size=(count, 2)), points=rng.random((count, 6, 2)),
        gap=rng.random(count), width=rng.random(count), teeth=rng.random(count), covered=np.zeros(count),
        sharpness=np.ones(count), light=np.full((count, 3), 120.0), cells=rng.random((count, 128, 4), np.float32),
    )  # fmt: skip
    crops = tuple(compress(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(count))
    return Looks(measures, rng.normal(size=(count, 8)), crops, measures)


def unwanted() -> dict[int, Looks]:
    """What must not be asked for."""
    raise AssertionError("gathered again")


def test_what_was_kept_is_not_gathered_again(tmp_path: Path) -> None:
    path = tmp_path / "looks.npz"
    made = kept_looks(path, "mark", lambda: {3: some_looks(), 5: some_looks(4)})
    found = kept_looks(path, "mark", unwanted)
    assert found.keys() == made.keys()
    for track, looks in made.items():
        assert found[track].crops == looks.crops
        np.testing.assert_array_equal(found[track].sync, looks.sync)
        np.testing.assert_array_equal(found[track].measures.points, looks.measures.points)
        np.testing.assert_array_equal(found[track].seen.cells, looks.seen.cells)


@pytest.mark.parametrize("damage", ["cut", "junk", "other arrays", "bent crop", "too few"])
def test_a_damaged_file_is_gathered_anew_and_that_is_said(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, looks = tmp_path / "looks.npz", some_looks()
    broken = replace(looks, crops=(b"no picture", *looks.crops[1:]))
    short = replace(looks, sync=looks.sync[:2])
    kept_looks(path, "mark", lambda: {0: {"bent crop": broken, "too few": short}.get(damage, looks)})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "junk":
        path.write_bytes(b"junk" * 30)
    elif damage == "other arrays":
        np.savez(path, mark="mark", tracks=np.array([0]))
    with caplog.at_level(logging.WARNING):
        assert kept_looks(path, "mark", lambda: {0: looks})[0].crops == looks.crops
    assert "is damaged" in caplog.text
    assert kept_looks(path, "mark", unwanted)[0].crops == looks.crops


def test_looks_of_another_model_are_gathered_anew_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "looks.npz"
    kept_looks(path, "one", lambda: {0: some_looks()})
    with caplog.at_level(logging.INFO):
        assert len(kept_looks(path, "other", lambda: {0: some_looks(4)})[0]) == 4
    assert "other faces, model or crop" in caplog.text


def test_the_mark_knows_video_faces_crop_and_expert(tmp_path: Path) -> None:
    for name in ("video", "other", "expert", "student"):
        (tmp_path / name).write_text(name * 3)
    faces, spec = faces_at(np.zeros((4, 5, 2))), CropSpec()
    marks = [
        looks_mark(tmp_path / "video", faces, spec, tmp_path / "expert"),
        looks_mark(tmp_path / "other", faces, spec, tmp_path / "expert"),
        looks_mark(tmp_path / "video", faces_at(np.ones((4, 5, 2))), spec, tmp_path / "expert"),
        looks_mark(tmp_path / "video", faces, CropSpec(size=192), tmp_path / "expert"),
        looks_mark(tmp_path / "video", faces, FineCrop(size=192), tmp_path / "expert"),
        looks_mark(tmp_path / "video", faces, spec, tmp_path / "student"),
    ]
    assert len(set(marks)) == len(marks)
    assert marks[0] == looks_mark(tmp_path / "video", faces, spec, tmp_path / "expert")


def test_what_cannot_be_stored_is_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("a file where a folder should be")
    assert kept_covers(tmp_path / "in the way" / "covers.npz", "mark", dict) == {}
