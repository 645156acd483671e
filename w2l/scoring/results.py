"""What the scorer passes around: samples to score, what became of each, and which system it belongs to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from w2l.scoring.metrics.statistics import Comparison, Interval

REAL = "real"
"""System name of the real videos."""
SHUFFLED = "shuffled speech"
"""System name of the row that tells chance: real pictures under the speech of other clips."""


@dataclass(frozen=True)
class Sample:
    """One video to score."""

    path: Path
    system: str
    """Who made it: the name of a folder or a run, `REAL` for a real video."""
    name: str
    """Tells it from the others of its system; the same in every system, so that systems are compared clip by clip."""
    reference: Path | None = None
    """The real video that it was made from."""
    speech: Path | None = None
    """What it was made to say, where that is known: judged only where the video has no sound of its own."""
    speaker: str = ""


@dataclass(frozen=True)
class ClipScore:
    """What was measured on one sample, or why nothing was."""

    sample: Sample
    values: dict[str, float] = field(default_factory=dict)
    """By `Column.name`."""
    curve: tuple[float, ...] = ()
    """LSE: mean distance at each shift; the middle is no shift."""
    over_time: tuple[float, ...] = ()
    """LSE: confidence of each window, median-filtered."""
    distances: tuple[float, ...] = ()
    """LSE: distance of each window at the best shift."""
    windows: int = 0
    """Windows that were judged."""
    start_s: float = 0.0
    """Seconds before the first frame that was judged."""
    notes: tuple[str, ...] = ()
    """What a reader should know: a track left out, a reference resized."""
    reason: str = ""
    """Why it was dropped, in one line; empty when it was scored."""

    @property
    def scored(self) -> bool:
        """Whether it has numbers."""
        return not self.reason


@dataclass(frozen=True)
class SystemScore:
    """One system: the means over its clips, and numbers that belong to the whole set."""

    system: str
    scored: int
    dropped: int
    means: dict[str, Interval]
    """By `Column.name`."""
    whole: dict[str, float] = field(default_factory=dict)
    """Numbers of the whole set by `Column.name`: FID."""


@dataclass(frozen=True)
class JudgeCheck:
    """Whether the judge can tell a clip's own sound from other sound, on these clips: if not, LSE says nothing."""

    can_tell: bool
    """Whether `p_value` is below 0.05."""
    p_value: float
    """Chance that a judge who cannot tell would do as well."""
    clips: int
    """Clips that it was checked on."""
    real: bool
    """Whether these are real videos; else the outputs, which may be out of sync themselves."""
    how: Literal["shuffled", "alone"]
    """`shuffled`: own sound against the sounds of other clips, clip by clip; `alone`: with fewer than five clips, own
    sound at one offset against the offsets beside it, see `w2l.scoring.metrics.locking`."""
    published: bool = False
    """Whether the judge is SyncNet v2 with the published weights."""


@dataclass(frozen=True)
class ScoreReport:
    """Everything that tables, files and the page show."""

    title: str
    """Names the judge, the variant, and whether the numbers compare with published ones."""
    clips: tuple[ClipScore, ...]
    systems: tuple[SystemScore, ...]
    """The outputs' systems in order, then `REAL`, then `SHUFFLED`."""
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()
    judge_check: JudgeCheck | None = None
    """None where LSE was not asked for, or nothing was scored."""
