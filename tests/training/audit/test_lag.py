"""The lag of a track, on tables of similarities whose truth is planted."""

import numpy as np
import pytest

from w2l.core.arrays import Floats
from w2l.training.audit.lag import Lag, curve_of, find_lag, neighbourhood
from w2l.training.expert.evaluate import best_offset

REACH = 15
VOICED = np.ones(60, dtype=np.bool_)


def planted(offset: float, n_windows: int = 60, noise: float = 0.3, seed: int = 0) -> Floats:
    """A table (sounds, faces): face i fits sound i - offset best."""
    sounds, faces = np.arange(n_windows)[:, None], np.arange(n_windows)[None]
    hill = 4 * np.exp(-(((faces - sounds - offset) / 1.5) ** 2))
    return np.asarray(hill - 2 + np.random.default_rng(seed).normal(0, noise, hill.shape))


def found(table: Floats, voiced: np.typing.NDArray[np.bool_] | None = None, reach: int = REACH) -> Lag:
    around = neighbourhood(table, 0, table.shape[1], 0, reach)
    lag = find_lag(around, np.ones(len(table), np.bool_) if voiced is None else voiced, 10)
    assert lag is not None
    return lag


@pytest.mark.parametrize("offset", [0, 1, 3, -3, 10, -10, 14, -14])
def test_the_planted_offset_is_found(offset: int) -> None:
    lag = found(planted(offset))
    assert lag.offset == pytest.approx(offset, abs=0.2)
    assert not lag.at_edge
    assert lag.confidence > 2
    assert lag.odds == pytest.approx(2, abs=0.2)


def test_the_sign_is_that_of_the_validation() -> None:
    table = planted(3)  # the sound runs ahead: face 13 has sound 10
    assert table[10].argmax() == 13
    assert round(found(table).offset) == best_offset(table, REACH) == 3


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5, -0.4])
def test_between_frames(offset: float) -> None:
    assert found(planted(offset, noise=0.0)).offset == pytest.approx(offset, abs=0.05)


def test_blocks_of_a_long_table_give_the_same_as_the_whole() -> None:
    table = planted(5, 100)
    whole = neighbourhood(table, 0, 100, 0, REACH)
    parts = []
    for first in range(0, 100, 32):
        low, high = max(0, first - REACH), min(100, first + 32 + REACH)
        parts.append(neighbourhood(table[first : first + 32, low:high], low, 100, first, REACH))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.isnan(whole[0, :REACH]).all()
    assert whole[40, REACH + 7] == table[40, 47]


def test_windows_at_the_ends_pull_nowhere() -> None:
    """Sounds that like, or dislike, all faces alike are more at some offsets than at others, yet change nothing."""
    table = planted(-2, noise=0.0)
    before = found(table)
    table[:14] += 20
    table[-14:] -= 20
    assert found(table).offset == pytest.approx(before.offset, abs=1e-6)
    assert found(table).confidence == pytest.approx(before.confidence, rel=1e-6)


def test_windows_without_speech_say_nothing() -> None:
    table, voiced = planted(4), VOICED.copy()
    voiced[20:30] = False
    before = found(table, voiced)
    table[20:30] = np.random.default_rng(1).normal(0, 100, (10, 60))
    assert found(table, voiced) == before
    assert before.n_voiced == 50


def test_nothing_to_find_has_no_confidence() -> None:
    noise = np.random.default_rng(2).normal(0, 1, (60, 60))
    assert found(noise).confidence < 0.6 < found(planted(0)).confidence
    assert found(noise).margin < 0.3 < found(planted(0)).margin


def test_two_tops_have_no_margin() -> None:
    both = np.maximum(planted(0, noise=0.0), planted(8, noise=0.0))
    assert found(both).margin == pytest.approx(0, abs=0.1)
    assert found(both).confidence > 2


@pytest.mark.parametrize(("offset", "at_edge"), [(13, False), (15, True), (18, True), (-15, True), (-17, True)])
def test_beyond_reach_is_told(offset: int, at_edge: bool) -> None:
    assert found(planted(offset, noise=0.0)).at_edge is at_edge


def test_short_tracks_have_a_short_reach() -> None:
    """Twenty windows leave ten pairs at ten frames and fewer beyond."""
    around = neighbourhood(planted(0, 20), 0, 20, 0, REACH)
    tried = ~np.isnan(curve_of(around, VOICED[:20], 10))
    assert list(np.flatnonzero(tried) - REACH) == list(range(-10, 11))
    assert found(planted(4, 20)).offset == pytest.approx(4, abs=0.3)


def test_too_little_speech_gives_none() -> None:
    around = neighbourhood(planted(0), 0, 60, 0, REACH)
    assert find_lag(around, np.arange(60) < 9, 10) is None
    assert find_lag(around, np.zeros(60, np.bool_), 1) is None
    assert find_lag(around, np.arange(60) < 12, 10) is not None
