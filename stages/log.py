"""Log messages and progress on stderr; stdout is for results only."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from w2l.core.progress import Advance, no_display, show_by
from w2l.core.text import printable


class Printable(logging.Formatter):
    """Formatter that prevents file names from controlling the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, with its traceback if there is one, made printable by `w2l.core.text.printable`."""
        return printable(super().format(record))


def set_up_logging(verbosity: int) -> None:
    """Log to stderr: messages at 0, details at 1 and above, only errors at -1; show progress on terminals."""
    show_by(bar)
    level = {-1: logging.ERROR, 0: logging.INFO}.get(verbosity, logging.DEBUG)
    console = _console()
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
def bar(title: str, total: int | None, unit: str = "frames", done: int = 0) -> Iterator[Advance]:
    """Show a progress bar with rate and time left, on a terminal only; see `w2l.core.progress.Display`."""
    console = _console()
    if not console.is_terminal:  # rich before 14.3 ends a disabled bar with an empty line
        with no_display(title, total, unit, done) as ignored:
            yield ignored
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(title, total=total, completed=done, rate="")

        def advance(units: int = 1) -> None:
            shown.advance(task, units)
            speed = shown.tasks[0].speed
            shown.update(task, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield advance


@functools.cache
def _console() -> Console:
    """Return the one console, so that a message is printed above the bar and not into it."""
    return Console(stderr=True)
