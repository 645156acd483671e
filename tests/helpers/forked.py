"""Processes that start in milliseconds: forked from one, kept for all tests, that has imported what commands use.

Each is a process of its own, to be killed or to be joined by others; only the seconds of its imports are saved.
"""

import functools
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from stages import cli

ROOT = Path(cli.__file__).parents[1]
PATIENCE_S = 300.0
IMPORTED = ("stages.preprocess", "stages.train_expert", "stages.train", "w2l.training.report.write", "torch._dynamo")
"""Imported before forking; the last by PyTorch, for its optimisers."""
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Forked:
    """A process that calls a function; as a context manager it is killed at the end if it still runs."""

    def __init__(
        self, log: Path, call: Callable[..., Any], *arguments: Any, environment: dict[str, str] | None = None
    ) -> None:
        self.out, self.err = log.with_suffix(".out"), log.with_suffix(".err")
        given = (call, arguments, {**os.environ, **QUIET, **(environment or {})}, str(self.out), str(self.err))
        self._process: Any = _context().Process(target=_call, args=given)
        self._process.start()
        self.pid: int = self._process.pid

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            self._process.kill()
        self.wait()

    def poll(self) -> int | None:
        """Its exit status, minus the signal that killed it, or None while it runs."""
        status: int | None = self._process.exitcode
        return status

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait until it has ended; give its exit status, or minus the signal that killed it."""
        self._process.join(patience_s)
        status = self.poll()
        assert status is not None, "it does not end"
        return status

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds while the process runs."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.poll() is None, f"it ended before: {self.err.read_text()}"
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def said(self) -> tuple[int, str, str]:
        """Wait until it has ended; give its exit status, stdout and stderr."""
        return self.wait(), self.out.read_text(), self.err.read_text()


def w2l(log: Path, *arguments: object, environment: dict[str, str] | None = None) -> Forked:
    """The command line in a process of its own; what it prints goes to files beside `log`."""
    return Forked(log, cli.main, list(map(str, arguments)), environment=environment)


@functools.cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        for name, value in QUIET.items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def _call(call: Callable[..., Any], arguments: tuple[Any, ...], environment: dict[str, str], *streams: str) -> None:
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    call(*arguments)
