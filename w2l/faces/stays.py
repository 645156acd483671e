"""Presence of the faces of a shot over time: which tracks are one face, and who is chosen in another's absence."""

from collections.abc import Callable, Sequence

import numpy as np

from w2l.core.intervals import runs
from w2l.faces.appearance import likeness
from w2l.faces.tracker import Track

MIN_TRACK_S = 0.2
"""Shortest time, in seconds, that a face is visible; shorter ones count as false alarms."""
RETURN_ALIKE = 0.55
"""Smallest likeness of a face that disappears and one that appears to count as the same."""
RETURN_GROWTH = 1.8
"""Largest change of its side in the meantime, as a factor."""
RETURN_REACH = 2.5
"""Largest distance from its last position, in sides of the box, if its appearance is unknown."""
MOSTLY = 2 / 3
"""Share of its stay that a face must be there without the chosen one to be chosen in its place, as at a dissolve."""
ALONE_S = 1.0
"""Seconds for which a chosen face must be gone for good before another one that was visible with it replaces it."""
BACKGROUND = 0.5
"""Such a face is in the background, and stays there, if its side is smaller than this share of the other's."""

Face = tuple[int, ...]
"""Numbers of the tracks of one face, in order of time."""
Stay = tuple[Face, tuple[int, int]]
"""A face and the frames in which it is chosen, from the first to the one after the last."""
Picks = Callable[[Sequence[Track], list[Face]], Face]
"""Picks one of some faces, given tracks cut to the examined part of the video; empty for none."""


def in_turn(
    tracks: Sequence[Track],
    faces: list[Face],
    span: tuple[int, int],
    fps: float,
    pick: Picks,
    may_stay: bool,
) -> list[Stay]:
    """Return the faces picked in a shot, and when: where the first is absent, another is picked as after a cut.

    Those are faces that appear after a dissolve or a wipe and, with `may_stay`, those that stay after the first leaves.
    """
    seen = [track.within(*span) for track in tracks]
    first = pick(seen, [face for face in faces if n_seen(seen, face)])
    if not first:
        return []
    absent = np.ones(span[1] - span[0], dtype=np.bool_)
    for number in first:
        absent[max(0, tracks[number].start - span[0]) : max(0, tracks[number].stop - span[0])] = False
    stays = [(first, span)]
    for begin, end in runs(absent):
        part = span[0] + begin, span[0] + end
        for_good = may_stay and (begin == 0 or end == len(absent))
        others = [face for face in faces if face != first and _takes_over(tracks, face, first, part, for_good, fps)]
        if others:
            stays += in_turn(tracks, others, part, fps, pick, may_stay)
    return stays


def _takes_over(
    tracks: Sequence[Track],
    face: Face,
    first: Face,
    part: tuple[int, int],
    for_good: bool,
    fps: float,
) -> bool:
    """Whether a face is alone in a part of a shot without the first: mostly, or now for good."""
    alone = n_seen([track.within(*part) for track in tracks], face)
    if alone < max(1, round(MIN_TRACK_S * fps)):
        return False
    if alone >= MOSTLY * n_seen(tracks, face):
        return True
    side, other = (max(tracks[number].side for number in group) for group in (face, first))
    return for_good and alone >= ALONE_S * fps and side >= BACKGROUND * other


def faces_of(tracks: Sequence[Track], shot: list[int]) -> list[Face]:
    """Group the tracks of one shot by face: a track joins an earlier, similar one that is absent meanwhile."""
    faces: list[list[int]] = []
    for number in shot:
        track = tracks[number]
        fitting = [
            face for face in faces
            if all(_apart(track, tracks[other]) for other in face)
            and any(_is_return(track, tracks[other]) for other in face)
        ]  # fmt: skip
        # With two candidates it stays separate: the wrong face could be redrawn.
        if len(fitting) == 1:
            fitting[0].append(number)
        else:
            faces.append([number])
    return [tuple(sorted(face, key=lambda number: tracks[number].start)) for face in faces]


def _apart(a: Track, b: Track) -> bool:
    return a.stop <= b.start or b.stop <= a.start


def _is_return(a: Track, b: Track) -> bool:
    """Return whether two tracks that never overlap may show the same face, which left and came back."""
    growth = a.side / max(b.side, 1e-9)
    if not 1 / RETURN_GROWTH <= growth <= RETURN_GROWTH:
        return False
    if a.look.any() and b.look.any():
        return likeness(a.look, b.look) >= RETURN_ALIKE
    earlier, later = (a, b) if a.start < b.start else (b, a)
    left, came = earlier.boxes[-1], later.boxes[0]
    distance = float(np.linalg.norm((left[:2] + left[2:] - came[:2] - came[2:]) / 2))
    return distance <= RETURN_REACH * max(earlier.side, later.side)


def n_seen(tracks: Sequence[Track], face: Sequence[int]) -> int:
    """Return the number of frames in which a face is detected."""
    return sum(int(tracks[number].seen.sum()) for number in face)
