"""The numbers of a validation, on tables that can be checked by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_cache import ALIGNED, numbered_cache
from torch import Tensor

from w2l.data.dataset import Tracks
from w2l.errors import TrainingError
from w2l.metrics import sync
from w2l.training.evaluate import (
    Pairs,
    area_under_roc,
    balanced_accuracy,
    bce,
    best_offset,
    best_threshold,
    calibrate,
    score_pairs,
    summary,
)


def pairs(
    in_sync: list[float], off_sync: list[float], silent: list[bool] | None = None, offsets: tuple[int, ...] = (0,)
) -> Pairs:
    quiet = silent or [False] * len(in_sync)
    return Pairs(np.array(in_sync), np.array(off_sync), np.array(quiet), np.array(offsets))


class TestAccuracy:
    def test_balanced_accuracy(self) -> None:
        some = pairs([0.9, 0.8, 0.3, 0.5], [0.1, 0.6, 0.2, 0.4])
        assert balanced_accuracy(some, 0.5) == (3 / 4 + 3 / 4) / 2  # at the threshold counts as in sync
        assert balanced_accuracy(some, 0.55) == (2 / 4 + 3 / 4) / 2
        assert balanced_accuracy(some, -1) == balanced_accuracy(some, 2) == 0.5

    def test_the_best_threshold_is_none_better(self) -> None:
        rng = np.random.default_rng(0)
        some = Pairs(rng.normal(0.5, 0.3, 80), rng.normal(0.2, 0.3, 80), np.zeros(80, bool), np.zeros(1, int))
        best = balanced_accuracy(some, best_threshold(some))
        every = np.concatenate([some.in_sync, some.off_sync])
        assert best == max(balanced_accuracy(some, float(value)) for value in every)

    def test_the_best_threshold_parts_what_can_be_parted(self) -> None:
        apart = pairs([0.7, 0.8], [0.1, 0.6])
        assert 0.6 < best_threshold(apart) <= 0.7
        assert balanced_accuracy(apart, best_threshold(apart)) == 1

    @pytest.mark.parametrize(
        ("in_sync", "off_sync", "expected"),
        [
            ([2.0, 3.0], [0.0, 1.0], 1.0),
            ([0.0], [1.0], 0.0),
            ([1.0, 1.0], [1.0, 1.0], 0.5),
            ([1.0, 3.0], [2.0, 0.0], 0.75),
        ],
    )
    def test_area_under_the_curve(self, in_sync: list[float], off_sync: list[float], expected: float) -> None:
        assert area_under_roc(pairs(in_sync, off_sync)) == expected


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
        assert sync.score_curve(sync.distances(picture, sound)).offset == ahead
        assert best_offset(sound @ picture.T, 15) == ahead

    def test_offsets_of_more_than_half_the_clip_are_not_tried(self) -> None:
        table = np.zeros((6, 6))
        table[0, 5] = 100
        table[np.arange(6), np.arange(6)] = 1
        assert best_offset(table, 15) == 0


class TestCalibration:
    def test_it_finds_the_curve_that_made_the_labels(self) -> None:
        rng = np.random.default_rng(2)
        x = rng.uniform(-1, 1, 40000)
        label = rng.random(len(x)) < 1 / (1 + np.exp(-(5 * x - 1)))
        scale, bias = calibrate(Pairs(x[label], x[~label], np.zeros(label.sum(), bool), np.zeros(1, int)))
        assert scale == pytest.approx(5, rel=0.04)
        assert bias == pytest.approx(-1, abs=0.06)

    @pytest.mark.parametrize(
        ("in_sync", "off_sync"),
        [
            ([0.8, 0.81], [0.1, 0.11]),
            ([0.5] * 3, [0.5] * 3),
            ([0.9], [0.1]),
            ([0.1, 0.2], [0.8, 0.9]),
            ([1e3, 0.0], [0.0, -1e3]),
        ],
        ids=["separable", "constant", "one", "reversed", "far"],
    )
    def test_it_ends_on_hard_cases(self, in_sync: list[float], off_sync: list[float]) -> None:
        some = pairs(in_sync, off_sync)
        scale, bias = calibrate(some)
        assert math.isfinite(scale)
        assert math.isfinite(bias)
        assert bce(some, scale, bias) <= math.log(2) + 1e-9

    def test_bce(self) -> None:
        expected = -(math.log(1 / (1 + math.exp(-1.5))) + math.log(1 - 1 / (1 + math.exp(0.5)))) / 2
        assert bce(pairs([1.0], [0.0]), 2.0, -0.5) == pytest.approx(expected)
        assert bce(pairs([1.0], [0.0]), 0.0, 0.0) == pytest.approx(math.log(2))


class TestSummary:
    def test_scores_by_name(self) -> None:
        some = pairs([0.9, 0.2, 0.8], [0.1, 0.3, 0.95], [False, True, False], (0, -1, 2, 1))
        scores = summary(some, 0.5, (4.0, -2.0))
        assert scores["in_sync"] == scores["off_sync"] == scores["accuracy"] == pytest.approx(2 / 3)
        assert scores["voiced"] == pytest.approx((1 + 1 / 2) / 2)
        assert scores["offset_within_1"] == 3 / 4
        assert (scores["threshold"], scores["scale"], scores["bias"]) == (0.5, 4.0, -2.0)
        assert scores["bce"] == pytest.approx(bce(some, 4.0, -2.0))

    def test_every_score_is_a_number_when_all_is_silent(self) -> None:
        scores = summary(pairs([0.9], [0.1], [True]), 0.5, (1.0, 0.0))
        assert "voiced" not in scores
        assert all(math.isfinite(value) for value in scores.values())


class TestPairs:
    """Embeddings that say which window they are: similarity[sound, face] = 100 * sound + face."""

    @staticmethod
    def embed(tracks: Tracks, track: int, starts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return torch.tensor(starts), torch.tensor(starts)

    @staticmethod
    def similarity(audio: Tensor, face: Tensor) -> Tensor:
        return 100 * audio[:, None] + face[None]

    @staticmethod
    def quiet(tracks: Tracks, track: int, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        return starts == 0

    def score(self, folder: Path, lengths: tuple[int, ...], gap: int = 5) -> Pairs:
        cache = numbered_cache(folder / "cache", lengths)
        return score_pairs(Tracks(cache, cache.tracks(), ALIGNED), self.embed, self.similarity, self.quiet, gap)

    def test_each_window_once_in_sync_and_once_off(self, tmp_path: Path) -> None:
        found = self.score(tmp_path, (30,))
        np.testing.assert_array_equal(found.in_sync, 101 * np.arange(26))
        sound, face = np.divmod(found.off_sync, 100)
        np.testing.assert_array_equal(face, np.arange(26))
        assert np.abs(sound - face).min() >= 5
        assert sound.min() >= 0
        assert sound.max() < 26
        np.testing.assert_array_equal(found.silent, np.arange(26) == 0)

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
