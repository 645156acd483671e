"""Tasks, their outcomes, and the queue of tasks that still have to be started."""

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from w2l.core.errors import W2LError
from w2l.core.limits import clip_budget
from w2l.core.text import one_line

logger = logging.getLogger(__name__)
R = TypeVar("R")

BUSY_S = 1.0
"""Seconds until a busy task is retried."""
TRIES = 2
"""How often a task is started whose process dies."""


class Busy(Exception):
    """Raised by a task if another process holds what it needs; the task is retried a little later."""


@dataclass(frozen=True)
class Task:
    """One call of the work: `work(context, *arguments)`."""

    name: str
    """Name in messages, e.g. the id of a clip."""
    arguments: tuple[Any, ...] = ()
    """Picklable and small: file names and settings, not images."""


@dataclass(frozen=True)
class Done(Generic[R]):
    """The outcome of one task."""

    task: Task
    result: R | None = None
    """Return value of the work; None if it failed."""
    error: str = ""
    """One line; empty on success."""
    trace: str = ""
    """The traceback if the error is a bug in w2l rather than an error of the input."""
    died: bool = False
    """Whether its process died at every attempt."""


def attempt(work: Callable[..., R], context: Any, task: Task) -> Done[R] | None:
    """Run one task and return its result or its error; None if it is busy.

    Every exception becomes an outcome, so that one task cannot end a batch of ten thousand; KeyboardInterrupt and
    SystemExit do not.
    """
    try:
        with clip_budget():
            return Done(task, work(context, *task.arguments))
    except Busy:
        return None
    except W2LError as error:
        return Done(task, error=one_line(error))
    except OSError as error:
        return Done(task, error=f"{error.filename or task.name}: {error.strerror or error}")
    except Exception as error:  # noqa: BLE001  the boundary of a batch: a bug in w2l ends its own task alone
        line = one_line(f"{task.name}: {type(error).__name__}: {error} (a bug in w2l; see the traceback above)")
        return Done(task, error=line, trace=traceback.format_exc())


def log_outcome(done: Done[R]) -> Done[R]:
    """Log the error of an outcome, a bug in w2l with its traceback; return `done`."""
    if done.trace:
        logger.error("%s", done.trace.rstrip())
    if done.error:
        logger.warning("%s", done.error)
    return done


@dataclass(frozen=True)
class Waiting:
    """A task that has to be started."""

    task: Task
    deaths: int = 0
    """Number of processes that died while running it."""
    due_s: float = 0.0
    """Earliest start by the monotonic clock, in seconds."""


class TaskQueue:
    """The tasks that still have to be started: retries first, when they are due, then new ones, drawn one by one."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._new = iter(tasks)
        self._again: deque[Waiting] = deque()
        self._later: deque[Waiting] = deque()
        self._drawn: deque[Waiting] = deque()

    def take(self) -> Waiting | None:
        """Return the next task; None if none can be started now."""
        if self._again:
            return self._again.popleft()
        if self._later and self._later[0].due_s <= time.monotonic():
            return self._later.popleft()
        if self._drawn:
            return self._drawn.popleft()
        task = next(self._new, None)
        return None if task is None else Waiting(task)

    def holds(self, count: int) -> bool:
        """Whether at least `count` tasks still have to be started, due or not; draws no more new ones than needed."""
        while len(self._again) + len(self._later) + len(self._drawn) < count:
            task = next(self._new, None)
            if task is None:
                return False
            self._drawn.append(Waiting(task))
        return True

    def later(self, waiting: Waiting) -> None:
        """Put back a task that was busy."""
        self._later.append(replace(waiting, due_s=time.monotonic() + BUSY_S))

    def again(self, waiting: Waiting) -> None:
        """Put back a task that did not end, to be started immediately."""
        self._again.append(waiting)

    def pause_s(self) -> float | None:
        """Return the seconds until a busy task is due; None if there is none."""
        return max(0.0, self._later[0].due_s - time.monotonic()) if self._later else None
