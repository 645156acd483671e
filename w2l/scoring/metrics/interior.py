"""Interior of the mouth compared with real mouths of the same person with the same opening: colours, teeth; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.models.lip_reader import Mouths
from w2l.scoring.metrics.palette import lab

OPEN = 0.03
"""Gap between the lips, in eye distances, from which a mouth counts as open: one pixel of a 96-pixel face."""
N_BINS = 10
"""Number of groups of openings: the deciles of the real mouth's."""
INNER_WIDTH = 0.8
"""Width of the interior relative to the distance of the outer corners."""
LEAST_PIXELS = 40
"""Smallest number of pixels in a group for which its colours are compared."""
LEAST_OPEN = 10
"""Smallest number of open frames of the real video for which its mouth is measured."""
LEAST_TEETH = 0.02
"""Smallest share of open frames in which the real mouth would show teeth, for a ratio to be meaningful."""
N_DIRECTIONS = 32
"""Number of colour directions along which distributions are compared."""
N_QUANTILES = 128
"""Number of points at which they are compared along each."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Interiors:
    """The open mouths of some frames of a clip."""

    gaps: Floats
    """(frames,): of every frame, in eye distances."""
    teeth: Floats
    """(frames,): probability that teeth are visible."""
    colours: tuple[NDArray[np.float32], ...]
    """Of every frame (pixels, 3), CIELAB between the lips; empty if the mouth is closed."""

    @property
    def open(self) -> Mask:
        """Return which frames show an open mouth: (frames,)."""
        return self.gaps >= OPEN

    def only(self, where: Mask) -> "Interiors":
        """Return the frames of `where` (frames,)."""
        colours = tuple(own for own, chosen in zip(self.colours, where) if chosen)
        return replace(self, gaps=self.gaps[where], teeth=self.teeth[where], colours=colours)


def interiors(read: Mouths, pictures: Sequence[Image], corner: tuple[float, float], side: int) -> Interiors:
    """Return the interior of the mouth in each frame.

    Parameters
    ----------
    read : Mouths
        Predictions of the lip reader.
    pictures : (rows, columns, 3) each
        A part of aligned crops of `side` pixels, RGB, whose upper left pixel lies at `corner` (x, y) of the crop.
    """
    found = []
    for picture, points, gap in zip(pictures, read.points, read.gaps):
        shows = between_lips(points * side - corner, picture.shape[:2]) if gap >= OPEN else np.zeros(0, np.intp)
        found.append(lab(picture.reshape(1, -1, 3))[0][shows])
    return Interiors(read.gaps, read.teeth, tuple(found))


def between_lips(points: Floats, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the flat indices of the pixels between the lips, given the lip reader's points (6, 2) in pixels.

    They lie between two parabolas that meet near the mouth corners and touch the inner rims of the lips.
    """
    left, right, upper, lower = points[0], points[1], points[3], points[4]
    along = right - left
    width = max(float(np.hypot(*along)), 1e-6)
    along = along / width
    down = np.array([-along[1], along[0]])
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    places = np.stack([columns + 0.5, rows + 0.5], axis=-1) - (left + right) / 2
    bulge = 1 - (places @ along / (INNER_WIDTH * width / 2)) ** 2
    depth = places @ down
    top, bottom = (float((rim - (left + right) / 2) @ down) for rim in (upper, lower))
    return np.flatnonzero((bulge > 0) & (depth > top * bulge) & (depth < bottom * bulge))


def opening_edges(gaps: Floats) -> Floats:
    """Return the limits (bins - 1,) of the deciles of the open mouths among `gaps`."""
    return np.quantile(gaps[gaps >= OPEN], np.arange(1, N_BINS) / N_BINS)


def colour_distance(first: Interiors, second: Interiors, edges: Floats) -> float | None:
    """Return the mean over groups of openings of the distance of their colours; None if no group has enough."""
    opened = _binned(edges, first, second)
    groups = [[_pooled(each, bins == number) for each, bins in opened] for number in range(N_BINS)]
    found = [wasserstein(one, other) for one, other in groups if min(len(one), len(other)) >= LEAST_PIXELS]
    return float(np.mean(found)) if found else None


def _binned(edges: Floats, *mouths: Interiors) -> list[tuple[Interiors, NDArray[np.intp]]]:
    """Return the open frames of each, and the group of each frame."""
    opened = [each.only(each.open) for each in mouths]
    return [(each, np.digitize(each.gaps, edges)) for each in opened]


def _pooled(mouths: Interiors, where: Mask) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, 3), np.float32), *mouths.only(where).colours])


def teeth_counts(mouths: Interiors, model: Interiors, edges: Floats) -> tuple[float, float]:
    """Return the number of open frames with teeth, and the number expected at the rate in `model`.

    Sums of probabilities, at the rate of the same group of openings; a group missing in the model counts as its mean.
    """
    (opened, bins), (known, known_bins) = _binned(edges, mouths, model)
    if not len(known.gaps):
        return 0.0, 0.0
    usual = float(known.teeth.mean())
    shares = [known.teeth[known_bins == number] for number in range(N_BINS)]
    expected = np.array([float(share.mean()) if len(share) else usual for share in shares])
    return float(opened.teeth.sum()), float(expected[bins].sum())


def wasserstein(first: Floats, second: Floats) -> float:
    """Return the sliced Wasserstein-1 distance of two sets of colours (pixels, 3), in units of their space.

    The mean over directions of the distance along each, doubled, so that two sets that differ only by a shift are as
    far apart as that shift is long.
    """
    levels = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    one, other = (np.quantile(colours @ _DIRECTIONS.T, levels, axis=0) for colours in (first, second))
    return 2 * float(np.abs(one - other).mean())


def _directions() -> Floats:
    """Return unit vectors (directions, 3), evenly distributed over a half sphere by a golden-angle spiral."""
    height = (np.arange(N_DIRECTIONS) + 0.5) / N_DIRECTIONS
    angle = np.arange(N_DIRECTIONS) * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - height**2)
    return np.stack([height, flat * np.cos(angle), flat * np.sin(angle)], axis=1)


_DIRECTIONS = _directions()
