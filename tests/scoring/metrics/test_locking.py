"""Whether one clip's sound fits its picture at one offset: sharp sync is found, chance and pauses are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.scoring.metrics.locking import PIECE, joint_p, locking_p

Rows = NDArray[np.float32]


def walk(rng: np.random.Generator, n_windows: int) -> Rows:
    """Embeddings of windows that share frames with their neighbours."""
    noise = rng.normal(size=(n_windows + 4, 24))
    return sum(noise[k : k + n_windows] for k in range(5)).astype(np.float32) / 5**0.5  # type: ignore[union-attr]


@pytest.mark.parametrize("offset", [0, 4, -9])
def test_a_clip_in_step_is_found_at_any_offset(offset: int) -> None:
    rng = np.random.default_rng(1)
    lip = walk(rng, 90)
    sound = np.roll(lip, offset, axis=0) + 0.8 * walk(rng, 90)
    assert locking_p(lip, sound) < 0.01


def test_chance_is_below_one_in_twenty_as_often_as_that() -> None:
    rng = np.random.default_rng(2)
    found = [locking_p(walk(rng, 70), walk(rng, 70)) for _ in range(300)]
    assert np.mean(np.array(found) < 0.05) < 0.09
    assert np.mean(found) > 0.35


def test_pauses_that_coincide_are_not_sync() -> None:
    """A third to three quarters of a second at both ends where nobody speaks, under a mouth at rest."""
    rng, found = np.random.default_rng(3), []
    rest, silence = rng.normal(size=(2, 24)).astype(np.float32)
    for _ in range(100):
        lip, sound = walk(rng, 70), walk(rng, 70)
        for row, still in ((lip, rest), (sound, rest + 0.3 * silence)):
            first, last = rng.integers(8, 18, 2)
            row[:first], row[-last:] = still, still
        found.append(locking_p(lip, sound))
    assert np.mean(np.array(found) < 0.05) < 0.12


def test_a_clip_of_few_pieces_cannot_be_sure() -> None:
    lip = walk(np.random.default_rng(4), 4 * PIECE)
    assert locking_p(lip, lip) > 0.05
    assert locking_p(lip[: PIECE - 1], lip) == 1.0
    assert locking_p(lip[:0], lip) == 1.0


def test_more_pieces_than_can_be_gone_through() -> None:
    lip = walk(np.random.default_rng(5), 40 * PIECE)
    assert locking_p(lip, lip) == pytest.approx(0.001)
    assert locking_p(lip, np.zeros_like(lip)) > 0.5


def test_several_p_values_are_joined_as_by_fisher() -> None:
    """-2 ln(0.05²) = 11.98 with four degrees of freedom has p = 0.0175."""
    assert joint_p([0.03]) == pytest.approx(0.03)
    assert joint_p([0.05, 0.05]) == pytest.approx(0.0175, abs=1e-4)
    assert joint_p([1.0, 1.0, 1.0]) == 1.0
