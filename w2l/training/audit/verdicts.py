"""From the measured lag of each track to a verdict: kept, shifted or set aside; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.cache.records import EXCLUDED, KEPT, SHIFTED, Verdict
from w2l.core.arrays import Floats
from w2l.core.errors import ConfigError
from w2l.core.timing import MAX_SHIFT
from w2l.training.audit.lag import Lag, claimed_auc, find_lag

HALF_VOICED = 75
"""Voiced windows that each half of a track needs before halves are compared: as much as the thresholds were set on."""
ZERO_TRACKS = 20
"""Fewer tracks than these tell nothing about their common zero."""
LEAST_AUC = 0.6
"""Of an auditor that is believed: the share of offsets off sync that it scores below the one that the cache claims."""
AGREE = 1.5
"""Frames between lags that agree."""
CLEAR = 0.5
"""Log odds by which a lag stands out clearly from all others that are not its neighbours."""
ZERO_REACH = 1.0
"""Largest lag, in frames, that an expert or the making of recordings may have by nature: real ones lag 0 to 1."""


@dataclass(frozen=True)
class AuditSettings:
    """When a track's lag is believed, and what is done about it. The defaults were chosen on GRID: `audit_grid.py`."""

    max_shift: int = MAX_SHIFT
    """Largest lag tried, in video frames, both ways."""
    tolerance: int = 1
    """Lags of at most so many frames are kept as they are."""
    min_odds: float = -1.0
    """Least mean log odds of being in sync with which a track is kept; unrelated speech has -2.3."""
    min_shift_odds: float = 0.0
    """The same for a track to be shifted: it must then be in sync more likely than not."""
    min_confidence: float = 0.3
    """Log odds by which the best offset must stand above the median one."""
    min_margin: float = 0.15
    """Log odds by which it must stand above the best offset that is no neighbour of it, for a track to be shifted."""
    min_voiced: int = 10
    """Windows of speech without which a track is set aside, and with which a single offset is believed."""
    max_drift: float = 1.0
    """Frames by which the two halves of a long track may differ."""
    zero: float | None = None
    """Lag, in frames, that counts as in sync. null: the median of the tracks, where that is at most 1, else 0."""

    def __post_init__(self) -> None:
        """Refuses what cannot be measured."""
        if self.max_shift < 2 or not 0 <= self.tolerance < self.max_shift:
            raise ConfigError(
                f"max_shift {self.max_shift} must be at least 2, tolerance {self.tolerance} 0 to below it"
            )
        if self.min_voiced < 2:
            raise ConfigError(f"min_voiced {self.min_voiced} must be at least 2")
        if self.max_drift <= 0:
            raise ConfigError(f"max_drift {self.max_drift} must be above 0")
        if self.zero is not None and not -self.max_shift <= self.zero <= self.max_shift:
            raise ConfigError(f"zero {self.zero:g} must be a lag that is tried: at most max_shift, {self.max_shift}")


@dataclass(frozen=True)
class LagMeasurement:
    """What was measured of one track, whatever the thresholds."""

    n_voiced: int
    """Windows with speech."""
    lag: Lag | None = None
    """None: too little speech for any."""
    halves: tuple[Lag, Lag] | None = None
    """Of the first and the second half, for tracks long enough to tell."""
    claim: float | None = None
    """Share of offsets off sync that score below offset 0, which the cache claims to be in sync: 0.5 at chance. None
    where none could be compared, and in records of w2l 0.2."""


@dataclass(frozen=True)
class Zero:
    """The lag that counts as in sync."""

    lag: float
    """Frames; subtracted from every track's."""
    median: float | None = None
    """Of the tracks that are sure; None with too few of them."""

    @property
    def warning(self) -> str:
        """What must not pass unseen: that the whole dataset lags; empty where it does not."""
        if self.median is None or abs(self.median) <= ZERO_REACH:
            return ""
        way = "early" if self.median > 0 else "late"
        used = f"counted from {self.lag:+.1f}" if self.lag else "undone like any other"
        return (
            f"the sound of the typical track is {abs(self.median):.1f} frames {way}; this was {used}. If the expert is "
            f"off, not the data, set zero={self.median:.1f}"
        )


def measure(odds: Floats, voiced: NDArray[np.bool_], settings: AuditSettings) -> LagMeasurement:
    """The lag of a track from its log odds (windows, 2 * max_shift + 1), see `neighbourhood`, and of its halves."""
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
    """The lag that counts as in sync.

    By default it is the median lag of the tracks that are sure of theirs: with some of them shifted it still is the
    expert's own zero together with the lag of this kind of recording. A median of more than `ZERO_REACH` can be
    neither: then the data lag, 0 is taken, and `Zero.warning` says so.
    """
    lags = [measured.lag.offset for measured in tracks if measured.lag and _is_sure(measured.lag, settings)]
    median = round(float(np.median(lags)), 2) if len(lags) >= ZERO_TRACKS else None
    if settings.zero is not None:
        return Zero(settings.zero, median)
    return Zero(median if median is not None and abs(median) <= ZERO_REACH else 0.0, median)


def why_at_chance(tracks: Sequence[LagMeasurement]) -> str:
    """Return why an auditor cannot be believed; empty where it can, or where that is not known.

    It tells the offset that the cache claims from others better than chance. Where it does not, as in a cache that lags
    as a whole, most of its lags must agree with each other; of few tracks, most must stand out clearly.
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
        f"on these tracks it tells sync from off sync hardly better than chance (AUC {auc:.2f}, at least {LEAST_AUC} is"
        " needed); train the expert longer, or take another"
    )


def _is_sure(lag: Lag, settings: AuditSettings) -> bool:
    return lag.confidence >= settings.min_confidence and lag.odds >= settings.min_shift_odds and not lag.at_edge


def judge_track(measured: LagMeasurement, zero: float, settings: AuditSettings) -> Verdict:
    """What becomes of a track."""
    lag = measured.lag
    if lag is None:
        reason = f"too little speech to tell its offset: {measured.n_voiced} voiced windows"
        return Verdict(EXCLUDED, 0, 0.0, 0.0, 0.0, reason)
    offset = round(lag.offset - zero)
    reason = _doubt(measured, lag, offset, settings)
    word = EXCLUDED if reason else KEPT if abs(offset) <= settings.tolerance else SHIFTED
    return Verdict(word, offset, lag.confidence, lag.margin, lag.odds, reason)


def _doubt(measured: LagMeasurement, lag: Lag, offset: int, settings: AuditSettings) -> str:
    """Why the offset cannot be believed or undone; empty where it can."""
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
