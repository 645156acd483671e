"""Detection of one face turning into another at the same position: at a dissolve or a wipe, which is not a cut."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.faces.appearance import likenesses, typical
from w2l.faces.shots import change

ACROSS_S = 1.2
"""Seconds between two frames that are compared as a whole, and smallest distance of two turns."""
STEP_S = 0.08
"""Seconds between compared frames."""
LEAST_CHANGE = 12.0
"""Change of the whole picture, in grey levels, below which it is not a dissolve."""
MIXED = 0.3
"""Largest difference of the middle frame from a mixture of both, relative to their difference, at a dissolve.

Over synthetic dissolves of 0.5 to 2 s it differs by 0.06 to 0.26; moving heads and cameras have 0.4 and more.
"""
SHARES = (0.2, 0.8)
"""Share of the second frame in the mixture."""
NEW_PICTURE = 60.0
"""Change of the whole picture from which it counts as new, mixed or not: at a wipe."""
SAME_PERSON = 0.6
"""Likeness of a face before and after such a moment below which it is another face."""
GAPS_S = (0.2, 0.6, 1.0)
"""Seconds around the moment that are ignored: half of the dissolve."""
WINDOW_S, N_WINDOWS = 0.4, 5
"""Seconds per window, and number of such windows on either side: no earlier face comes back after a turn."""
FLAT = 2.0
"""Standard deviation, in grey levels, below which a tiny crop shows too little to be compared: not a face."""
LEAST_LOOKS = 2
"""Smallest number of faces in a window."""


class RenewalFinder:
    """Detects gradual transitions from one picture to another; holds the small images of `ACROSS_S`."""

    def __init__(self) -> None:
        self._held: deque[tuple[float, Image]] = deque()
        self._found: list[tuple[float, float]] = []

    def push(self, time_s: float, small_bgr: Image) -> None:
        """Add the next small image (rows, columns, 3) and its time in seconds."""
        if self._held and time_s - self._held[-1][0] < STEP_S - 1e-6:
            return
        self._held.append((time_s, small_bgr))
        while len(self._held) > 2 and time_s - self._held[1][0] >= ACROSS_S - 1e-6:
            self._held.popleft()
        before_s, before = self._held[0]
        if time_s - before_s < ACROSS_S - 1e-6:
            return
        changed = change(before, small_bgr)
        middle_s, middle = self._held[len(self._held) // 2]
        if changed >= NEW_PICTURE or (changed >= LEAST_CHANGE and is_mixture(middle, before, small_bgr)):
            self._found.append((middle_s, changed))

    def at(self, times: Floats) -> Floats:
        """Return the change across each time (frames,), in grey levels; zero where there is no transition."""
        renewed = np.zeros(len(times))
        for time_s, changed in self._found:
            near = slice(*np.searchsorted(times, [time_s - STEP_S, time_s + STEP_S + 1e-6]))
            renewed[near] = np.maximum(renewed[near], changed)
        return renewed


def is_mixture(picture: Image, before: Image, after: Image) -> bool:
    """Whether an image (rows, columns, 3) is about `before` with some of `after` mixed in."""
    first = before.astype(np.float32)
    whole, part = after - first, picture - first
    share = float((part * whole).sum() / max(float((whole * whole).sum()), 1e-6))
    away = float(np.abs(part - share * whole).mean() / max(float(np.abs(whole).mean()), 1e-6))
    return SHARES[0] <= share <= SHARES[1] and away <= MIXED


def turns(looks: NDArray[np.uint8], times: Floats, renewed: Floats) -> list[int]:
    """Return where a face becomes another, increasing: indices into its tiny crops (looks, side, side, 3).

    `times` and `renewed` (looks,) are their times and the output of `RenewalFinder`; ordinary shots are skipped.
    """
    found: list[int] = []
    suspected = np.flatnonzero(renewed)
    while len(suspected):
        best = int(suspected[np.argmax(renewed[suspected])])
        near = np.abs(times[suspected] - times[best]) < ACROSS_S
        if _alike_across(looks, times, float(times[best]), _part(times, found, best)) < SAME_PERSON:
            found.append(best)
        suspected = suspected[~near]
    return sorted(found)


def _part(times: Floats, found: list[int], place: int) -> tuple[float, float]:
    """Return the time between the turns found before and after a place."""
    before, after = ([float(times[turn]) for turn in found if sign * turn < sign * place] for sign in (1, -1))
    return max(before, default=-np.inf), min(after, default=np.inf)


def _alike_across(looks: NDArray[np.uint8], times: Floats, at_s: float, part: tuple[float, float]) -> float:
    """Return the likeness of the two most similar windows before and after a time; 1 if there are none."""
    inside = (times >= part[0]) & (times < part[1])
    least = 1.0
    for gap_s in GAPS_S:
        sides = []
        for sign in (-1, 1):
            away = sign * (times - at_s) - gap_s
            windows = [inside & (away >= k * WINDOW_S) & (away < (k + 1) * WINDOW_S) for k in range(N_WINDOWS)]
            usual = [typical(looks[window]) for window in windows if window.sum() >= LEAST_LOOKS]
            sides.append([look for look in usual if look.mean(axis=-1).std() >= FLAT])
        if all(sides):
            after = np.stack(sides[1])
            least = min(least, max(float(likenesses(after, look).max()) for look in sides[0]))
    return least
