"""Tracks: what is seen and heard of them, also where the audit found an offset; batches for a generator; splits."""

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_cache import ALIGNED, JUDGE, add_track, numbered_cache, talking_cache, where
from w2l.cache.store import Cache
from w2l.core.errors import CacheError, TrainingError
from w2l.core.timing import window_start
from w2l.data.batches import tracks as dataset
from w2l.data.batches.tracks import Tracks, crop_spec, open_splits
from w2l.features.crop import CropSpec
from w2l.features.windows import is_silent, window_columns

SIZE = ALIGNED.size


def open_all(cache: Cache, crop: CropSpec = ALIGNED) -> Tracks:
    return Tracks(cache, cache.tracks(), crop)


class TestSplits:
    def splits(self, tmp_path: Path, *lists: str, speakers: int = 0) -> tuple[set[str], set[str]]:
        cache = Cache.open(tmp_path / "cache", create=True)
        for number, split in enumerate(lists):
            frames = np.zeros((8, SIZE, SIZE, 3), np.uint8)
            add_track(cache, f"{split}{number}", frames, {"mel": np.zeros((80, 97), np.float32)}, ALIGNED, split)
            if speakers:
                clip = cache.clip(f"{split}{number}")
                clip.note(clip.record().preprocess, speaker=f"s{number % speakers}")
        cache.invalidate_index()
        train, val = open_splits(Cache.open(tmp_path / "cache"), ALIGNED)
        return set(train.names), set(val.names)

    def test_lists_are_followed(self, tmp_path: Path) -> None:
        train, val = self.splits(tmp_path, "train", "pretrain", "val", "test", "unseen", "")
        assert (train, val) == ({"train0", "pretrain1"}, {"val2"})

    @pytest.mark.parametrize("split", ["", "train"])
    def test_without_lists_some_clips_validate(self, tmp_path: Path, split: str) -> None:
        train, val = self.splits(tmp_path, *[split] * 20, "test", "unseen")
        assert len(train | val) == 20
        assert 1 <= len(val) < 8
        assert not train & val
        assert self.splits(tmp_path) == (train, val)

    def test_no_speaker_both_trains_and_validates(self, tmp_path: Path) -> None:
        train, val = self.splits(tmp_path, *[""] * 30, speakers=15)
        assert len(train | val) == 30
        assert not {int(name) % 15 for name in train} & {int(name) % 15 for name in val}

    @pytest.mark.parametrize("lists", [("",), ("train",), ("test", "unseen", "test"), ("", "test")])
    def test_one_clip_is_too_few(self, tmp_path: Path, lists: tuple[str, ...]) -> None:
        with pytest.raises(CacheError, match="preprocess two clips or more"):
            self.splits(tmp_path, *lists)

    def test_an_empty_cache(self, tmp_path: Path) -> None:
        cache = Cache.open(tmp_path / "cache", create=True)
        for look in (crop_spec, lambda cache: open_splits(cache, ALIGNED)):
            with pytest.raises(CacheError, match="contains no face tracks; run w2l preprocess"):
                look(cache)


class TestUnusable:
    def test_clips_shorter_than_two_windows(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (5, 4))
        with pytest.raises(TrainingError, match=r"2 tracks, none usable: 2 shorter than two windows of 5 frames; add"):
            open_all(cache)

    def test_every_reason_is_counted(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (40, 40, 40, 5, 4, 40))
        rows = [replace(row, status="mute" if row.clip < "clip002" else "") for row in cache.tracks()]
        rows[2], rows[5] = replace(rows[2], n_columns=16), replace(rows[5], offset=38)
        said = "2 shorter .*, 2 with too little audio, .*, 2 excluded by the audit \\(most often: mute\\)"
        with pytest.raises(TrainingError, match=f"6 tracks, none usable: {said}; add longer clips"):
            Tracks(cache, rows, ALIGNED)
        with pytest.raises(TrainingError, match="0 tracks, none usable; add"):
            Tracks(cache, [], ALIGNED)

    def test_what_can_be_used_is_used(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (40, 6, 5, 40))
        rows = [replace(row, status="mute" if row.clip == "clip003" else "") for row in cache.tracks()]
        tracks = Tracks(cache, rows, ALIGNED)
        assert tracks.names == ["clip000", "clip001"]
        assert tracks.counts.tolist() == [36, 2]
        assert Tracks(cache, rows, ALIGNED, 16).names == ["clip000"]


@pytest.mark.parametrize("offset", [0, 1, 2, 7, -1, -2, -5, -6, -10])
@pytest.mark.parametrize("crop", [ALIGNED, JUDGE], ids=["expert", "judge"])
@pytest.mark.parametrize("n_frames", [5, 16])
def test_a_shifted_track_is_in_sync_as_seen(tmp_path: Path, offset: int, crop: CropSpec, n_frames: int) -> None:
    """Face i of the files has sound i - offset: the numbers that both show say so, and both are complete."""
    cache = numbered_cache(tmp_path / "cache", (60,), crop)
    tracks = Tracks(cache, [replace(row, offset=offset) for row in cache.tracks()], crop, n_frames)
    assert 60 - abs(offset) - 4 <= tracks.counts[0] + n_frames - 1 <= 60 - abs(offset)
    for start in range(int(tracks.counts[0])):
        face = int(where(tracks.seen(0, start))[1][0])
        sound = face - offset
        heard = tracks.heard(0, start)
        assert len(tracks.window(0, start)) == n_frames
        if crop == JUDGE:
            np.testing.assert_array_equal(heard[0, :10], 4 * sound + np.arange(10))
        else:
            columns = window_start(sound) + np.arange(window_columns(n_frames))
            np.testing.assert_allclose(heard[0], columns / 100, atol=1e-6)
    assert len(tracks.frames(0)) >= tracks.counts[0] + n_frames - 1


@pytest.mark.parametrize("n_frames", [5, 16])
def test_silent_windows_are_those_of_the_mel(tmp_path: Path, n_frames: int) -> None:
    cache = Cache.open(tmp_path / "cache", create=True)
    mel = np.full((80, 193), -4, np.float32)
    mel[:, 60:100] = 0
    add_track(cache, "a", np.zeros((60, SIZE, SIZE, 3), np.uint8), {"mel": mel}, ALIGNED)
    tracks = Tracks(cache, cache.tracks(), ALIGNED, n_frames)
    each = [bool(is_silent(tracks.heard(0, start))) for start in range(int(tracks.counts[0]))]
    assert tracks.silent(0).tolist() == each == [tracks.is_silent(0, start) for start in range(len(each))]
    assert 0 < sum(each) < len(each)


def test_names_and_speakers(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "cache", 3)
    rows = [replace(row, speaker=f"s{k % 2}") for k, row in enumerate(cache.tracks())]
    tracks = Tracks(cache, rows, ALIGNED)
    assert (tracks.names, tracks.speakers) == (["clip0", "clip1", "clip2"], ["s0", "s1", "s0"])
    assert list(tracks.rows) == rows


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


def test_sounds_in_memory_stay_within_their_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SOUND_BYTES", 100_000)
    tracks = open_all(numbered_cache(tmp_path / "cache", (40,) * 12))
    loaded: list[str] = []
    load = Cache.load_mel
    monkeypatch.setattr(Cache, "load_mel", lambda cache, row: loaded.append(row.clip) or load(cache, row))
    for track in [*range(12), 11, 10]:
        assert tracks.mel(track).shape == (80, 129)
        assert tracks._mels.weight <= 100_000
    assert loaded == tracks.names  # the last two were still there
    tracks.mel(0)
    assert loaded[12:] == ["clip000"]


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    cache = numbered_cache(tmp_path / "cache", (20, 20))
    rows = cache.tracks()
    shutil.rmtree(cache.root / "clips")
    assert open_all(cache).counts.tolist() == [16, 16]
    assert crop_spec(cache) == ALIGNED
    with pytest.raises(CacheError, match=r"clip001.*preprocess --force"):
        Tracks(cache, rows, ALIGNED).frames(1)


def test_another_process_gets_the_tracks_without_what_is_open(tmp_path: Path) -> None:
    tracks = open_all(numbered_cache(tmp_path / "cache", (20, 20)))
    tracks.window(0, 0), tracks.silent(1)
    sent = pickle.dumps(tracks)
    assert len(sent) < 20_000
    copy = pickle.loads(sent)
    np.testing.assert_array_equal(copy.window(1, 3), tracks.window(1, 3))
    np.testing.assert_array_equal(copy.heard(1, 3), tracks.heard(1, 3))


def test_a_track_that_was_removed_is_named(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "cache", 2)
    rows = cache.tracks()
    (cache.clip("clip1").folder / "tracks" / "0" / "mel.npy").write_bytes(b"short")
    with pytest.raises(CacheError, match=r"clip1.*cannot be read.*preprocess --force"):
        Tracks(cache, rows, ALIGNED).mel(1)


@pytest.mark.parametrize(("file", "said"), [("mel.npy", "mel columns"), ("frames.npy", "frames")])
def test_files_that_hold_less_than_the_index_says_are_named(tmp_path: Path, file: str, said: str) -> None:
    cache = numbered_cache(tmp_path / "cache")
    tracks = open_all(cache)
    path = cache.root / "clips" / "clip001" / "tracks" / "0" / file
    held = np.load(path)
    np.save(path, held[:, :-20] if file == "mel.npy" else held[:-5])
    with pytest.raises(CacheError, match=rf"clip clip001, track 0: \d+ {said}, but the index has \d+; run w2l"):
        tracks.heard(1, 0) if file == "mel.npy" else tracks.seen(1, 0)
