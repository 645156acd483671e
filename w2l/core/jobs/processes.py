"""A pool of long-lived worker processes; a worker that dies is replaced and its task retried once."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from w2l.core.errors import W2LError
from w2l.core.jobs.tasks import TRIES, Done, TaskQueue, Waiting, attempt, log_outcome
from w2l.core.jobs.worker import Message, Relay, listen, log_levels, made

logger = logging.getLogger(__name__)
R = TypeVar("R")

PATIENCE_S = 5.0
"""Seconds that a worker has to clean up when it is asked to stop."""
STARTS = 3
"""Number of workers in a row that may die before their first task."""
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1",
}  # fmt: skip
"""Environment that limits NumPy, PyTorch and OpenCV to one thread in a new process."""
READY = "ready"
"""Message from a worker that can take tasks."""


def run_in_processes(
    queue: TaskQueue, work: Callable[..., R], set_up: Callable[[], Any], jobs: int
) -> Iterator[Done[R]]:
    """Yield the outcomes of the tasks of `queue` as they end. See `w2l.core.jobs.pool.run_tasks`."""
    pool = _Pool(queue, work, set_up, jobs)
    try:
        while pool.hand_out():
            for worker in pool.wait():
                done = pool.receive(worker)
                if done is not None:
                    yield log_outcome(done)
    finally:
        pool.stop()


@dataclass
class _Worker:
    """One worker process, as its parent sees it."""

    process: Any
    connection: Connection
    is_ready: bool = False
    """Whether it has made its context."""
    at: Waiting | None = None
    """The task it is running."""


class _Pool:
    """The workers and the tasks they are running."""

    def __init__(self, queue: TaskQueue, work: Callable[..., Any], set_up: Callable[[], Any], jobs: int) -> None:
        self._queue = queue
        self._call = (work, set_up)
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._failed_starts = 0

    def hand_out(self) -> bool:
        """Assign tasks to idle workers and start new workers; return False when all tasks have ended."""
        for worker in self._workers:
            if worker.is_ready and worker.at is None:
                self._give(worker)
        starting = sum(not worker.is_ready for worker in self._workers)
        while len(self._workers) < self._jobs and self._queue.holds(starting + 1):
            self._workers.append(_start(*self._call))
            starting += 1
        return self._queue.holds(1) or any(worker.at for worker in self._workers)

    def _give(self, worker: _Worker) -> None:
        waiting = self._queue.take()
        if waiting is None:
            return
        try:
            worker.connection.send(waiting.task)
            worker.at = waiting
        except ConnectionError:  # it died idle; `receive` will notice
            self._queue.again(waiting)

    def wait(self) -> list[_Worker]:
        """Wait until workers have sent something or a busy task is due; return those workers."""
        is_idle = any(worker.is_ready and worker.at is None for worker in self._workers)
        ready = wait([worker.connection for worker in self._workers], self._queue.pause_s() if is_idle else None)
        return [worker for worker in self._workers if worker.connection in ready]

    def receive(self, worker: _Worker) -> Done[Any] | None:
        """Receive one message of a worker; return the outcome of its task if it is known now."""
        try:
            said = worker.connection.recv()
        except (EOFError, ConnectionError):
            return self._reap(worker)
        if isinstance(said, Message):
            said.log()
        elif isinstance(said, Exception):
            raise said
        elif said == READY:
            worker.is_ready, self._failed_starts = True, 0
            self._give(worker)
        else:
            return self._ended(worker, said)
        return None

    def _ended(self, worker: _Worker, done: Done[Any] | None) -> Done[Any] | None:
        waiting, worker.at = worker.at, None
        if done is None and waiting is not None:
            self._queue.later(waiting)
        self._give(worker)  # before the caller handles the outcome
        return done

    def _reap(self, worker: _Worker) -> Done[Any] | None:
        """Remove a worker that has died; retry its task or return it as died."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(PATIENCE_S)
        how = _how_it_ended(worker.process.exitcode)
        if worker.at is None:
            self._failed_starts += not worker.is_ready
            if self._failed_starts >= STARTS:
                raise W2LError(f"{STARTS} workers in a row died at start-up (the last {how}); try fewer --jobs")
            logger.debug("an idle worker %s", how)
            return None
        waiting = replace(worker.at, deaths=worker.at.deaths + 1)
        if waiting.deaths < TRIES:
            logger.warning("%s: its worker %s; trying again", waiting.task.name, how)
            self._queue.again(waiting)
            return None
        name = waiting.task.name
        line = f"{name}: its worker {how}, {TRIES} times; try fewer --jobs, or leave it out"
        return Done(waiting.task, error=line, died=True)

    def stop(self) -> None:
        """Ask all workers to stop and wait until they have."""
        for worker in self._workers:
            worker.connection.close()
            with suppress(ProcessLookupError):
                worker.process.terminate()
        deadline = time.monotonic() + PATIENCE_S
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"ended with status {exitcode}"
    name = signal.Signals(-exitcode).name if -exitcode in set(signal.Signals) else str(-exitcode)
    return f"was killed by {name}" + (" (out of memory?)" if -exitcode == signal.SIGKILL else "")


def _start(work: Callable[..., Any], set_up: Callable[[], Any]) -> _Worker:
    context = multiprocessing.get_context("spawn")  # threads of torch and OpenCV do not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, log_levels()), daemon=True)
    with _no_interrupts(), _one_thread():
        process.start()
    theirs.close()  # so that the end of the worker is noticed
    with suppress(ConnectionError):  # it died immediately; `receive` will notice
        ours.send((work, set_up))
    return _Worker(process, ours)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Start a process that ignores Ctrl-C, which reaches all processes of a terminal: its parent stops it."""
    resource_tracker.ensure_running()  # now, as it lets interrupts through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Start a process that computes in one thread: the other cores have workers of their own."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Connection:
    """A worker's end of the connection to its parent, usable by one thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, what: object) -> None:
        """Send a log message, an answer, the reason why the worker cannot be set up, or READY."""
        with self._lock, suppress(ConnectionError):  # the parent has ended: this process will be stopped
            self._connection.send(what)


def _serve(connection: Connection, levels: dict[str, int]) -> None:
    """Run a worker: receive the work, set up, then do one task after the other until the parent closes the connection.

    The work is received last: unpickling imports what it needs, which takes seconds; by then the parent is watched.
    """
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch_parent, daemon=True).start()
    line = _Connection(connection)
    listen(levels, Relay(line.send))
    try:
        with suppress(EOFError, ConnectionError):
            work, set_up = connection.recv()
            context, unfit = made(set_up)
            line.send(unfit or READY)
            while not unfit:
                line.send(attempt(work, context, connection.recv()))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # all is released: no clean-up is needed from here on


def _leave(number: int, frame: object) -> None:
    """End the process with SystemExit, so that locks are released."""
    raise SystemExit(128 + number)


def _watch_parent() -> None:
    """End this process when its parent has died, for whatever reason."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        time.sleep(PATIENCE_S)
        os._exit(1)
