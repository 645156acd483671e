"""Several people who each get their own speech: assign faces and audio to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.errors import NoFaceError
from w2l.core.files import fingerprint, source_fingerprint
from w2l.faces.appearance import likeness
from w2l.faces.select import Chosen
from w2l.media.mixing import mix

Member = tuple[str, str]
"""A face, as given to `--face`, and the file of its speech."""


@dataclass(frozen=True)
class Voice:
    """The audio that drives one face in an output."""

    mel: NDArray[np.float32]
    """(80, columns), from the start of the output."""
    gain: NDArray[np.float32]
    """(frames,) opacity of the redrawn mouth, 0..1."""


def mixed_speech(cast: Sequence[Member], cache: Cache) -> Path:
    """Return the file with the mix of all speeches, which is made once and kept in the cache."""
    paths = [Path(speech) for _, speech in cast]
    made = cache.runs / f"mix-{fingerprint('mix', 1, [source_fingerprint(path) for path in paths])[:16]}.flac"
    if not made.exists():
        mix(paths, made)
    return made


def join(cast: Sequence[Member], chosen: Sequence[Chosen]) -> tuple[Chosen, dict[int, int]]:
    """Return all faces to redraw and, by track, the index of the cast member.

    If the same face is chosen for several members, as in a shot where one person is both left and right, it is assigned
    to the member whose other faces it resembles most. Raises NoFaceError if a member is left without a face.
    """
    claims: dict[tuple[int, ...], list[int]] = {}
    for member, some in enumerate(chosen):
        for face in some.faces:
            claims.setdefault(face, []).append(member)
    own = {face: members[0] for face, members in claims.items() if len(members) == 1}
    missing = [cast[member][0] for member in range(len(cast)) if member not in own.values()]
    if missing:
        others = " and ".join(f"--face {face}" for face, _ in cast if face not in missing)
        raise NoFaceError(
            f"--face {missing[0]} and {others or 'the other --face'} choose the same face; choose each person by a"
            " number from w2l detect, a point or a picture"
        )
    tracks = chosen[0].tracks
    for face, members in claims.items():
        if len(members) > 1:
            alike = [
                max(_alike(chosen[0], face, other) for other, whose in own.items() if whose == member and other != face)
                for member in members
            ]
            claims[face] = [members[int(np.argmax(alike))]]
    by_track: dict[int, int] = {}
    faces, stretches = [], []
    for member, some in enumerate(chosen):
        for face, stretch in zip(some.faces, some.stretches, strict=True):
            if claims[face] == [member] and not by_track.keys() & set(face):
                faces.append(face)
                stretches.append(stretch)
                by_track |= dict.fromkeys(face, member)
    told = " | ".join(f"{some.description} says {speech}" for (_, speech), some in zip(cast, chosen, strict=True))
    return Chosen(tracks, tuple(faces), told, tuple(stretches)), by_track


def _alike(chosen: Chosen, face: Iterable[int], other: Iterable[int]) -> float:
    """Return the similarity of the two most similar tracks of two faces."""
    looks = [[chosen.tracks[number].look for number in group] for group in (face, other)]
    return max(likeness(one, two) for one in looks[0] for two in looks[1])
