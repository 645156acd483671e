"""A process that stays warm for short work, so that a page answers quickly and loads no networks itself."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import ParamSpec, TypeVar

from w2l.core.errors import W2LError

P = ParamSpec("P")
R = TypeVar("R")


class Helper:
    """Runs one function after the other in a process of its own, which is started again if it dies."""

    def __init__(self) -> None:
        self._pool = _pool()
        self._guard = threading.Lock()

    def submit(self, function: Callable[P, R], *given: P.args, **named: P.kwargs) -> "Future[R]":
        """Put a call in line: a function at the top of a module, with values that can be pickled."""
        with self._guard:
            try:
                return self._pool.submit(function, *given, **named)
            except (BrokenProcessPool, RuntimeError):
                self._pool = _pool()
                return self._pool.submit(function, *given, **named)

    def call(self, function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """Return the result of a call; raise what it raises, W2LError if the process dies."""
        return answer(self.submit(function, *given, **named))

    def stop(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def answer(future: "Future[R]") -> R:
    """Return the result of a submitted call; see `Helper.call`."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise W2LError("the process that looks at videos died (out of memory?); try again, or a shorter one") from error


def _pool() -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # threads of torch and OpenCV do not survive a fork
    return ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when its parent has died, for whatever reason."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
