"""Progress of long work: whoever shows it, a callback or a bar, is set for the calling context, not passed along."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

ProgressCallback = Callable[[str, int, int | None], object]
"""Takes the stage, the units that are done, and how many there are; None where that is not known."""


class Advance(Protocol):
    """A function that is called with the number of units done since the last call."""

    def __call__(self, units: int = 1) -> None:
        """Count the units."""


class Display(Protocol):
    """What shows the progress of one piece of work after the other."""

    def __call__(self, title: str, total: int | None, unit: str, done: int) -> AbstractContextManager[Advance]:
        """Show work of `total` units, of which some are `done`, until the context ends."""
        ...


def _ignore(units: int = 1) -> None:
    """Show nothing."""


def no_display(title: str, total: int | None, unit: str, done: int) -> AbstractContextManager[Advance]:
    """Show nothing: a display for work that nobody watches."""
    return nullcontext(_ignore)


_display: ContextVar[Display] = ContextVar("w2l-progress", default=no_display)


def progress(title: str, total: int | None, unit: str = "frames", done: int = 0) -> AbstractContextManager[Advance]:
    """Return a context for work of `total` units (None: unknown); its function counts the units as they are done."""
    return _display.get()(title, total, unit, done)


@contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Show all progress within the context by `display`."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def show_by(display: Display) -> None:
    """Show all progress from now on by `display`: for programs, whose context is their own."""
    _display.set(display)


def reported_to(callback: ProgressCallback | None) -> AbstractContextManager[None]:
    """Return a context in which `callback` is called with all progress; None leaves things as they are.

    It is called where the work is done, in the caller's thread, with 0 units first. What it raises ends the work, which
    cleans up as after Ctrl-C.
    """
    return nullcontext() if callback is None else shown_by(_as_display(callback))


def _as_display(callback: ProgressCallback) -> Display:
    @contextmanager
    def display(title: str, total: int | None, unit: str, done: int) -> Iterator[Advance]:
        def advance(units: int = 1) -> None:
            nonlocal done
            done += units
            callback(title, done, total)

        callback(title, done, total)
        yield advance

    return display
