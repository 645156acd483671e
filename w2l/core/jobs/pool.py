"""Run the same work on many tasks: in this process, in a pool of long-lived processes, or on a Ray cluster.

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
from w2l.core.jobs.tasks import Done, Task, TaskQueue, attempt, log_outcome

R = TypeVar("R")


def no_context() -> None:
    """Return None, the context of work that needs none."""


def run_tasks(
    tasks: Iterable[Task],
    work: Callable[..., R],
    set_up: Callable[[], Any] = no_context,
    jobs: int = 1,
    ray: str | None = None,
) -> Iterator[Done[R]]:
    """Call `work(context, *task.arguments)` for every task; yield each outcome as soon as it is known.

    Parameters
    ----------
    tasks
        Drawn as workers become free, at most a few ahead: may be a generator of a million.
    work, set_up
        `context = set_up()` is made once in each worker (e.g. a face detector). With more than one job, or with Ray,
        both must be picklable: functions of a module, or `functools.partial` of such with picklable arguments.
    jobs
        Number of parallel processes. With 1, or a single task, everything runs in this process and nothing has to be
        picklable. In a pool, torch and OpenCV use one thread per process.
    ray
        None, or the address of the Ray cluster: "auto" finds a running one, "local" starts one here with `jobs`
        workers, else an address such as "head:6379". `jobs` is ignored for a cluster that is already running.

    Notes
    -----
    - An outcome is a result, or an error in one line (`Done.error`): a W2LError or OSError is an error of the input;
      any other exception is a bug in w2l, logged with its traceback (`Done.trace`). The remaining tasks continue.
      Errors are logged here; the caller need not log them.
    - Work that raises `w2l.core.jobs.tasks.Busy` (another process holds the clip) is retried later, until it is free.
    - A worker that dies (SIGKILL, out of memory) is replaced; its task is retried once, then returned with `Done.died`.
    - An error in `set_up` ends the whole run; a W2LError is raised unchanged.
    - Messages that workers log appear in this process, from the same loggers.
    - Leaving the loop early, or Ctrl-C, stops all workers: they get SystemExit, so that `finally` and `with` run (locks
      are released), and are killed a few seconds later. If this process is killed, they stop as well.
    """
    if jobs < 1:
        raise ConfigError(f"{jobs} jobs: at least 1 is required")
    queue = TaskQueue(tasks)
    if ray is not None:
        yield from run_on_ray(queue, work, set_up, ray, jobs)
    elif jobs > 1 and queue.holds(2):
        yield from run_in_processes(queue, work, set_up, jobs)
    else:
        yield from _here(queue, work, set_up)


def _here(queue: TaskQueue, work: Callable[..., R], set_up: Callable[[], Any]) -> Iterator[Done[R]]:
    """Run all tasks in this process."""
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
            yield log_outcome(done)
