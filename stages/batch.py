"""Many inputs in one call: each is done, in several processes where asked; the failed ones are named at the end."""

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from w2l.errors import W2LError
from w2l.log import set_up

logger = logging.getLogger(__name__)
R = TypeVar("R")

DIED = "its process died (out of memory?); try fewer --jobs"
INTERRUPTED = 130
"""Exit status of an interrupted process."""
PATIENCE_S = 10.0
"""Seconds that an interrupted process has to clean up."""


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

    With more than one job each task has a process of its own, so `work` and the arguments must be picklable; an
    interrupt reaches all of them, and nothing new is begun. Outcomes come in the order of the tasks.
    """
    if jobs == 1 or len(tasks) < 2:
        return [_attempt(work, name, arguments) for name, arguments in tasks]
    waiting = deque(range(len(tasks)))
    running: dict[Connection, tuple[int, Any]] = {}
    done: dict[int, Outcome[R]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                place = waiting.popleft()
                connection, process = _start(work, tasks[place], verbosity)
                running[connection] = (place, process)
            ended = wait(list(running))
            for connection in [one for one in running if one in ended]:
                place, process = running.pop(connection)
                done[place] = _collect(connection, process, tasks[place][0])
    finally:
        _stop([process for _, process in running.values()])
    return [done[place] for place in range(len(tasks))]


def _start(work: Callable[..., R], task: tuple[str, tuple[Any, ...]], verbosity: int) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("spawn")  # threads of torch and OpenCV do not survive a fork
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, work, *task, verbosity))
    process.start()
    theirs.close()  # so that its end is noticed
    return ours, process


def _collect(connection: Connection, process: Any, name: str) -> Outcome[R]:
    try:
        outcome: Outcome[R] = connection.recv()
    except EOFError:
        logger.warning("%s: %s", name, DIED)
        outcome = Outcome(name, error=f"{name}: {DIED}")
    process.join()
    return outcome


def _stop(processes: Sequence[Any]) -> None:
    """Interrupts processes and waits until they have cleaned up."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
    for process in processes:
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(
    connection: Connection, work: Callable[..., R], name: str, arguments: tuple[Any, ...], verbosity: int
) -> None:
    """One task in a process of its own."""
    set_up(verbosity)
    try:
        connection.send(_attempt(work, name, arguments))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _attempt(work: Callable[..., R], name: str, arguments: tuple[Any, ...]) -> Outcome[R]:
    try:
        return Outcome(name, work(*arguments))
    except W2LError as error:
        line = " ".join(str(error).split())
    except OSError as error:
        line = f"{error.filename or name}: {error.strerror or error}"
    logger.warning("%s", line)
    return Outcome(name, error=line)
