"""Lag of a track's audio relative to its picture, with a confidence; pure on arrays.

Each window of audio is compared with the faces around it, in log odds of being in sync. The mean over all faces of a
window (a loud sound, a mouth that fits anything) is subtracted, so that windows at the ends of a track, which have
fewer faces, do not bias the curve. Only windows with speech are used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

NEIGHBOURHOOD = 4
"""Frames around the peak that belong to it: windows of five frames overlap this far."""


@dataclass(frozen=True)
class Lag:
    """Result of one track's curve over offsets."""

    offset: float
    """Video frames by which the audio runs ahead of the picture, interpolated by a parabola."""
    confidence: float
    """Log odds by which the peak stands above the curve's median."""
    margin: float
    """Log odds by which it stands above the best offset that is not its neighbour."""
    odds: float
    """Mean log odds of being in sync at the peak."""
    n_voiced: int
    """Windows of audio with speech."""
    at_edge: bool
    """Whether the peak is at the last offset tried: the true one may lie beyond."""


def neighbourhood(table: Floats, first_face: int, n_faces: int, first_sound: int, max_shift: int) -> Floats:
    """Return the part of a table (sounds, faces) in which face and audio are at most `max_shift` windows apart.

    `first_face` and `first_sound` are the track's windows of its first column and row; the track has `n_faces`
    windows. Returns (sounds, 2 * max_shift + 1): column ``max_shift + s`` compares audio i with face i + s, nan if
    there is none.
    """
    sounds = first_sound + np.arange(len(table))
    faces = sounds[:, None] + np.arange(-max_shift, max_shift + 1)
    there = (faces >= 0) & (faces < n_faces)
    found = np.take_along_axis(table, np.clip(faces - first_face, 0, table.shape[1] - 1), axis=1)
    return np.where(there, found, np.nan)


def curve_of(odds: Floats, voiced: NDArray[np.bool_], min_pairs: int) -> Floats:
    """Return the mean log odds at each offset, (2 * max_shift + 1,), relative to other offsets; nan with few pairs.

    Parameters
    ----------
    odds : (windows, 2 * max_shift + 1)
        As returned by `neighbourhood`.
    voiced : (windows,)
        Which windows of audio contain speech; only these are used.
    min_pairs : int
        Offsets with fewer pairs are left out.
    """
    asked = odds[voiced]
    there = ~np.isnan(asked)
    n_pairs = there.sum(axis=0)
    own_level = np.where(there, asked, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    above = np.where(there, asked - own_level[:, None], 0).sum(axis=0)
    return np.where(n_pairs >= max(min_pairs, 1), above / np.maximum(n_pairs, 1), np.nan)


def find_lag(odds: Floats, voiced: NDArray[np.bool_], min_pairs: int) -> Lag | None:
    """Return the peak of `curve_of`; None with fewer than `min_pairs` voiced windows or three offsets."""
    curve = curve_of(odds, voiced, min_pairs)
    tried = np.flatnonzero(~np.isnan(curve))
    if len(tried) < 3:
        return None
    top = int(np.nanargmax(curve))
    others = curve[np.abs(np.arange(len(curve)) - top) > NEIGHBOURHOOD]
    others = others[~np.isnan(others)]
    second = float(others.max()) if len(others) else float(np.nanmin(curve))
    return Lag(
        offset=top + _between(curve, top) - len(curve) // 2,
        confidence=float(curve[top] - np.nanmedian(curve)),
        margin=float(curve[top]) - second,
        odds=float(np.nanmean(odds[voiced, top])),
        n_voiced=int(voiced.sum()),
        at_edge=top in (tried[0], tried[-1]),
    )


def claimed_auc(odds: Floats, voiced: NDArray[np.bool_]) -> float | None:
    """Return the share of off-sync offsets that score below offset 0, over voiced windows; 0.5 at chance, or None.

    `odds` (windows, 2 * max_shift + 1) is as returned by `neighbourhood`. Overlapping offsets are ignored.
    """
    asked, middle = odds[voiced], odds.shape[1] // 2
    off = asked[:, np.abs(np.arange(odds.shape[1]) - middle) > NEIGHBOURHOOD]
    there = ~np.isnan(off) & ~np.isnan(asked[:, middle : middle + 1])
    if not there.any():
        return None
    beaten = (asked[:, middle : middle + 1] > off) + 0.5 * (asked[:, middle : middle + 1] == off)
    return round(float(beaten[there].mean()), 4)


def _between(curve: Floats, top: int) -> float:
    """Return the distance from `top`, at most half a frame, of the peak of the parabola through its neighbours."""
    if not 0 < top < len(curve) - 1:
        return 0.0
    before, at, after = (float(value) for value in curve[top - 1 : top + 2])
    bend = before - 2 * at + after
    return (before - after) / (2 * bend) if bend < 0 else 0.0  # nan compares as False
