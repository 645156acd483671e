"""Results of a study: preference shares and mean opinions with intervals, and the consistency of raters."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2l.core.text import readable
from w2l.scoring.study.answers import ASPECT_NAMES, Answer, Answers, Rater, read_answers
from w2l.scoring.study.means import AnswerMean, mean_of_answers
from w2l.scoring.study.page import SCALE

MIN_PAIRS = 8
"""Smallest number of pairs from which a one-sided rater is recognised."""
FEW_RATERS = 5
"""With fewer raters, intervals contain the true mean in clearly less than 95 % of studies; see `mean_of_answers`."""
PREFERENCE_HEAD = ("which is better", "", "answers", "first", "no difference", "second", "first better, 95 % interval")
SAME_SIDE = 0.9
"""Share of one side among a rater's preferences from which the rater is reported."""


@dataclass(frozen=True)
class Preference:
    """Two systems, compared in one aspect; repeated pairs do not count."""

    aspect: str
    first: str
    second: str
    prefers_first: float
    """Shares of the answers."""
    no_difference: float
    prefers_second: float
    first_is_better: AnswerMean
    """Share for the first, including half of the answers "no difference"; 0.5: even."""


@dataclass(frozen=True)
class Opinion:
    """Ratings of one system in one aspect."""

    system: str
    aspect: str
    mean: AnswerMean
    """From 1, bad, to 5, excellent."""
    counts: tuple[int, ...]
    """Number of ratings from 1 to 5."""


@dataclass(frozen=True)
class RaterFacts:
    """Progress and consistency of one rater."""

    id: str
    name: str
    file: Path
    answers: int
    asked: int
    repeats: int
    """Answers about repeated pairs, one per aspect."""
    agreed: int
    """Those of them that were the same as before."""


@dataclass(frozen=True)
class StudyReport:
    """All results of a study."""

    study: str
    systems: tuple[str, ...]
    preferences: tuple[Preference, ...]
    opinions: tuple[Opinion, ...]
    raters: tuple[RaterFacts, ...]
    notes: tuple[str, ...]
    """Raters to check, and unusable files with the reason."""


def read_results(files: Sequence[Path], key: Path | None = None) -> StudyReport:
    """Return the results in the files that raters saved; see `read_answers` for errors and the location of the key."""
    return summarise_study(read_answers(files, key))


def summarise_study(answers: Answers) -> StudyReport:
    """Return shares, means and intervals of all answers."""
    given = [(rater.id, answer) for rater in answers.raters for answer in rater.answers if not answer.is_repeat]
    meetings = itertools.combinations(answers.systems, 2)
    preferences = [_preference(given, aspect, *two) for two in meetings for aspect in ASPECT_NAMES]
    opinions = [_opinion(given, aspect, system) for system in answers.systems for aspect in ASPECT_NAMES]
    raters = tuple(_facts(rater) for rater in answers.raters)
    notes = (*_rater_notes(answers.raters, raters), *(f"left out: {reason}" for reason in answers.left_out))
    return StudyReport(
        answers.study,
        answers.systems,
        tuple(found for found in preferences if found is not None),
        tuple(found for found in opinions if found is not None),
        raters,
        tuple(map(readable, notes)),
    )


def as_text(report: StudyReport) -> str:
    """Return the results as lines of plain text."""
    n_done = sum(rater.answers == rater.asked for rater in report.raters)
    n_answers = sum(rater.answers for rater in report.raters)
    lines = [
        f"study {report.study}: raters {len(report.raters)} ({n_done} finished), videos or pairs judged {n_answers}"
    ]
    if report.preferences:
        lines += ["", *_aligned([PREFERENCE_HEAD, *map(_preference_row, report.preferences)])]
        lines.append("first better: share for the first with half of the answers 'no difference'; 50 % is even")
    if report.opinions:
        opinions = {(opinion.system, opinion.aspect): opinion.mean for opinion in report.opinions}
        head = ("opinion, 1 to 5", "answers", *(f"{aspect}, 95 % interval" for aspect in ASPECT_NAMES))
        lines += ["", *_aligned([head, *_opinion_rows(report.systems, opinions)])]
        lines.append(", ".join(f"{number} {word}" for number, word in enumerate(SCALE, 1)))
    repeats, agreed = (sum(getattr(rater, name) for rater in report.raters) for name in ("repeats", "agreed"))
    if repeats:
        lines += ["", f"pairs shown again, sides swapped: {agreed} of {repeats} answers were the same"]
    lines += ["", *(f"note: {note}" for note in report.notes)] if report.notes else []
    return "\n".join(lines)


def as_dict(report: StudyReport) -> dict[str, Any]:
    """Return the results as plain values for JSON."""
    return asdict(report) | {"raters": [asdict(rater) | {"file": str(rater.file)} for rater in report.raters]}


def _preference(given: Sequence[tuple[str, Answer]], aspect: str, first: str, second: str) -> Preference | None:
    """Return the comparison; None if nobody compared the two."""
    found = [(rater, answer) for rater, answer in given if answer.is_pair and set(answer.systems) == {first, second}]
    if not found:
        return None
    signs = np.array([a.values[aspect] if a.systems[0] == first else -a.values[aspect] for _, a in found])
    better = mean_of_answers([rater for rater, _ in found], [a.clip for _, a in found], (signs + 1) / 2)
    wins, ties, losses = (float((signs == sign).mean()) for sign in (1, 0, -1))
    return Preference(aspect, first, second, wins, ties, losses, better)


def _opinion(given: Sequence[tuple[str, Answer]], aspect: str, system: str) -> Opinion | None:
    """Return the ratings; None if nobody rated the system."""
    found = [(rater, answer) for rater, answer in given if answer.systems == (system,)]
    if not found:
        return None
    scores = np.array([answer.values[aspect] for _, answer in found])
    mean = mean_of_answers([rater for rater, _ in found], [a.clip for _, a in found], scores)
    return Opinion(system, aspect, mean, tuple(int((scores == score).sum()) for score in range(1, len(SCALE) + 1)))


def _seen_from(answer: Answer, system: str) -> dict[str, int]:
    """Return a pair's answer from the point of view of a system: 1 better, 0 no difference, -1 worse."""
    sign = 1 if answer.systems[0] == system else -1
    return {aspect: sign * value for aspect, value in answer.values.items()}


def _again(rater: Rater) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Yield the first and second opinion of each repeated pair."""
    firsts = {(a.clip, frozenset(a.systems)): a for a in rater.answers if a.is_pair and not a.is_repeat}
    for answer in rater.answers:
        before = firsts.get((answer.clip, frozenset(answer.systems)))
        if answer.is_repeat and before is not None:
            yield _seen_from(before, answer.systems[0]), _seen_from(answer, answer.systems[0])


def _facts(rater: Rater) -> RaterFacts:
    both = [(before[aspect], now[aspect]) for before, now in _again(rater) for aspect in ASPECT_NAMES]
    agreed = sum(before == now for before, now in both)
    n_judged = len(rater.answers) + rater.skipped
    return RaterFacts(rater.id, rater.name, rater.file, n_judged, max(rater.asked, n_judged), len(both), agreed)


def _rater_notes(raters: Sequence[Rater], facts: Sequence[RaterFacts]) -> Iterator[str]:
    """Yield notes on raters whose answers should be checked; they count nevertheless."""
    if len(raters) == 1:
        yield "there is one rater: the intervals cover other clips, but not other people"
    elif len(raters) < FEW_RATERS:
        yield f"there are {len(raters)} raters: intervals of fewer than {FEW_RATERS} are too narrow"
    for rater, fact in zip(raters, facts):
        called = f"{rater.file.name} ({rater.name or rater.id[:8]})"
        if fact.answers < fact.asked:
            yield f"{called} is unfinished: {fact.answers} of {fact.asked}"
        if rater.skipped:
            yield f"{called}: the browser could not play {rater.skipped} of the videos or pairs"
        flips = [before[aspect] * now[aspect] < 0 for before, now in _again(rater) for aspect in ASPECT_NAMES]
        if flips and sum(flips) > len(flips) / 2:
            yield f"{called} is inconsistent: chose the other video in {sum(flips)} of {len(flips)} repeated answers"
        if (habit := _habit(rater)) is not None:
            yield f"{called} {habit}"
    names = [rater.name.strip().lower() for rater in raters if rater.name.strip()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        files = ", ".join(rater.file.name for rater in raters if rater.name.strip().lower() == name)
        yield f"{files} are all by {name}; both count, remove one if it is the same person"


def _habit(rater: Rater) -> str | None:
    """Return a description if a rater gave nearly always one answer, whatever was shown."""
    pairs = [value for answer in rater.answers if answer.is_pair for value in answer.values.values() if value]
    ratings = [value for answer in rater.answers if not answer.is_pair for value in answer.values.values()]
    for side, word in ((1, "left"), (-1, "right")):
        if len(pairs) >= MIN_PAIRS and pairs.count(side) >= SAME_SIDE * len(pairs):
            return f"chose the {word} one in {pairs.count(side)} of {len(pairs)} answers"
    if len(ratings) >= MIN_PAIRS and len(set(ratings)) == 1:
        return f"gave {ratings[0]} to everything"
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _preference_row(found: Preference) -> Sequence[str]:
    better = found.first_is_better
    shares = [_percent(share) for share in (found.prefers_first, found.no_difference, found.prefers_second)]
    interval = (
        "" if better.low is None or better.high is None else f" [{100 * better.low:.0f}, {100 * better.high:.0f}]"
    )
    pair = f"{readable(found.first)} or {readable(found.second)}"
    return (pair, found.aspect, str(better.answers), *shares, _percent(better.mean) + interval)


def _opinion_rows(systems: Sequence[str], opinions: Mapping[tuple[str, str], AnswerMean]) -> Iterator[Sequence[str]]:
    for system in systems:
        means = [opinions[system, aspect] for aspect in ASPECT_NAMES if (system, aspect) in opinions]
        if means:
            yield (readable(system), str(means[0].answers), *map(_mean_text, means))


def _mean_text(mean: AnswerMean) -> str:
    interval = "" if mean.low is None or mean.high is None else f" [{mean.low:.2f}, {mean.high:.2f}]"
    return f"{mean.mean:.2f}{interval}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines
