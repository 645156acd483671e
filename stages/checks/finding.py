"""A finding about this machine or installation, and what a broken part may raise."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from w2l.core.errors import W2LError
from w2l.core.text import one_line

State = Literal["ok", "missing", "warning", "broken"]
"""`missing`: optional, and not here; `broken`: needed, and absent or unusable."""
LIKELY = (ImportError, OSError, AttributeError, RuntimeError, TypeError, ValueError, SyntaxError, LookupError)
"""What importing or calling a broken package raises."""
FAILURES = (*LIKELY, W2LError)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    name: str
    state: State
    detail: str
    advice: str = ""
    """What to do about it."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """The same as numbers and texts for scripts."""


def reason(error: BaseException) -> str:
    """Return an error as one line, with its type where the message alone says little."""
    return one_line(error) if isinstance(error, W2LError) else one_line(f"{type(error).__name__}: {error}")


def gigabytes(size: int) -> str:
    """Return bytes as GB, or as MB where they are few."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


Check = Callable[[Path | None], Iterable[Finding]]
"""Takes the cache's folder, None for the default place, and finds."""
