"""Types passed within the scorer: samples, results and systems."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from w2l.scoring.metrics.statistics import Comparison, Interval

REAL = "real"
"""System name of the real videos."""
SHUFFLED = "shuffled speech"
"""System name of the row at chance level: real pictures with the speech of other clips."""


@dataclass(frozen=True)
class Sample:
    """One video to score."""

    path: Path
    system: str
    """Its system: the name of a folder or a run, `REAL` for a real video."""
    name: str
    """Name within its system; the same in every system, so that systems are compared clip by clip."""
    reference: Path | None = None
    """The real video that it was made from."""
    speech: Path | None = None
    """The speech it was made for, if known: used only if the video has no audio of its own."""
    speaker: str = ""


@dataclass(frozen=True)
class ClipScore:
    """Measurements of one sample, or why there are none."""

    sample: Sample
    values: dict[str, float] = field(default_factory=dict)
    """By `Column.name`."""
    curve: tuple[float, ...] = ()
    """LSE: mean distance at each shift; the middle is shift 0."""
    over_time: tuple[float, ...] = ()
    """LSE: confidence of each window, median-filtered."""
    distances: tuple[float, ...] = ()
    """LSE: distance of each window at the best shift."""
    windows: int = 0
    """Number of windows judged."""
    start_s: float = 0.0
    """Seconds before the first frame judged."""
    notes: tuple[str, ...] = ()
    """Notes for the reader: a track left out, a reference resized."""
    reason: str = ""
    """Why it was dropped, in one line; empty if it was scored."""

    @property
    def scored(self) -> bool:
        """Whether it has numbers."""
        return not self.reason


@dataclass(frozen=True)
class SystemScore:
    """One system: the means over its clips, and numbers of the whole set."""

    system: str
    scored: int
    dropped: int
    means: dict[str, Interval]
    """By `Column.name`."""
    whole: dict[str, float] = field(default_factory=dict)
    """Numbers of the whole set by `Column.name`: FID."""


@dataclass(frozen=True)
class JudgeCheck:
    """Whether the judge can distinguish own from other audio on these clips: if not, LSE is meaningless."""

    can_tell: bool
    """Whether `p_value` is below 0.05."""
    p_value: float
    """Probability that a judge at chance would do as well."""
    clips: int
    """Number of clips in the check."""
    real: bool
    """Whether these are real videos; else the outputs, which may be out of sync themselves."""
    how: Literal["shuffled", "alone"]
    """`shuffled`: own audio against the audio of other clips, clip by clip; `alone`: with fewer than five clips, own
    audio at one offset against the offsets beside it, see `w2l.scoring.metrics.locking`."""
    published: bool = False
    """Whether the judge is SyncNet v2 with the published weights."""


@dataclass(frozen=True)
class ScoreReport:
    """Everything shown in tables, files and the page."""

    title: str
    """The judge, the variant, and whether the numbers compare with published ones."""
    clips: tuple[ClipScore, ...]
    systems: tuple[SystemScore, ...]
    """The outputs' systems in order, then `REAL`, then `SHUFFLED`."""
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()
    judge_check: JudgeCheck | None = None
    """None if LSE was not requested, or nothing was scored."""
