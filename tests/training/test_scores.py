"""The numbers of a validation, on tables that can be checked by hand."""

import math

import numpy as np
import pytest

from w2l.training.scores import (
    GAPS,
    SPANS,
    ScoredPairs,
    accuracy_at_half,
    area_under_roc,
    balanced_accuracy,
    bce,
    best_threshold,
    by_gap,
    by_speaker,
    calibrate,
    calibration_error,
    score_summary,
    within_one,
)


def pairs(
    in_sync: list[float], off_sync: list[float], voiced: list[bool] | None = None, offsets: tuple[int, ...] = (0,),
    speakers: str = "",
) -> ScoredPairs:  # fmt: skip
    """Each window of a track of its own; `speakers`: a letter for each."""
    count = len(in_sync)
    return ScoredPairs(
        np.array(in_sync),
        np.array(off_sync),
        np.array(voiced or [True] * count),
        np.tile(np.array(off_sync)[:, None], len(GAPS)),
        np.arange(count),
        list(speakers) or [""] * count,
        np.array(offsets),
        {length: np.array(offsets) for length in SPANS},
    )


def drawn(in_sync: np.ndarray, off_sync: np.ndarray) -> ScoredPairs:  # type: ignore[type-arg]
    return pairs(in_sync.tolist(), off_sync.tolist())


class TestAccuracy:
    def test_balanced_accuracy(self) -> None:
        some = pairs([0.9, 0.8, 0.3, 0.5], [0.1, 0.6, 0.2, 0.4])
        assert balanced_accuracy(some, 0.5) == (3 / 4 + 3 / 4) / 2  # at the threshold counts as in sync
        assert balanced_accuracy(some, 0.55) == (2 / 4 + 3 / 4) / 2
        assert balanced_accuracy(some, -1) == balanced_accuracy(some, 2) == 0.5

    def test_the_best_threshold_is_none_better(self) -> None:
        rng = np.random.default_rng(0)
        some = drawn(rng.normal(0.5, 0.3, 80), rng.normal(0.2, 0.3, 80))
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


class TestBreakdowns:
    def test_by_gap(self) -> None:
        some = pairs([0.9, 0.2, 0.8, 0.7], [0.1, 0.3, 0.95, 0.6])
        some.at_gap[:, 0] = [0.6, np.nan, 0.4, np.nan]
        some.at_gap[:, 1] = np.nan
        found = by_gap(some, 0.5)
        assert found[1] == (1 + 1 / 2) / 2  # windows 0 and 2
        assert 2 not in found
        assert found[15] == balanced_accuracy(some, 0.5)

    def test_by_speaker(self) -> None:
        some = pairs([0.9, 0.2, 0.8, 0.7], [0.1, 0.3, 0.95, 0.6], speakers="abba")
        assert by_speaker(some, 0.5) == {"a": (1 + 1 / 2) / 2, "b": (1 / 2 + 1 / 2) / 2}
        scores = score_summary(some, 0.5, (1.0, 0.0))
        assert (scores["speaker_median"], scores["speaker_worst"]) == (0.625, 0.5)

    def test_unknown_speakers_are_left_out(self) -> None:
        some = pairs([0.9, 0.2], [0.1, 0.3], speakers="a")
        some = ScoredPairs(**{**vars(some), "speakers": ["a", ""]})
        assert list(by_speaker(some, 0.5)) == ["a"]

    def test_within_one_frame(self) -> None:
        assert within_one(np.array([0, 1, -1, 2, -15])) == 3 / 5


class TestCalibration:
    def test_it_finds_the_curve_that_made_the_labels(self) -> None:
        rng = np.random.default_rng(2)
        x = rng.uniform(-1, 1, 40000)
        label = rng.random(len(x)) < 1 / (1 + np.exp(-(5 * x - 1)))
        scale, bias = calibrate(drawn(x[label], x[~label]))
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

    @pytest.mark.parametrize(("in_sync", "off_sync"), [([0.1, 0.2], [0.8, 0.9]), ([0.5, 0.5], [0.5, 0.5])])
    def test_a_curve_that_would_fall_is_flat(self, in_sync: list[float], off_sync: list[float]) -> None:
        some = pairs(in_sync, off_sync)
        assert calibrate(some) == (0.0, 0.0)
        assert accuracy_at_half(some, 0.0, 0.0) == 0.5

    def test_one_half_of_the_calibrated_probability_is_a_threshold(self) -> None:
        some = pairs([0.9, 0.8, 0.3, 0.5], [0.1, 0.6, 0.2, 0.4])
        assert accuracy_at_half(some, 10.0, -5.5) == balanced_accuracy(some, 0.55)
        assert accuracy_at_half(some, 10.0, -1.5) == balanced_accuracy(some, 0.15)

    def test_the_error_of_a_calibration(self) -> None:
        half = pairs([0.0] * 4, [0.0] * 4)
        assert calibration_error(half, 1, 0) == pytest.approx(0)
        sure = pairs([1.0, 1.0, 1.0, -1.0], [-1.0] * 4)  # an eighth is wrong, and says so with certainty
        assert calibration_error(sure, 30, 0) == pytest.approx(0.125, abs=1e-6)

    def test_bce(self) -> None:
        expected = -(math.log(1 / (1 + math.exp(-1.5))) + math.log(1 - 1 / (1 + math.exp(0.5)))) / 2
        assert bce(pairs([1.0], [0.0]), 2.0, -0.5) == pytest.approx(expected)
        assert bce(pairs([1.0], [0.0]), 0.0, 0.0) == pytest.approx(math.log(2))


class TestSummary:
    def test_scores_by_name(self) -> None:
        some = pairs([0.9, 0.2, 0.8], [0.1, 0.3, 0.95], [True, False, True], (0, -1, 2, 1))
        scores = score_summary(some, 0.5, (4.0, -2.0))
        assert scores["in_sync"] == scores["off_sync"] == scores["accuracy"] == pytest.approx(2 / 3)
        assert scores["voiced"] == pytest.approx((1 + 1 / 2) / 2)
        assert scores["offset_within_1"] == 3 / 4
        assert (scores["threshold"], scores["scale"], scores["bias"]) == (0.5, 4.0, -2.0)
        assert scores["bce"] == pytest.approx(bce(some, 4.0, -2.0))
        assert scores["half"] == accuracy_at_half(some, 4.0, -2.0)
        assert scores["auc_voiced"] == 0.5
        assert scores["gap_5"] == scores["accuracy"]
        assert scores["offset_10"] == 3 / 4
        assert "speaker_worst" not in scores

    def test_every_score_is_a_number_when_nothing_is_voiced(self) -> None:
        scores = score_summary(pairs([0.9], [0.1], [False]), 0.5, (1.0, 0.0))
        assert not {"voiced", "auc_voiced"} & set(scores)
        assert all(math.isfinite(value) for value in scores.values())
