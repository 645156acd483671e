"""Which videos of a study are rated and which are compared, in rounds that treat all systems alike; pure."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def rating_rounds(
    blind: Mapping[tuple[str, str], str], systems: Sequence[str], clips: Sequence[str], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Rounds of single videos: as many rounds as clips, in each one video of every system, over all every video once.

    Parameters
    ----------
    blind : mapping
        (system, clip) -> blind name.
    seed : int
        Of the order.
    """
    return _rounds([[blind[system, clip] for clip in clips] for system in systems], seed)


def pair_rounds(
    blind: Mapping[tuple[str, str], str], systems: Sequence[str], clips: Sequence[str], seed: int
) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Rounds of pairs of the same clip: in each round every two systems meet once, over all once in every clip.

    Neither a pair's place in its round nor the order within it tells the systems.
    """
    chance = np.random.default_rng([seed, 1])

    def either_way(first: str, second: str) -> tuple[str, str]:
        return (first, second) if chance.random() < 0.5 else (second, first)

    meetings = itertools.combinations(systems, 2)
    return _rounds(
        [[either_way(blind[first, clip], blind[second, clip]) for clip in clips] for first, second in meetings], seed
    )


def _rounds(rows: Sequence[Sequence[T]], seed: int) -> tuple[tuple[T, ...], ...]:
    """Rounds of one trial from every row (equally long), each trial once; within a round the clips differ if they can.

    A rater who sees a few rounds in a row meets every row equally often, and a clip as rarely as can be.
    """
    if not rows:
        return ()
    chance = np.random.default_rng([seed, 0])
    n_clips = len(rows[0])
    order = chance.permutation(n_clips)
    shifts = [idx * n_clips // len(rows) for idx in range(len(rows))]
    rounds = []
    for idx in range(n_clips):
        trials = [row[order[(idx + shift) % n_clips]] for row, shift in zip(rows, shifts)]
        rounds.append(tuple(trials[place] for place in chance.permutation(len(trials))))
    return tuple(rounds)
