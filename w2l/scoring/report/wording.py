"""Scores as words, for the table and the page: numbers, headings, the best systems, dropped clips."""

import math
from collections.abc import Iterable, Sequence

from w2l.core.text import readable
from w2l.scoring.metrics.columns import GROUPS, Column, MeasureGroup
from w2l.scoring.metrics.statistics import Comparison, Interval
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, ScoreReport, SystemScore

ARROWS = {"lower": "↓", "higher": "↑", "one": "→1", "zero": "→0", "": ""}
"""Shown after a heading: which way is better."""
BETTER = {
    "lower": "lower is better", "higher": "higher is better", "one": "closer to 1 is better",
    "zero": "closer to 0 is better", "": "neither way is better",
}  # fmt: skip
TITLES: dict[MeasureGroup, str] = {
    "lse": "Lip sync, measured by the judge",
    "fid": "Similarity of all faces to real ones",
    "quality": "Image quality, against the real video",
    "mouth": "Mouth movement",
    "identity": "Identity",
}
"""Titles of the groups of columns."""
NONE = "none"
"""Text of a missing offset."""
DOUBT = "?"
"""Shown after a number of a judge that failed its check."""
NOTHING = "-"
"""Text of a missing number."""
ANCHORS = (REAL, SHUFFLED)
"""Rows shown for comparison, which are never the best."""
UNSURE = 0.05
"""A difference with a p-value above this is not significant."""


def heading(column: Column) -> str:
    """Return the heading of a column, with an arrow for which way is better."""
    return f"{column.heading} {ARROWS[column.better]}".rstrip()


def digits_of(column: Column, *, mean: bool = False) -> int:
    """Return the number of decimals to print; a mean of whole numbers has one, except for counts."""
    return 1 if mean and column.digits == 0 and column.better else column.digits


def value_text(column: Column, value: float | None, *, mean: bool = False) -> str:
    """Return a value of a column as text; offsets, which have a direction, are signed."""
    if value is None or not math.isfinite(value):
        return NONE if value is not None and column.none else NOTHING
    digits = digits_of(column, mean=mean)
    rounded = round(value, digits) + 0.0  # no "-0.0"
    sign = "+" if column.better == "zero" and column.group == "lse" and rounded > 0 else ""
    return f"{sign}{rounded:.{digits}f}"


def has_width(interval: Interval) -> bool:
    """Return whether an interval has a width; that of a single clip does not."""
    return math.isfinite(interval.low) and math.isfinite(interval.high) and interval.low < interval.high


def spread(column: Column, interval: Interval) -> str:
    """Return an interval in brackets; empty if there is none."""
    if not has_width(interval):
        return ""
    return f"[{value_text(column, interval.low, mean=True)}, {value_text(column, interval.high, mean=True)}]"


def difference_spread(column: Column, interval: Interval) -> str:
    """Return the interval of a difference in brackets; empty if there is none."""
    return f"[{signed(column, interval.low)}, {signed(column, interval.high)}]" if has_width(interval) else ""


def half_width(column: Column, interval: Interval) -> str:
    """Return half of an interval, as the ± of a mean; empty if there is none."""
    if not has_width(interval):
        return ""
    return f"±{(interval.high - interval.low) / 2:.{digits_of(column, mean=True)}f}"


def worth(column: Column, value: float | None) -> float:
    """Return the value converted so that higher is better; NaN if neither way is better or the value is missing."""
    if value is None:
        return math.nan
    turned = {"lower": -value, "higher": value, "one": -abs(value - 1), "zero": -abs(value), "": math.nan}
    return turned[column.better]


def signed(column: Column, value: float) -> str:
    """Return a difference of two values as text."""
    if not math.isfinite(value):
        return NOTHING
    rounded = round(value, digits_of(column, mean=True)) + 0.0
    return f"{'+' if rounded > 0 else ''}{rounded:.{digits_of(column, mean=True)}f}"


def value_of(system: SystemScore, column: Column) -> float | None:
    """Return the system's mean, or its number for the whole set; None if it has neither."""
    if column.name in system.whole:
        return system.whole[column.name]
    interval = system.means.get(column.name)
    return interval.mean if interval else None


def mean_text(system: SystemScore, column: Column) -> str:
    """Return the text of a system in a column of a table."""
    value = value_of(system, column)
    if value is None and column.none and system.scored:
        value = math.nan
    return value_text(column, value, mean=column.name not in system.whole)


def best_systems(systems: Sequence[SystemScore], column: Column) -> set[str]:
    """Return the tested systems that print the best value; empty if there is nothing to compare."""
    printed = {s.system: mean_text(s, column) for s in systems if s.system not in ANCHORS}
    worths = {s.system: worth(column, value_of(s, column)) for s in systems if s.system in printed}
    rated = {name: value for name, value in worths.items() if math.isfinite(value)}
    if len(rated) < 2:
        return set()
    top = printed[max(rated, key=rated.__getitem__)]
    best = {name for name in rated if printed[name] == top}
    return best if len(best) < len(rated) else set()


def beats_real(report: ScoreReport, system: SystemScore, column: Column) -> bool:
    """Return whether a system scores significantly better than the real videos, which means an overfitted measure.

    If the two are compared clip by clip, that difference must be significant; else their intervals must not overlap.
    """
    if system.system in ANCHORS or column.better not in ("lower", "higher"):
        return False
    real = next((other for other in report.systems if other.system == REAL), None)
    if real is None or not worth(column, value_of(system, column)) > worth(column, value_of(real, column)):
        return False
    pair = (column.name, {system.system, REAL})
    for compared in report.comparisons:
        if (compared.column, {compared.first, compared.second}) == pair:
            return is_significant(compared)
    ours, theirs = system.means.get(column.name), real.means.get(column.name)
    return ours is not None and theirs is not None and (ours.low > theirs.high or ours.high < theirs.low)


def by_group(columns: Iterable[Column]) -> dict[MeasureGroup, list[Column]]:
    """Return the columns by flag, in the order of the flags; flags without columns are left out."""
    columns = list(columns)
    groups = {group: [column for column in columns if column.group == group] for group in GROUPS}
    return {group: found for group, found in groups.items() if found}


def with_values(report: ScoreReport, columns: Iterable[Column]) -> list[Column]:
    """Return the columns for which some system or clip has a number."""
    known = {name for system in report.systems for name in (*system.means, *system.whole)}
    in_clips = with_numbers(report.clips, columns := list(columns))
    return [column for column in columns if column.name in known or column in in_clips]


def with_numbers(clips: Iterable[ClipScore], columns: Iterable[Column]) -> list[Column]:
    """Return the columns for which some of the clips have a number."""
    known = {name for clip in clips for name in clip.values}
    return [column for column in columns if column.name in known]


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group pairs of (text, name) into text -> names, the most frequent text first."""
    found: dict[str, list[str]] = {}
    for text, name in pairs:
        found.setdefault(text, []).append(name)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def clip_name(clip: ClipScore) -> str:
    """Return the name of a clip for readers: system and name."""
    return readable(f"{clip.sample.system}/{clip.sample.name}")


def dropped(clips: Iterable[ClipScore]) -> dict[str, list[str]]:
    """Return reason -> clips without a score; reasons omit the clip's path, so that equal ones are grouped."""
    return grouped((_nameless(clip.reason, clip), clip_name(clip)) for clip in clips if not clip.scored)


def _nameless(text: str, clip: ClipScore) -> str:
    return readable(text.removeprefix(f"{clip.sample.path}: ").replace(str(clip.sample.path), "the clip"))


def remarks(clips: Iterable[ClipScore]) -> dict[str, list[str]]:
    """Return note -> scored clips that have it."""
    pairs = [(note, clip) for clip in clips if clip.scored for note in clip.notes]
    return grouped((_nameless(note, clip), clip_name(clip)) for note, clip in pairs)


def p_text(comparison: Comparison) -> str:
    """Return a p-value as text, "< 0.001" if smaller than the test resolves."""
    p = comparison.p_value
    return small_p(p).removeprefix("= ").replace(" ", "") if math.isfinite(p) else NOTHING


def small_p(p_value: float) -> str:
    """Return a p-value with "=" or "<", the latter if smaller than the test resolves."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def wins_text(comparison: Comparison) -> str:
    """Return the share of clips on which the first system is better."""
    return f"{comparison.wins:.0%}" if math.isfinite(comparison.wins) else NOTHING


def winner(comparison: Comparison, column: Column) -> str:
    """Return the better system if the difference is significant; else empty."""
    gain = comparison.difference.mean if column.better == "higher" else -comparison.difference.mean
    if not is_significant(comparison) or not math.isfinite(gain) or not gain:
        return ""
    return comparison.first if gain > 0 else comparison.second


def is_significant(comparison: Comparison) -> bool:
    """Return whether the difference between the two systems is significant in this column."""
    return math.isfinite(comparison.p_value) and comparison.p_value <= UNSURE
