"""Plan of a study: ratings and comparisons in rounds that treat all systems alike; pure."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def rating_rounds(
    blind: Mapping[tuple[str, str], str], systems: Sequence[str], clips: Sequence[str], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Return rounds of single videos: as many as clips, each with one video of every system, in all every video once.

    Parameters
    ----------
    blind : mapping
        (system, clip) -> blind name.
    seed : int
        Seed of the order.
    """
    return _rounds([[blind[system, clip] for clip in clips] for system in systems], seed)


def pair_rounds(
    blind: Mapping[tuple[str, str], str], systems: Sequence[str], clips: Sequence[str], seed: int
) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return rounds of pairs of the same clip: in each every two systems occur once, in all once per clip.

    Neither a pair's position in its round nor the order within it reveals the systems.
    """
    chance = np.random.default_rng([seed, 1])

    def either_way(first: str, second: str) -> tuple[str, str]:
        return (first, second) if chance.random() < 0.5 else (second, first)

    meetings = itertools.combinations(systems, 2)
    return _rounds(
        [[either_way(blind[first, clip], blind[second, clip]) for clip in clips] for first, second in meetings], seed
    )


def _rounds(rows: Sequence[Sequence[T]], seed: int) -> tuple[tuple[T, ...], ...]:
    """Return rounds of one trial from every row (equally long), each trial once, with different clips if possible.

    A rater who sees a few rounds in a row sees every row equally often, and a clip as rarely as possible.
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
