"""Several people who each say a speech of their own: whose face is whose, and what each of them hears."""

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
"""A face, as `--face` names it, and the file of what it says."""


@dataclass(frozen=True)
class Voice:
    """What one face hears in an output."""

    mel: NDArray[np.float32]
    """(80, columns), from the beginning of the output on."""
    gain: NDArray[np.float32]
    """(frames,) how much of the redrawn mouth shows, 0..1."""


def mixed_speech(cast: Sequence[Member], cache: Cache) -> Path:
    """Return the sound of all speeches together; it is made once and kept in the cache."""
    paths = [Path(speech) for _, speech in cast]
    made = cache.runs / f"mix-{fingerprint('mix', 1, [source_fingerprint(path) for path in paths])[:16]}.flac"
    if not made.exists():
        mix(paths, made)
    return made


def join(cast: Sequence[Member], chosen: Sequence[Chosen]) -> tuple[Chosen, dict[int, int]]:
    """Return all faces that are redrawn and, by track, whose of the cast each is.

    Where the same face is picked for several, as in a shot with one person who is both left and right, it is that of
    whose other faces it resembles most. Raises NoFaceError where somebody is left without a face of their own.
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
            f"--face {missing[0]} picks nobody but whom {others or 'the other --face'} picks too; name each person by a"
            " number that w2l detect shows, a point or a picture"
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
    """Return the likeness of the tracks of two faces that are most alike."""
    looks = [[chosen.tracks[number].look for number in group] for group in (face, other)]
    return max(likeness(one, two) for one in looks[0] for two in looks[1])
