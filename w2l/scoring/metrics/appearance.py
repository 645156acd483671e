"""Whether a mouth looks like the person's own: foreign colours, the mouth's interior, teeth.

Everything is compared with the real video, at any moment: the speech need not be the same. The real video itself is
measured in two halves, one against the other: that is the anchor for the numbers of an output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.features.crop import CropSpec, cut
from w2l.models.lip_reader import Mouths, read_mouths
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.interior import (
    LEAST_OPEN,
    LEAST_TEETH,
    OPEN,
    Interiors,
    colour_distance,
    interiors,
    opening_edges,
    teeth_counts,
)
from w2l.scoring.metrics.palette import CELL, FAR, SIDE, Palette
from w2l.scoring.metrics.spread import Spread
from w2l.scoring.metrics.view import Hearing, View

FINE = 2 * SIDE
"""Side in pixels of the aligned crop in which colours between the lips are measured."""
MOUTH = (slice(SIDE, 2 * SIDE), slice(SIDE // 3, 5 * SIDE // 3))
"""The part of that crop that is stored: the lip reader's input."""
MOST_FRAMES = 512
"""Largest number of frames kept of a clip: of a longer one every second, fourth and so on."""
COVERED = 0.5
"""Probability from which the real lips count as covered."""
BLOCK = 8
"""Consecutive kept frames that go to the same half of the real video: the halves alternate, so that a face that turns
slowly is in both."""
LEAST_FLOOR = 0.1
"""Smallest distance between the halves of a real video, in CIELAB units, used as a divisor."""
LEAST_SHOWN = 4
"""Smallest number of open frames of the output for which its mouth is measured."""

FOREIGN, FOREIGN_WORST, INTERIOR, INTERIOR_RATIO, TEETH = APPEARANCE_COLUMNS = (
    Column(
        "foreign", "foreign %", "mouth", "lower",
        f"Share of the lower face, in percent, whose colour the person never shows there in the real video: CIELAB "
        f"distance above {FAR:g} from all colours that the same cell of {CELL} x {CELL} pixels has in any frame, in "
        f"an aligned face of {SIDE} pixels; mean over frames. Red patches, blotches on the chin, mouths wider than the "
        "person's. Anchor: each half of the real video in the colours of the other half, which are fewer than an "
        "output has. Does not see wrong shapes in colours that occur there.",
        2,
    ),
    Column(
        "foreign_worst", "foreign worst", "mouth", "lower",
        f"The same share in the worst frame (of a clip longer than {MOST_FRAMES} frames, of those that are looked at).",
        2,
    ),
    Column(
        "interior", "interior", "mouth", "lower",
        f"Distance of the colours between the lips from those of real mouths of the person that are open as far, in "
        f"CIELAB units: sliced Wasserstein-1, doubled, so that a shift of all colours counts its length; mean over the "
        f"deciles of the real opening, frames with a gap of {OPEN:g} eye distances or more. A grey mouth, missing "
        "teeth. Anchor: the halves of the real video, which have 5 to 8.",
        2,
    ),
    Column(
        "interior_ratio", "interior/real", "mouth", "lower",
        "Interior over that of the halves of its own real video: 1 is as near as the person is to themselves.",
        2, minor=True,
    ),
    Column(
        "teeth", "teeth", "mouth", "one",
        f"How often teeth show in an open mouth (gap of {OPEN:g} eye distances or more), over how often they show in "
        "the real video at like openings, by the lip reader's probabilities: 1 is as often, 0 a mouth without teeth. "
        "The reader misses teeth of small faces and takes some bright tongues for teeth: a rough number. Anchor: the "
        "halves of the real video.",
        2,
    ),
)  # fmt: skip
"""All columns of `Appearance`."""

NO_REAL = "there is no real video to compare with"
COVERED_THROUGHOUT = "the real mouth is covered throughout"
TOO_SHORT = f"the real video has fewer than {2 * BLOCK} frames to be split in halves"
REAL_SHUT = f"the real mouth is open in fewer than {LEAST_OPEN} frames"
SHUT = f"the mouth is open in fewer than {LEAST_SHOWN} frames"
NO_MOTION = "the real picture does not move, so its halves are equal"
NOT_ALIKE = "output and real mouth are never open alike"
NO_TEETH = "the real mouth hardly shows teeth where it is open as far"


class Appearance:
    """Appearance of one clip's mouth; a `w2l.scoring.metrics.view.PictureMeasure`. Memory does not grow with length."""

    columns = APPEARANCE_COLUMNS

    def __init__(self) -> None:
        self._output: Spread[FrameFace] = Spread(MOST_FRAMES)
        self._real: Spread[FrameFace] = Spread(MOST_FRAMES)
        self._rest: Spread[FrameFace] = Spread(MOST_FRAMES)

    def add(self, view: View) -> None:
        """Keep the face of the next frame, if it is due."""
        self._output.offer(lambda: face_of(view.output, view))
        real = view.reference
        if real is not None:
            self._real.offer(lambda: face_of(real, view))

    def add_rest(self, view: View) -> None:
        """Keep the face of a further frame of the real video, if it is due."""
        self._rest.offer(lambda: face_of(view.output, view))

    def finish(self, hearing: Hearing) -> Mapping[str, float | str]:
        """Return the numbers by column name, or the reason why one is missing."""
        output = self._output.items
        real = output if hearing.is_real else self._real.items
        if not real or len(real) != len(output):
            return _blank(NO_REAL)
        real = [*real, *self._rest.items]
        crops = np.stack([face.crop for face in real])
        read = read_mouths(crops)
        seen = read.covered < COVERED
        if not seen[: len(output)].any():
            return _blank(COVERED_THROUGHOUT)
        mouths = _interiors(read, real, seen)
        if hearing.is_real:
            return _halves_foreign(crops[seen]) | _halves_inside(mouths)
        ours = np.stack([face.crop for face in output])
        beside = seen[: len(ours)]
        shares = 100 * Palette(crops[seen]).foreign_shares(ours[beside])
        found = {FOREIGN.name: float(shares.mean()), FOREIGN_WORST.name: float(shares.max())}
        return found | _inside(_interiors(read_mouths(ours), output, beside), mouths)


@dataclass(frozen=True)
class FrameFace:
    """What is stored of one frame."""

    crop: Image
    """(96, 96, 3): the aligned face."""
    mouth: Image
    """(96, 128, 3): `MOUTH`, at twice the resolution."""


def face_of(image: Image, view: View) -> FrameFace:
    """Return the face in `image` at the position given by `view`."""
    crop = cut(image, view.box, view.points, CropSpec("aligned", SIDE))
    return FrameFace(crop, cut(image, view.box, view.points, CropSpec("aligned", FINE))[MOUTH].copy())


def _interiors(read: Mouths, faces: Sequence[FrameFace], where: NDArray[np.bool_]) -> Interiors:
    corner = (float(MOUTH[1].start), float(MOUTH[0].start))
    return interiors(read, [face.mouth for face in faces], corner, FINE).only(where)


def _halves(count: int) -> NDArray[np.bool_]:
    """Return which of `count` frames belong to the first half."""
    return np.asarray(np.arange(count) // BLOCK % 2 == 0)


def _halves_foreign(crops: Image) -> dict[str, float | str]:
    """Return the share of each half's colours that are foreign to the other."""
    first = _halves(len(crops))
    if first.all() or len(crops) < 2 * BLOCK:
        return {FOREIGN.name: TOO_SHORT, FOREIGN_WORST.name: TOO_SHORT}
    shares = [Palette(crops[half]).foreign_shares(crops[~half]) for half in (first, ~first)]
    both = 100 * np.concatenate(shares)
    return {FOREIGN.name: float(both.mean()), FOREIGN_WORST.name: float(both.max())}


def _halves_inside(mouths: Interiors) -> dict[str, float | str]:
    """Return the distance between the halves of a real video between the lips, and the ratio of their teeth."""
    if mouths.open.sum() < LEAST_OPEN:
        return {INTERIOR.name: REAL_SHUT, TEETH.name: REAL_SHUT}
    floor = _floor(mouths)
    edges, (one, other) = opening_edges(mouths.gaps), _split(mouths)
    counts = np.array([teeth_counts(one, other, edges), teeth_counts(other, one, edges)]).sum(axis=0)
    teeth = _teeth_ratio(counts, int(mouths.open.sum()))
    return {INTERIOR.name: TOO_SHORT if floor is None else floor, TEETH.name: teeth}


def _inside(ours: Interiors, real: Interiors) -> dict[str, float | str]:
    """Return the distance between the lips, absolute and relative to the real floor, and the ratio of teeth."""
    names = (INTERIOR.name, INTERIOR_RATIO.name, TEETH.name)
    if real.open.sum() < LEAST_OPEN:
        return dict.fromkeys(names, REAL_SHUT)
    if ours.open.sum() < LEAST_SHOWN:
        return dict.fromkeys(names, SHUT)
    edges, floor = opening_edges(real.gaps), _floor(real)
    teeth = _teeth_ratio(np.array(teeth_counts(ours, real, edges)), int(ours.open.sum()))
    # Compared with each half, as the halves are with each other: fewer pixels lie further apart.
    beside = [colour_distance(ours, half, edges) for half in _split(real)]
    apart = [distance for distance in beside if distance is not None]
    if not apart:
        return {INTERIOR.name: NOT_ALIKE, INTERIOR_RATIO.name: NOT_ALIKE, TEETH.name: teeth}
    distance = float(np.mean(apart))
    return {INTERIOR.name: distance, INTERIOR_RATIO.name: _over(distance, floor), TEETH.name: teeth}


def _over(distance: float, floor: float | None) -> float | str:
    """Return the distance relative to that of the real video's halves; a reason if these are equal."""
    if floor is None:
        return TOO_SHORT
    return distance / floor if floor >= LEAST_FLOOR else NO_MOTION


def _split(mouths: Interiors) -> tuple[Interiors, Interiors]:
    first = _halves(len(mouths.gaps))
    return mouths.only(first), mouths.only(~first)


def _floor(mouths: Interiors) -> float | None:
    """Return the distance between the halves of a real video between the lips."""
    return colour_distance(*_split(mouths), opening_edges(mouths.gaps))


def _teeth_ratio(counts: NDArray[np.float64], n_open: int) -> float | str:
    """Return the ratio of shown and expected teeth (2,); a reason if hardly any are expected."""
    return NO_TEETH if counts[1] < LEAST_TEETH * n_open else float(counts[0] / counts[1])


def _blank(reason: str) -> dict[str, float | str]:
    return dict.fromkeys((column.name for column in APPEARANCE_COLUMNS), reason)
