"""Process many inputs in one call, in several processes or on a cluster; failures are listed at the end."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from w2l.core.errors import MediaError
from w2l.core.jobs.pool import no_context, run_tasks
from w2l.core.jobs.tasks import Done, Task

logger = logging.getLogger(__name__)
R = TypeVar("R")

MOST_NAMED = 20
"""Number of failures in the last line; the log has all of them."""


def run_all(
    work: Callable[..., R],
    tasks: Sequence[tuple[str, tuple[Any, ...]]],
    set_up: Callable[[], Any] = no_context,
    jobs: int = 1,
    ray: str | None = None,
) -> list[Done[R]]:
    """Call `work(context, *arguments)` for every task (name, arguments), in the order of the tasks, despite failures.

    `set_up`, `jobs` and `ray` are as in `w2l.core.jobs.pool.run_tasks`.
    """
    outcomes: dict[int, Done[R]] = {}
    numbered = (Task(name, (place, *arguments)) for place, (name, arguments) in enumerate(tasks))
    for done in run_tasks(numbered, functools.partial(_without_number, work), set_up, jobs, ray):
        outcomes[done.task.arguments[0]] = done
        logger.debug("%d of %d done", len(outcomes), len(tasks))
    return [outcomes[place] for place in range(len(tasks))]


def _without_number(work: Callable[..., R], context: Any, place: int, *arguments: Any) -> R:
    return work(context, *arguments)


def name_failures(outcomes: Sequence[Done[Any]]) -> None:
    """Raise a MediaError that lists the failures, if there are any."""
    errors = [_named(outcome) for outcome in outcomes if outcome.error]
    if errors:
        more = f"; and {len(errors) - MOST_NAMED} more, see above" if len(errors) > MOST_NAMED else ""
        raise MediaError(f"{len(errors)} of {len(outcomes)} failed: {'; '.join(errors[:MOST_NAMED])}{more}")


def _named(outcome: Done[Any]) -> str:
    name, error = outcome.task.name, outcome.error
    return error if name in error else f"{name}: {error}"
