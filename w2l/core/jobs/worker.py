"""Common code of all workers: forwarding log messages, set-up, single-threaded computing."""

import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from w2l.core.errors import W2LError

LOGGERS = ("", "w2l", "stages")
"""Loggers whose levels a worker takes over from its parent."""


@dataclass(frozen=True)
class Message:
    """A log message of a worker."""

    logger: str
    level: int
    text: str

    def log(self) -> None:
        """Log it in this process."""
        logging.getLogger(self.logger).log(self.level, "%s", self.text)


class Relay(logging.Handler):
    """Log handler that passes every message of a worker to `send`, one at a time."""

    def __init__(self, send: Callable[[Message], object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on one record, formatted."""
        self._send(Message(record.name, record.levelno, self.format(record)))


def log_levels() -> dict[str, int]:
    """Return the levels of the loggers in this process; for `listen`."""
    return {name: logging.getLogger(name).level for name in LOGGERS}


def listen(levels: dict[str, int], relay: Relay) -> None:
    """Make this process log to `relay` alone, at the given levels."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger().handlers[:] = [relay]


def made(set_up: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return the context and the reason if there is none: W2LError and OSError unchanged, bugs with their traceback."""
    compute_in_one_thread()  # before, as set_up may depend on it; and after, for what it has loaded
    try:
        context = set_up()
    except (W2LError, OSError) as error:
        return None, error
    except Exception:  # noqa: BLE001  the parent must learn of it, whatever it is
        return None, RuntimeError(f"set-up of a worker failed:\n{traceback.format_exc()}")
    compute_in_one_thread()
    return context, None


def compute_in_one_thread() -> None:
    """Limit PyTorch and OpenCV, if loaded, to one thread: the other cores have workers of their own."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
