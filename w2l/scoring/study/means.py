"""Means of raters' answers with intervals that generalise to other raters and other clips; pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from w2l.core.arrays import Floats

DRAWS = 4000
LEVEL = 0.95
MIN_ANSWERS = 5
"""Smallest number of answers with an interval: fewer are too often all the same."""


@dataclass(frozen=True)
class AnswerMean:
    """A mean of answers with its confidence interval."""

    mean: float
    low: float | None
    """95 % interval; None with too few answers, or one rater with one clip."""
    high: float | None
    answers: int
    raters: int
    clips: int


def mean_of_answers(raters: ArrayLike, clips: ArrayLike, values: ArrayLike, seed: int = 0) -> AnswerMean:
    """Return the mean of all answers, and its interval for other raters with other clips.

    Answers of one rater, and answers about one clip, are correlated, so that resampling single answers would make the
    interval too narrow. Raters and clips are both resampled with replacement, and an answer counts as often as its
    rater was drawn times as often as its clip (the pigeonhole bootstrap, Owen 2007). On simulated answers it contains
    the true mean in 90 to 94 % of studies with 5 to 20 raters, in 87, 83 and 73 % with 4, 3 and 2. With one rater it
    covers only other clips, and vice versa. If all answers are the same it has zero width, however few they are.

    Parameters
    ----------
    raters, clips : (answers,)
        Names or numbers of the rater and the clip of each answer.
    values : (answers,)
        Finite numbers.
    seed : int
        Seed of the draws; the same answers and seed give the same interval.

    Raises ValueError for no answers, unequal lengths, and values that are not finite.
    """
    given = np.asarray(values, dtype=np.float64)
    rater_names, rater_idx = np.unique(np.asarray(raters), return_inverse=True)
    clip_names, clip_idx = np.unique(np.asarray(clips), return_inverse=True)
    if not len(given) or not len(given) == len(rater_idx) == len(clip_idx) or not np.isfinite(given).all():
        raise ValueError(
            f"expected equally many raters, clips and finite values, at least one; got {len(given)} values"
        )
    n_raters, n_clips = len(rater_names), len(clip_names)
    counts, sums = np.zeros((2, n_raters, n_clips))
    np.add.at(counts, (rater_idx, clip_idx), 1.0)
    np.add.at(sums, (rater_idx, clip_idx), given)
    can_tell = len(given) >= MIN_ANSWERS and max(n_raters, n_clips) > 1
    low, high = _interval(sums, counts, seed) if can_tell else (None, None)
    return AnswerMean(float(given.mean()), low, high, len(given), n_raters, n_clips)


def _interval(sums: Floats, counts: Floats, seed: int) -> tuple[float, float]:
    """Return percentiles of the mean over draws of rows and columns of (raters, clips) sums and numbers of answers."""
    chance = np.random.default_rng(seed)
    n_raters, n_clips = sums.shape
    rows = chance.multinomial(n_raters, np.full(n_raters, 1 / n_raters), size=DRAWS).astype(np.float64)
    columns = chance.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=DRAWS).astype(np.float64)
    weights = np.einsum("dc,dc->d", rows @ counts, columns)
    totals = np.einsum("dc,dc->d", rows @ sums, columns)
    met = weights > 0  # a draw may contain raters and clips that never met
    means = totals[met] / weights[met]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
