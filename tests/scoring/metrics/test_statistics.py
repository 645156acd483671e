"""Intervals hold the truth as often as they say; comparisons are fair to both sides."""

import math
from dataclasses import replace
from inspect import signature
from statistics import NormalDist
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from w2l.scoring.metrics import statistics
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import T_975, Values, bootstrap_mean, compare_systems, sign_flip_p, t_quantile

Better = Literal["lower", "higher", "zero", "one"]
LOWER = Column("lse_d", "LSE-D", "lse", "lower", "a distance")


def values(system: str, numbers: list[float]) -> Values:
    return Values(system, {f"clip{idx}": number for idx, number in enumerate(numbers)})


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (10, 2.2281), (29, 2.0452)])
def test_students_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, abs=5e-5)
    assert t_quantile(0.025, degrees) == pytest.approx(-quantile, abs=5e-5)


def test_the_table_of_quantiles_is_scipys() -> None:
    from scipy.stats import t

    degrees = np.arange(1, len(T_975) + 2)
    found = [t_quantile(0.975, int(each)) for each in degrees]
    np.testing.assert_allclose(found, t.ppf(0.975, degrees), rtol=1e-8)  # SciPy 1.11 has nine digits


def test_intervals_are_those_of_scipys_bootstrap_at_the_widened_level() -> None:
    sample = np.random.default_rng(3).exponential(2.0, 30)
    half = t_quantile(0.975, 29) * math.sqrt(30 / 29)
    level = 2 * NormalDist().cdf(half) - 1
    seed: dict[str, int] = {"rng" if "rng" in signature(stats.bootstrap).parameters else "random_state": 1}
    found = stats.bootstrap((sample,), np.mean, n_resamples=40_000, confidence_level=level, **seed)
    theirs = found.confidence_interval
    ours = bootstrap_mean(sample.tolist(), draws=40_000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02 * (ours.high - ours.low))


@pytest.mark.parametrize("clips", [3, 9, 12])
def test_sign_flips_are_those_of_scipys_permutation_test(clips: int) -> None:
    sample = np.random.default_rng(clips).normal(0.5, 1.0, clips)
    for above, alternative in ((False, "two-sided"), (True, "greater")):
        theirs = stats.permutation_test(
            (sample,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative=alternative
        )
        assert sign_flip_p(sample.tolist(), above=above) == pytest.approx(theirs.pvalue, abs=1e-12)


@pytest.mark.parametrize(("kind", "clips", "least"), [("normal", 8, 0.9), ("normal", 40, 0.92), ("skewed", 15, 0.88)])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(kind: str, clips: int, least: float) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for seed in range(300):
        sample = rng.normal(6.5, 1.0, clips) if kind == "normal" else rng.exponential(6.5, clips)
        interval = bootstrap_mean(sample.tolist(), seed, draws=500)
        held += interval.low <= 6.5 <= interval.high
    assert least <= held / 300 <= 0.99


def test_a_higher_level_is_wider_and_more_clips_are_narrower() -> None:
    sample = np.random.default_rng(0).normal(0, 1, 200).tolist()
    widths = [interval.high - interval.low for interval in (
        bootstrap_mean(sample[:20]), bootstrap_mean(sample), bootstrap_mean(sample, level=0.8)
    )]  # fmt: skip
    assert widths == sorted(widths, reverse=True)
    assert widths[1] == pytest.approx(2 * 1.96 * np.std(sample) / math.sqrt(200), rel=0.1)


def test_the_same_values_give_the_same_interval_and_the_mean_is_plain() -> None:
    sample = [1.0, 2.5, 9.0, 4.0]
    assert bootstrap_mean(sample) == bootstrap_mean(sample)
    assert bootstrap_mean(sample).mean == np.mean(sample)
    assert bootstrap_mean(sample).clips == 4


def test_few_clips_claim_little() -> None:
    one = bootstrap_mean([3.0])
    assert (one.mean, one.low, one.high, one.clips) == (3.0, -math.inf, math.inf, 1)
    two = bootstrap_mean([3.0, 5.0])
    assert (two.low, two.high) == (3.0, 5.0)


def test_equal_values_have_no_width() -> None:
    interval = bootstrap_mean([0.1 + 0.2, 0.3, 0.3])
    assert interval.low == interval.high == pytest.approx(0.3)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan, 2.0], [math.inf, 1.0]])
def test_what_is_no_number_is_never_averaged(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no values|not finite"):
        bootstrap_mean(bad)
    with pytest.raises(ValueError, match=r"no values|not finite"):
        sign_flip_p(bad)
    if bad:
        with pytest.raises(ValueError, match="not finite"):
            compare_systems(values("a", bad), values("b", [0.0] * len(bad)), LOWER)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="draws 5"):
        bootstrap_mean([1.0, 2.0], draws=5)
    with pytest.raises(ValueError, match=r"level 1\.5"):
        bootstrap_mean([1.0, 2.0], level=1.5)
    with pytest.raises(ValueError, match="better direction"):
        compare_systems(values("a", [1.0]), values("b", [1.0]), replace(LOWER, better=""))


def test_thousands_of_clips_are_as_if_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = np.random.default_rng(1).exponential(1.0, 3000) - 0.97
    quick, quick_p = bootstrap_mean(sample.tolist()), sign_flip_p(sample.tolist())
    monkeypatch.setattr(statistics, "MANY_CLIPS", 10**6)
    drawn, drawn_p = bootstrap_mean(sample.tolist()), sign_flip_p(sample.tolist())
    width = drawn.high - drawn.low
    assert abs(quick.low - drawn.low) < 0.06 * width
    assert abs(quick.high - drawn.high) < 0.06 * width
    assert quick_p == pytest.approx(drawn_p, abs=0.03)


def test_memory_bounds_do_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = np.random.default_rng(2).normal(0.1, 1, 50).tolist()
    whole = bootstrap_mean(sample), sign_flip_p(sample)
    monkeypatch.setattr(statistics, "CHUNK", 50 * 512)
    assert (bootstrap_mean(sample), sign_flip_p(sample)) == whole


def test_a_comparison_is_symmetric() -> None:
    rng = np.random.default_rng(3)
    first, second = values("a", rng.normal(6, 1, 30).tolist()), values("b", rng.normal(6.4, 1, 30).tolist())
    there, back = compare_systems(first, second, LOWER), compare_systems(second, first, LOWER)
    assert there is not None
    assert back is not None
    assert there.p_value == back.p_value
    assert there.wins + back.wins == pytest.approx(1.0)
    assert there.difference.mean == -back.difference.mean
    assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-9)
    assert (there.first, there.second, there.column) == ("a", "b", "lse_d")


def test_pairing_sees_what_means_hide() -> None:
    """Clips differ by far more than systems: paired, a small steady gain is certain."""
    rng = np.random.default_rng(4)
    clips = rng.normal(7, 3, 20)
    found = compare_systems(
        values("a", (clips - 0.1).tolist()), values("b", (clips + rng.normal(0, 0.05, 20)).tolist()), LOWER
    )
    assert found is not None
    assert found.difference.high < 0.0
    assert found.p_value < 0.01
    assert found.wins > 0.9


def test_only_shared_clips_are_compared() -> None:
    first, second = Values("a", {"x": 1.0, "y": 2.0}), Values("b", {"y": 5.0, "z": 9.0})
    found = compare_systems(first, second, LOWER)
    assert found is not None
    assert (found.difference.mean, found.difference.clips, found.p_value, found.wins) == (-3.0, 1, 1.0, 1.0)
    assert compare_systems(first, Values("c", {"z": 1.0}), LOWER) is None


def test_ties_count_half_and_rounding_is_a_tie() -> None:
    found = compare_systems(values("a", [0.1 + 0.2, 1.0, 2.0, 3.0]), values("b", [0.3, 1.0, 1.0, 4.0]), LOWER)
    assert found is not None
    assert found.wins == 0.5
    equal = compare_systems(values("a", [1.0, 2.0]), values("b", [1.0, 2.0]), LOWER)
    assert equal is not None
    assert (equal.wins, equal.p_value, equal.difference.low, equal.difference.high) == (0.5, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("better", "second", "wins"),
    [
        pytest.param("lower", [-4.0, 6.0], 0.5, id="lower"),
        pytest.param("higher", [-4.0, -6.0], 1.0, id="higher"),
        pytest.param("zero", [-4.0, 6.0], 1.0, id="zero"),
        pytest.param("one", [0.5, 0.9], 0.0, id="one"),
    ],
)
def test_wins_follow_what_is_better(
    better: Literal["lower", "higher", "zero", "one"], second: list[float], wins: float
) -> None:
    found = compare_systems(values("a", [-1.0, 0.0]), values("b", second), replace(LOWER, better=better))
    assert found is not None
    assert found.wins == wins


def test_nearness_is_compared_where_a_number_is_best() -> None:
    """Offsets of -3 and 3 have the mean of none at all, and are no better for it."""
    found = compare_systems(values("a", [-3.0, 3.0]), values("b", [0.0, 1.0]), replace(LOWER, better="zero"))
    assert found is not None
    assert found.difference.mean == 2.5


def test_sign_flips_of_few_clips_are_exact() -> None:
    assert sign_flip_p([1.0, 2.0, 3.0]) == 2 / 8
    assert sign_flip_p([0.0]) == 1.0
    assert sign_flip_p([-1.0, -1.0, 1.0]) == 1.0


def test_systems_that_are_alike_seldom_differ() -> None:
    rng = np.random.default_rng(6)
    small = sum(sign_flip_p(rng.normal(0, 1, 25).tolist(), seed, 400) < 0.05 for seed in range(300))
    assert 2 <= small <= 30
