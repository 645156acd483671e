"""Reports of scores for tests: two systems, the real videos and shuffled speech, with known numbers."""

import math
from collections.abc import Iterable
from pathlib import Path

from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Comparison, Interval
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, Sample, ScoreReport, SystemScore

COLUMNS = (
    Column("lse_d", "LSE-D", "lse", "lower", "Distance of <mouth> & voice."),
    Column("lse_c", "LSE-C", "lse", "higher", "How sharply they lock."),
    Column("offset", "offset", "lse", "zero", "Frames that the sound is ahead.", digits=0, none=True),
    Column("windows", "windows", "lse", "", "Windows that were judged.", digits=0),
    Column("lse_d_corrected", "LSE-D corr.", "lse", "lower", "Without the zeros.", minor=True),
    Column("fid", "FID", "fid", "lower", "Distance of sets.", digits=2),
    Column("sharpness", "Sharpness", "quality", "one", "Detail over that of the real video.", digits=2),
    Column("identity", "Identity", "identity", "higher", "Never measured here."),
)
OURS, THEIRS = "ours", "their's <b>"
N_CLIPS = 4
LSE_C = {OURS: 7.5, THEIRS: 6.0, REAL: 7.0, SHUFFLED: 1.0}
"""LSE-C of the first clip of each system; each further clip has 0.1 more."""
SPEAKERS = ("ann", "bob")
CURVE = tuple(8.0 + min(abs(shift), 5) for shift in range(-15, 16))
NO_FACE = "no face; try another"
NOTE = "the reference is larger"


def clip(system: str, number: int, reason: str = "", **values: float) -> ClipScore:
    """One clip; with a reason it has no numbers."""
    outputs = system not in (REAL, SHUFFLED)
    name = f"clip{number}"
    reference = Path(f"/real/{name}.mp4") if outputs else None
    sample = Sample(Path(f"/{system}/{name}.mp4"), system, name, reference, speaker=SPEAKERS[number % 2])
    if reason:
        return ClipScore(sample, reason=reason)
    lse = {"lse_c": LSE_C[system] + number / 10, "lse_d": 8.0, "lse_d_corrected": 7.9, "offset": 0.0, "windows": 20.0}
    if outputs:
        lse["sharpness"] = 0.5
    notes = (NOTE,) if outputs and not number else ()
    return ClipScore(sample, {**lse, **values}, CURVE, (5.0,) * 20, (8.0,) * 20, 20, 0.04, notes)


def report(clips: Iterable[ClipScore] = (), comparisons: tuple[Comparison, ...] = ()) -> ScoreReport:
    """A report of the clips given, or of the usual ones, of which one of each tested system is dropped."""
    found = tuple(clips) or tuple(
        clip(system, number, "" if number or system in (REAL, SHUFFLED) else f"/{system}/clip0.mp4: {NO_FACE}")
        for system in LSE_C
        for number in range(N_CLIPS)
    )
    systems = [system for system in LSE_C if any(one.sample.system == system for one in found)]
    return ScoreReport(
        "LSE with a judge <of ours>", found, tuple(_system(name, found) for name in systems), comparisons,
        ("a note on everything",),
    )  # fmt: skip


def _system(name: str, clips: tuple[ClipScore, ...]) -> SystemScore:
    own = [one for one in clips if one.sample.system == name]
    scored = [one for one in own if one.scored]
    values = {c.name: [v for one in scored if math.isfinite(v := one.values.get(c.name, math.nan))] for c in COLUMNS}
    means = {key: _interval(found) for key, found in values.items() if found}
    whole = {"fid": {OURS: 9.25, THEIRS: 12.5}[name]} if scored and name in (OURS, THEIRS) else {}
    return SystemScore(name, len(scored), len(own) - len(scored), means, whole)


def _interval(values: list[float]) -> Interval:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Interval(mean, -float("inf"), float("inf"), 1)
    half = (max(values) - min(values)) / 2
    return Interval(mean, mean - half, mean + half, len(values))


def against(first: str, second: str, column: str, mean: float, p_value: float) -> Comparison:
    """A comparison over three clips, with an interval of 0.2 either way."""
    return Comparison(column, first, second, Interval(mean, mean - 0.2, mean + 0.2, 3), 0.75, p_value)
