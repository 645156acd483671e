"""The cheapest sequence of looks: as good as any, short of no minimum, the same whatever is asked first."""

import itertools

import numpy as np
import pytest

from w2l.syncing.memory import path
from w2l.syncing.memory.costs import following
from w2l.syncing.memory.path import NONE, Joins, choices


def some_joins(n_looks: int, seed: int, least: int = 1) -> Joins:
    """Joins at random; half of the looks follow on the one before."""
    rng = np.random.default_rng(seed)
    before = np.where(rng.random(n_looks) < 0.5, np.arange(n_looks) - 1, NONE)
    before[0] = NONE
    return Joins(rng.uniform(0.1, 1.0, (n_looks, n_looks)), 0.3, before, least)


def chosen(costs: np.ndarray, joins: Joins, starts: list[int] | None = None) -> list[int]:
    """The looks of all frames."""
    begins = np.zeros(len(costs), dtype=np.bool_)
    begins[starts or []] = True
    found = choices(lambda first, last: costs[first:last], begins, joins)
    return [int(look) for look in np.concatenate(list(found))]


def price(looks: tuple[int, ...], costs: np.ndarray, joins: Joins, starts: set[int]) -> float:
    """What a sequence costs; infinite where a jump comes too soon after another."""
    total, shown = float(costs[0, looks[0]]), 1
    for frame in range(1, len(looks)):
        last, look = looks[frame - 1], looks[frame]
        ways = [joins.stay] if last == look else []
        ways += [0.0] if joins.before[look] == last else []
        if shown >= joins.least:
            ways.append(float(joins.jump[last, look]))
        if frame in starts:
            step, shown = 0.0, 1
        elif not ways:
            return float("inf")
        else:
            step = min(ways)
            shown = shown + 1 if joins.before[look] == last or last == look else 1
        total += step + float(costs[frame, look])
    return total


@pytest.mark.parametrize("least", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_no_sequence_is_cheaper(seed: int, least: int) -> None:
    costs = np.random.default_rng(100 + seed).uniform(0, 1, (6, 4))
    joins = some_joins(4, seed, least)
    best = min(price(looks, costs, joins, {4}) for looks in itertools.product(range(4), repeat=6))
    found = price(tuple(chosen(costs, joins, [4])), costs, joins, {4})
    assert found == pytest.approx(best)


def test_no_look_is_shown_for_less_than_the_minimum_unless_it_moves_on() -> None:
    """Costs that call for another look in every frame do not get it."""
    costs = np.random.default_rng(1).uniform(0, 5, (200, 12))
    before = np.array([NONE, 0, 1, NONE, 3, NONE, 5, 6, NONE, NONE, 9, NONE])
    joins = Joins(np.full((12, 12), 0.01), 0.01, before, least=4)
    looks = chosen(costs, joins)
    jumps = [0] + [
        frame for frame in range(1, 200)
        if looks[frame] != looks[frame - 1] and before[looks[frame]] != looks[frame - 1]
    ]  # fmt: skip
    assert len(jumps) > 20
    assert min(np.diff(jumps)) >= 4


def test_blocks_agree_with_one_search_and_never_break_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = np.random.default_rng(2).uniform(0, 1, (400, 20))
    joins = some_joins(20, 2, least=3)
    whole = chosen(costs, joins)
    monkeypatch.setattr(path, "BLOCK", 50)
    in_blocks = chosen(costs, joins)
    assert np.mean(np.array(whole) == in_blocks) > 0.95
    assert price(tuple(in_blocks), costs, joins, set()) < 1.01 * price(tuple(whole), costs, joins, set())


def test_what_is_decided_does_not_change_with_what_comes_long_after() -> None:
    costs = np.random.default_rng(3).uniform(0, 1, (900, 10))
    changed = costs.copy()
    changed[600:] = costs[600:][::-1]
    joins = some_joins(10, 3, least=2)
    assert chosen(costs, joins)[: path.BLOCK] == chosen(changed, joins)[: path.BLOCK]


def test_a_look_follows_the_one_a_step_before() -> None:
    assert following(np.array([3, 4, 7, 9, 11]), 2).tolist() == [NONE, NONE, NONE, 2, 3]
    assert following(np.array([3, 4, 7]), 1).tolist() == [NONE, 0, NONE]
