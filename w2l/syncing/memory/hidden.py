"""Find the frames in which something covers mouth or chin: a hand, a cup, a mask, a subtitle; pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.intervals import runs
from w2l.faces.follow import hysteresis
from w2l.syncing.memory.looks import Measures
from w2l.syncing.memory.usual import (
    LEAST_STROKES,
    Usual,
    clearly_else,
    explaining,
    is_restless,
    oddness,
    something_else,
    strokes_in_the_middle,
    sudden_change,
    sudden_strokes,
    usual_of,
)

Mask = NDArray[np.bool_]

COVERED = 0.5
"""Probability from which lips count as covered."""
STILL_COVERED = 0.15
"""Probability down to which they still count as covered, next to frames in which they are.

Of 1,293 clean frames of 16 clips 0.2 % have more than 0.1, and none of these lies next to a covered one.
"""
LEAST_HIDDEN = 3
"""Frames in a row that something must cover to count as covered."""
LEAST_FREE = 12
"""Frames in a row that must be free between two covered stretches to count as free: in fewer a mouth only flashes."""
LEAST_KNOWN = 30
"""Frames from which on they tell the usual look of a face well enough to find covers by it; of fewer its lips decide.

In pieces of 5 to 20 frames of 16 clean clips up to 0.4 % of the frames would count as covered, of 35 and more none.
"""
AROUND = 3
"""Frames before and after what is seen over a face that do not serve as reference either: it may fade."""


@dataclass(frozen=True)
class Covers:
    """What is in front of one face, in every frame in which it is redrawn."""

    frame_idx: NDArray[np.int64]
    """(rows,): of the source, rising."""
    hidden: Mask
    """(rows,): so much is covered that the frame had better stay as it is."""
    seen: Mask
    """(rows,): something may be seen over mouth or chin; on a head that turns much, also where nothing is."""
    sudden: Mask
    """(rows,): since the frame before, something has appeared there or gone, faster than a head turns."""

    def spoilt(self) -> frozenset[int]:
        """Return the frames of the source that must not serve as reference; none of a face that is always free."""
        if not (self.hidden.any() or self.sudden.any()):
            return frozenset()
        exact = self.hidden | self.seen
        wide = np.convolve(filled(exact, LEAST_FREE, 0), np.ones(2 * AROUND + 1), "same") > 0
        return frozenset(self.frame_idx[exact if wide.all() else wide].tolist())


@dataclass(frozen=True)
class Front:
    """Usual appearance of one face over a track, which distinguishes covers from the face."""

    usual: Usual
    restless: bool
    """Whether so many frames look unusual that only what is very unusual counts; see `is_restless`."""
    known: bool
    """Whether there were enough frames to tell."""
    usual_strokes: Usual
    """The usual strokes."""

    @classmethod
    def of(cls, measures: Measures) -> "Front":
        """Return what frames of a track say about its usual look."""
        by = explaining(measures.gap, measures.pose)
        cells, thin = _parts(measures)
        usual = usual_of(cells, by)
        restless = is_restless(oddness(usual, cells, by))
        return cls(usual, restless, len(measures) >= LEAST_KNOWN, usual_of(thin, by, LEAST_STROKES))

    def over_face(self, measures: Measures) -> Mask:
        """Return in which frames (looks,) something is seen over mouth or chin."""
        return np.asarray(something_else(self._oddness(measures), self.restless) | (measures.covered >= COVERED))

    def covers(self, measures: Measures) -> tuple[Mask, Mask]:
        """Return in which frames (looks,) mouth or chin are surely covered, and in which they may still be."""
        surely = (clearly_else(self._oddness(measures)) & self.known) | (measures.covered >= COVERED)
        perhaps = (self.over_face(measures) & self.known) | (measures.covered >= STILL_COVERED)
        return np.asarray(surely), np.asarray(surely | perhaps)

    def sudden(self, measures: Measures) -> Mask:
        """Return in which frames (looks,) something appears over mouth or chin, or is gone, that was not the face."""
        return np.asarray((sudden_change(self._oddness(measures)) != 0) & _follow(measures) & self.known)

    def strokes(self, measures: Measures) -> tuple[Mask, NDArray[np.int64], Mask]:
        """Return unusual strokes (looks,): where there are any, suddenly come (1) or go (-1), and lie in the middle."""
        thin = _parts(measures)[1]
        odd = oddness(self.usual_strokes, thin, explaining(measures.gap, measures.pose))
        changes = sudden_strokes(odd, thin) * _follow(measures) * self.known
        return something_else(odd, restless=True) & self.known, changes, strokes_in_the_middle(odd) & self.known

    def _oddness(self, measures: Measures) -> Floats:
        return oddness(self.usual, _parts(measures)[0], explaining(measures.gap, measures.pose))


def _parts(measures: Measures) -> tuple[Floats, Floats]:
    """Return the cells (looks, cells, values): what they look like on average, and their strokes."""
    return measures.cells[..., :-1], measures.cells[..., -1:]


def _follow(measures: Measures) -> Mask:
    """Return which frames (looks,) come right after the one before."""
    return np.asarray(np.diff(measures.frame_idx, prepend=measures.frame_idx[0] - 2) == 1)


def lettered(unusual: Mask, changes: NDArray[np.int64], middle: Mask) -> Mask:
    """Return where letters lie over the face (frames,): unusual strokes that suddenly come or go, or cross the chin.

    Other strokes may be hair next to the jaw of a turning head, which comes gradually and stays at the side.
    """
    found = np.zeros(len(unusual), dtype=np.bool_)
    crossing = kept_runs(middle, LEAST_HIDDEN)
    for start, stop in runs(filled(unusual, LEAST_FREE, 0)):
        here = changes[start : stop + 1]
        seen = np.flatnonzero(here)
        crossed = np.flatnonzero(crossing[start:stop])
        if not (len(seen) or len(crossed)):
            continue
        first, last = start, stop
        if len(seen) and here[seen[0]] > 0 and seen[0] <= crossed.min(initial=stop):
            first = start + int(seen[0])
        if len(seen) and here[seen[-1]] < 0 and seen[-1] > crossed.max(initial=-1):
            last = start + int(seen[-1])
        found[first:last] = True
    return found


def over_face(measures: Measures) -> Mask:
    """Return in which frames of a track something is seen over mouth or chin: a hand, a cup, a subtitle."""
    front = Front.of(measures)
    return front.over_face(measures) | lettered(*front.strokes(measures))


def hidden_faces(measures: Measures) -> Mask:
    """Return in which frames of a track mouth or chin is covered so much that they should not be redrawn."""
    return steadied(*Front.of(measures).covers(measures))


def steadied(surely: Mask, perhaps: Mask) -> Mask:
    """Return where frames (frames,) in a row are covered; single frames change nothing.

    What is held in front of a face stays there for some frames. A track of fewer frames, such as a picture, is covered
    throughout or not at all.
    """
    least = min(LEAST_HIDDEN, len(surely))
    found = kept_runs(filled(surely, least, 0), least)
    return filled(hysteresis(found, found | perhaps), LEAST_FREE, least)


def filled(on: Mask, least: int, least_at_ends: int) -> Mask:
    """Return `on` (frames,) with gaps of fewer frames than `least` filled, at the ends of fewer than that."""
    found = on.copy()
    if on.any():
        for start, stop in runs(~on):
            found[start:stop] = stop - start < (least if start > 0 and stop < len(on) else least_at_ends)
    return found


def kept_runs(on: Mask, least: int) -> Mask:
    """Return `on` (frames,) without runs of fewer frames than `least`."""
    found = on.copy()
    for start, stop in runs(on):
        found[start:stop] = stop - start >= least
    return found
