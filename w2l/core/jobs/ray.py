"""Run tasks on a Ray cluster whose nodes share a disk (extra `ray`)."""

import functools
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, TypeVar

from w2l.core.errors import ConfigError, W2LError
from w2l.core.jobs.tasks import TRIES, Done, Task, TaskQueue, Waiting, attempt, log_outcome
from w2l.core.jobs.worker import Message, Relay, listen, log_levels, made
from w2l.core.text import one_line

logger = logging.getLogger(__name__)
R = TypeVar("R")

NODE_TRIES = 5
"""How often a task is started whose node dies: that is seldom caused by the task."""
PATIENCE_S = 5.0
"""Seconds that tasks have to clean up when they are asked to stop."""
LOOK_S = 1.0
"""Seconds between two checks of the cluster's size."""
KNOCK_S = 10.0
"""Seconds within which the head of a cluster must answer."""
AHEAD = 2
"""Tasks submitted per CPU of the cluster: waiting tasks let an autoscaling cluster grow."""
AS_WE_WANT = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_worker_niceness": "0",
}  # fmt: skip
"""No usage reports over the network; GPUs stay visible to tasks that request none; workers of a local cluster get their
share of a busy machine, where Ray's default (niceness 15) would have them wait for everything else."""


def run_on_ray(
    queue: TaskQueue, work: Callable[..., R], set_up: Callable[[], Any], address: str, jobs: int
) -> Iterator[Done[R]]:
    """Yield the outcomes of the tasks of `queue` as they end. See `w2l.core.jobs.pool.run_tasks`.

    Every node needs the same w2l, and the files at the same paths. A task takes one CPU of the cluster.
    Raises ConfigError if Ray is not installed or no cluster is found.
    """
    ray = _import_ray()
    with _connected(ray, address, jobs):
        flight: _Flight = _Flight(ray, queue, work, set_up)
        try:
            while flight.begin():
                for reference in flight.ended():
                    done = flight.collect(reference)
                    if done is not None:
                        yield log_outcome(done)
        finally:
            flight.stop()


def _import_ray() -> ModuleType:
    for name, value in AS_WE_WANT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"Ray is not installed ({error}); try: pip install 'w2l[ray]'") from error
    return ray


@contextmanager
def _connected(ray: ModuleType, address: str, jobs: int) -> Iterator[None]:
    """Connect to a cluster within the context; an existing connection is kept afterwards."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options |= {"num_cpus": jobs if jobs > 1 else os.cpu_count(), "include_dashboard": False}
    try:
        _check_reachable(address)
        ray.init(address=address, **options)
    except (OSError, ValueError, RuntimeError) as error:
        line = one_line(error)
        raise ConfigError(
            f"no Ray cluster at {address!r} ({line}); start one with `ray start --head`, or use --ray local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing answers at HOST:PORT; Ray itself would try for a minute."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_S).close()


@dataclass(frozen=True)
class _Call:
    """The work of one run; equal calls share their context."""

    run: str
    work: Callable[..., Any] = field(compare=False)
    set_up: Callable[[], Any] = field(compare=False)
    levels: dict[str, int] = field(compare=False)


@dataclass(frozen=True)
class _Answer:
    """The answer of a worker."""

    done: Done[Any] | None = None
    """None when the task was busy."""
    unfit: Exception | None = None
    """Why the worker could not be set up."""
    messages: tuple[Message, ...] = ()
    """What was logged."""


class _Flight:
    """The tasks submitted to Ray."""

    def __init__(self, ray: Any, queue: TaskQueue, work: Callable[..., Any], set_up: Callable[[], Any]) -> None:
        self._ray = ray
        self._queue = queue
        self._call = _Call(uuid.uuid4().hex, work, set_up, log_levels())
        self._remote = ray.remote(num_cpus=1, max_retries=0)(_serve)
        self._waiting: dict[Any, Waiting] = {}
        self._room = 1
        self._looked_s = float("-inf")

    def begin(self) -> bool:
        """Submit tasks as far as the cluster has room; return False when all have ended."""
        if time.monotonic() - self._looked_s > LOOK_S:
            self._room = max(1, AHEAD * int(self._ray.cluster_resources().get("CPU", 0)))
            self._looked_s = time.monotonic()
        while len(self._waiting) < self._room:
            waiting = self._queue.take()
            if waiting is None:
                break
            self._waiting[self._remote.remote(self._call, waiting.task)] = waiting
        return bool(self._waiting) or self._queue.holds(1)

    def ended(self) -> list[Any]:
        """Wait until a task has ended or a busy one is due; return the references of those that ended."""
        pause_s = self._queue.pause_s() if len(self._waiting) < self._room else None
        pause_s = LOOK_S if pause_s is None else min(pause_s, LOOK_S)
        if not self._waiting:
            time.sleep(pause_s)
            return []
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=pause_s)
        return list(ready)

    def collect(self, reference: Any) -> Done[Any] | None:
        """Return the outcome of a task that has ended; None if it is to be retried."""
        waiting = self._waiting.pop(reference)
        errors = self._ray.exceptions
        try:
            answer: _Answer = self._ray.get(reference)
        except errors.RayTaskError as error:
            line = str(error).strip().splitlines()[-1]
            raise W2LError(f"a Ray worker cannot do the work: {line}; every node needs the same w2l") from error
        except errors.RayError as error:
            return self._died(waiting, error)
        for message in answer.messages:
            message.log()
        if answer.unfit is not None:
            raise answer.unfit
        if answer.done is None:
            self._queue.later(waiting)
        return answer.done

    def _died(self, waiting: Waiting, error: Exception) -> Done[Any] | None:
        name, how = waiting.task.name, type(error).__name__
        waiting = replace(waiting, deaths=waiting.deaths + 1)
        tries = TRIES if isinstance(error, self._ray.exceptions.WorkerCrashedError) else NODE_TRIES
        if waiting.deaths < tries:
            logger.warning("%s: its worker died (%s); trying again", name, how)
            self._queue.again(waiting)
            return None
        line = f"{name}: its worker died, {tries} times ({how}); give workers more memory, or leave it out"
        return Done(waiting.task, error=line, died=True)

    def stop(self) -> None:
        """Interrupt running tasks and give them time to clean up."""
        references = list(self._waiting)
        if references and self._ray.is_initialized():  # otherwise Ray would start a cluster
            for reference in references:
                self._ray.cancel(reference)
            self._ray.wait(references, num_returns=len(references), timeout=PATIENCE_S)


@functools.lru_cache(maxsize=1)
def _context(call: _Call) -> tuple[Any, Exception | None]:
    """Return the context, set up once per process and run, or the reason why it cannot be."""
    return made(call.set_up)


def _serve(call: _Call, task: Task) -> _Answer:
    """Run one task in a Ray worker."""
    messages: list[Message] = []
    listen(call.levels, Relay(messages.append))
    context, unfit = _context(call)
    done = None if unfit else attempt(call.work, context, task)
    return _Answer(done, unfit, tuple(messages))
