"""What a measure is called, which way is better and what it means: for tables, pages and ``w2l score --explain``."""

from dataclasses import dataclass
from typing import Literal

MeasureGroup = Literal["lse", "fid", "quality", "mouth", "identity"]
GROUPS: tuple[MeasureGroup, ...] = ("lse", "fid", "quality", "mouth", "identity")
"""The flags of ``w2l score``, in the order of their columns."""


@dataclass(frozen=True)
class Column:
    """One number that a clip, or a set of clips, gets."""

    name: str
    """Its key in JSON and CSV, e.g. ``lse_d``."""
    heading: str
    """Its heading in tables, e.g. ``LSE-D``."""
    group: MeasureGroup
    better: Literal["lower", "higher", "one", "zero", ""]
    """`one` and `zero`: the nearer to it the better; empty: neither way is better."""
    meaning: str
    """What it is, its unit and range, and what it cannot see: one or two sentences for a reader of tables."""
    digits: int = 3
    none: bool = False
    """Whether a clip may have none of it, which is stored as nan and printed as "none"."""
    minor: bool = False
    """Left to JSON, CSV and the page: a table on the terminal has no room for it."""
