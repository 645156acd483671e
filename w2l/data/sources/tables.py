"""Read the rows of a list of files: names separated by spaces, tabs or commas, quoted or not."""

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.core.reading import Unreadable, read_text

LIST_SUFFIXES = frozenset([".txt", ".tsv", ".csv", ".lst", ".list"])
"""Suffixes of files that count as lists."""
QUOTED = re.compile(r"\"([^\"]*)\"(?!\S)|'([^']*)'(?!\S)|(\S+)")
"""A cell between spaces. A quote within a name is part of it."""


@dataclass(frozen=True)
class Row:
    """One line that is not empty."""

    line: int
    """Its line number in the file, from 1; blank lines and comments count."""
    text: str
    """The whole line, stripped: a name that contains spaces if the list has one column only."""
    cells: tuple[str, ...]
    """The names in it; an empty one stands for a missing name."""


@dataclass(frozen=True)
class Table:
    """The rows of a list."""

    path: Path
    rows: tuple[Row, ...]
    heading: tuple[str, ...] = ()
    """The known names of its columns, in lower case; empty without a heading."""
    heading_line: int = 0
    """Line number of the heading; 0 without one."""

    def cell(self, row: Row, *names: str) -> str:
        """Return the cell of `row` in the first of the columns `names` that exists; empty if there is none."""
        for name in names:
            if name in self.heading and self.heading.index(name) < len(row.cells):
                return row.cells[self.heading.index(name)]
        return ""

    def where(self, row: Row) -> str:
        """Return the place of `row`, for messages."""
        return f"{self.path}, line {row.line}"


def read_table(path: Path, known: Collection[str] = ()) -> Table:
    """Return the rows of the list at `path`, without blank ones and comments, which begin with ``#``.

    A ``.csv`` has commas (or, without any in its first row, semicolons) between its cells. In any other list a line
    with a tab in it is split at tabs, one without at spaces, except within quotes. The first row is a heading if
    each of its cells is one of `known`, in any case.

    Raises ConfigError if it cannot be read, is empty, or a line has an open quote.
    """
    lines = [line.rstrip() if path.suffix.lower() == ".tsv" else line.strip() for line in _lines(path)]
    filled = [(number, text) for number, text in enumerate(lines, 1) if text and not text.startswith("#")]
    if not filled:
        raise ConfigError(f"{path} is empty; expected one clip per line")
    comma = ";" if path.suffix.lower() == ".csv" and "," not in filled[0][1] else ","
    rows = [Row(number, text, _cells(path, number, text, comma)) for number, text in filled]
    first = tuple(cell.strip().lower() for cell in rows[0].cells)
    if not set(first) <= set(known):
        return Table(path, tuple(rows))
    if len(rows) == 1:
        raise ConfigError(f"{path} is empty below its heading; expected one clip per line")
    return Table(path, tuple(rows[1:]), first, rows[0].line)


def _lines(path: Path) -> list[str]:
    """Return all lines; bytes that are not UTF-8 are preserved as in file names."""
    try:
        text = read_text(path, errors="surrogateescape")
    except Unreadable as error:
        raise ConfigError(f"list {path} cannot be read ({error}); check the path") from error
    if "\0" in text:
        raise ConfigError(f"list {path} cannot be read: it contains null bytes; choose a list of files")
    return re.split(r"\r\n|\r|\n", text)


def _cells(path: Path, number: int, text: str, comma: str) -> tuple[str, ...]:
    if path.suffix.lower() == ".csv":
        try:
            cells = next(csv.reader([text], delimiter=comma, skipinitialspace=True))
        except csv.Error as error:
            raise ConfigError(f"{path}, line {number}: {error}; correct the line") from error
    elif "\t" in text:
        cells = [_unquoted(cell.strip()) for cell in text.split("\t")]
    else:
        if re.search(r"(?:^|\s)\"[^\"]*$", text):
            raise ConfigError(f"{path}, line {number}: a quote is not closed; close it")
        cells = ["".join(match.groups("")) for match in QUOTED.finditer(text)]
    return tuple(cell.strip() for cell in cells)


def _unquoted(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'" else cell
