"""How the pairs of a validation are made, on embeddings that say which window they are."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.helpers.tiny_cache import ALIGNED, numbered_cache, talking_cache
from w2l.cache.store import Cache
from w2l.core.errors import TrainingError
from w2l.data.batches.tracks import Tracks
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.scoring.metrics import sync
from w2l.training.expert import evaluate
from w2l.training.expert.evaluate import (
    best_offset,
    embed_windows,
    off_sync_partners,
    score_pairs,
    span_offsets,
    validation_scores,
)
from w2l.training.expert.pairing import CosinePairing
from w2l.training.scores import GAPS, SPANS, ScoredPairs

CPU = torch.device("cpu")


class TestOffset:
    """Positive: the sound runs ahead of the picture, so that face i fits sound i - offset; the judge's convention."""

    @staticmethod
    def table(ahead: int, length: int = 30) -> NDArray[np.float64]:
        """Similarities (sound, face) of a clip whose sound runs ahead by `ahead` frames."""
        sound, face = np.indices((length, length))
        return np.where(face == sound + ahead, 1.0, 0.1)

    @pytest.mark.parametrize("ahead", [0, 3, -3, 1, -15, 15])
    def test_a_shift_scores_itself(self, ahead: int) -> None:
        assert best_offset(self.table(ahead), 15) == ahead

    @pytest.mark.parametrize("ahead", [3, -4])
    def test_it_agrees_with_the_judges_offset(self, ahead: int) -> None:
        picture = np.random.default_rng(1).normal(size=(60, 8))
        sound = np.roll(picture, -ahead, axis=0)  # what is heard at i is seen at i + ahead
        assert sync.score_curve(sync.embedding_distances(picture, sound)).offset == ahead
        assert best_offset(sound @ picture.T, 15) == ahead

    def test_offsets_of_more_than_half_the_clip_are_not_tried(self) -> None:
        table = np.zeros((6, 6))
        table[0, 5] = 100
        table[np.arange(6), np.arange(6)] = 1
        assert best_offset(table, 15) == 0


class TestSpans:
    @pytest.mark.parametrize("ahead", [0, 2, -7, 15, -15])
    def test_every_run_of_a_shifted_clip_scores_its_shift(self, ahead: int) -> None:
        found = span_offsets(TestOffset.table(ahead, 60), 5, 15)
        assert found.tolist() == [ahead] * (60 - 30 - 5 + 1)

    def test_a_run_is_the_mean_of_its_windows(self) -> None:
        table = np.random.default_rng(3).normal(size=(40, 40))
        expected = []
        for first in range(4, 40 - 4 - 10 + 1):
            means = {o: np.mean([table[face - o, face] for face in range(first, first + 10)]) for o in range(-4, 5)}
            expected.append(max(means, key=lambda o: means[o]))
        assert span_offsets(table, 10, 4).tolist() == expected

    @pytest.mark.parametrize(("length", "runs"), [(34, 0), (35, 1), (36, 2)])
    def test_clips_that_lack_sounds_have_none(self, length: int, runs: int) -> None:
        assert len(span_offsets(np.eye(length), 5, 15)) == runs


class TestPartners:
    @pytest.mark.parametrize(("n_windows", "gap"), [(71, 5), (8, 5), (6, 5), (5, 5), (30, 1), (1, 1)])
    def test_they_are_drawn_as_one_by_one(self, n_windows: int, gap: int) -> None:
        """The same partners as a plain loop gives: what was measured with it stays comparable."""
        rng, starts = np.random.default_rng(20), np.arange(n_windows)
        expected = []
        for start in starts:
            others = np.flatnonzero(np.abs(starts - start) >= gap)
            if len(others):
                expected.append((start, rng.choice(others)))
        faces, sounds = off_sync_partners(np.random.default_rng(20), n_windows, gap)
        assert list(zip(faces.tolist(), sounds.tolist())) == expected

    def test_all_that_are_far_enough_are_drawn_alike(self) -> None:
        rng = np.random.default_rng(0)
        drawn = [off_sync_partners(rng, 12, 4)[1][5] for _ in range(2000)]
        sounds, counts = np.unique(drawn, return_counts=True)
        assert sounds.tolist() == [0, 1, 9, 10, 11]
        assert counts.min() > 340


class Numbered:
    """A pairing whose embeddings are the number of the frame and of the mel column a window begins with.

    The similarity is 100 * sound + face, in windows.
    """

    network = nn.Identity()

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(len(faces))
        columns = torch.round(sounds[:, 0, 0] * 100)
        return torch.ceil(columns / 3.2)[:, None], faces[:, 0, 0, 0, 0].double()[:, None]

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        return 100 * audio + face.T


class TestPairs:
    @staticmethod
    def score(folder: Path, lengths: tuple[int, ...], gap: int = 5, n_frames: int = 5) -> ScoredPairs:
        cache = numbered_cache(folder / "cache", lengths)
        return score_pairs(Tracks(cache, cache.tracks(), ALIGNED, n_frames), Numbered(), CPU, gap)

    def test_each_window_once_in_sync_and_once_off(self, tmp_path: Path) -> None:
        found = self.score(tmp_path, (30,))
        np.testing.assert_array_equal(found.in_sync, 101 * np.arange(26))
        sound, face = np.divmod(found.off_sync, 100)
        np.testing.assert_array_equal(face, np.arange(26))
        assert np.abs(sound - face).min() >= 5
        assert sound.min() >= 0
        assert sound.max() < 26

    def test_each_window_at_every_gap(self, tmp_path: Path) -> None:
        found = self.score(tmp_path, (30,)).at_gap
        assert found.shape == (26, len(GAPS))
        for column, gap in enumerate(GAPS):
            sound, face = np.divmod(found[:, column], 100)
            there = ~np.isnan(sound)
            np.testing.assert_array_equal(np.abs(sound - face)[there], gap)
            assert there.tolist() == [start >= gap or start < 26 - gap for start in range(26)]
            if gap <= 5:
                assert (sound > face).sum() == pytest.approx((sound < face).sum(), abs=2)

    def test_windows_of_sixteen_frames(self, tmp_path: Path) -> None:
        found = self.score(tmp_path, (40,), n_frames=16)
        np.testing.assert_array_equal(found.in_sync, 101 * np.arange(25))

    def test_which_windows_are_whose_and_voiced(self, tmp_path: Path) -> None:
        cache = talking_cache(tmp_path / "cache", 2, n_frames=20)
        tracks = Tracks(cache, cache.tracks(), ALIGNED)
        tracks.mel(1)[:, 20:] = -4
        tracks.silent(0)
        found = score_pairs(tracks, Numbered(), CPU)
        np.testing.assert_array_equal(found.track, np.repeat([0, 1], 16))
        np.testing.assert_array_equal(found.voiced, np.concatenate([tracks.voiced(0), tracks.voiced(1)]))
        assert 0 < found.voiced[16:].sum() < 16
        assert list(found.speakers) == tracks.speakers

    def test_windows_without_a_partner_are_left_out(self, tmp_path: Path) -> None:
        found = self.score(tmp_path, (12, 9))  # 8 windows: 3 and 4 have none 5 away; 5 windows: none at all
        np.testing.assert_array_equal(found.in_sync / 101, [0, 1, 2, 5, 6, 7])
        assert len(found.offsets) == 1

    def test_it_is_the_same_every_time(self, tmp_path: Path) -> None:
        one, two = self.score(tmp_path, (30, 40)), self.score(tmp_path, (30, 40))
        np.testing.assert_array_equal(one.off_sync, two.off_sync)

    def test_clips_too_short_for_a_pair(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="none of 2 validation tracks has two windows 5 frames apart"):
            self.score(tmp_path, (9, 8))

    def test_windows_of_several_tracks_go_through_together(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evaluate, "BATCH", 60)
        cache, pairing = numbered_cache(tmp_path / "cache", (30,) * 7), Numbered()
        found = score_pairs(Tracks(cache, cache.tracks(), ALIGNED), pairing, CPU)
        assert sum(pairing.batches) == 7 * 26
        assert pairing.batches[0] == 60
        assert len(pairing.batches) <= 5
        np.testing.assert_array_equal(found.in_sync, np.tile(101 * np.arange(26), 7))

    def test_a_long_track_counts_as_several_clips(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(evaluate, "LONGEST", 20)
        found = self.score(tmp_path, (60,))  # 56 windows: 20, 20, 16
        assert len(found.offsets) == 3
        np.testing.assert_array_equal(found.in_sync, 101 * np.arange(56))
        sound, face = np.divmod(found.off_sync, 100)
        np.testing.assert_array_equal(sound // 20, face // 20)


class TestNetwork:
    @pytest.fixture
    def pairing(self) -> CosinePairing:
        torch.manual_seed(0)
        return CosinePairing(Expert(ExpertDimensions(ALIGNED.size, 5, 2, True)).eval())

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Cache:
        return talking_cache(tmp_path / "cache", 3, n_frames=60)

    def test_embeddings_do_not_depend_on_what_they_are_batched_with(
        self, pairing: CosinePairing, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracks = Tracks(cache, cache.tracks(), ALIGNED)
        together = embed_windows(tracks, [(0, 0, 30), (2, 5, 25)], pairing, CPU)
        monkeypatch.setattr(evaluate, "BATCH", 7)
        for whole, parts in zip(together, embed_windows(tracks, [(2, 5, 25)], pairing, CPU)):
            torch.testing.assert_close(whole[30:], parts, atol=1e-5, rtol=1e-4)
            assert not whole.requires_grad

    def test_a_random_network_is_at_chance(self, pairing: CosinePairing, cache: Cache) -> None:
        scores = validation_scores(Tracks(cache, cache.tracks(), ALIGNED), pairing, CPU)
        assert 0.35 < scores["auc"] < 0.65
        assert scores["accuracy"] < 0.65
        assert scores["bce"] <= math.log(2) + 1e-9
        assert {f"gap_{gap}" for gap in GAPS} | {f"offset_{length}" for length in SPANS} <= set(scores)
        assert all(math.isfinite(value) for value in scores.values())
