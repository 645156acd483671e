"""The Fréchet distance: the reference's, closed forms, another route through SciPy; portions of rows."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.golden import golden_seeds, golden_vectors
from w2l.core.arrays import Floats
from w2l.scoring.metrics.frechet import Moments, extrapolate, frechet_distance


def moments(rows: NDArray[Any], portion: int = 10**9) -> Moments:
    made = Moments(rows.shape[1])
    for start in range(0, len(rows), portion):
        made.add(rows[start : start + portion])
    return made


def distance(first: Floats, second: Floats) -> float:
    return frechet_distance(moments(first), moments(second))


def golden_sets(rule: ModuleType, seed: int, case: str) -> tuple[Floats, Floats]:
    def rows(name: str, count: int) -> Floats:
        return np.asarray(rule.fid_features(seed, name, count))

    if case == "same_a128":
        return rows("a", 128), rows("a", 128)
    if case == "shift_a100":
        return rows("a", 100), rows("a", 100) + 0.25
    if case == "scale_a100":
        return rows("a", 100), 2 * rows("a", 100)
    a, b = (int(part[1:]) for part in case.split("_")[-2:])
    if case.startswith("constant"):
        return np.repeat(rows("a", 1), a, axis=0), np.repeat(rows("b", 1), b, axis=0)
    first, second = rows("a", a), rows("b", b)
    if case.startswith("zerocols"):
        first[:, :4] = second[:, :4] = 1.5
    return (first[:, :2], second[:, :2]) if case.startswith("twodim") else (first, second)


@pytest.mark.parametrize("seed", golden_seeds("fid"))
def test_golden_distances(seed: int, golden_rule: ModuleType) -> None:
    golden = golden_vectors(f"fid_seed{seed}")
    for case, exact, published in zip(golden["fd_names"].tolist(), golden["fd_exact"], golden["fd_reference"]):
        got = distance(*golden_sets(golden_rule, seed, case))
        np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-9, err_msg=case)
        tolerance = 1e-4 if case.startswith("constant") else 1e-6
        np.testing.assert_allclose(got, published, rtol=0, atol=tolerance, err_msg=case)
    a64 = moments(golden_rule.fid_features(seed, "a", 64))
    np.testing.assert_allclose(a64.mean(), golden["a64_mu"], atol=1e-12)
    np.testing.assert_allclose(a64.covariance()[::4], golden["a64_sigma"], atol=1e-12)


@pytest.mark.parametrize("seed", [2, 3, 4])
@pytest.mark.parametrize(("n_first", "n_second"), [(300, 90), (45, 45), (60, 500)])
def test_other_sets_against_the_root_of_the_product(seed: int, n_first: int, n_second: int) -> None:
    """SciPy's Schur method on the product of the covariances, as the published tool does it."""
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(n_first, 40)) @ rng.normal(size=(40, 40)) + 100
    second = rng.gamma(0.5, size=(n_second, 40)) @ rng.normal(size=(40, 40)) + rng.normal(size=40)
    covariances = [np.cov(rows, rowvar=False) for rows in (first, second)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    step = first.mean(axis=0) - second.mean(axis=0)
    expected = step @ step + np.trace(covariances[0] + covariances[1] - 2 * root)
    np.testing.assert_allclose(distance(first, second), expected, rtol=1e-9)


def test_closed_forms() -> None:
    rng = np.random.default_rng(0)
    for n_rows in (5, 30, 400):  # fewer rows than dimensions, and more
        rows = rng.normal(size=(n_rows, 20)) + 7
        trace = float(np.trace(np.cov(rows, rowvar=False)))
        assert abs(distance(rows, rows[::-1])) < 1e-11 * trace
        assert distance(rows, rows + 0.5) == pytest.approx(20 * 0.25, rel=1e-9)
        around = rows.mean(axis=0)
        assert distance(rows, around + 3 * (rows - around)) == pytest.approx(4 * trace, rel=1e-9)
    diagonal = np.array([1.0, 4.0, 9.0])
    axes = np.concatenate([np.eye(3), -np.eye(3)]) * np.sqrt(5 / 2)  # covariance: the identity
    assert distance(axes, axes * np.sqrt(diagonal)) == pytest.approx(float(((np.sqrt(diagonal) - 1) ** 2).sum()))


def test_one_dimension_and_no_variance() -> None:
    rows = np.array([[0.0], [2.0], [4.0]])
    assert distance(rows, 3 * rows + 1) == pytest.approx((2 - 7) ** 2 + (2 - 6) ** 2)
    assert distance(np.ones((4, 6)), np.zeros((3, 6))) == 6
    assert distance(np.ones((40, 6)), np.zeros((30, 6))) == 6


@pytest.mark.parametrize("n_rows", [7, 16, 17, 200])
@pytest.mark.parametrize("portion", [1, 5, 16, 40])
def test_portions_change_nothing(n_rows: int, portion: int) -> None:
    rows = np.random.default_rng(n_rows).normal(size=(n_rows, 16)) * 0.01 + 1000  # large sums would lose digits
    parts = moments(rows, portion)
    assert parts.n_rows == n_rows
    np.testing.assert_allclose(parts.mean(), rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(parts.covariance(), np.cov(rows, rowvar=False), atol=1e-15)
    factor = parts.factor()
    np.testing.assert_allclose(factor.T @ factor, np.cov(rows, rowvar=False), atol=1e-15)


@pytest.mark.parametrize(("n_first", "n_second"), [(0, 30), (3, 5), (12, 40), (40, 12), (30, 30), (30, 0)])
def test_merging_is_adding(n_first: int, n_second: int) -> None:
    rows = np.random.default_rng(1).normal(size=(n_first + n_second, 10)) + 5
    merged, second = moments(rows[:n_first]), moments(rows[n_first:])
    merged.merge(second)
    merged.merge(Moments(3))  # of nothing
    assert (merged.n_rows, second.n_rows) == (len(rows), n_second)
    np.testing.assert_allclose(merged.covariance(), np.cov(rows, rowvar=False), atol=1e-13)
    np.testing.assert_allclose(merged.mean(), rows.mean(axis=0), rtol=1e-13)
    if n_second > 1:
        np.testing.assert_allclose(second.covariance(), np.cov(rows[n_first:], rowvar=False), atol=1e-13)


def test_no_more_than_a_matrix_is_held() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    rows = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
    peaks = []
    for n_portions in (10, 100):
        tracemalloc.start()
        made = Moments(64)
        for _ in range(n_portions):
            made.add(rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_what_cannot_be_measured_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4))
    with pytest.raises(ValueError, match=r"expected features \(frames, 5\)"):
        Moments(5).add(rows)
    with pytest.raises(ValueError, match="not finite"):
        moments(np.where(rows > 1, np.nan, rows))
    with pytest.raises(ValueError, match="two rows"):
        distance(rows, rows[:1])
    with pytest.raises(ValueError, match="no distance"):
        distance(rows, rows[:, :2])


def test_extrapolation_is_the_line_at_no_inverse_size() -> None:
    sizes = [50.0, 100.0, 200.0, 400.0]
    assert extrapolate(sizes, [3 + 40 / size for size in sizes]) == pytest.approx(3)
    assert extrapolate([100, 50, 50], [5.0, 7.0, 9.0]) == pytest.approx(2 * 5 - 8)


def test_extrapolation_takes_most_of_the_bias_away() -> None:
    """Two draws from one distribution: the distance is 0, whatever finite sets say."""
    rng = np.random.default_rng(0)
    scales = np.arange(1, 33) ** -0.5
    plain, extrapolated = [], []
    for _ in range(8):
        a, b = (rng.normal(size=(400, 32)) * scales for _ in range(2))
        plain.append(distance(a, b))
        halves = [distance(a[half::2], b[half::2]) for half in (0, 1)]
        extrapolated.append(extrapolate([400, 200, 200], [plain[-1], *halves]))
    assert np.mean(plain) > 0.05
    assert abs(np.mean(extrapolated)) < 0.1 * np.mean(plain)
