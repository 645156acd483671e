"""Items of a clip that are kept: all of a few, an even choice of many."""

import pytest

from w2l.scoring.metrics.spread import Spread


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (5, [0, 1, 2, 3, 4]), (9, [0, 2, 4, 6, 8]), (18, [0, 4, 8, 12, 16])]
)
def test_what_is_kept_of_a_clip(count: int, expected: list[int]) -> None:
    kept: Spread[int] = Spread(5)
    for number in range(count):
        kept.offer(lambda number=number: number)  # type: ignore[misc]
    assert kept.items == expected


def test_what_is_not_kept_is_not_made() -> None:
    made = []
    kept: Spread[None] = Spread(8)
    for number in range(10_000):
        kept.offer(lambda number=number: made.append(number))  # type: ignore[misc]
    assert len(kept.items) <= 8
    assert len(made) < 80
