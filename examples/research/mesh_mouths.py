"""Training samples for the lip reader from mouths labelled by the face mesh: moved, degraded, and at times covered.

Reads the output of `mesh_labels.py`. Ground truths are (16,), like the output of `Lips.everything`; nan is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.research.covers import ROWS, Picture, covered_share, draw_cover, lay
from examples.research.drawn_mouths import COLUMNS, Floats, Mouth, spoil
from examples.research.mesh_labels import MARGIN
from w2l.core.files import read_arrays
from w2l.data.batches.splits import hash_place
from w2l.nets.lips import GAP_UNIT, HOME, N_POINTS, POINT_UNIT

Region = NDArray[np.uint8]

CORNER = np.array([16.0, 48.0])
"""Column and row of the aligned crop at the top left of the lip reader's region."""
CLOSED, PARTED, NEUTRAL = 0.012, 0.05, 0.12
"""Gaps over the width of the mouth: up to the first, lips count as closed; from the second on, the mesh is trusted. In
a portrait that is known to have closed lips (London, neutral), a gap up to the third counts as closed."""
HIDDEN, CLEAR = 0.4, 0.06
"""Shares of hidden lips from which a mouth counts as covered, and up to which it does not."""
KNOWN = 0.3
"""Share of hidden lips up to which the points of a covered mouth are used."""
COVERED = 0.22
"""Share of mouths with something drawn over them."""
FAR = 0.12
"""Share of mouths with something drawn beside them."""
CLOSED_PER_PERSON = 60
"""Most closed mouths per person of the clips that are warped open."""
PORTRAITS = 0.6
"""Share of portraits among real mouths; the rest are from clips, evenly over people."""
AS_IT_IS = 0.3
"""Share of mouths that are not degraded by a simulated camera or codec."""
LEFT_OUT = 0.2
"""Share of the people of portraits who are excluded from training."""


@dataclass(frozen=True)
class Labels:
    """Labelled mouths, one per row of each array."""

    patch: Region
    """(mouths, 128, 128, 3)"""
    points: Floats
    """(mouths, 6, 2): pixels of the aligned crop."""
    gap: Floats
    teeth: Floats
    person: NDArray[np.str_]
    name: NDArray[np.str_]

    @classmethod
    def read(cls, path: Path) -> "Labels":
        """Read an output of `mesh_labels.py`."""
        return cls(**read_arrays(path))

    def select(self, which: NDArray[np.bool_]) -> "Labels":
        """Return some of the mouths."""
        return Labels(**{key: value[which] for key, value in vars(self).items()})

    def __len__(self) -> int:
        """Return the number of mouths."""
        return len(self.gap)


def is_left_out(person: str) -> bool:
    """Return whether a person of the portraits is excluded from training, by the hash of the name."""
    return "/" in person and hash_place(f"person {person}") < LEFT_OUT


def trusted_gap(gap: float, width: float, name: str) -> float:
    """Return the gap to train with; the mesh places closed lips up to a tenth of their width apart."""
    share = gap / max(width, 1.0)
    if name.startswith("london/") and name.endswith("-neutral") and share < NEUTRAL:
        return 0.0
    return gap * float(np.clip((share - CLOSED) / (PARTED - CLOSED), 0, 1))


def truth_of(points: Floats, gap: float, teeth: float, covered: float) -> NDArray[np.float32]:
    """Return the ground truth (16,) of a mouth with these points and gap in pixels of the region."""
    width = float(np.hypot(*(points[1] - points[0])))
    places = ((points - HOME) / POINT_UNIT).ravel()
    return np.array([*places, gap / GAP_UNIT, width / POINT_UNIT, teeth, covered], dtype=np.float32)


def region_of(patch: Region, points: Floats, matrix: Floats) -> tuple[Picture, Floats]:
    """Return the region (48, 64, 3), and its points, of a patch moved by `matrix` (2, 3), in crop pixels."""
    whole = matrix.copy()
    whole[:, 2] -= matrix[:, :2] @ np.array([MARGIN, MARGIN]) + CORNER
    how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    seen = cv2.warpAffine(patch, whole, (COLUMNS, ROWS), **how)  # type: ignore[call-overload]
    return np.asarray(seen, np.float32), points @ matrix[:, :2].T + matrix[:, 2] - CORNER


def moved(rng: np.random.Generator) -> Floats:
    """Return a random similarity (2, 3) of an aligned crop about its mouth, like the error of a detector."""
    turn, scale = np.radians(rng.normal(0, 3)), rng.uniform(0.87, 1.15)
    stretch, slant = rng.uniform(0.93, 1.07), rng.uniform(-0.08, 0.08)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    linear = scale * spin @ np.array([[1.0, slant], [0.0, stretch]])
    middle = np.array([48.0, 65.0])
    shift = middle - linear @ middle + rng.normal(0, 1.6, 2)
    return np.concatenate([linear, shift[:, None]], axis=1)


def draw_real(rng: np.random.Generator, labels: Labels, number: int) -> tuple[Mouth, float]:
    """Return a labelled mouth, moved at random, and whether its teeth show."""
    matrix = moved(rng)
    width = float(np.hypot(*(labels.points[number, 1] - labels.points[number, 0])))
    image, points = region_of(labels.patch[number], labels.points[number], matrix)
    gap = trusted_gap(float(labels.gap[number]), width, str(labels.name[number])) * float(np.hypot(*matrix[:, 1]))
    if rng.random() < 0.15:
        image = image + rng.uniform(0.5, 1) * (image.mean(axis=-1, keepdims=True) - image)
    return Mouth(np.asarray(image, np.float32), points, gap), float(labels.teeth[number])


def finished(
    rng: np.random.Generator, mouth: Mouth, teeth: float, kind: str = "", covers: float = COVERED, far: float = FAR
) -> tuple[Region, NDArray[np.float32]]:
    """Return a degraded, at times covered mouth and its ground truth (16,)."""
    image, covered, known = mouth.image, 0.0, True
    draw = rng.random()
    if draw < covers + far:
        cover = draw_cover(rng, image, mouth.points, kind, draw >= covers)
        share = covered_share(cover, mouth.points)
        image = lay(image, cover)
        covered = 1.0 if share >= HIDDEN else 0.0 if share <= CLEAR else float("nan")
        known = share <= KNOWN
    change = mirrored if rng.random() < AS_IT_IS else spoil
    region, points, gap = change(rng, Mouth(image, mouth.points, mouth.gap))
    truth = truth_of(points, gap, teeth if covered == 0 else float("nan"), covered)
    if not known:
        truth[: 2 * N_POINTS + 2] = np.nan
    return region, truth


def mirrored(rng: np.random.Generator, mouth: Mouth) -> tuple[Region, Floats, float]:
    """Return the mouth, mirrored with probability 0.5."""
    region, points = np.clip(np.round(mouth.image), 0, 255).astype(np.uint8), mouth.points
    if rng.random() < 0.5:
        region, points = region[:, ::-1], points[[1, 0, 2, 3, 4, 5]] * [-1, 1] + [COLUMNS - 1, 0]
    return np.ascontiguousarray(region), points, mouth.gap


class Choice:
    """Sampler of labelled mouths: portraits and clips in fixed shares, evenly over people."""

    def __init__(self, labels: Labels) -> None:
        of_person: dict[str, list[int]] = {}
        for number, person in enumerate(labels.person.tolist()):
            of_person.setdefault(person, []).append(number)
        self._groups = [
            [rows for person, rows in of_person.items() if ("/" in person) == is_portrait]
            for is_portrait in (True, False)
        ]

    def draw(self, rng: np.random.Generator) -> int:
        """Return a random row."""
        portraits, clips = self._groups
        people: Sequence[list[int]] = portraits if portraits and (not clips or rng.random() < PORTRAITS) else clips
        rows = people[int(rng.integers(len(people)))]
        return rows[int(rng.integers(len(rows)))]


def closed_of(labels: Labels) -> list[tuple[Region, Floats]]:
    """Return regions (48, 64, 3) and points (6, 2) of labelled mouths that are closed, a few per person."""
    found: list[tuple[Region, Floats]] = []
    width = np.hypot(*(labels.points[:, 1] - labels.points[:, 0]).T)
    share = labels.gap / np.maximum(width, 1)
    still = np.eye(2, 3)
    known = np.char.startswith(labels.name, "london/") & np.char.endswith(labels.name, "-neutral")
    closed = (labels.teeth == 0) & (share <= np.where(known, NEUTRAL, CLOSED))
    for person in np.unique(labels.person[closed]).tolist():
        rows = np.flatnonzero(closed & (labels.person == person))
        rows = rows[np.argsort(share[rows], kind="stable")][: 2 if "/" in person else CLOSED_PER_PERSON]
        for row in rows:
            image, points = region_of(labels.patch[row], labels.points[row], still)
            found.append((np.clip(np.round(image), 0, 255).astype(np.uint8), points))
    return found
