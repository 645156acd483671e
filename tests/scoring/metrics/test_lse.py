"""The numbers of one clip: published and corrected from the same embeddings."""

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.scoring.metrics.lse import LSE_COLUMNS, lse_values
from w2l.scoring.metrics.sync import MIN_PAIRS, corrected_curve, embedding_distances, score_curve


def random_features(n_windows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n_windows, 64)).astype(np.float32)


def test_every_number_has_its_column() -> None:
    names = [column.name for column in LSE_COLUMNS]
    assert list(lse_values(random_features(60), random_features(60, seed=1)).values) == names
    assert all(column.group == "lse" and column.meaning.endswith(".") for column in LSE_COLUMNS)
    assert [one.name for one in LSE_COLUMNS if not one.minor] == ["lse_d", "lse_c", "offset", "near", "windows"]


def test_published_numbers_leave_the_last_window_out() -> None:
    lip, audio = random_features(50), random_features(50, seed=1)
    score = score_curve(embedding_distances(lip[:-1], audio[:-1], 10))
    spoiled = lip.copy(), audio.copy()
    spoiled[0][-1], spoiled[1][-1] = 1e6, -1e6
    for told in (lse_values(lip, audio, 10), lse_values(*spoiled, 10)):
        assert told.values["lse_d"] == score.min_distance
        assert told.values["lse_c"] == score.confidence
        assert (told.values["offset"], told.values["windows"]) == (score.offset, 49)
        np.testing.assert_allclose(told.curve, score.mean_distances, atol=1e-6)
        np.testing.assert_allclose(told.over_time, score.framewise_confidence, atol=1e-6)
    assert lse_values(*spoiled, 10).values["lse_d_corrected"] > told.values["lse_d"] + 10


@pytest.mark.parametrize("lead", [3, 0, -5])
def test_both_offsets_are_what_they_are(lead: int) -> None:
    """Sound that runs `lead` frames ahead of the picture has that offset."""
    track = random_features(60 + 10)
    lip, audio = track[5:65], track[5 + lead : 65 + lead]  # audio[i - lead] belongs to lip[i]
    told = lse_values(lip, audio)
    assert told.values["offset"] == told.values["offset_corrected"] == lead
    assert told.values["lse_d_corrected"] < 1e-4
    assert np.mean(told.distances) == pytest.approx(told.values["lse_d"], abs=1e-5)
    assert min(told.curve) == told.curve[15 - lead] == pytest.approx(told.values["lse_d"], abs=1e-5)


def test_the_longer_is_cut() -> None:
    lip, audio = random_features(50), random_features(50, seed=1)
    for told in (lse_values(lip[:40], audio), lse_values(lip, audio[:40])):
        assert told == lse_values(lip[:40], audio[:40])


def test_the_corrected_curve_by_hand() -> None:
    """Column s compares window i with sound i + s; what stands where there is no partner is not looked at."""
    table = np.full((6, 3), 1e6, np.float32)
    table[1:, 0] = [1, 2, 3, 4, 5]
    table[:, 1] = [6, 6, 6, 0, 0, 0]
    table[:-1, 2] = 7
    np.testing.assert_array_equal(corrected_curve(table), [3, 3, 7])
    assert np.isnan(corrected_curve(table[:-1])).tolist() == [True, False, True]


@pytest.mark.parametrize("n_windows", [21, 60, 300])
def test_length_alone_moves_only_the_published_curve(n_windows: int) -> None:
    """Lips and sound that never change are equally far at each shift: a flat curve, but for the zeros at the ends."""
    lip, audio = np.tile([[3.0, 0]], (n_windows, 1)), np.tile([[0, 4.0]], (n_windows, 1))
    told = lse_values(lip, audio)
    assert told.values["lse_d_corrected"] == pytest.approx(5, abs=1e-4)
    assert told.values["lse_c_corrected"] == pytest.approx(0, abs=1e-4)
    assert told.values["lse_c"] > 2 / n_windows


@pytest.mark.parametrize(("n_windows", "is_told"), [(15 + MIN_PAIRS, True), (14 + MIN_PAIRS, False), (2, False)])
def test_a_short_clip_has_no_corrected_numbers(n_windows: int, is_told: bool) -> None:
    values = lse_values(random_features(n_windows), random_features(n_windows, seed=1)).values
    assert {name in values for name in ("lse_d_corrected", "lse_c_corrected", "offset_corrected")} == {is_told}
    assert values["windows"] == n_windows - 1


@pytest.mark.parametrize(("n_lip", "n_audio"), [(1, 9), (9, 1), (0, 0)])
def test_too_few_windows_are_refused(n_lip: int, n_audio: int) -> None:
    with pytest.raises(ValueError, match="at least 2 windows"):
        lse_values(random_features(n_lip), random_features(n_audio))
