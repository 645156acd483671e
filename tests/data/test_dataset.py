"""Batches: which frames and columns they hold, that seed and step decide them, and caches that hold too little."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_cache import ALIGNED, JUDGE, add_track, numbered_cache, talking_cache

from w2l.cache import Cache
from w2l.data import dataset
from w2l.data.augment import AugmentSettings
from w2l.data.dataset import Tracks, crop_spec, expert_batch, generator_batch, open_splits
from w2l.data.windows import generator_mels
from w2l.errors import CacheError, TrainingError
from w2l.faces.crop import CropSpec
from w2l.timing import window_start

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
GAP = 5
SIZE = ALIGNED.size


def open_all(cache: Cache, crop: CropSpec = ALIGNED) -> Tracks:
    return Tracks(cache, cache.tracks(), crop)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    return open_all(numbered_cache(tmp_path_factory.mktemp("numbered") / "cache"))


def where(faces: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(track, frame) that the pictures (..., rows, width, 3) of a numbered cache show."""
    return faces[..., 0, 0, 1].astype(np.int64), faces[..., 0, 0, 0].astype(np.int64)


def same(one: object, two: object) -> bool:
    """Whether two batches are equal, bit for bit."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(two, field.name))
        for field in dataclasses.fields(one)  # type: ignore[arg-type]
    )


class TestExpertBatch:
    def test_it_depends_on_seed_and_step_alone(self, numbered: Tracks) -> None:
        def batch(seed: int, step: int) -> dataset.ExpertBatch:
            return expert_batch(numbered, seed, step, 2, 4, GAP, AugmentSettings())

        first = [batch(3, step) for step in range(4)]
        again = [batch(3, step) for step in reversed(range(4))]
        assert all(same(a, b) for a, b in zip(first, reversed(again)))
        assert not same(first[0], first[1])
        assert not same(first[0], batch(4, 0))

    def test_windows_are_five_frames_with_their_own_sound(self, numbered: Tracks) -> None:
        batch = expert_batch(numbered, 0, 0, 3, 4, GAP, OFF)
        _, frame = where(batch.faces)
        assert batch.faces.shape == (12, 5, SIZE // 2, SIZE, 3)
        np.testing.assert_array_equal(frame, frame[:, :1] + np.arange(5))
        starts = np.array([window_start(int(start)) for start in frame[:, 0]])
        assert batch.sounds.shape == (12, 80, 16)
        np.testing.assert_allclose(batch.sounds[:, 7], (starts[:, None] + np.arange(16)) / 100, atol=1e-6)

    @pytest.mark.parametrize(("per_clip", "gap"), [(2, 5), (4, 5), (6, 10), (12, 5)])
    def test_windows_of_a_clip_are_the_gap_apart(self, numbered: Tracks, per_clip: int, gap: int) -> None:
        partners = set()
        for step in range(30):
            batch = expert_batch(numbered, 0, step, 2, per_clip, gap, OFF)
            track, frame = (array[:, 0] for array in where(batch.faces))
            np.testing.assert_array_equal(track.reshape(2, per_clip), track[::per_clip, None].repeat(per_clip, 1))
            apart = np.abs(frame.reshape(2, per_clip, 1) - frame.reshape(2, 1, per_clip))
            assert apart[:, ~np.eye(per_clip, dtype=bool)].min() >= gap
            np.testing.assert_array_equal(track[batch.partner], track)
            assert np.abs(frame[batch.partner] - frame).min() >= gap
            partners |= set((batch.partner - np.arange(2 * per_clip)).tolist())
        assert len(partners) == 2 * per_clip - 2  # all others of the clip have their turn

    def test_all_windows_come_up(self, numbered: Tracks) -> None:
        starts = {
            int(f) for step in range(150) for f in where(expert_batch(numbered, 0, step, 3, 2, GAP, OFF).faces)[1][:, 0]
        }
        assert starts == set(range(int(numbered.counts[0])))

    def test_half_of_the_pairs_are_in_sync(self, numbered: Tracks) -> None:
        coins = np.concatenate([expert_batch(numbered, 0, step, 3, 4, GAP, OFF).in_sync for step in range(100)])
        assert abs(coins.mean() - 0.5) < 0.06

    def test_short_clips_are_left_out(self, tmp_path: Path) -> None:
        """No window may have a partner nearer than the gap, so that what is called off sync is off sync."""
        tracks = open_all(numbered_cache(tmp_path / "cache", (60, 19, 20, 6)))  # 4 windows 5 apart: 20 frames
        for step in range(20):
            assert set(where(expert_batch(tracks, 0, step, 8, 4, GAP, OFF).faces)[0].ravel()) == {0, 2}
        with pytest.raises(TrainingError, match=r"none of 4 tracks has room for 14 windows 5 frames apart.*per_clip"):
            expert_batch(tracks, 0, 0, 8, 14, GAP, OFF)

    def test_with_few_clips_the_batch_is_smaller(self, numbered: Tracks) -> None:
        batch = expert_batch(numbered, 0, 0, 16, 4, GAP, OFF)
        assert len(batch.faces) == len(batch.sounds) == len(batch.partner) == len(batch.silent) == 12
        assert sorted(set(where(batch.faces)[0].ravel())) == [0, 1, 2]

    def test_a_judge_sees_whole_crops_and_hears_mfccs(self, tmp_path: Path) -> None:
        tracks = open_all(numbered_cache(tmp_path / "cache", (40, 40), JUDGE), JUDGE)
        batch = expert_batch(tracks, 0, 0, 2, 3, GAP, OFF)
        assert batch.faces.shape == (6, 5, JUDGE.size, JUDGE.size, 3)
        frame = where(batch.faces)[1][:, 0]
        expected = np.minimum(
            4 * frame[:, None] + np.arange(20), 40 * 4 - 3
        )  # the last column stands in for missing ones
        np.testing.assert_array_equal(batch.sounds[:, 5], expected)


class TestGeneratorBatch:
    def test_it_depends_on_seed_and_step_alone(self, numbered: Tracks) -> None:
        def batch(seed: int, step: int) -> dataset.GeneratorBatch:
            return generator_batch(numbered, seed, step, 3, 2, True, AugmentSettings())

        assert same(batch(1, 5), batch(1, 5))
        assert not same(batch(1, 5), batch(1, 6))
        assert not same(batch(1, 5), batch(2, 5))

    def test_each_frame_hears_the_window_one_frame_early(self, numbered: Tracks) -> None:
        batch = generator_batch(numbered, 0, 0, 20, 1, True, OFF)
        for faces, mels, heard in zip(batch.target, batch.mels, batch.expert_mels):
            track, frame = where(faces)
            np.testing.assert_array_equal(frame, frame[0] + np.arange(5))
            np.testing.assert_allclose(mels, generator_mels(numbered.mels[track[0]], int(frame[0])), atol=1e-6)
            np.testing.assert_allclose(heard[0], (window_start(int(frame[0])) + np.arange(16)) / 100, atol=1e-6)

    @pytest.mark.parametrize("still", [True, False], ids=["still", "consecutive"])
    def test_references_lie_outside_the_target(self, numbered: Tracks, still: bool) -> None:
        seen = set()
        for step in range(40):
            batch = generator_batch(numbered, 0, step, 6, 2, still, OFF)
            track, frame = where(batch.target)
            for channels in (slice(0, 3), slice(3, 6)):
                of_track, of_frame = where(batch.reference[..., channels])
                np.testing.assert_array_equal(of_track, track)
                assert not (of_frame[:, :, None] == frame[:, None, :]).any()
                np.testing.assert_array_equal(of_frame, of_frame[:, :1] + np.arange(5) * (not still))
                seen |= set(of_frame.ravel().tolist())
        assert seen == set(range(60))  # every frame may be a reference

    def test_short_clips_take_what_there_is(self, tmp_path: Path) -> None:
        tracks = open_all(numbered_cache(tmp_path / "cache", (6,)))
        frame = where(generator_batch(tracks, 0, 0, 8, 1, True, OFF).target)[1]
        reference = where(generator_batch(tracks, 0, 0, 8, 1, True, OFF).reference)[1]
        assert not (reference[:, :1] == frame).any()
        assert generator_batch(tracks, 0, 0, 8, 1, False, OFF).reference.shape == (8, 5, SIZE, SIZE, 3)

    def test_target_and_reference_look_alike(self, tmp_path: Path) -> None:
        """They are mirrored and tinted together: the reference tells the generator how the face looks."""
        rng = np.random.default_rng(0)
        image = np.repeat(rng.integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8), 30, axis=0)
        cache = Cache.open(tmp_path / "cache", create=True)
        add_track(cache, "still", image, {"mel": np.zeros((80, 97), np.float32)}, ALIGNED)
        batch = generator_batch(open_all(cache), 0, 0, 8, 1, True, AugmentSettings())
        np.testing.assert_array_equal(batch.target, batch.reference)
        assert not (batch.target == image[0]).all(axis=(1, 2, 3, 4)).any()


class TestSplits:
    def splits(self, tmp_path: Path, *lists: str) -> tuple[set[str], set[str]]:
        for number, split in enumerate(lists):
            frames = np.zeros((30, SIZE, SIZE, 3), np.uint8)
            cache = Cache.open(tmp_path / "cache", create=True)
            add_track(cache, f"{split}{number}", frames, {"mel": np.zeros((80, 97), np.float32)}, ALIGNED, split)
        train, val = open_splits(Cache.open(tmp_path / "cache"), ALIGNED)
        return set(train.names), set(val.names)

    def test_lists_are_followed(self, tmp_path: Path) -> None:
        train, val = self.splits(tmp_path, "train", "pretrain", "val", "test", "unseen", "")
        assert (train, val) == ({"train0", "pretrain1"}, {"val2"})

    @pytest.mark.parametrize("split", ["", "val", "train"])
    def test_without_both_lists_a_tenth_validates(self, tmp_path: Path, split: str) -> None:
        train, val = self.splits(tmp_path, *[split] * 20, "test", "unseen")
        assert (len(train), len(val)) == (18, 2)
        assert not train & val
        assert not any(name.startswith(("test", "unseen")) for name in train | val)
        assert self.splits(tmp_path) == (train, val)

    @pytest.mark.parametrize("lists", [("",), ("train",), ("test", "unseen", "test"), ("", "test")])
    def test_one_clip_is_too_few(self, tmp_path: Path, lists: tuple[str, ...]) -> None:
        with pytest.raises(CacheError, match="preprocess two clips or more"):
            self.splits(tmp_path, *lists)

    def test_an_empty_cache(self, tmp_path: Path) -> None:
        cache = Cache.open(tmp_path / "cache", create=True)
        for look in (crop_spec, lambda cache: open_splits(cache, ALIGNED)):
            with pytest.raises(CacheError, match="holds no face track; run w2l preprocess"):
                look(cache)

    def test_clips_shorter_than_two_windows(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (5, 4))
        with pytest.raises(TrainingError, match="add longer clips"):
            open_all(cache)


def test_the_crops_of_a_cache(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "cache", 2)
    assert crop_spec(cache) == ALIGNED
    add_track(cache, "other", np.zeros((30, 96, 96, 3), np.uint8), {"mel": np.zeros((80, 97), np.float32)}, CropSpec())
    with pytest.raises(CacheError, match="2 kinds of crops"):
        crop_spec(cache)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc here")
def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "OPEN_FILES", 3)
    tracks = open_all(numbered_cache(tmp_path / "cache", (20,) * 12))
    before = len(os.listdir("/proc/self/fd"))
    for track in range(12):
        assert where(tracks.window(track, 2))[0].tolist() == [track] * 5
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_a_track_that_was_removed_is_named(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "cache", 2)
    rows = cache.tracks()
    (cache.clip("clip1").folder / "tracks" / "0" / "mel.npy").write_bytes(b"short")
    with pytest.raises(CacheError, match=r"clip1.*cannot be read.*preprocess --force"):
        Tracks(cache, rows, ALIGNED)
