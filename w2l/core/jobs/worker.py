"""What a worker does wherever it runs: sends its messages home, is set up, computes in one thread."""

import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from w2l.core.errors import W2LError

LOGGERS = ("", "w2l", "stages")
"""The loggers whose levels a worker takes over from its parent."""


@dataclass(frozen=True)
class Message:
    """What was logged in a worker."""

    logger: str
    level: int
    text: str

    def log(self) -> None:
        """Logs it here."""
        logging.getLogger(self.logger).log(self.level, "%s", self.text)


class Relay(logging.Handler):
    """Hands all that is logged in a worker to `send`, one message at a time."""

    def __init__(self, send: Callable[[Message], object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Hands over one record, formatted."""
        self._send(Message(record.name, record.levelno, self.format(record)))


def log_levels() -> dict[str, int]:
    """How much is logged here; for `listen`."""
    return {name: logging.getLogger(name).level for name in LOGGERS}


def listen(levels: dict[str, int], relay: Relay) -> None:
    """From now on this process logs to `relay` alone, as much as `levels` say."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger().handlers[:] = [relay]


def made(set_up: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """The context, and why there is none: W2LError and OSError as they are, a mistake of ours with its traceback."""
    compute_in_one_thread()  # before, as a context may go by it, and after, for what it has loaded
    try:
        context = set_up()
    except (W2LError, OSError) as error:
        return None, error
    except Exception:  # noqa: BLE001  the parent must learn of it, whatever it is
        return None, RuntimeError(f"a worker cannot be set up:\n{traceback.format_exc()}")
    compute_in_one_thread()
    return context, None


def compute_in_one_thread() -> None:
    """Keeps PyTorch and OpenCV, where they are loaded, to one thread: the other cores have workers of their own."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
