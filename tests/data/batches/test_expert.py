"""Batches for an expert: seed and step decide them, processes share them, and what is drawn keeps its distances."""

import dataclasses
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.tiny_cache import ALIGNED, JUDGE, add_track, numbered_cache, talking_cache
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, TrainingError
from w2l.core.timing import window_start
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.expert import (
    ExpertBatch,
    ExpertSampling,
    expert_batch,
    load_expert_batch,
    plan_expert_batch,
    spread_starts_among,
)
from w2l.data.batches.tracks import Tracks

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
STRONG = AugmentSettings(contrast=0.3, gamma=0.5, grey=0.5, blur=1, shift=0.05, scale=0.1, turn=8, mask_bands=9)
PLAIN = ExpertSampling(2, 4, augment=OFF)
SIZE = ALIGNED.size


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    cache = numbered_cache(tmp_path_factory.mktemp("numbered") / "cache")
    return Tracks(cache, cache.tracks(), ALIGNED)


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    cache = talking_cache(tmp_path_factory.mktemp("talking") / "cache", 8, 60)
    return Tracks(cache, [replace(row, speaker=f"s{k % 3}") for k, row in enumerate(cache.tracks())], ALIGNED)


def where(faces: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(track, frame) that the pictures (..., rows, width, 3) of a numbered cache show."""
    return faces[..., 0, 0, 1].astype(np.int64), faces[..., 0, 0, 0].astype(np.int64)


def same(one: ExpertBatch, two: ExpertBatch) -> bool:
    """Whether two batches are equal, bit for bit."""
    return all(np.array_equal(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one))


def joined(parts: list[ExpertBatch]) -> ExpertBatch:
    """What several processes loaded, as one batch."""
    own = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("faces", "sounds", "own")}
    return replace(parts[0], **own)


@pytest.mark.parametrize("augment", [OFF, AugmentSettings(), STRONG], ids=["off", "default", "strong"])
class TestDeterminism:
    def test_it_depends_on_seed_and_step_alone(self, talking: Tracks, augment: AugmentSettings) -> None:
        def batch(seed: int, step: int) -> ExpertBatch:
            return expert_batch(talking, ExpertSampling(4, max_silent=0.5, augment=augment), seed, step)

        first = [batch(3, step) for step in range(4)]
        again = [batch(3, step) for step in reversed(range(4))]
        assert all(same(a, b) for a, b in zip(first, reversed(again)))
        assert not same(first[0], first[1])
        assert not same(first[0], batch(4, 0))

    @pytest.mark.parametrize("n_ranks", [1, 2, 3, 8])
    def test_processes_together_load_what_one_loads(
        self, talking: Tracks, augment: AugmentSettings, n_ranks: int
    ) -> None:
        sampling = ExpertSampling(8, 3, spread=True, augment=augment)
        whole = expert_batch(talking, sampling, 1, 5)
        parts = [expert_batch(talking, sampling, 1, 5, rank, n_ranks) for rank in range(n_ranks)]
        assert same(joined(parts), whole)
        assert all(len(part.partner) == len(part.in_sync) == len(part.silent) == 24 for part in parts)
        assert all(len(part.faces) == len(part.sounds) == len(part.own) for part in parts)
        assert all(len(part.own) % 3 == 0 for part in parts)  # whole clips


class TestWindows:
    def test_they_are_five_frames_with_their_own_sound(self, numbered: Tracks) -> None:
        batch = expert_batch(numbered, replace(PLAIN, n_clips=3), 0, 0)
        _, frame = where(batch.faces)
        assert batch.faces.shape == (12, 5, SIZE // 2, SIZE, 3)
        np.testing.assert_array_equal(frame, frame[:, :1] + np.arange(5))
        starts = np.array([window_start(int(start)) for start in frame[:, 0]])
        assert batch.sounds.shape == (12, 80, 16)
        np.testing.assert_allclose(batch.sounds[:, 7], (starts[:, None] + np.arange(16)) / 100, atol=1e-6)

    def test_of_sixteen_frames(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (60, 40))
        batch = expert_batch(Tracks(cache, cache.tracks(), ALIGNED, 16), replace(PLAIN, gap=3), 0, 0)
        _, frame = where(batch.faces)
        assert batch.faces.shape == (8, 16, SIZE // 2, SIZE, 3)
        np.testing.assert_array_equal(frame, frame[:, :1] + np.arange(16))
        starts = np.array([window_start(int(start)) for start in frame[:, 0]])
        np.testing.assert_allclose(batch.sounds[:, 7], (starts[:, None] + np.arange(52)) / 100, atol=1e-6)

    @pytest.mark.parametrize(("per_clip", "gap"), [(2, 5), (4, 5), (6, 10), (12, 5)])
    def test_those_of_a_clip_are_the_gap_apart(self, numbered: Tracks, per_clip: int, gap: int) -> None:
        partners = set()
        for step in range(30):
            batch = expert_batch(numbered, ExpertSampling(2, per_clip, gap, augment=OFF), 0, step)
            track, frame = (array[:, 0] for array in where(batch.faces))
            np.testing.assert_array_equal(track.reshape(2, per_clip), track[::per_clip, None].repeat(per_clip, 1))
            apart = np.abs(frame.reshape(2, per_clip, 1) - frame.reshape(2, 1, per_clip))
            assert apart[:, ~np.eye(per_clip, dtype=bool)].min() >= gap
            np.testing.assert_array_equal(track[batch.partner], track)
            assert np.abs(frame[batch.partner] - frame).min() >= gap
            partners |= set((batch.partner - np.arange(2 * per_clip)).tolist())
        assert len(partners) == 2 * per_clip - 2  # all others of the clip have their turn

    def test_all_come_up(self, numbered: Tracks) -> None:
        plans = [plan_expert_batch(numbered, ExpertSampling(3, 2, augment=OFF), 0, step) for step in range(150)]
        assert {int(start) for plan in plans for start in plan.start.ravel()} == set(range(int(numbered.counts[0])))

    def test_half_of_the_pairs_are_in_sync(self, numbered: Tracks) -> None:
        coins = [plan_expert_batch(numbered, ExpertSampling(3, augment=OFF), 0, step).in_sync for step in range(100)]
        assert abs(np.concatenate(coins).mean() - 0.5) < 0.06

    def test_a_judge_sees_whole_crops_and_hears_mfccs(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (40, 40), JUDGE)
        batch = expert_batch(Tracks(cache, cache.tracks(), JUDGE), ExpertSampling(2, 3, augment=OFF), 0, 0)
        assert batch.faces.shape == (6, 5, JUDGE.size, JUDGE.size, 3)
        frame = where(batch.faces)[1][:, 0]
        expected = np.minimum(4 * frame[:, None] + np.arange(20), 40 * 4 - 3)  # the last column stands in for the rest
        np.testing.assert_array_equal(batch.sounds[:, 5], expected)


class TestTracks:
    def test_short_clips_are_left_out(self, tmp_path: Path) -> None:
        """No window may have a partner nearer than the gap, so that what is called off sync is off sync."""
        cache = numbered_cache(tmp_path / "cache", (60, 19, 20, 6))  # 4 windows 5 apart: 20 frames
        tracks = Tracks(cache, cache.tracks(), ALIGNED)
        for step in range(20):
            assert set(plan_expert_batch(tracks, replace(PLAIN, n_clips=8), 0, step).track) == {0, 2}
        with pytest.raises(TrainingError, match=r"none of 4 tracks has room for 14 windows 5 frames apart.*per_clip"):
            expert_batch(tracks, ExpertSampling(8, 14, augment=OFF), 0, 0)

    def test_with_few_clips_the_batch_is_smaller(self, numbered: Tracks) -> None:
        batch = expert_batch(numbered, ExpertSampling(16, 4, augment=OFF), 0, 0)
        assert len(batch.faces) == len(batch.sounds) == len(batch.partner) == len(batch.silent) == 12
        assert sorted(set(where(batch.faces)[0].ravel())) == [0, 1, 2]
        plan = plan_expert_batch(numbered, ExpertSampling(16, 4, augment=OFF), 0, 0)
        with pytest.raises(TrainingError, match="3 clips in a batch are too few for 4 processes"):
            load_expert_batch(numbered, plan, 0, 4)

    def test_speakers_have_equal_shares(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (21,) * 24)
        of = lambda k: "a" if k < 20 else "bcde"[k - 20]  # noqa: E731
        tracks = Tracks(cache, [replace(row, speaker=of(k)) for k, row in enumerate(cache.tracks())], ALIGNED)
        sampling = ExpertSampling(3, 2, spread=True, augment=OFF)
        plans = [plan_expert_batch(tracks, sampling, 0, step) for step in range(200)]
        names = [[tracks.speakers[track] for track in plan.track] for plan in plans]
        assert all(len(set(batch)) == 3 for batch in names)
        shares = Counter(name for batch in names for name in batch)
        assert all(80 < shares[name] < 160 for name in "abcde")  # 120 each
        assert {int(track) for plan in plans for track in plan.track} == set(range(24))
        large = plan_expert_batch(tracks, replace(sampling, n_clips=24), 0, 0)
        assert sorted(large.track) == list(range(24))  # when speakers run out, the next round


class TestGap:
    def test_it_falls_in_a_line(self) -> None:
        sampling = ExpertSampling(gap=3, gap_from=15, curriculum_steps=120)
        assert [sampling.gap_at(step) for step in (0, 10, 60, 119, 120, 9999)] == [15, 14, 9, 3, 3, 3]
        assert ExpertSampling(gap=7).gap_at(0) == ExpertSampling(gap=7, gap_from=9).gap_at(5) == 7

    @pytest.mark.parametrize("step", [0, 5, 10, 30])
    def test_windows_keep_the_gap_of_the_step(self, numbered: Tracks, step: int) -> None:
        sampling = ExpertSampling(3, 3, 5, 20, 20, augment=OFF)
        gap = sampling.gap_at(step)
        assert gap == {0: 20, 5: 16, 10: 12, 30: 5}[step]
        for seed in range(10):
            starts = np.sort(plan_expert_batch(numbered, sampling, seed, step).start, axis=1)
            assert np.diff(starts, axis=1).min() >= gap

    def test_clips_without_room_for_a_large_gap_have_what_fits(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache", (60, 20))
        tracks = Tracks(cache, cache.tracks(), ALIGNED)
        plan = plan_expert_batch(tracks, ExpertSampling(2, 3, 5, 15, 100, augment=OFF), 0, 0)
        nearest = {int(track): int(np.diff(np.sort(starts)).min()) for track, starts in zip(plan.track, plan.start)}
        assert nearest[0] >= 15
        assert 5 <= nearest[1] <= 7  # 16 windows

    @pytest.mark.parametrize("wrong", [
        {"gap": 0}, {"per_clip": 1}, {"n_clips": 0}, {"gap_from": 4}, {"max_silent": 1.1}, {"max_silent": -0.1},
        {"curriculum_steps": -1}, {"gap_from": -1},
    ], ids=str)  # fmt: skip
    def test_settings_that_give_no_batch_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            ExpertSampling(**wrong)


def half_silent(root: Path, *voiced: tuple[int, int]) -> Tracks:
    """Tracks of 56 windows with sound from one frame to another."""
    cache = Cache.open(root, create=True)
    for number, (begin, end) in enumerate(voiced):
        mel = np.full((80, 193), -4, np.float32)
        mel[:, begin * 16 // 5 : end * 16 // 5] = 2
        frames = np.zeros((60, SIZE, SIZE, 3), np.uint8)
        frames[..., 0], frames[..., 1] = np.arange(60)[:, None, None], number
        add_track(cache, f"clip{number}", frames, {"mel": mel}, ALIGNED)
    return Tracks(cache, cache.tracks(), ALIGNED)


class TestSilence:
    def test_it_is_told(self, tmp_path: Path) -> None:
        tracks = half_silent(tmp_path / "cache", (20, 40), (0, 60))
        batch = expert_batch(tracks, PLAIN, 0, 0)
        track, frame = (array[:, 0] for array in where(batch.faces))
        assert batch.silent.tolist() == [tracks.is_silent(int(t), int(f)) for t, f in zip(track, frame)]
        assert 0 < batch.silent.sum() < 8

    @pytest.mark.parametrize(("max_silent", "most"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)])
    def test_there_is_no_more_than_allowed(self, tmp_path: Path, max_silent: float, most: int) -> None:
        tracks = half_silent(tmp_path / "cache", (15, 38))
        found = []
        for step in range(60):
            plan = plan_expert_batch(tracks, ExpertSampling(1, 4, 5, max_silent=max_silent, augment=OFF), 0, step)
            assert np.diff(np.sort(plan.start[0])).min() >= 5
            found.append(int(plan.silent.sum()))
        assert max(found) == most

    def test_a_clip_without_enough_speech_is_still_used(self, tmp_path: Path) -> None:
        tracks = half_silent(tmp_path / "cache", (20, 25))
        plan = plan_expert_batch(tracks, ExpertSampling(1, 4, 5, max_silent=0.0, augment=OFF), 0, 0)
        assert np.diff(np.sort(plan.start[0])).min() >= 5


def test_draws_among_allowed_starts_are_all_equally_likely() -> None:
    allowed = np.ones(12, bool)
    allowed[[3, 4, 8]] = False
    possible = [
        starts for starts in combinations(np.flatnonzero(allowed).tolist(), 3) if min(np.diff(starts)) >= 3
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    drawn = [spread_starts_among(rng, 3, allowed, 3) for _ in range(200 * len(possible))]
    counts = Counter(tuple(sorted(starts.tolist())) for starts in drawn if starts is not None)
    assert counts.keys() == set(possible)
    assert min(counts.values()) > 140
    assert max(counts.values()) < 260
    assert len({tuple(starts.tolist()) for starts in drawn if starts is not None}) > len(possible)  # in any order
    assert spread_starts_among(rng, 3, np.arange(12) < 6, 3) is None
    assert spread_starts_among(rng, 4, np.arange(12) % 3 == 2, 3) is not None
