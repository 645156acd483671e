"""Numbers and names as text for people."""

from collections.abc import Iterable


def number(value: float) -> str:
    """A number as a person writes it: no needless decimals, blanks between thousands."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def readable(name: str) -> str:
    """A file name as one printable line: line breaks, control characters and bytes that are no text are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def some(names: Iterable[str], most: int = 3) -> str:
    """The first of many names, as `readable` lines, and how many more there are."""
    shown = [readable(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def one_line(text: object) -> str:
    """Return a text, such as an error of another library, in one printable line: see `readable`; single blanks."""
    return readable(" ".join(str(text).split()))


def printable(text: str) -> str:
    """Return a text of several lines as `readable` ones: what comes from files cannot control a terminal."""
    return "\n".join(readable(line.replace("\t", "    ")) for line in text.split("\n"))
