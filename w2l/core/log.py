"""Log messages and progress on stderr; stdout is for results only."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from w2l.core.text import printable


class Advance(Protocol):
    """Called with the number of units done since the last call."""

    def __call__(self, units: int = 1) -> None:
        """Advance the bar."""


class Printable(logging.Formatter):
    """Formatter that prevents file names from controlling the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, with its traceback if there is one, made printable by `w2l.core.text.printable`."""
        return printable(super().format(record))


def set_up_logging(verbosity: int) -> None:
    """Log to stderr: errors only at -1, messages at 0, details at 1 and above."""
    level = {-1: logging.ERROR, 0: logging.INFO}.get(verbosity, logging.DEBUG)
    console = Console(stderr=True)
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, show_time=False, markup=False)
    else:
        handler = logging.StreamHandler()
    handler.setFormatter(Printable("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    for name in ("w2l", "stages"):
        logging.getLogger(name).setLevel(level)


@contextmanager
def progress(title: str, total: int | None, unit: str = "frames") -> Iterator[Advance]:
    """Show a progress bar with rate and remaining time, on a terminal only."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=total, rate="")

        def advance(units: int = 1) -> None:
            bar.advance(task, units)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield advance
