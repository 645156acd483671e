"""The same work on many tasks: in this process, in a pool of long-lived processes, or on a Ray cluster.

Example
-------
>>> from w2l.core.jobs.tasks import Task
>>> def set_up():
...     return "hello "
>>> def greet(context, name):
...     return context + name
>>> [done.result for done in run_tasks([Task("first", ("world",))], greet, set_up)]
['hello world']
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from w2l.core.errors import ConfigError
from w2l.core.jobs.processes import run_in_processes
from w2l.core.jobs.ray import run_on_ray
from w2l.core.jobs.tasks import Done, Task, TaskQueue, attempt, tell

R = TypeVar("R")


def no_context() -> None:
    """The context of work that needs none."""


def run_tasks(
    tasks: Iterable[Task],
    work: Callable[..., R],
    set_up: Callable[[], Any] = no_context,
    jobs: int = 1,
    ray: str | None = None,
) -> Iterator[Done[R]]:
    """`work(context, *task.arguments)` of every task; yields what became of each as soon as it is known.

    Parameters
    ----------
    tasks
        Drawn as workers become free, a few ahead at most: may be a generator of a million.
    work, set_up
        `context = set_up()` is made once in each worker (e.g. a face detector). With more than one job, or with Ray,
        both must be picklable: functions of a module, or `functools.partial` of such with picklable arguments.
    jobs
        Processes at a time. 1, or a single task: all is done in this process, and nothing need be picklable. In a
        pool torch and OpenCV have one thread in each process.
    ray
        None; or where the Ray cluster is: "auto" finds a running one, "local" starts one here with `jobs` workers, else
        an address such as "head:6379". `jobs` means nothing on a cluster that runs already.

    Notes
    -----
    - An outcome is a result, or an error in one line (`Done.error`): W2LError and OSError of the work are errors of
      the input; any other exception is a mistake of ours, logged with its traceback (`Done.trace`). All go on past
      it. Errors are logged here; the caller need not.
    - Work that raises `w2l.core.jobs.tasks.Busy` (another process holds the clip) is tried again later, until free.
    - A worker that dies (SIGKILL, out of memory) is replaced; its task is tried once more, then has `Done.died`.
    - What `set_up` raises ends all: a W2LError comes out as it is.
    - Messages that workers log appear in this process, from the same loggers.
    - Leaving the loop early, or Ctrl-C, stops all workers: they get SystemExit, so that `finally` and `with` run (locks
      are released), and are killed a few seconds later. When this process is killed, they stop as well.
    """
    if jobs < 1:
        raise ConfigError(f"{jobs} jobs: at least one is needed")
    queue = TaskQueue(tasks)
    if ray is not None:
        yield from run_on_ray(queue, work, set_up, ray, jobs)
    elif jobs > 1 and queue.holds(2):
        yield from run_in_processes(queue, work, set_up, jobs)
    else:
        yield from _here(queue, work, set_up)


def _here(queue: TaskQueue, work: Callable[..., R], set_up: Callable[[], Any]) -> Iterator[Done[R]]:
    """All in this process."""
    context: Any = None
    is_set_up = False
    while True:
        waiting = queue.take()
        if waiting is None:
            pause_s = queue.pause_s()
            if pause_s is None:
                return
            time.sleep(pause_s)
            continue
        if not is_set_up:
            context, is_set_up = set_up(), True
        done = attempt(work, context, waiting.task)
        if done is None:
            queue.later(waiting)
        else:
            yield tell(done)
