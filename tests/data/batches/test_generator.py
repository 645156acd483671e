"""Batches for a generator: which windows, references and sounds are drawn, and that they are what the cache holds."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.tiny_cache import ALIGNED, add_track, numbered_cache, where
from w2l.cache.crops import Crops
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.timing import FPS, mel_columns, window_start
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.generator import (
    GeneratorBatch,
    GeneratorSampling,
    generator_batch,
    load_generator_batch,
    plan_generator_batch,
)
from w2l.data.batches.generator_loaders import GeneratorDrawing
from w2l.data.batches.spans import NO_SPANS, Spans
from w2l.data.batches.tracks import Tracks
from w2l.data.sources.word_times import STILL
from w2l.features.windows import SILENCE, generator_mels

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
PLAIN = GeneratorSampling(batch_size=8, augment=OFF)
SIZE = ALIGNED.size


def open_all(cache: Cache) -> Tracks:
    return Tracks(cache, cache.tracks(), ALIGNED)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    return open_all(numbered_cache(tmp_path_factory.mktemp("numbered") / "cache"))


def same(one: object, two: object) -> bool:
    """Whether two batches are equal, bit for bit."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(two, field.name))
        for field in dataclasses.fields(one)  # type: ignore[arg-type]
    )


def joined(parts: list[GeneratorBatch]) -> dict[str, NDArray[Any]]:
    arrays = {field.name: [getattr(part, field.name) for part in parts] for field in dataclasses.fields(parts[0])}
    return {name: np.concatenate(values) for name, values in arrays.items()}


def test_it_depends_on_seed_and_step_alone(numbered: Tracks) -> None:
    sampling = GeneratorSampling(3, 2, repeat=0.5, swap=0.3, silence=0.3, spread=0.5)

    def batch(seed: int, step: int) -> GeneratorBatch:
        return generator_batch(numbered, sampling, seed, step)

    assert same(batch(1, 5), batch(1, 5))
    assert not same(batch(1, 5), batch(1, 6))
    assert not same(batch(1, 5), batch(2, 5))


@pytest.mark.parametrize("n_ranks", [2, 3])
def test_processes_share_one_joint_batch(n_ranks: int, numbered: Tracks) -> None:
    whole = generator_batch(numbered, PLAIN, 3, 4)
    plans = [GeneratorDrawing(PLAIN, 3, NO_SPANS, rank, n_ranks).plan(numbered, 4) for rank in range(n_ranks)]
    shares = [load_generator_batch(numbered, plan) for plan in plans]
    for name, array in joined(shares).items():
        np.testing.assert_array_equal(array, getattr(whole, name))


def test_each_frame_hears_the_window_one_frame_early(numbered: Tracks) -> None:
    batch = generator_batch(numbered, replace(PLAIN, batch_size=20), 0, 0)
    assert batch.own.all()
    assert not batch.silent.any()
    for clip, faces, mels, heard in zip(batch.clips, batch.target, batch.mels, batch.expert_mels):
        track, frame = where(faces)
        assert clip == numbered.names[track[0]]
        np.testing.assert_array_equal(frame, frame[0] + np.arange(5))
        np.testing.assert_allclose(mels, generator_mels(numbered.mel(track[0]), int(frame[0])), atol=1e-6)
        np.testing.assert_allclose(heard[0], (window_start(int(frame[0])) + np.arange(16)) / 100, atol=1e-6)


@pytest.mark.parametrize("distance", [1, 5, 12])
@pytest.mark.parametrize("kind", ["still", "consecutive"])
def test_references_keep_their_distance(numbered: Tracks, kind: Any, distance: int) -> None:
    seen, least = set(), 99
    sampling = replace(PLAIN, n_references=2, references=kind, distance=distance)
    for step in range(40):
        batch = generator_batch(numbered, sampling, 0, step)
        track, frame = where(batch.target)
        for channels in (slice(0, 3), slice(3, 6)):
            of_track, of_frame = where(batch.reference[..., channels])
            np.testing.assert_array_equal(of_track, track)
            least = min(least, int(np.abs(of_frame[:, :, None] - frame[:, None, :]).min()))
            np.testing.assert_array_equal(of_frame, of_frame[:, :1] + np.arange(5) * (kind == "consecutive"))
            seen |= set(of_frame.ravel().tolist())
    assert least == distance
    assert seen == set(range(60))  # every frame may be a reference


def test_a_reference_may_be_repeated_and_frames_may_change_places(numbered: Tracks) -> None:
    repeated = generator_batch(numbered, replace(PLAIN, n_references=3, repeat=1.0), 0, 0).reference
    np.testing.assert_array_equal(repeated[..., :3], repeated[..., 3:6])
    np.testing.assert_array_equal(repeated[..., :3], repeated[..., 6:])
    moving = replace(PLAIN, batch_size=30, references="consecutive", shuffle=1.0)
    frames = where(generator_batch(numbered, moving, 0, 0).reference)[1]
    np.testing.assert_array_equal(np.sort(frames, axis=1), frames.min(axis=1)[:, None] + np.arange(5))
    assert (frames != np.sort(frames, axis=1)).any(axis=1).sum() > 20


def test_references_may_rest_where_nothing_is_said(tmp_path: Path) -> None:
    """The mouths of pauses, and those of speech where there is no pause far enough away."""
    cache = numbered_cache(tmp_path / "cache", (60, 60))
    for number, quiet in enumerate(((20, 40), (0, 0))):
        mel = np.zeros((80, mel_columns(60 * 640)), np.float32)
        mel[:, quiet[0] * 16 // 5 : quiet[1] * 16 // 5] = SILENCE
        frames = np.zeros((60, SIZE, SIZE, 3), np.uint8)
        frames[..., 0], frames[..., 1] = np.arange(60)[:, None, None], number
        add_track(cache, f"clip{number:03d}", frames, {"mel": mel}, ALIGNED)
    tracks, taken = open_all(cache), [set[int](), set[int]()]
    for step in range(20):
        batch = generator_batch(tracks, replace(PLAIN, resting=1.0, distance=5), 0, step)
        (track, frame), (_, of_frame) = where(batch.target), where(batch.reference)
        assert np.abs(of_frame[:, :, None] - frame[:, None, :]).min() >= 5
        for one, other, far in zip(track[:, 0], of_frame[:, 0], np.abs(frame[:, :1] - [22, 37]).max(axis=1)):
            if one == 1 or far > 12:
                taken[one].add(int(other))
    assert taken[0] <= set(range(20, 40))
    assert len(taken[0]) > 10
    assert max(taken[1]) - min(taken[1]) > 40
    some = plan_generator_batch(tracks, replace(PLAIN, batch_size=400, resting=0.5), 0, 0)
    quiet_ones = [20 <= draw.references[0][0] < 40 for draw in some if draw.track == 0]
    assert 0.5 < np.mean(quiet_ones) < 0.8  # half of them, and a third of the rest by chance


def test_references_differ_where_they_are_not_repeated(numbered: Tracks) -> None:
    frames = where(generator_batch(numbered, replace(PLAIN, n_references=2, batch_size=40), 0, 0).reference[..., 3:])[1]
    first = where(generator_batch(numbered, replace(PLAIN, n_references=2, batch_size=40), 0, 0).reference)[1]
    assert (frames[:, 0] != first[:, 0]).all()


def test_short_clips_take_what_there_is(tmp_path: Path) -> None:
    tracks = open_all(numbered_cache(tmp_path / "cache", (6,)))
    batch = generator_batch(tracks, replace(PLAIN, distance=20), 0, 0)
    assert not (where(batch.reference)[1][:, :1] == where(batch.target)[1]).any()
    moving = replace(PLAIN, references="consecutive", n_references=4)
    assert generator_batch(tracks, moving, 0, 0).reference.shape == (8, 5, SIZE, SIZE, 12)


class TestSounds:
    def test_swapped_speech_is_that_of_another_window(self, numbered: Tracks) -> None:
        batch = generator_batch(numbered, replace(PLAIN, batch_size=60, swap=0.5), 0, 0)
        assert 15 < (~batch.own).sum() < 45
        assert not batch.silent.any()
        at_its_time = []
        for faces, heard in zip(batch.target, batch.expert_mels):
            here = (window_start(int(where(faces)[1][0])) + np.arange(16)) / 100
            at_its_time.append(np.allclose(heard[0], here, atol=1e-6))
        assert np.all(np.array(at_its_time)[batch.own])
        assert np.mean(np.array(at_its_time)[~batch.own]) < 0.15  # another clip's at the same time, by chance

    def test_silence_is_digital_or_a_rooms(self, numbered: Tracks) -> None:
        batch = generator_batch(numbered, replace(PLAIN, batch_size=60, silence=0.5), 0, 0)
        assert 15 < batch.silent.sum() < 45
        np.testing.assert_array_equal(batch.own, ~batch.silent)
        assert (batch.mels[batch.silent] == SILENCE).all()
        room = replace(PLAIN, batch_size=20, silence=1.0, augment=replace(OFF, noise=1.0))
        mels = generator_batch(numbered, room, 0, 0).mels
        assert (mels > SILENCE).any()
        assert mels.max() < 0  # far below speech

    def test_bilabials_are_sampled_more_often(self, numbered: Tracks) -> None:
        spans = Spans.of({"clip001": [(1.0, 1.3, "bin"), (1.5, 1.8, "red")], "clip002": [(0.1, 0.4, "two")]})
        assert list(spans.bilabials) == ["clip001"]
        from_s, to_s = spans.bilabials["clip001"][0]
        for share, least, most in ((0.0, 0.0, 0.4), (1.0, 1.0, 1.0)):
            plan = plan_generator_batch(numbered, replace(PLAIN, batch_size=200, bilabials=share), 0, 0, spans)
            starts = np.array([draw.start for draw in plan if draw.track == 1])
            hit = (starts <= to_s * FPS + 1) & (starts + 4 >= from_s * FPS - 1)
            assert least <= hit.mean() <= most
            assert len({draw.start for draw in plan if draw.track != 1}) > 30  # others as ever

    def test_bilabials_of_a_track_that_begins_late(self, tmp_path: Path) -> None:
        """Words are told in the clip's sound: face i has sound i + 7 here, and the face comes in at frame 20."""
        cache = numbered_cache(tmp_path / "cache", (60,))
        tracks = Tracks(cache, [replace(row, offset=-7) for row in cache.tracks()], ALIGNED)
        clip = cache.clip("clip000")
        outcome = clip.record().preprocess
        clip.note(replace(outcome, tracks=(replace(outcome.tracks[0], first_frame=20),)))
        assert tracks.spoken_from(0) == 20 + 10
        spans = Spans(bilabials={"clip000": [(2.4, 2.4)]})
        plan = plan_generator_batch(tracks, replace(PLAIN, bilabials=1.0, batch_size=30), 0, 0, spans)
        shown = where(load_generator_batch(tracks, plan).target)[1]
        face = round(2.4 * FPS) - 20 - 7
        assert ((shown[:, 0] <= face) & (shown[:, -1] >= face)).all()


class TestStills:
    """A clip of 60 frames whose frames from 40 on show the person as on a photograph."""

    WORDS: ClassVar = {"clip001": [(0.0, 1.6, "red"), (1.6, 2.4, STILL)]}

    def test_windows_keep_clear_of_stills(self, numbered: Tracks) -> None:
        plan = plan_generator_batch(numbered, replace(PLAIN, batch_size=300), 0, 0, Spans.of(self.WORDS))
        starts = [draw.start for draw in plan if draw.track == 1]
        assert max(starts) == 35
        assert max(draw.start for draw in plan if draw.track != 1) > 35

    def test_references_come_from_stills_where_asked(self, numbered: Tracks) -> None:
        shown = replace(PLAIN, batch_size=200, stills=0.5)
        plan = plan_generator_batch(numbered, shown, 0, 0, Spans.of(self.WORDS))
        from_stills = [places[0] >= 40 for draw in plan if draw.track == 1 for places in draw.references]
        assert 0.5 < np.mean(from_stills) < 0.9  # half of them, and by chance some of the others
        whole = replace(shown, stills=1.0)
        plan = plan_generator_batch(numbered, whole, 0, 0, Spans.of(self.WORDS))
        assert all(min(places) >= 40 for d in plan if d.track == 1 for places in d.references)
        assert len({places for d in plan if d.track != 1 for places in d.references}) > 30  # others: anywhere

    def test_a_clip_that_is_a_still_throughout_keeps_its_windows(self, numbered: Tracks) -> None:
        spans = Spans.of({"clip001": [(0.0, 10.0, STILL)]})
        plan = plan_generator_batch(numbered, replace(PLAIN, batch_size=50), 0, 0, spans)
        assert any(draw.track == 1 for draw in plan)

    def test_shares_above_one_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="stills"):
            replace(PLAIN, resting=0.5, near=0.4, stills=0.2)


def test_rare_speakers_are_drawn_more_often_where_asked(numbered: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbered, "speakers", ["a", "a", "b"])
    monkeypatch.delattr(numbered, "of_speakers", raising=False)
    numbered.__dict__.pop("of_speakers", None)
    for spread, expected in ((0.0, 1 / 3), (1.0, 1 / 2)):
        plan = plan_generator_batch(numbered, replace(PLAIN, batch_size=900, spread=spread), 0, 0)
        assert np.mean([draw.track == 2 for draw in plan]) == pytest.approx(expected, abs=0.06)
    numbered.__dict__.pop("of_speakers", None)


def test_target_and_reference_look_alike(tmp_path: Path) -> None:
    """They are mirrored and tinted together: the reference tells the generator how the face looks."""
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8), 30, axis=0)
    cache = Cache.open(tmp_path / "cache", create=True)
    add_track(cache, "still", image, {"mel": np.zeros((80, 97), np.float32)}, ALIGNED)
    batch = generator_batch(open_all(cache), replace(PLAIN, augment=AugmentSettings()), 0, 0)
    np.testing.assert_array_equal(batch.target, batch.reference)
    assert not (batch.target == image[0]).all(axis=(1, 2, 3, 4)).any()


def test_references_may_stand_apart(tmp_path: Path) -> None:
    """Moved against the window and each other, all frames of one alike, with the window's colours."""
    image = np.full((30, SIZE, SIZE, 3), 40, np.uint8)
    image[:, SIZE // 2 - 4 : SIZE // 2 + 4, SIZE // 2 - 4 : SIZE // 2 + 4] = 200
    cache = Cache.open(tmp_path / "cache", create=True)
    add_track(cache, "still", image, {"mel": np.zeros((80, 97), np.float32)}, ALIGNED)
    sampling = replace(PLAIN, n_references=2, apart=1.0, augment=AugmentSettings(shift=0.2))
    batch = generator_batch(open_all(cache), sampling, 0, 0)
    faces = [batch.target, batch.reference[..., :3], batch.reference[..., 3:]]
    bright = np.stack([face.max(axis=(2, 3)) for face in faces])
    assert np.abs(np.diff(bright.astype(int), axis=0)).max() <= 2
    rows = np.stack([np.argmax(face.max(axis=(3, 4)), axis=2) for face in faces])  # (faces, batch, frames)
    assert (rows == rows[..., :1]).all()
    for one, other in ((0, 1), (0, 2), (1, 2)):
        moved = rows[one, :, 0] - rows[other, :, 0]
        assert 1 <= np.abs(moved).max() <= 0.4 * SIZE + 1
        assert len(np.unique(moved)) > 2


def test_a_still_reference_is_read_once(numbered: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of a compressed store costs a decoding."""
    read: list[int] = []
    frames = numbered.frames

    class Counting:
        def __init__(self, crops: Crops) -> None:
            self.crops = crops

        def __len__(self) -> int:
            return len(self.crops)

        def __getitem__(self, places: slice) -> NDArray[np.uint8]:
            read.append(places.stop - places.start)
            return np.asarray(self.crops[places])

    monkeypatch.setattr(numbered, "frames", lambda track: Counting(frames(track)))
    plan = plan_generator_batch(numbered, replace(PLAIN, batch_size=1, n_references=2), 0, 0)
    load_generator_batch(numbered, plan)
    assert sum(read) == 5 + 2


def test_a_shifted_track(tmp_path: Path) -> None:
    cache = numbered_cache(tmp_path / "cache", (60,))
    tracks = Tracks(cache, [replace(row, offset=-7) for row in cache.tracks()], ALIGNED)
    batch = generator_batch(tracks, replace(PLAIN, batch_size=16), 0, 0)
    for faces, heard in zip(batch.target, batch.expert_mels):
        begins = window_start(int(where(faces)[1][0]) + 7)
        np.testing.assert_allclose(heard[0], (begins + np.arange(16)) / 100, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"distance": 0}, "at least 1"),
        ({"apart": -0.1}, "apart must be at least 0"),
        ({"n_references": 0}, "must be 1 to 4"),
        ({"n_references": 5}, "must be 1 to 4"),
        ({"references": "none"}, "choose still or consecutive"),
        ({"repeat": 1.2}, "between 0 and 1"),
        ({"swap": 0.6, "silence": 0.6}, "between 0 and 1"),
        ({"swap": -0.1}, "between 0 and 1"),
        ({"swap": 0.5, "silence": -0.1}, "between 0 and 1"),
        ({"near": -0.1}, "between 0 and 1"),
        ({"near": 0.7, "resting": 0.4}, "between 0 and 1"),
        ({"near": 1.2, "resting": -0.3}, "between 0 and 1"),
    ],
)
def test_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        GeneratorSampling(**given)
