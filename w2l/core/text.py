"""Formatting of numbers and names for people."""

import re
from collections.abc import Iterable

UNDECODED = "\udc80-\udcff"
"""Range of the surrogate escapes, which stand for undecodable bytes in file names."""


def number(value: float) -> str:
    """Format a number without needless decimals, with spaces between thousands."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def readable(name: str) -> str:
    """Return a file name as one printable line: line breaks, control characters and undecodable bytes are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def counted(count: int, what: str) -> str:
    """Return a number of things that have a regular plural: "1 face track", "2 face tracks"."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Return the first of many names, made `readable`, and how many more there are."""
    shown = [readable(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def one_line(text: object) -> str:
    """Return a text, such as another library's error, as one printable line (see `readable`) with single spaces."""
    return readable(" ".join(str(text).split()))


def printable(text: str, keep_bytes: bool = False) -> str:
    """Return a multi-line text with every line made `readable`: file content cannot control the terminal.

    With `keep_bytes`, undecodable bytes of file names stay surrogate escapes, for programs that use the names.
    """
    parts = re.split(f"([{UNDECODED}]+)" if keep_bytes else "(?!)", text.replace("\t", "    "))
    kept = (part if index % 2 else "\n".join(map(readable, part.split("\n"))) for index, part in enumerate(parts))
    return "".join(kept)
