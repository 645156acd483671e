"""From clips to systems: means with intervals, and comparisons on shared clips."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from w2l.core.text import counted, some
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Comparison, Interval, Values, bootstrap_mean, compare_systems
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, SystemScore

TrackScores = Mapping[str, Sequence[ClipScore]]
"""Clip -> its scores: one, or with variant `real` one per face track."""


@dataclass(frozen=True)
class Summary:
    """Results for whole systems."""

    systems: tuple[SystemScore, ...]
    """The outputs' systems in the order of their clips, then `REAL`, then `SHUFFLED`."""
    comparisons: tuple[Comparison, ...]
    """Each system with each following one and with `REAL`, column by column."""
    notes: tuple[str, ...] = ()
    """Notes on what makes means and comparisons hard to compare."""


def summarise(
    clips: Sequence[ClipScore],
    columns: Sequence[Column],
    whole: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
) -> Summary:
    """Return means, dropped clips and comparisons of all systems in `clips`.

    A number that is not finite is excluded from the mean: the clips of each mean are counted in its `Interval`, and a
    note says how many were left out. Two systems are compared on clips of one name; a system and the real videos on
    each output and its own reference. A clip of several face tracks counts with their mean there.

    Parameters
    ----------
    columns
        In the desired order; those that no clip has are skipped.
    whole
        System -> numbers of its whole set, such as FID.
    """
    order = list(dict.fromkeys(clip.sample.system for clip in clips))
    order = [name for name in order if name not in (REAL, SHUFFLED)] + [n for n in (REAL, SHUFFLED) if n in order]
    by_system = {name: [clip for clip in clips if clip.sample.system == name] for name in order}
    systems = tuple(
        _system(name, of_it, columns, (whole or {}).get(name, {}), seed) for name, of_it in by_system.items()
    )
    outputs = [name for name in order if name not in (REAL, SHUFFLED)]
    pairs = [(_by_name(by_system[one]), _by_name(by_system[other])) for one, other in combinations(outputs, 2)]
    pairs += [(_by_name(by_system[one]), _real_by_name(by_system[one], by_system.get(REAL, []))) for one in outputs]
    found = [
        compare_systems(_values(one, column), _values(other, column), column, seed)
        for one, other in pairs
        for column in columns
        if column.better and one and other
    ]
    notes = (*_unlike(by_system, outputs), *_not_finite(clips, columns))
    return Summary(systems, tuple(comparison for comparison in found if comparison is not None), notes)


def _system(
    name: str, clips: Sequence[ClipScore], columns: Sequence[Column], whole: Mapping[str, float], seed: int
) -> SystemScore:
    scored = [clip for clip in clips if clip.scored]
    means: dict[str, Interval] = {}
    for column in columns:
        values = [clip.values[column.name] for clip in scored if _has(clip, column)]
        if values:
            means[column.name] = bootstrap_mean(values, seed)
    return SystemScore(name, len(scored), len(clips) - len(scored), means, dict(whole))


def _has(clip: ClipScore, column: Column) -> bool:
    return math.isfinite(clip.values.get(column.name, math.nan))


def _by_name(clips: Sequence[ClipScore]) -> TrackScores:
    """Return name -> scores of that clip."""
    found: dict[str, list[ClipScore]] = {}
    for clip in clips:
        if clip.scored:
            found.setdefault(clip.sample.name, []).append(clip)
    return found


def _real_by_name(outputs: Sequence[ClipScore], reals: Sequence[ClipScore]) -> TrackScores:
    """Return output name -> its own real video; several outputs may have the same one."""
    by_path = {os.path.realpath(tracks[0].sample.path): tracks for tracks in _by_name(reals).values()}
    paths = {clip.sample.name: os.path.realpath(clip.sample.reference) for clip in outputs if clip.sample.reference}
    return {name: by_path[path] for name, path in paths.items() if path in by_path}


def _values(clips: TrackScores, column: Column) -> Values:
    """Return one value per clip: the mean over its face tracks, of offsets over their magnitudes."""
    found = {}
    for name, tracks in clips.items():
        values = [track.values[column.name] for track in tracks if _has(track, column)]
        if len(values) > 1 and column.better == "zero":
            values = [abs(value) for value in values]
        if values:
            found[name] = sum(values) / len(values)
    return Values(next(iter(clips.values()))[0].sample.system, found)


def _unlike(by_system: Mapping[str, Sequence[ClipScore]], outputs: Sequence[str]) -> list[str]:
    """Return a note if the means of systems are not over the same clips."""
    scored = {name: set(_by_name(by_system[name])) for name in outputs}
    everywhere = set.intersection(*scored.values()) if scored else set()
    unlike = {name: len(names - everywhere) for name, names in scored.items() if names - everywhere}
    if not unlike:
        return []
    told = ", ".join(f"{count} of {name}" for name, count in unlike.items())
    return [
        f"the means are not over the same clips: only {counted(len(everywhere), 'clip')} with scores in all systems, "
        f"others in some ({told}); comparisons are over shared clips"
    ]


def _not_finite(clips: Sequence[ClipScore], columns: Sequence[Column]) -> list[str]:
    """Return notes on numbers that were excluded from all means."""
    found = {
        column.name: [clip.sample.name for clip in clips if column.name in clip.values and not _has(clip, column)]
        for column in columns
        if not column.none  # a missing offset has its own note
    }
    return [
        f"{name}: no finite number for {counted(len(of_it), 'clip')}: {some(of_it)}"
        for name, of_it in found.items()
        if of_it
    ]
