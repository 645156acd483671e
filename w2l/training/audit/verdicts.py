"""Verdicts on tracks from their measured lags: kept, shifted or set aside; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.cache.records import EXCLUDED, KEPT, SHIFTED, TrackVerdict
from w2l.core.arrays import Floats
from w2l.core.errors import ConfigError
from w2l.core.timing import MAX_SHIFT
from w2l.training.audit.lag import Lag, claimed_auc, find_lag

HALF_VOICED = 75
"""Voiced windows that each half of a track needs before halves are compared, as when the thresholds were chosen."""
ZERO_TRACKS = 20
"""Smallest number of tracks from which their common zero is estimated."""
LEAST_AUC = 0.6
"""Smallest AUC of a trusted auditor: the share of off-sync offsets that score below the one claimed by the cache."""
AGREE = 1.5
"""Difference in frames between lags that agree."""
CLEAR = 0.5
"""Log odds by which a lag must stand out from all others that are not its neighbours to be clear."""
ZERO_REACH = 1.0
"""Largest lag, in frames, that an expert or a recording may have by nature: real ones lag 0 to 1."""


@dataclass(frozen=True)
class AuditSettings:
    """When a lag is trusted, and what is done about it. The defaults were chosen on GRID: `audit_grid.py`."""

    max_shift: int = MAX_SHIFT
    """Largest lag tried, in video frames, both ways."""
    tolerance: int = 1
    """Lags of at most this many frames are kept unchanged."""
    min_odds: float = -1.0
    """Smallest mean log odds of being in sync for a track to be kept; unrelated speech has -2.3."""
    min_shift_odds: float = 0.0
    """The same for a track to be shifted: it must then be in sync with more than even odds."""
    min_confidence: float = 0.3
    """Log odds by which the best offset must stand above the median one."""
    min_margin: float = 0.15
    """Log odds by which it must stand above the best offset that is not its neighbour, for a track to be shifted."""
    min_voiced: int = 10
    """Windows of speech below which a track is set aside, and from which a single offset is trusted."""
    max_drift: float = 1.0
    """Frames by which the two halves of a long track may differ."""
    zero: float | None = None
    """Lag, in frames, that counts as in sync. null: the median of the tracks if that is at most 1, else 0."""

    def __post_init__(self) -> None:
        """Reject settings that cannot be measured."""
        if self.max_shift < 2 or not 0 <= self.tolerance < self.max_shift:
            raise ConfigError(
                f"max_shift {self.max_shift} must be at least 2, tolerance {self.tolerance} 0 to below it"
            )
        if self.min_voiced < 2:
            raise ConfigError(f"min_voiced {self.min_voiced} must be at least 2")
        if self.max_drift <= 0:
            raise ConfigError(f"max_drift {self.max_drift} must be above 0")
        if self.zero is not None and not -self.max_shift <= self.zero <= self.max_shift:
            raise ConfigError(
                f"zero must lie between -{self.max_shift} and {self.max_shift} (max_shift), got {self.zero:g}"
            )


@dataclass(frozen=True)
class LagMeasurement:
    """Measurements of one track, independent of thresholds."""

    n_voiced: int
    """Windows with speech."""
    lag: Lag | None = None
    """None: too little speech."""
    halves: tuple[Lag, Lag] | None = None
    """Of the first and the second half, for tracks that are long enough."""
    claim: float | None = None
    """Share of off-sync offsets that score below offset 0, which the cache claims to be in sync: 0.5 at chance. None
    if none could be compared, and in records of w2l 0.2."""


@dataclass(frozen=True)
class Zero:
    """The lag that counts as in sync."""

    lag: float
    """In frames; subtracted from every track's lag."""
    median: float | None = None
    """Median of the tracks that are certain; None with too few of them."""

    @property
    def warning(self) -> str:
        """Warning that the whole dataset lags; empty if it does not."""
        if self.median is None or abs(self.median) <= ZERO_REACH:
            return ""
        way = "early" if self.median > 0 else "late"
        used = f"counted from {self.lag:+.1f}" if self.lag else "undone like any other"
        return (
            f"the audio of the typical track is {abs(self.median):.1f} frames {way}; this was {used}. If the expert is "
            f"off, not the data, set zero={self.median:.1f}"
        )


def measure(odds: Floats, voiced: NDArray[np.bool_], settings: AuditSettings) -> LagMeasurement:
    """Measure the lag of a track, and of its halves, from its log odds (windows, 2 * max_shift + 1)."""
    n_voiced = int(voiced.sum())
    lag, claim = find_lag(odds, voiced, settings.min_voiced), claimed_auc(odds, voiced)
    middle = int(np.searchsorted(np.cumsum(voiced), n_voiced // 2))
    if lag is None or n_voiced < 2 * HALF_VOICED:
        return LagMeasurement(n_voiced, lag, claim=claim)
    first, second = (
        find_lag(odds[part], voiced[part], settings.min_voiced) for part in (slice(middle), slice(middle, None))
    )
    return LagMeasurement(n_voiced, lag, (first, second) if first and second else None, claim)


def find_zero(tracks: Sequence[LagMeasurement], settings: AuditSettings) -> Zero:
    """Return the lag that counts as in sync.

    By default it is the median lag of the certain tracks: even with some of them shifted it is the expert's own zero
    plus the lag of this kind of recording. A median of more than `ZERO_REACH` can be neither: then the data lag, 0 is
    used, and `Zero.warning` says so.
    """
    lags = [measured.lag.offset for measured in tracks if measured.lag and _is_sure(measured.lag, settings)]
    median = round(float(np.median(lags)), 2) if len(lags) >= ZERO_TRACKS else None
    if settings.zero is not None:
        return Zero(settings.zero, median)
    return Zero(median if median is not None and abs(median) <= ZERO_REACH else 0.0, median)


def why_at_chance(tracks: Sequence[LagMeasurement]) -> str:
    """Return why an auditor cannot be trusted; empty if it can, or if that is unknown.

    It must distinguish the offset that the cache claims from others better than chance. If not, as in a cache that
    lags as a whole, most of its lags must agree with each other; with few tracks, most must stand out clearly.
    """
    known = [(track.claim, track.n_voiced) for track in tracks if track.claim is not None]
    if not known or len(known) < len(tracks) / 2:
        return ""
    auc = float(np.average([claim for claim, _ in known], weights=[max(1, voiced) for _, voiced in known]))
    lags = [track.lag for track in tracks if track.lag]
    sure = [lag for lag in lags if _is_sure(lag, AuditSettings())]
    middle = float(np.median([lag.offset for lag in sure])) if sure else 0.0
    is_few = len(lags) < ZERO_TRACKS
    agreed = sum(lag.margin >= CLEAR if is_few else abs(lag.offset - middle) <= AGREE for lag in sure)
    if auc >= LEAST_AUC or (lags and agreed >= len(lags) / 2):
        return ""
    return (
        f"on these tracks it detects sync hardly better than chance (AUC {auc:.2f}, needs {LEAST_AUC})"
        "; train the expert longer, or choose another"
    )


def _is_sure(lag: Lag, settings: AuditSettings) -> bool:
    return lag.confidence >= settings.min_confidence and lag.odds >= settings.min_shift_odds and not lag.at_edge


def judge_track(measured: LagMeasurement, zero: float, settings: AuditSettings) -> TrackVerdict:
    """Return the verdict on a track."""
    lag = measured.lag
    if lag is None:
        reason = f"too little speech to find its offset: {measured.n_voiced} voiced windows"
        return TrackVerdict(EXCLUDED, 0, 0.0, 0.0, 0.0, reason)
    offset = round(lag.offset - zero)
    reason = _doubt(measured, lag, offset, settings)
    word = EXCLUDED if reason else KEPT if abs(offset) <= settings.tolerance else SHIFTED
    return TrackVerdict(word, offset, lag.confidence, lag.margin, lag.odds, reason)


def _doubt(measured: LagMeasurement, lag: Lag, offset: int, settings: AuditSettings) -> str:
    """Return why the offset cannot be trusted or undone; empty if it can."""
    in_place = abs(offset) <= settings.tolerance
    if measured.halves and all(_is_sure(half, settings) for half in measured.halves):
        first, second = (half.offset for half in measured.halves)
        if abs(first - second) > settings.max_drift:
            return f"drifts: {first:+.1f} frames in its first half, {second:+.1f} in its second"
    if lag.confidence < settings.min_confidence:
        return f"unsure: best at {offset:+d} frames, hardly better than elsewhere (confidence {lag.confidence:.2f})"
    if lag.odds < (settings.min_odds if in_place else settings.min_shift_odds):
        return f"unlike: best at {offset:+d} frames, yet not in sync there (log odds {lag.odds:.2f})"
    if lag.at_edge:
        return f"out of reach: best at {offset:+d} frames, the last offset that could be tried"
    if not in_place and lag.margin < settings.min_margin:
        return f"ambiguous: best at {offset:+d} frames, but another offset fits nearly as well ({lag.margin:.2f})"
    return ""
