"""Detection of one face turning into another at the same position: at a dissolve or a wipe, which is not a cut."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.faces.appearance import likenesses, typical
from w2l.faces.shots import change

ACROSS_S = 1.2
"""Seconds between two frames that are compared as a whole, and smallest distance of two turns."""
SLOW_S = 2.4
"""The same for slow wipes, which change too little of the picture in `ACROSS_S`; used where that finds nothing."""
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
GAPS_S = (0.2, 0.6, 1.0, 1.4)
"""Seconds around the moment that are ignored: half of the dissolve."""
MIDST, CONTINUED_S = 0.9, 0.25
"""Share of the largest change down to which moments belong to one transition, whose middle is the turn, and longest
time in seconds between two of them."""
FADING_S = 0.4
"""Seconds next to another transition that are ignored, as it begins or ends there."""
WINDOW_S, N_WINDOWS = 0.4, 5
"""Seconds per window, and number of such windows on either side: no earlier face comes back after a turn."""
FLAT = 2.0
"""Standard deviation, in grey levels, below which a tiny crop shows too little to be compared: not a face."""
LEAST_LOOKS = 2
"""Smallest number of faces in a window."""
LEAST_S = 0.6
"""Shortest time in seconds for which a face is seen before and after a turn: shorter ones are part of the dissolve."""
LEVEL, MOST_GAIN = 110.0, 6.0
"""Mean grey level to which faces are brought before they are compared, and largest factor."""


class RenewalFinder:
    """Detects gradual transitions from one picture to another; holds the small images of `SLOW_S`."""

    def __init__(self) -> None:
        self._held: deque[tuple[float, Image]] = deque()
        self._found: dict[float, list[tuple[float, float]]] = {ACROSS_S: [], SLOW_S: []}

    def push(self, time_s: float, small_bgr: Image) -> None:
        """Add the next small image (rows, columns, 3) and its time in seconds."""
        if self._held and time_s - self._held[-1][0] < STEP_S - 1e-6:
            return
        self._held.append((time_s, small_bgr))
        while len(self._held) > 2 and time_s - self._held[1][0] >= SLOW_S - 1e-6:
            self._held.popleft()
        for across_s, found in self._found.items():
            self._compare(across_s, found)

    def at(self, times: Floats) -> Floats:
        """Return the change across each time (frames,), in grey levels; zero where there is no transition."""
        renewed = np.zeros(len(times))
        for time_s, changed in [*self._found[ACROSS_S], *self._slow()]:
            near = slice(*np.searchsorted(times, [time_s - STEP_S, time_s + STEP_S + 1e-6]))
            renewed[near] = np.maximum(renewed[near], changed)
        return renewed

    def _compare(self, across_s: float, found: list[tuple[float, float]]) -> None:
        """Compare the newest image with that of `across_s` before; add a transition to `found`."""
        time_s, small_bgr = self._held[-1]
        begin = next((idx for idx in range(len(self._held) - 1, 0, -1) if self._is_past(idx, across_s)), 0)
        before_s, before = self._held[begin]
        if time_s - before_s < across_s - 1e-6:
            return
        changed = change(before, small_bgr)
        middle_s, middle = self._held[(begin + len(self._held)) // 2]
        if changed >= NEW_PICTURE or (changed >= LEAST_CHANGE and is_mixture(middle, before, small_bgr)):
            found.append((middle_s, changed))

    def _is_past(self, idx: int, across_s: float) -> bool:
        return self._held[-1][0] - self._held[idx][0] >= across_s - 1e-6

    def _slow(self) -> list[tuple[float, float]]:
        """Return the slow transitions: those with no other one near."""
        quick = np.array([time_s for time_s, _ in self._found[ACROSS_S]])
        return [one for one in self._found[SLOW_S] if not (np.abs(quick - one[0]) < SLOW_S).any()]


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
    moments = _moments(times, renewed)
    return [place for place in moments if _alike_across(looks, times, place, moments) < SAME_PERSON]


def _moments(times: Floats, renewed: Floats) -> list[int]:
    """Return the middle of each transition, increasing."""
    found = []
    suspected = np.flatnonzero(renewed)
    while len(suspected):
        best = int(np.argmax(renewed[suspected]))
        first, last = (_end_of_transition(times[suspected], renewed[suspected], best, way) for way in (-1, 1))
        place = int(suspected[(first + last) // 2])
        found.append(place)
        inside = np.zeros(len(suspected), dtype=np.bool_)
        inside[first : last + 1] = True
        suspected = suspected[~inside & (np.abs(times[suspected] - times[place]) >= ACROSS_S)]
    return sorted(found)


def _end_of_transition(times: Floats, renewed: Floats, best: int, way: int) -> int:
    """Return the last of the moments, forwards or backwards from `best`, at which about as much changes as there."""
    end = best
    while (
        0 <= end + way < len(times)
        and renewed[end + way] >= MIDST * renewed[best]
        and abs(times[end + way] - times[end]) <= CONTINUED_S
        and abs(times[end + way] - times[best]) <= SLOW_S
    ):
        end += way
    return end


def _alike_across(looks: NDArray[np.uint8], times: Floats, place: int, moments: Sequence[int]) -> float:
    """Return the likeness of the two most similar windows before and after a moment; 1 if there are none.

    Windows end before the neighbouring moments, at which a third face may come, or the first one again.
    """
    at_s = float(times[place])
    if min(at_s - times[0], times[-1] - at_s) < LEAST_S:
        return 1.0
    before, after = ([float(times[one]) for one in moments if sign * one < sign * place] for sign in (1, -1))
    inside = times >= max(before, default=-np.inf) + FADING_S
    inside &= times < min(after, default=np.inf) - FADING_S
    least = 1.0
    for gap_s in GAPS_S:
        sides = []
        for sign in (-1, 1):
            away = sign * (times - at_s) - gap_s
            windows = [inside & (away >= k * WINDOW_S) & (away < (k + 1) * WINDOW_S) for k in range(N_WINDOWS)]
            usual = [_as_lit(typical(looks[window])) for window in windows if window.sum() >= LEAST_LOOKS]
            sides.append([look for look in usual if look.mean(axis=-1).std() >= FLAT])
        if all(sides):
            after_looks = np.stack(sides[1])
            least = min(least, max(float(likenesses(after_looks, look).max()) for look in sides[0]))
    return least


def _as_lit(look: Image) -> Image:
    """Return a tiny crop at the usual brightness, as faces fade from black too."""
    gain = min(LEVEL / max(float(look.mean()), 1.0), MOST_GAIN)
    return np.asarray(np.clip(np.rint(look * gain), 0, 255), dtype=np.uint8)
