"""Work for the tests of the pool; in a module of its own, as workers must be able to import it."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from w2l.core.errors import ConfigError, MediaError
from w2l.core.jobs.tasks import Busy, Task
from w2l.core.locks import claim

logger = logging.getLogger("w2l.of_a_test")


class LibraryError(Exception):
    """An exception of a library that derives from no other."""


def tasks(*names: str, folder: Path | None = None) -> Iterator[Task]:
    """A task for each name; its arguments are the name, after `folder` where there is one."""
    return (Task(name, (name,) if folder is None else (folder, name)) for name in names)


def set_up(folder: Path) -> tuple[Path, int]:
    """A context that leaves a trace each time that it is made: which process made it, and which had started that."""
    (folder / f"context-{os.getpid()}-{time.time_ns()}").write_text(str(os.getppid()))
    return folder, os.getpid()


def unfit() -> None:
    """A context that cannot be made."""
    raise ConfigError("no such detector; choose another")


def broken() -> None:
    """A context that shows a mistake of ours."""
    raise ZeroDivisionError("in the context")


def strange() -> None:
    """A context that a library refuses in its own way."""
    raise LibraryError("in the context")


def kill_oneself(*_: object) -> None:
    """Ends the process as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail(_: object, text: str) -> int:
    """Fails in the ways in which work fails; else gives the length of the text."""
    logger.info("at work on %s", text)
    if text == "broken":
        raise MediaError("broken:\n  cannot be read; use another copy")
    if text == "gone":
        raise FileNotFoundError(2, "No such file or directory", "gone")
    if text == "full":
        raise OSError(28, "No space left on device")
    if text == "bug":
        raise ZeroDivisionError("a mistake\nof ours")
    if text == "strange":
        raise LibraryError("of a library")
    if text == "killed":
        kill_oneself()
    return len(text)


def killed_once(_: object, folder: Path, name: str) -> str:
    """Dies the first time."""
    if name.startswith("killed") and _first(folder / f"{name}.tried"):
        kill_oneself()
    return name


def busy_twice(_: object, folder: Path, name: str) -> str:
    """Is busy the first two times."""
    if name.startswith("busy") and (_first(folder / f"{name}.1") or _first(folder / f"{name}.2")):
        raise Busy
    return name


def who(context: tuple[Path, int], name: str) -> tuple[int, int]:
    """The process that made the context, and the one that works."""
    time.sleep(0.02)
    return context[1], os.getpid()


def threads(_: object, name: str) -> tuple[int, str, str]:
    """How many threads OpenCV uses, and what PyTorch and NumPy go by."""
    import cv2

    return cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]


def sees_interrupts(_: object, name: str) -> bool:
    """Whether Ctrl-C would reach this process."""
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def niceness(_: object, name: str) -> int:
    """How far this process steps back for others."""
    return os.nice(0)


def hold(_: object, folder: Path, name: str) -> str:
    """Holds a lock for a minute, and says so."""
    with claim(folder / f"{name}.lock"):
        (folder / f"{name}.pid").write_text(str(os.getpid()))
        _compute(60)
    return name


def commit(_: object, folder: Path, name: str, length_s: float) -> str:
    """As a stage does with a clip: claims it, skips it when it is done, and commits at the end.

    Each begin leaves a line, so that a test can count them; who commits a second time fails.
    """
    with claim(folder / f"{name}.lock") as mine:
        if not mine:
            raise Busy
        if (folder / f"{name}.done").exists():
            return "skipped"
        with (folder / f"{name}.begun").open("a") as file:
            file.write(f"{os.getpid()}\n")
        _compute(length_s)
        (folder / f"{name}.done").touch(exist_ok=False)
    return "done"


def _compute(length_s: float) -> None:
    """Takes time as Python code does: it can be interrupted between two of its steps."""
    end = time.monotonic() + length_s
    while time.monotonic() < end:
        time.sleep(0.02)


def _first(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def until(condition: Any, patience_s: float = 30.0) -> None:
    """Waits until `condition()` holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
