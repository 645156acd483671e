"""Columns of measures: name, direction and meaning, for tables, pages and ``w2l score --explain``."""

from dataclasses import dataclass
from typing import Literal

MeasureGroup = Literal["lse", "fid", "quality", "mouth", "identity"]
GROUPS: tuple[MeasureGroup, ...] = ("lse", "fid", "quality", "mouth", "identity")
"""The flags of ``w2l score``, in the order of their columns."""


@dataclass(frozen=True)
class Column:
    """One number of a clip or of a set of clips."""

    name: str
    """Its key in JSON and CSV, e.g. ``lse_d``."""
    heading: str
    """Its heading in tables, e.g. ``LSE-D``."""
    group: MeasureGroup
    better: Literal["lower", "higher", "one", "zero", ""]
    """`one` and `zero`: the nearer the better; empty: neither direction is better."""
    meaning: str
    """Meaning, unit, range and limitations: one or two sentences for readers of tables."""
    digits: int = 3
    none: bool = False
    """Whether a clip may lack it, which is stored as nan and printed as "none"."""
    minor: bool = False
    """Shown only in JSON, CSV and the page: a table on the terminal lacks space for it."""
