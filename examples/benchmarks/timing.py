"""Time alternatives in turns, so that changes of the machine's speed affect all of them alike."""

import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]


def best_of(ways: Mapping[str, Work], rounds: int) -> dict[str, tuple[float, float]]:
    """Return name -> shortest wall-clock seconds, and CPU seconds of all cores, after a warm-up round."""
    clock: dict[str, list[float]] = {name: [] for name in ways}
    cores: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, work in ways.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            clock[name].append(time.perf_counter() - began)
            cores[name].append(time.process_time() - used)
    return {name: (min(clock[name][1:]), min(cores[name][1:])) for name in ways}
