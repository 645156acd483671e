"""The Fréchet distance between two sets of features, exact, from moments accumulated batch by batch.

Dowson and Landau (1982), as FID: Heusel et al., "GANs trained by a two time-scale update rule", 2017. Each set counts
as a Gaussian with its mean and covariance (divisor: rows minus one).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

SAFE_PIVOT = 1e-10
"""Share of the largest pivot below which a covariance may be singular up to rounding."""


class Moments:
    """Mean and covariance of rows of `dims` features, added in any portions.

    Holds at most `dims` rows and one matrix (dims, dims), however many rows are added. With no more rows than
    dims, only the rows are held: the covariance is then singular, and its root is computed most cheaply from them.
    """

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self._rows: list[Floats] = []
        self._n_held = 0
        self._n_folded = 0
        self._mean: Floats = np.zeros(dims)
        self._scatter: Floats | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows so far."""
        return self._n_folded + self._n_held

    def add(self, rows: NDArray[np.floating[Any]]) -> None:
        """Add rows (any number, dims). Raises ValueError for another shape and for values that are not finite."""
        if rows.ndim != 2 or rows.shape[1] != self.dims:
            raise ValueError(f"expected features (frames, {self.dims}), got {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("the features contain values that are not finite")
        for start in range(0, len(rows), self.dims):
            part = rows[start : start + self.dims].astype(np.float64)
            if self._n_held + len(part) > self.dims:
                self._fold()
            self._rows.append(part)
            self._n_held += len(part)

    def merge(self, other: "Moments") -> None:
        """Add all rows of `other`, which is not changed."""
        if other._scatter is not None:
            self._join(other._n_folded, other._mean, other._scatter)
        for rows in other._rows:
            self.add(rows)

    def mean(self) -> Floats:
        """Return the mean (dims,); there must be at least one row."""
        if not self._n_held:
            return self._mean.copy()
        total = self._n_folded * self._mean
        for rows in self._rows:
            total += rows.sum(axis=0)
        return total / self.n_rows

    def covariance(self) -> Floats:
        """Return the covariance (dims, dims), divisor rows - 1; there must be two rows."""
        if self._scatter is None:
            factor = self.factor()
            return np.asarray(factor.T @ factor)
        self._fold()
        return self._scatter / (self.n_rows - 1)

    def factor(self) -> Floats:
        """Return a matrix (rank or more, dims) whose transpose times itself is the covariance; requires two rows."""
        if self.n_rows < 2:
            raise ValueError(f"a covariance needs two rows of features, got {self.n_rows}")
        if self._scatter is None:
            return (np.concatenate(self._rows) - self.mean()) / float(np.sqrt(self.n_rows - 1))
        return _root(self.covariance())

    def _fold(self) -> None:
        """Convert the stored rows to moments."""
        if not self._n_held:
            return
        rows = np.concatenate(self._rows)
        self._rows, self._n_held = [], 0
        mean = rows.mean(axis=0)
        rows -= mean
        self._join(len(rows), mean, rows.T @ rows)

    def _join(self, n_rows: int, mean: Floats, scatter: Floats) -> None:
        """Add the moments of other rows (Chan, Golub and LeVeque, 1983: no large sums are subtracted)."""
        if self._scatter is None:
            self._n_folded, self._mean, self._scatter = n_rows, mean.copy(), scatter.copy()
            return
        total = self._n_folded + n_rows
        step = mean - self._mean
        self._scatter += scatter
        self._scatter += np.outer(step, step * (self._n_folded * n_rows / total))
        self._mean += step * (n_rows / total)
        self._n_folded = total


def _root(covariance: Floats) -> Floats:
    """Return a matrix (rank, dims) whose transpose times itself is `covariance` (dims, dims)."""
    try:
        triangle = np.linalg.cholesky(covariance)
        pivots = np.diagonal(triangle) ** 2
        if pivots.min() > SAFE_PIVOT * pivots.max():
            return np.asarray(triangle.T)
    except np.linalg.LinAlgError:
        pass  # not of full rank: the eigenvalues determine the rank
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps  # the rest is rounding
    return np.asarray(np.sqrt(values[kept])[:, None] * vectors.T[kept])


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return |mean1 - mean2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)), in squared units of the features.

    With factors A'A = C1 and B'B = C2 the last trace is the sum of the singular values of A B': no root of a matrix
    that may be singular, nothing complex, no added epsilon. Equal sets give 0 to about 1e-14 of their variance.
    """
    if first.dims != second.dims:
        raise ValueError(f"features of {first.dims} and {second.dims} dimensions have no distance")
    a, b = first.factor(), second.factor()
    step = first.mean() - second.mean()
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum() if a.size and b.size else 0.0
    return float(step @ step + np.vdot(a, a) + np.vdot(b, b) - 2 * shared)


def extrapolate(sizes: list[float], distances: list[float]) -> float:
    """Return the distance at infinitely many samples: a least-squares line in 1 / size, evaluated at 0.

    Chong and Forsyth, "Effectively unbiased FID and Inception score and where to find them", 2020: the distance of
    finite sets is too large by about a constant over their size. There must be two sizes.
    """
    inverse = 1 / np.asarray(sizes, dtype=np.float64)
    values = np.asarray(distances, dtype=np.float64)
    centred = inverse - inverse.mean()
    slope = float(centred @ values / (centred @ centred))
    return float(values.mean() - slope * inverse.mean())
