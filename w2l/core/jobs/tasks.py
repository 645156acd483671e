"""What is done many times over: tasks, what became of them, and the queue of those that are still to be begun."""

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
"""Seconds until a task that was busy is tried again."""
TRIES = 2
"""How often a task is begun whose process dies."""


class Busy(Exception):
    """Raised by a task when another process holds what it needs; it is tried again a little later."""


@dataclass(frozen=True)
class Task:
    """One call of the work: `work(context, *arguments)`."""

    name: str
    """Names it in messages, e.g. the id of a clip."""
    arguments: tuple[Any, ...] = ()
    """Picklable, and small: file names and settings, not pictures."""


@dataclass(frozen=True)
class Done(Generic[R]):
    """What became of one task."""

    task: Task
    result: R | None = None
    """What the work gave; None when it failed."""
    error: str = ""
    """One line; empty when all went well."""
    trace: str = ""
    """The traceback, where the error is a mistake of ours and not one of the input."""
    died: bool = False
    """Whether its process died, each time that it was tried."""


def attempt(work: Callable[..., R], context: Any, task: Task) -> Done[R] | None:
    """Does one task: its result or its error; None when it is busy.

    Every exception is an outcome, so that one task does not end a batch of ten thousand; KeyboardInterrupt and
    SystemExit are not.
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
    except Exception as error:  # noqa: BLE001  the boundary of a batch: a mistake of ours ends its own task alone
        line = one_line(f"{task.name}: {type(error).__name__}: {error} (a mistake in w2l; its traceback is above)")
        return Done(task, error=line, trace=traceback.format_exc())


def tell(done: Done[R]) -> Done[R]:
    """Logs what went wrong, a mistake of ours with its traceback; gives `done` back."""
    if done.trace:
        logger.error("%s", done.trace.rstrip())
    if done.error:
        logger.warning("%s", done.error)
    return done


@dataclass(frozen=True)
class Waiting:
    """A task that is to be begun."""

    task: Task
    deaths: int = 0
    """How many processes have died of it."""
    due_s: float = 0.0
    """Not before this time of the monotonic clock, in seconds."""


class TaskQueue:
    """The tasks still to be begun: first those that come again, when they are due, then new ones, drawn one by one."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._new = iter(tasks)
        self._again: deque[Waiting] = deque()
        self._later: deque[Waiting] = deque()
        self._drawn: deque[Waiting] = deque()

    def take(self) -> Waiting | None:
        """The next task; None when none can be begun now."""
        if self._again:
            return self._again.popleft()
        if self._later and self._later[0].due_s <= time.monotonic():
            return self._later.popleft()
        if self._drawn:
            return self._drawn.popleft()
        task = next(self._new, None)
        return None if task is None else Waiting(task)

    def holds(self, count: int) -> bool:
        """Whether at least `count` tasks are still to be begun, due or not; draws new ones for that, but no more."""
        while len(self._again) + len(self._later) + len(self._drawn) < count:
            task = next(self._new, None)
            if task is None:
                return False
            self._drawn.append(Waiting(task))
        return True

    def later(self, waiting: Waiting) -> None:
        """Puts back a task that was busy."""
        self._later.append(replace(waiting, due_s=time.monotonic() + BUSY_S))

    def again(self, waiting: Waiting) -> None:
        """Puts back a task that did not end, to be begun at once."""
        self._again.append(waiting)

    def pause_s(self) -> float | None:
        """Seconds until a task that was busy is due; None when there is none."""
        return max(0.0, self._later[0].due_s - time.monotonic()) if self._later else None
