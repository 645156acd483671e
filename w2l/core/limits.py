"""Limits on what is read from untrusted files; each can be changed by an environment variable.

The variable of a field is ``W2L_MAX_`` plus its name, such as ``W2L_MAX_MEGAPIXELS=200``. Variables reach every process
that a command starts; on a Ray cluster they are set where its nodes are started.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace

from w2l.core.errors import ConfigError, MediaError

PREFIX = "W2L_MAX_"
"""Prefix of the variables."""


@dataclass(frozen=True)
class Limits:
    """Upper limits on untrusted input."""

    megapixels: float = 64.0
    """Size of one image, in millions of pixels; processing one of 64 takes up to 2 GB."""
    sound_hours: float = 6.0
    """Length of an audio track, in hours; holding it whole takes up to 2.8 GB for 6 hours."""
    array_megabytes: float = 4096.0
    """Size of the arrays of a cache file, unpacked, in megabytes."""
    text_megabytes: float = 256.0
    """Size of a list, a record or a rater's answers, in megabytes."""
    stream_megabytes: float = 4096.0
    """Size of a speech that comes through a pipe, which is stored in a temporary file, in megabytes."""
    clip_gigapixels: float = 20_000.0
    """Frames decoded for one clip of a batch, in billions of pixels; two hours of 4K at 60 fps are 3600, and a command
    may decode them several times."""
    clip_hours: float = 12.0
    """Time spent on one clip of a batch, in hours."""


@dataclass
class _Budget:
    """What remains for one clip of a batch."""

    limits: Limits
    until_s: float
    """By the monotonic clock."""
    pixels: float


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


def limits() -> Limits:
    """Return the limits, with those set in the environment; raise ConfigError for one that is not a positive number."""
    given = {one.name: _value(PREFIX + one.name.upper()) for one in fields(Limits)}
    return replace(Limits(), **{name: value for name, value in given.items() if value is not None})


def _value(variable: str) -> float | None:
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{variable} must be a positive number, got {text!r}")
    return value


@contextmanager
def clip_budget() -> Iterator[None]:
    """Limit the time and the decoded frames of the enclosed work on one clip of a batch."""
    bounds = limits()
    mark = _budget.set(_Budget(bounds, time.monotonic() + 3600 * bounds.clip_hours, 1e9 * bounds.clip_gigapixels))
    try:
        yield
    finally:
        _budget.reset(mark)


def spend(pixels: int) -> None:
    """Count decoded pixels, 0 for audio, against the clip's budget; raise MediaError if that or its time is exceeded.

    Outside of `clip_budget`, nothing is counted.
    """
    budget = _budget.get()
    if budget is None:
        return
    budget.pixels -= pixels
    if budget.pixels < 0:
        raise MediaError(
            f"more than {budget.limits.clip_gigapixels:g} billion pixels were decoded for one clip; cut it, or raise"
            f" {PREFIX}CLIP_GIGAPIXELS"
        )
    if time.monotonic() > budget.until_s:
        raise MediaError(
            f"one clip took more than {budget.limits.clip_hours:g} hours; cut it, or raise {PREFIX}CLIP_HOURS"
        )
