"""Contents of the tables and figures of the score page, as plain values for its template."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from w2l.scoring.metrics.columns import Column
from w2l.scoring.report.wording import heading


@dataclass(frozen=True)
class Cell:
    """One cell of a table, or a name."""

    text: str
    key: str | None = None
    """CSS class of the dot before the text, in the colour of a system; None for no dot."""
    css: str = ""
    """CSS class of the text."""
    doubtful: bool = False
    """Whether the number comes from a judge that failed its check."""
    over: bool = False
    """Whether the number is better than that of the real videos."""
    small: str = ""
    """Shown below the text."""


@dataclass(frozen=True)
class ScoreTable:
    """A table, whose head has a tooltip for each column."""

    head: Sequence[tuple[str, str]]
    """Pairs of (text, tooltip)."""
    rows: Sequence[tuple[str, Sequence[Cell | str]]]
    """Pairs of (CSS class, cells)."""
    kind: str = "numbers"
    """CSS classes."""


@dataclass(frozen=True)
class ScoreFigure:
    """Plots with a caption."""

    title: str
    note: str
    drawings: Sequence[str]
    """SVG elements."""


def plain_head(titles: Iterable[str]) -> list[tuple[str, str]]:
    """Return the head of columns without tooltips."""
    return [(title, "") for title in titles]


def measure_head(columns: Iterable[Column]) -> list[tuple[str, str]]:
    """Return the head of columns of measures, whose tooltips explain them."""
    return [(heading(column), column.meaning) for column in columns]
