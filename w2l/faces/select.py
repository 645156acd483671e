"""Selection of the faces to redraw: the values of `--face`, and the tracks they select."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.core.errors import ConfigError, NoFaceError
from w2l.core.text import some
from w2l.core.timecodes import parse_seconds
from w2l.faces.appearance import NO_LOOK, likeness
from w2l.faces.stays import MIN_TRACK_S, RETURN_ALIKE, Picks, Stay, faces_of, in_turn, n_seen
from w2l.faces.tracker import MIN_OVERLAP, Scan, Track, best_pairs, link_tracks
from w2l.features import boxes as bx

Word = Literal["auto", "largest", "left", "right", "all"]
Kind = Word | Literal["numbers", "place", "portrait"]

GRAMMAR = "auto, largest, left, right, all, N, N+M, x,y, x,y@seconds or a picture"
"""Values that `parse_choice` accepts."""
MIN_TYPICAL_SCORE = 0.65
"""Smallest median score; lower ones count as false alarms."""
LASTING = 0.25
"""Share of the longest track of a shot that another must last to count for `largest`, `left` and `right`."""
PORTRAIT_ALIKE = 0.35
"""Smallest likeness of a track with a given portrait; light and pose differ between the two."""
PORTRAIT_MARGIN = 0.2
"""How much less similar than the best track of the video another may be and still show the same person."""
SHORT_S = 0.1
"""Length below which the times of a track get a second decimal."""
MAX_LISTED = 5
"""Largest number of faces listed in a description."""


@dataclass(frozen=True)
class Choice:
    """Value of `--face`."""

    kind: Kind = "auto"
    numbers: tuple[int, ...] = ()
    """Track numbers, as shown by `w2l detect`; for `numbers`."""
    x: float = 0.0
    """Pixels; for `place`."""
    y: float = 0.0
    """Pixels; for `place`."""
    at_s: float | None = None
    """Seconds from the first frame, or None for any time; for `place`."""
    picture: Path | None = None
    """An image of the face; for `portrait`."""

    def __str__(self) -> str:
        when = "" if self.at_s is None else f"@{self.at_s:g}"
        if self.kind == "numbers":
            return "+".join(map(str, self.numbers))
        return f"{self.x:g},{self.y:g}{when}" if self.kind == "place" else str(self.picture or self.kind)


@dataclass(frozen=True)
class Chosen:
    """The tracks selected by a choice."""

    tracks: tuple[Track, ...]
    """All tracks of the video; their indices are their numbers."""
    faces: tuple[tuple[int, ...], ...]
    """Numbers of the chosen tracks, one group per face of a shot: several if it leaves and comes back."""
    description: str
    """One line: the chosen faces and the other ones."""
    stretches: tuple[tuple[int, int], ...] = field(default=())
    """For each of `faces` the frames, from the first to the one after the last, in which it is chosen; without any,
    wherever it is seen."""

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of all chosen tracks."""
        return frozenset(number for face in self.faces for number in face)


@dataclass(frozen=True)
class Known:
    """Faces that were chosen before in a shot that continues."""

    frame_idx: int
    """Frame in which they were seen."""
    boxes: Floats
    """(faces, 4) x1, y1, x2, y2 in pixels."""


def parse_choice(text: str) -> Choice:
    """Parse a choice; a portrait file must exist. Raises ConfigError listing the accepted values."""
    said = text.strip()
    if said in get_args(Word):
        return Choice(said)  # type: ignore[arg-type]
    if re.fullmatch(r"\d+(\+\d+)*", said):
        return Choice("numbers", numbers=tuple(dict.fromkeys(map(int, said.split("+")))))
    number = r"\d+(?:\.\d*)?"
    if place := re.fullmatch(rf"({number})\s*,\s*({number})(?:\s*@\s*([\d:.]+s?))?", said):
        x, y, time = place.groups()
        try:
            at_s = None if time is None else parse_seconds(time)
        except ValueError as error:
            raise ConfigError(f"face {text!r}: {error}") from error
        return Choice("place", x=float(x), y=float(y), at_s=at_s)
    path = Path(text)
    if path.is_file():
        return Choice("portrait", picture=path)
    if path.suffix or "/" in said:
        raise ConfigError(f"face {text!r}: no such image; choose {GRAMMAR}")
    raise ConfigError(f"face {text!r} is not valid; choose {GRAMMAR}")


def steady_tracks(scan: Scan) -> list[Track]:
    """Return the tracks of a scan that are not false alarms, largest face area over time first."""
    shortest = min(scan.n_frames, max(1, round(MIN_TRACK_S * scan.fps)))
    shots = dict(scan.shots)
    starts = np.array(sorted(shots))

    def lasts(track: Track) -> bool:
        first = int(starts[np.searchsorted(starts, track.start, side="right") - 1])
        return int(track.seen.sum()) >= min(shortest, shots[first] - first)

    def is_sure(track: Track) -> bool:
        return float(np.median(track.scores[track.seen])) >= MIN_TYPICAL_SCORE

    return [track for track in link_tracks(scan) if lasts(track) and is_sure(track)]


def choose(
    tracks: Sequence[Track], scan: Scan, choice: Choice, portrait: Image | None = None, known: Known | None = None
) -> Chosen:
    """Return the tracks selected by `choice`.

    Parameters
    ----------
    tracks : sequence of Track
        See `steady_tracks`.
    scan : Scan
        The scan they come from.
    choice : Choice
    portrait : (side, side, 3)
        The appearance of the face in the image of a `portrait` choice.
    known : Known
        Faces that are chosen again in their shot, whatever `choice` would pick there.

    Raises NoFaceError, listing the faces found, if none matches.
    """
    if not tracks:
        dim = f" with a sufficient score (the best has {scan.score.max():.2f})" if len(scan.score) else ""
        raise NoFaceError(f"no faces{dim} in {scan.n_frames} frames")
    whole = [(first, stop) for first, stop in scan.shots]
    groups: list[Stay]
    if choice.kind == "all":
        groups = [(face, span) for span, shot in zip(whole, _by_shot(tracks, scan)) for face in faces_of(tracks, shot)]
    elif choice.kind == "numbers":
        groups = [(face, (0, scan.n_frames)) for face in _numbered(tracks, scan, choice)]
    else:
        pick = _keeping(_picker(tracks, scan, choice, portrait), tracks, known)
        groups = [
            stay
            for span, shot in zip(whole, _by_shot(tracks, scan))
            for stay in in_turn(tracks, faces_of(tracks, shot), span, scan.fps, pick, choice.kind == "auto")
        ]
    if not groups:
        raise NoFaceError(f"no face at {choice}; found: {_listing(tracks, scan, frozenset())}")
    numbers = frozenset(number for face, _ in groups for number in face)
    description = f"{choice}: {_listing([*tracks], scan, numbers, chosen=True)}"
    if others := [number for number in range(len(tracks)) if number not in numbers]:
        description += f"; also seen: {_listing(tracks, scan, frozenset(others), chosen=True)}"
    return Chosen(tuple(tracks), tuple(face for face, _ in groups), description, tuple(span for _, span in groups))


def _picker(tracks: Sequence[Track], scan: Scan, choice: Choice, portrait: Image | None) -> Picks:
    """Return a function that picks one face among those of a shot, or of a part of one."""
    if choice.kind == "portrait" or (choice.kind == "place" and choice.at_s is not None):
        return _one_person(tracks, scan, choice, portrait)
    return lambda seen, faces: _pick(seen, faces, choice)


def _keeping(pick: Picks, tracks: Sequence[Track], known: Known | None) -> Picks:
    """Return what picks a known face where it is, and elsewhere picks as `pick` does."""
    if known is None:
        return pick
    here = [number for number, track in enumerate(tracks) if track.start <= known.frame_idx < track.stop]
    boxes = np.array([tracks[number].boxes[known.frame_idx - tracks[number].start] for number in here]).reshape(-1, 4)
    overlap = bx.iou(boxes, known.boxes)
    same = {here[row] for row in best_pairs(np.where(overlap >= MIN_OVERLAP, overlap, 0.0))}

    def picked(seen: Sequence[Track], faces: list[tuple[int, ...]]) -> tuple[int, ...]:
        kept = [face for face in faces if same & set(face)]
        return max(kept, key=lambda face: n_seen(seen, face)) if kept else pick(seen, faces)

    return picked


def _by_shot(tracks: Sequence[Track], scan: Scan) -> list[list[int]]:
    """Return the numbers of the tracks in each shot, in track order."""
    return [
        [number for number, track in enumerate(tracks) if first <= track.start < stop] for first, stop in scan.shots
    ]


def _presence(tracks: Sequence[Track], face: Sequence[int]) -> float:
    return sum(tracks[number].presence for number in face)


def _pick(tracks: Sequence[Track], faces: list[tuple[int, ...]], choice: Choice) -> tuple[int, ...]:
    """Return the chosen face of one shot; empty if there is none."""
    if not faces:
        return ()
    if choice.kind == "auto":
        return max(faces, key=lambda face: _presence(tracks, face))
    if choice.kind == "place":
        here = [face for face in faces if any(_frames_at(tracks[number], choice) for number in face)]
        return max(here, key=lambda face: sum(_frames_at(tracks[number], choice) for number in face), default=())
    longest = max(n_seen(tracks, face) for face in faces)
    lasting = [face for face in faces if n_seen(tracks, face) >= LASTING * longest]
    order: dict[str, Callable[[tuple[int, ...]], float]] = {
        "largest": lambda face: max(tracks[number].side for number in face),
        "left": lambda face: -_middle(tracks, face),
        "right": lambda face: _middle(tracks, face),
    }
    return max(lasting, key=order[choice.kind])


def _middle(tracks: Sequence[Track], face: Sequence[int]) -> float:
    """Return the median horizontal position of a face, in pixels."""
    return float(np.median(np.concatenate([tracks[number].boxes[:, [0, 2]].mean(axis=1) for number in face])))


def _frames_at(track: Track, choice: Choice) -> int:
    """Return the number of frames in which a track's box contains the chosen place."""
    x1, y1, x2, y2 = track.boxes.T
    return int(((x1 <= choice.x) & (choice.x < x2) & (y1 <= choice.y) & (choice.y < y2)).sum())


def _numbered(tracks: Sequence[Track], scan: Scan, choice: Choice) -> list[tuple[int, ...]]:
    """Return the tracks with the chosen numbers, each with its returns in its shot."""
    wrong = [number for number in choice.numbers if number >= len(tracks)]
    if wrong:
        raise NoFaceError(
            f"there is no face {wrong[0]}, see w2l detect --preview; found: {_listing(tracks, scan, frozenset())}"
        )
    faces = [face for shot in _by_shot(tracks, scan) for face in faces_of(tracks, shot)]
    return [face for face in faces if any(number in choice.numbers for number in face)]


def _one_person(tracks: Sequence[Track], scan: Scan, choice: Choice, portrait: Image | None) -> Picks:
    """Return what picks the face most similar to the portrait, or to the one at the chosen place and time."""
    look, own, least = NO_LOOK if portrait is None else portrait, -1, PORTRAIT_ALIKE
    if choice.kind == "place":
        own = _number_at(tracks, scan, choice)
        look, least = tracks[own].look, RETURN_ALIKE
    elif not look.any():
        raise ValueError("a portrait choice needs the look of the portrait")
    alike = [likeness(look, track.look) if track.look.any() else -1.0 for track in tracks]
    if own >= 0:
        alike[own] = 1.0
    least = max(least, max(alike) - PORTRAIT_MARGIN)
    if max(alike) < least:
        raise NoFaceError(f"no face is similar to the one in {choice}; found: {_listing(tracks, scan, frozenset())}")

    def pick(_seen: Sequence[Track], faces: list[tuple[int, ...]]) -> tuple[int, ...]:
        best = max(faces, key=lambda face: max(alike[number] for number in face), default=())
        return best if any(alike[number] >= least for number in best) else ()

    return pick


def _number_at(tracks: Sequence[Track], scan: Scan, choice: Choice) -> int:
    """Return the track at the chosen place and time, the smallest box first."""
    assert choice.at_s is not None
    frame_idx = int(np.abs(scan.times - choice.at_s).argmin())
    there = [number for number, track in enumerate(tracks) if track.start <= frame_idx < track.stop]
    boxes = np.array([tracks[number].boxes[frame_idx - tracks[number].start] for number in there]).reshape(-1, 4)
    holds = (boxes[:, 0] <= choice.x) & (choice.x < boxes[:, 2]) & (boxes[:, 1] <= choice.y) & (choice.y < boxes[:, 3])
    if not holds.any():
        rects = ", ".join(f"{there[k]} at {','.join(str(round(side)) for side in boxes[k])}" for k in range(len(there)))
        raise NoFaceError(f"no face at {choice}; at that time there {f'are {rects}' if rects else 'is none'}")
    return there[int(np.where(holds, bx.area(boxes), np.inf).argmin())]


def _listing(tracks: Sequence[Track], scan: Scan, numbers: frozenset[int], *, chosen: bool = False) -> str:
    """Return tracks in words, all or those with `numbers`, the most important first."""
    listed = [number for number in range(len(tracks)) if not chosen or number in numbers]
    return some((f"face {number} ({describe(tracks[number], scan)})" for number in listed), MAX_LISTED)


def describe(track: Track, scan: Scan) -> str:
    """Return a short description of a track: time, unless it is of a still picture, position and size."""
    x = float(np.median(track.boxes[:, [0, 2]].mean(axis=1))) / max(scan.width, 1)
    where = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
    place = f"{where}, {track.side:.0f} px"
    if scan.n_frames == 1:
        return place
    start_s, stop_s = float(scan.times[track.start]), float(scan.times[track.stop - 1]) + 1 / scan.fps
    n_digits = 2 if stop_s - start_s < SHORT_S else 1
    return f"{start_s:.{n_digits}f}-{stop_s:.{n_digits}f} s, {place}"
