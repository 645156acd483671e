"""Time alternatives in turns, so that changes of the machine's speed affect all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Timed:
    """Durations of one alternative, by round."""

    clock: tuple[float, ...]
    """Wall-clock seconds."""
    cores: tuple[float, ...]
    """CPU seconds of all cores."""


def in_turns(ways: Mapping[str, Work], rounds: int) -> dict[str, Timed]:
    """Return name -> durations of each round, after a warm-up round."""
    clock: dict[str, list[float]] = {name: [] for name in ways}
    cores: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, work in ways.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            clock[name].append(time.perf_counter() - began)
            cores[name].append(time.process_time() - used)
    return {name: Timed(tuple(clock[name][1:]), tuple(cores[name][1:])) for name in ways}


def best_of(ways: Mapping[str, Work], rounds: int) -> dict[str, tuple[float, float]]:
    """Return name -> shortest wall-clock seconds, and CPU seconds of all cores, after a warm-up round."""
    return {name: (min(timed.clock), min(timed.cores)) for name, timed in in_turns(ways, rounds).items()}
