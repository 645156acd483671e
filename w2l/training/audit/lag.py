"""By how many frames a voice runs ahead of a mouth, and how sure that is; pure on arrays.

Each window of sound is compared with the faces around it, in log odds of being in sync. What a window says of all its
faces alike (a loud sound, a mouth that fits anything) is taken off, so that windows at the ends of a track, which have
fewer faces, pull the curve nowhere. Only windows with speech are asked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

NEIGHBOURHOOD = 4
"""Frames around the top of the curve that belong to it: windows of five frames overlap so far."""



@dataclass(frozen=True)
class Lag:
    """What the curve over offsets of one track says."""

    offset: float
    """Video frames by which the sound runs ahead of the picture, between whole frames by a parabola."""
    confidence: float
    """Log odds by which the top of the curve stands above its median."""
    margin: float
    """Log odds by which it stands above the best offset that is no neighbour of it."""
    odds: float
    """Mean log odds of being in sync at the top."""
    n_voiced: int
    """Windows of sound with speech."""
    at_edge: bool
    """Whether the top is the last offset that could be tried: the true one may lie beyond."""


def neighbourhood(table: Floats, first_face: int, n_faces: int, first_sound: int, max_shift: int) -> Floats:
    """The part of a table (sounds, faces) in which face and sound are at most `max_shift` windows apart.

    `first_face`, `first_sound` say which windows of the track its first column and row are; the track has `n_faces`
    windows. Gives (sounds, 2 * max_shift + 1): column ``max_shift + s`` compares sound i with face i + s, nan where
    there is none.
    """
    sounds = first_sound + np.arange(len(table))
    faces = sounds[:, None] + np.arange(-max_shift, max_shift + 1)
    there = (faces >= 0) & (faces < n_faces)
    found = np.take_along_axis(table, np.clip(faces - first_face, 0, table.shape[1] - 1), axis=1)
    return np.where(there, found, np.nan)


def curve_of(odds: Floats, voiced: NDArray[np.bool_], min_pairs: int) -> Floats:
    """Mean log odds at each offset, (2 * max_shift + 1,), as far above those of other offsets; nan with few pairs.

    Parameters
    ----------
    odds : (windows, 2 * max_shift + 1)
        As `neighbourhood` gives them.
    voiced : (windows,)
        Which windows of sound hold speech: the only ones asked.
    min_pairs : int
        An offset at which fewer of them have a face is left out.
    """
    asked = odds[voiced]
    there = ~np.isnan(asked)
    n_pairs = there.sum(axis=0)
    own_level = np.where(there, asked, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    above = np.where(there, asked - own_level[:, None], 0).sum(axis=0)
    return np.where(n_pairs >= max(min_pairs, 1), above / np.maximum(n_pairs, 1), np.nan)


def find_lag(odds: Floats, voiced: NDArray[np.bool_], min_pairs: int) -> Lag | None:
    """Where the curve of `curve_of` has its top; None with fewer than `min_pairs` voiced windows or three offsets."""
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
    """Share of offsets off sync that score below offset 0, over voiced windows; 0.5 at chance, None without any.

    `odds` (windows, 2 * max_shift + 1) is as `neighbourhood` gives it. Offsets whose windows overlap do not count.
    """
    asked, middle = odds[voiced], odds.shape[1] // 2
    off = asked[:, np.abs(np.arange(odds.shape[1]) - middle) > NEIGHBOURHOOD]
    there = ~np.isnan(off) & ~np.isnan(asked[:, middle : middle + 1])
    if not there.any():
        return None
    beaten = (asked[:, middle : middle + 1] > off) + 0.5 * (asked[:, middle : middle + 1] == off)
    return round(float(beaten[there].mean()), 4)


def _between(curve: Floats, top: int) -> float:
    """How far from `top`, at most half a frame, the parabola through it and its neighbours has its top."""
    if not 0 < top < len(curve) - 1:
        return 0.0
    before, at, after = (float(value) for value in curve[top - 1 : top + 2])
    bend = before - 2 * at + after
    return (before - after) / (2 * bend) if bend < 0 else 0.0  # nan compares as False
