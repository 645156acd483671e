"""Move a redrawn patch such that jaw, chin and cheeks meet those of the picture where the two are blended.

Pixels moved from a frame in another pose, or with another opening of the mouth, have their jaw line in another place,
so that two lines show where the mask fades. A smooth displacement, zero at the redrawn lips, makes the patch agree with
the source on the rim of the mask. It is found by Gauss-Newton steps (Lucas, Kanade 1981) on a coarse grid of nodes.

Patches and crops are float32 RGB in grey levels, (rows, columns, 3), in the crop's own coordinates.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.syncing.colours import blurred, brightness
from w2l.syncing.lips import LipPair, lip_map

SIDE = 48
"""Columns of the grid on which patch and source are compared."""
NODES = (7, 5)
"""Columns and rows of the nodes of the displacement."""
STEPS = ((2.5, 40.0), (1.5, 30.0), (0.7, 15.0))
"""Standard deviation of the blur, in grid cells, and difference in grey levels from which pixels hardly count, as they
show something else, of each step."""
INSIDE = 0.06
"""Weight of pixels in the middle of the mask relative to those on its rim: inside, the patch's own jaw is shown."""
LEAST_MASK = 0.003
"""Mask from which pixels are compared."""
SURE = 0.5
"""Weight from which pixels are used to measure the difference in brightness between patch and source."""
STIFF, SLACK, STEADY = 100.0, 10.0, 100.0
"""Weights, in squared grey levels per squared grid cell, of the difference between neighbouring nodes, of the size of
displacements and of their change since the last picture."""
REACH = 0.1
"""Largest displacement of a node, in sides of the crop."""
LIPS_BLUR, SKIN_BLUR, SKIN_SHARE = 1.0, 4.0, 0.6
"""Standard deviations, in grid cells, of the edge of the lips, which do not move, and of the skin around them, and the
share to which that skin does not move."""


class JawFit:
    """Finds the displacement of patches along the rim of a mask.

    Parameters
    ----------
    weight : (rows, columns)
        Mask of the patch, 0..1; the lower rows of a crop.
    mouth : (rows, columns)
        1 at the usual position of a mouth, for patches whose lips were not found.
    """

    def __init__(self, weight: Floats, mouth: Floats) -> None:
        rows, columns = weight.shape
        self._grid = (SIDE, max(1, round(SIDE * rows / columns)))
        self._scale = columns / SIDE
        small, self._mouth = (self._small(map_) for map_ in (weight, mouth))
        self._trust = (small > LEAST_MASK) * (INSIDE + (1 - INSIDE) * (1 - small * small))
        self._x = (np.arange(SIDE) + 0.5) / SIDE
        self._y = 1 - rows / columns * (1 - (np.arange(self._grid[1]) + 0.5) / self._grid[1])
        across, down = (_splines(n, count) for n, count in zip(self._grid, NODES))
        self._basis = np.kron(down, across).astype(np.float32)  # (cells, nodes)
        n_nodes = self._basis.shape[1]
        bend = STIFF * (np.kron(np.eye(NODES[1]), _chain(NODES[0])) + np.kron(_chain(NODES[1]), np.eye(NODES[0])))
        self._prior = np.kron(np.eye(2), bend + SLACK * np.eye(n_nodes)).astype(np.float32)
        self._home = _places(*self._grid)
        self._fine_home = _places(columns, rows)

    def fit(self, patch: Floats, crop: Floats, lips: LipPair, before: Floats | None) -> tuple[Floats, Floats]:
        """Return the moved patch (rows, columns, 3), and the displacement of the nodes for the next picture.

        `crop` is the source's, `before` the displacement returned for the last picture of the same face, if any.
        """
        there, here = (
            self._mouth if points is None else lip_map(points, self._x, self._y) for points in (lips.source, lips.patch)
        )
        free = (1 - blurred(here, LIPS_BLUR)) * (1 - SKIN_SHARE * blurred(here, SKIN_BLUR))
        trust = np.asarray(self._trust * (1 - there) * (1 - here), dtype=np.float32)
        basis = self._basis * free.reshape(-1, 1)
        nodes = self._nodes(self._small(brightness(patch)), self._small(brightness(crop)), trust, basis, before)
        field = (basis @ nodes.T).reshape(*trust.shape, 2) * self._scale
        field = cv2.resize(field, self._fine_home.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return _sampled(patch, self._fine_home + field, cv2.INTER_CUBIC), nodes

    def _nodes(self, drawn: Floats, source: Floats, trust: Floats, basis: Floats, before: Floats | None) -> Floats:
        """Return the displacement of the nodes (2, nodes), across and down, in grid cells.

        `drawn` and `source` (grid rows, grid columns) are brightness, `trust` is the weight of each cell.
        """
        last = np.zeros(2 * basis.shape[1], dtype=np.float32) if before is None else before.ravel()
        stay = 0.0 if before is None else STEADY
        hessian = self._prior + stay * np.eye(len(last), dtype=np.float32)
        nodes = last
        if not (trust > SURE).any():
            return last.reshape(2, -1)
        for blur, far in STEPS:
            field = (basis @ nodes.reshape(2, -1).T).reshape(*trust.shape, 2)
            warped = _sampled(blurred(drawn, blur), self._home + field, cv2.INTER_LINEAR)
            slopes = (cv2.Scharr(warped, cv2.CV_32F, *axis, scale=1 / 32).reshape(-1, 1) for axis in ((1, 0), (0, 1)))
            jacobian = np.concatenate([basis * slope for slope in slopes], axis=1)
            left = blurred(source, blur) - warped
            left = (left - np.median(left[trust > SURE])).astype(np.float32)
            weighted = jacobian * (trust / (1 + (left / far) ** 2) ** 2).reshape(-1, 1)
            pull = weighted.T @ left.ravel() - self._prior @ nodes + stay * (last - nodes)
            nodes = nodes + np.linalg.solve(weighted.T @ jacobian + hessian, pull)
            nodes = np.clip(nodes, -REACH * SIDE, REACH * SIDE)
        return np.asarray(nodes.reshape(2, -1), dtype=np.float32)

    def _small(self, map_: Floats) -> Floats:
        """Scale a map (rows, columns) to the grid."""
        return np.asarray(cv2.resize(map_, self._grid, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _sampled(image: Floats, places: Floats, interpolation: int) -> Floats:
    """Return an image at places (rows, columns, 2), across and down, in pixels."""
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in range(2))
    return np.asarray(cv2.remap(image, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)


def _places(columns: int, rows: int) -> Floats:
    """Return the places (rows, columns, 2) of all pixels."""
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)


def _splines(n: int, count: int) -> NDArray[np.float64]:
    """Return the shares (n, count) of `count` nodes at `n` equidistant places: quadratic B-splines."""
    away = np.abs((np.arange(n)[:, None] + 0.5) / n * (count - 1) - np.arange(count)[None])
    return np.where(away < 0.5, 0.75 - away**2, 0.5 * np.maximum(1.5 - away, 0.0) ** 2)


def _chain(n: int) -> NDArray[np.float64]:
    """Return the matrix (n, n) of the squared differences between neighbours in a row of `n`."""
    steps = np.diff(np.eye(n), axis=0)
    return np.asarray(steps.T @ steps)
