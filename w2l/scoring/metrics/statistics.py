"""Means with intervals over clips, and paired comparisons of two systems.

The interval is a BCa bootstrap over clips (Efron, JASA 1987), widened as Hesterberg (The American Statistician 2015)
advises: a bootstrap of n clips is too narrow by sqrt((n - 1) / n) and takes normal quantiles where Student's belong,
which matters below some 30 clips. It covers other clips of the same kind; clips of one speaker are
alike, so that other speakers may differ by more. Comparisons test by sign flips of the clips' differences (Fisher
1935). Of thousands of clips the mean is normal for all that matters, and nothing is drawn.

`scipy.stats.bootstrap` and `permutation_test` are the same arithmetic (the tests compare them), but draw other numbers
for the same seed, have no widened interval, and take a second to import: the draws here stay, and with them the scores
that were published.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.scoring.metrics.columns import Column

DRAWS = 2000
LEVEL = 0.95
EXACT_CLIPS = 12
"""Largest number of clips for which all sign flips are enumerated; with more, DRAWS of them are drawn."""
MANY_CLIPS = 2000
"""With more clips, the normal distribution replaces resamples and sign flips."""
CHUNK = 2**20
"""Numbers drawn per block, to limit memory."""
SAME = 1e-12
"""Differences smaller than this, relative to the values, are ties: rounding."""
NORMAL = NormalDist()
T_975 = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146,
    2.4469118511449786, 2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274,
    2.200985160091639, 2.1788128296672284, 2.1603686564627913, 2.144786687917804, 2.131449545559776,
    2.1199052992212546, 2.1098155778333156, 2.1009220402410382, 2.0930240544083087, 2.085963447265864,
)  # fmt: skip
"""``scipy.stats.t.ppf(0.975, degrees)`` for 1, 2, ... degrees of freedom: a few clips are scored without SciPy, whose
import took 0.25 s of the 4 s for three clips."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float
    clips: int


@dataclass(frozen=True)
class Comparison:
    """Two systems on the clips that both have, for one column."""

    column: str
    first: str
    second: str
    difference: Interval
    """First minus second, clip by clip; for columns that are best near a number, of the distances from it."""
    wins: float
    """Share of clips on which the first is better; ties count half."""
    p_value: float
    """Two-sided, by sign flips of the differences."""


@dataclass(frozen=True)
class Values:
    """The values of one system in one column."""

    system: str
    by_clip: Mapping[str, float]
    """Clip -> value. A clip without a value is left out."""


def bootstrap_mean(values: Sequence[float], seed: int = 0, draws: int = DRAWS, level: float = LEVEL) -> Interval:
    """Return the mean over clips and its interval; the same values give the same interval.

    Parameters
    ----------
    values : (clips,)
        One value has an infinite interval. Equal values have an interval of zero width. Below about six clips no
        resample is wider than the values: the interval is their range.
    draws : int
        Resamples; at least 100.
    level : float
        Share of repetitions whose interval contains the true mean, 0..1.

    Raises
    ------
    ValueError
        For no values, one that is not finite, too few draws or a level outside of (0, 1).
    """
    sample = _finite(values)
    if draws < 100 or not 0.0 < level < 1.0:
        raise ValueError(f"draws {draws} must be at least 100 and level {level} between 0 and 1")
    mean = float(sample.mean())
    if len(sample) == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    if np.ptp(sample) <= SAME * np.abs(sample).max():
        return Interval(mean, mean, mean, len(sample))
    if len(sample) > MANY_CLIPS:
        half = NORMAL.inv_cdf((1.0 + level) / 2.0) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
        return Interval(mean, mean - half, mean + half, len(sample))
    means = np.concatenate([sample[idx].mean(axis=1) for idx in _resamples(len(sample), draws, seed)])
    low, high = np.quantile(means, _bca_shares(sample, means, level))
    return Interval(mean, float(low), float(high), len(sample))


def compare_systems(
    first: Values, second: Values, column: Column, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Comparison | None:
    """Compare two systems on the clips that both have; return None if there are none.

    The difference is that of the values; for a column whose best is `one` or `zero`, that of their distances from it,
    so that the lower is the better. `wins` counts clips, ties half. `p_value` is the share of sign flips of the
    differences whose mean is at least as far from zero: the chance of such a mean if the systems were alike. One clip
    has p = 1. Several columns and systems make several tests: of twenty, one is below 0.05 by chance.

    Raises ValueError for a value that is not finite, or a column without a better direction.
    """
    if not column.better:
        raise ValueError(f"the column {column.name} does not have a better direction")
    shared = [clip for clip in first.by_clip if clip in second.by_clip]
    if not shared:
        return None
    one, other = (_finite([values.by_clip[clip] for clip in shared]) for values in (first, second))
    if column.better in ("one", "zero"):
        target = 1.0 if column.better == "one" else 0.0
        one, other = np.abs(one - target), np.abs(other - target)
    differences = one - other
    differences[np.abs(differences) <= SAME * np.maximum(np.abs(one), np.abs(other))] = 0.0
    ahead = np.sign(differences) * (1.0 if column.better == "higher" else -1.0)
    return Comparison(
        column=column.name,
        first=first.system,
        second=second.system,
        difference=bootstrap_mean(differences.tolist(), seed, draws, level),
        wins=float((ahead.mean() + 1.0) / 2.0),
        p_value=sign_flip_p(differences.tolist(), seed, draws),
    )


def sign_flip_p(differences: Sequence[float], seed: int = 0, draws: int = DRAWS, *, above: bool = False) -> float:
    """Return the share of sign flips of `differences` (clips,) whose sum is at least as far from zero, 0..1.

    Exact up to EXACT_CLIPS clips; with more, by `draws` random flips and the identity, which is never below
    1 / (draws + 1); with MANY_CLIPS, by the normal distribution of that sum. `above`: one-sided, the share of sums
    that are at least as large.
    """
    sample = _finite(differences)
    size = (lambda sums: sums) if above else np.abs
    if len(sample) > MANY_CLIPS:
        far = float(size(sample.sum())) / math.sqrt(float(np.sum(sample**2)) or 1.0)
        return NORMAL.cdf(-far) * (1.0 if above else 2.0)
    limit = float(size(sample.sum())) - SAME * float(np.abs(sample).sum())
    if len(sample) <= EXACT_CLIPS:
        patterns = np.arange(2 ** len(sample))[:, None] >> np.arange(len(sample)) & 1
        return float((size((1.0 - 2.0 * patterns) @ sample) >= limit).mean())
    rng = np.random.default_rng(seed)
    reached = 0
    for n in _chunks(len(sample), draws):
        flips = rng.integers(0, 2, (n, len(sample)), dtype=np.int8)
        reached += int((size((1.0 - 2.0 * flips) @ sample) >= limit).sum())
    return (reached + 1) / (draws + 1)


@cache
def t_quantile(share: float, degrees: int) -> float:
    """Return the quantile of Student's t with integer `degrees` of freedom."""
    if share == 0.975 and 1 <= degrees <= len(T_975):
        return T_975[degrees - 1]
    from scipy.special import stdtrit  # scipy.stats, whose t.ppf calls it, takes a second to import

    return float(stdtrit(degrees, share))


def _bca_shares(sample: Floats, means: Floats, level: float) -> Floats:
    """Return which quantiles of the resampled `means` bound the interval, (2,): percentiles, corrected three ways."""
    n = len(sample)
    mean = sample.mean()
    below = (np.sum(means < mean) + 0.5 * np.sum(means == mean)) / len(means)
    bias = NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(means), 1.0 - 0.5 / len(means))))
    deviations = sample - mean
    skew = float(np.sum(deviations**3) / (6.0 * np.sum(deviations**2) ** 1.5))
    half = t_quantile((1.0 + level) / 2.0, n - 1) * math.sqrt(n / (n - 1))
    return np.array([NORMAL.cdf(bias + (bias + z) / max(1.0 - skew * (bias + z), SAME)) for z in (-half, half)])


def _finite(values: Sequence[float]) -> Floats:
    sample: Floats = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample):
        raise ValueError("there are no values to take a mean of")
    if not np.isfinite(sample).all():
        raise ValueError(f"value {int(np.argmin(np.isfinite(sample)))} of {len(sample)} is not finite; leave it out")
    return sample


def _resamples(n: int, draws: int, seed: int) -> Iterator[NDArray[np.integer[Any]]]:
    """Yield indices (some draws, n) of clips, drawn with replacement, `draws` rows in all."""
    rng = np.random.default_rng(seed)
    for rows in _chunks(n, draws):
        yield rng.integers(0, n, (rows, n), dtype=np.int32)


def _chunks(n: int, draws: int) -> Iterator[int]:
    """Yield how many rows of `n` numbers to draw per block, until there are `draws`."""
    most = max(1, CHUNK // n)
    for start in range(0, draws, most):
        yield min(most, draws - start)
