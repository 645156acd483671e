"""What the scorer passes around: samples to score, what became of each, and which system it belongs to."""

from dataclasses import dataclass, field
from pathlib import Path

from w2l.score.metrics.statistics import Comparison, Interval

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
class ScoreReport:
    """Everything that tables, files and the page show."""

    title: str
    """Names the judge, the variant, and whether the numbers compare with published ones."""
    clips: tuple[ClipScore, ...]
    systems: tuple[SystemScore, ...]
    """The outputs' systems in order, then `REAL`, then `SHUFFLED`."""
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()
