"""Find the cheapest sequence of looks through the frames of an output, block by block.

After a jump to a look there is a minimum number of frames before the next jump; meanwhile the look may stay, or advance
to the one that follows it in the source. This is a Viterbi search with a bounded look-ahead: a block of frames is
decided once the costs of the look-ahead after it are known, and decisions never change. The choices depend only on the
costs, not on the order of requests.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

BLOCK = 250
"""Frames decided per block."""
LOOK_AHEAD = 50
"""Frames after a block whose costs are used to decide it."""
NONE = -1
"""Index used if a look has no predecessor."""


def following_of(before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the look that follows each (looks,), or NONE, from the look that each follows."""
    after = np.full(len(before), NONE)
    known = np.flatnonzero(before != NONE)
    after[before[known]] = known
    return after


CostsOf = Callable[[int, int], Floats]
"""Returns the costs (frames, looks) of the frames from a first to a last, exclusive."""


@dataclass(frozen=True)
class Joins:
    """Costs of showing one look after another."""

    jump: Floats
    """(looks, looks): cost of a jump from the row to the column."""
    stay: float
    """Cost of repeating a look."""
    before: NDArray[np.int64]
    """(looks,): the look that each follows in the source at no cost, or NONE."""
    least: int = 1
    """Fewest frames from one jump to the next."""

    @property
    def after(self) -> NDArray[np.int64]:
        """(looks,): the look that follows each in the source, or NONE."""
        return following_of(self.before)


def choices(costs_of: CostsOf, starts: NDArray[np.bool_], joins: Joins) -> Iterator[NDArray[np.int16]]:
    """Yield the looks of all frames, block by block.

    Parameters
    ----------
    costs_of : callable
        Returns the costs of looks; called for blocks in order, each with its look-ahead.
    starts : (frames,)
        Frames in which any look is allowed: after a cut, or after the face was missing.
    joins : Joins
    """
    entry: Floats | None = None
    for first in range(0, len(starts), BLOCK):
        last = min(first + BLOCK + LOOK_AHEAD, len(starts))
        states = _search(costs_of(first, last), starts[first:last], joins, entry)[:BLOCK]
        entry = np.full((joins.least, len(joins.before)), np.inf)
        entry[divmod(int(states[-1]), len(joins.before))] = 0.0
        yield np.asarray(states % len(joins.before), dtype=np.int16)


def _search(costs: Floats, starts: NDArray[np.bool_], joins: Joins, entry: Floats | None) -> NDArray[np.int64]:
    """Return the states (frames,) of the cheapest path; a state is ``age * looks + look``, age since the last jump.

    `entry` (ages, looks): cost of each state of the previous frame; None if there is none.
    """
    n_frames, n_looks = costs.shape
    came = np.zeros((n_frames, joins.least, n_looks), dtype=np.int64)
    total = entry
    for frame, cost in enumerate(costs):
        if total is None or starts[frame]:
            total, came[frame] = _begun(total, joins.least, n_looks)
        else:
            total, came[frame] = _stepped(total, joins)
        total = total + cost
    assert total is not None
    path = np.zeros(n_frames, dtype=np.int64)
    path[-1] = total.argmin()
    for frame in range(n_frames - 1, 0, -1):
        path[frame - 1] = came[frame].ravel()[path[frame]]
    return path


def _begun(total: Floats | None, least: int, n_looks: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return costs and origins (ages, looks) of states in which any look is allowed, as after a jump."""
    begun = np.full((least, n_looks), np.inf)
    begun[0] = 0.0 if total is None else total.min()
    return begun, np.full((least, n_looks), 0 if total is None else int(total.argmin()), dtype=np.int64)


def _stepped(total: Floats, joins: Joins) -> tuple[Floats, NDArray[np.int64]]:
    """Return costs and origins (ages, looks) of states one frame after states that cost `total` (ages, looks)."""
    least, n_looks = total.shape
    free = total[-1][:, None] + joins.jump
    best = free.argmin(axis=0)
    after = np.full_like(total, np.inf)
    origin = np.zeros(total.shape, dtype=np.int64)
    after[0] = free[best, np.arange(n_looks)]
    origin[0] = (least - 1) * n_looks + best
    looks = np.arange(n_looks)
    for age in range(least):
        to = min(age + 1, least - 1)
        moved = np.where(joins.before == NONE, np.inf, total[age][joins.before])
        for cost, source in ((moved, joins.before), (total[age] + joins.stay, looks)):
            better = cost < after[to]
            after[to] = np.where(better, cost, after[to])
            origin[to] = np.where(better, age * n_looks + source, origin[to])
    return after, origin
