"""References from the person's own mouths: for each picture the look that fits its audio, pose and light."""

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from w2l.core.arrays import Image
from w2l.faces.follow import Face
from w2l.syncing.memory.choose import Chooser
from w2l.syncing.memory.coverage import coverage_of
from w2l.syncing.memory.embed import SyncExpert
from w2l.syncing.memory.looks import Looks
from w2l.syncing.plan import Plan
from w2l.syncing.reference_bank import References, lit_as

HELD = 32
"""Number of decoded crops kept in memory."""


class MemoryReferences:
    """References chosen by audio from the looks of each track; a track without looks gets others.

    Parameters
    ----------
    looks : mapping of int to Looks
        Looks by track.
    plan : Plan
        The output, or the part of it that is drawn.
    expert : SyncExpert
    others : References
        References for tracks without looks, and for the second reference and all further ones.
    n_references : int
    """

    def __init__(
        self, looks: Mapping[int, Looks], plan: Plan, expert: SyncExpert, others: References, n_references: int = 1
    ) -> None:
        self._looks = dict(looks)
        self._first = plan.first_picture
        self._choosers = {track: Chooser(some, plan.heard_by(track), track, expert) for track, some in looks.items()}
        self._others = others
        self._n_references = n_references
        self._held: OrderedDict[tuple[int, int], Image] = OrderedDict()

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the references; see `References.at`."""
        if face.track not in self._choosers:
            return self._others.at(frame_idx, picture, face, crop)
        look = self._choosers[face.track].at(picture - self._first)
        return self._references(look, frame_idx, picture, face, crop)

    def leaving(self, frame_idx: int, picture: int, face: Face, crop: Image) -> tuple[Image, float] | None:
        """See `FadingReferences.leaving`: after a jump from one look to another, the look jumped from, moving on."""
        chooser = self._choosers.get(face.track)
        left = chooser.leaving(picture - self._first) if chooser else None
        return None if left is None else (self._references(left[0], frame_idx, picture, face, crop), left[1])

    def _references(self, look: int, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        first = self._crop(face.track, look)
        if self._n_references == 1:
            return first
        others = np.split(self._others.at(frame_idx, picture, face, crop), self._n_references, axis=-1)
        return np.concatenate([first, *(lit_as(first, other) for other in others[:-1])], axis=-1)

    def __str__(self) -> str:
        faces = (f"face {track}: {coverage_of(looks.measures)}" for track, looks in sorted(self._looks.items()))
        return f"the person's own mouths, chosen by audio ({' | '.join(faces)})"

    def _crop(self, track: int, look: int) -> Image:
        key = (track, look)
        if key not in self._held:
            self._held[key] = self._looks[track].crop(look)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]
