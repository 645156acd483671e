"""Many inputs in one call: each is done, in several processes where asked; the failed ones are named at the end."""

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from w2l.errors import W2LError
from w2l.log import set_up

logger = logging.getLogger(__name__)
R = TypeVar("R")
DIED = "a process died (out of memory?); try again with fewer --jobs"


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of one input."""

    name: str
    result: R | None = None
    error: str = ""
    """One line; empty when all went well."""


def run_all(
    work: Callable[..., R], tasks: Sequence[tuple[str, tuple[Any, ...]]], jobs: int = 1, verbosity: int = 0
) -> list[Outcome[R]]:
    """`work(*arguments)` of every task (name, arguments), `jobs` at a time; goes on past those that fail.

    With more than one job `work` and the arguments must be picklable. Outcomes come in the order of the tasks.
    """
    if jobs == 1 or len(tasks) < 2:
        return [_attempt(work, name, arguments) for name, arguments in tasks]
    context = multiprocessing.get_context("spawn")  # threads of torch and OpenCV do not survive a fork
    done: dict[int, Outcome[R]] = {}
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, initializer=set_up, initargs=(verbosity,)) as pool:
        waiting = {pool.submit(_attempt, work, name, arguments): place for place, (name, arguments) in enumerate(tasks)}
        try:
            for future in as_completed(waiting):
                place = waiting[future]
                try:
                    done[place] = future.result()
                except BrokenProcessPool:
                    done[place] = Outcome(tasks[place][0], error=f"{tasks[place][0]}: {DIED}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[place] for place in range(len(tasks))]


def _attempt(work: Callable[..., R], name: str, arguments: tuple[Any, ...]) -> Outcome[R]:
    try:
        return Outcome(name, work(*arguments))
    except W2LError as error:
        line = " ".join(str(error).split())
    except OSError as error:
        line = f"{error.filename or name}: {error.strerror or error}"
    logger.error("%s", line)
    return Outcome(name, error=line)
