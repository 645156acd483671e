"""A finding about this machine or installation, and the exceptions of broken parts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from w2l.core.errors import W2LError
from w2l.core.text import one_line

State = Literal["ok", "missing", "warning", "broken"]
"""`missing`: optional and not available; `broken`: required and not usable."""
LIKELY = (ImportError, OSError, AttributeError, RuntimeError, TypeError, ValueError, SyntaxError, LookupError)
"""Exceptions that importing or calling a broken package raises."""
FAILURES = (*LIKELY, W2LError)


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    topic: str
    name: str
    state: State
    detail: str
    advice: str = ""
    """What to do about it."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """The same as numbers and texts for scripts."""


def reason(error: BaseException) -> str:
    """Return an error as one line, with its type if the message alone is not informative."""
    return one_line(error) if isinstance(error, W2LError) else one_line(f"{type(error).__name__}: {error}")


def gigabytes(size: int) -> str:
    """Return a size as GB, or as MB if small."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


Check = Callable[[Path | None], Iterable[Finding]]
"""Takes the cache's folder, None for the default, and yields findings."""
