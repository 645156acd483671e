"""Portraits for `portrait_motion.py`: framed alike, with the face mesh, grouped by lightness of skin."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from examples.research.lip_motion import face_of
from examples.research.mesh import EYES, INNER, LOWER, UPPER, Mesh
from examples.research.teeth import LIPS, teeth_share
from w2l.core.arrays import Floats, Image
from w2l.data.batches.splits import hash_place
from w2l.faces.detectors.base import Detector

SIDE = 256
"""Side in pixels of a framed portrait."""
ZOOM = 0.325
"""Distance of the outer eye corners in a framed portrait, relative to its side."""
MIDDLE = (0.5, 0.52)
"""Position of the mean of the mesh's points in it, relative to its side."""
SKIN = (50, 280, 205, 425, 151, 9)
"""Points of the mesh on cheeks and forehead."""
OPEN, SHUT = 0.06, 0.08
"""Gap between the lips over the width of the mouth: from the first on, with teeth, a mouth counts as open; up to the
second, without teeth, as shut, as the mesh places closed lips slightly apart."""
LEFT_OUT = 0.1
"""Share of people excluded from training, for tests on unseen people."""


@dataclass(frozen=True)
class Portrait:
    """One framed portrait."""

    name: str
    image: Image
    """(SIDE, SIDE, 3)"""
    mesh: Floats
    """(468, 3): x, y and depth in pixels."""

    @cached_property
    def eyes(self) -> float:
        """Distance of the outer eye corners in pixels."""
        return float(np.hypot(*(self.mesh[EYES[1]] - self.mesh[EYES[0]])[:2]))

    @cached_property
    def skin(self) -> Floats:
        """Median colour (L, a, b) of cheeks and forehead."""
        return colour_near(self.image, self.mesh[list(SKIN), :2], 0.06 * self.eyes)

    @cached_property
    def lip(self) -> Floats:
        """Median colour (L, a, b) of the lips."""
        return colour_near(self.image, self.mesh[list(LIPS), :2], 0.02 * self.eyes)

    @cached_property
    def gap(self) -> float:
        """Distance between the lips in the middle third of the mouth, relative to its width."""
        width = np.hypot(*(self.mesh[291] - self.mesh[61])[:2])
        rims = self.mesh[list(UPPER[4:7]), :2], self.mesh[list(LOWER[4:7]), :2]
        return float(np.linalg.norm(rims[1] - rims[0], axis=1).mean() / max(width, 1.0))

    @cached_property
    def teeth(self) -> float:
        """Area that is recognised as teeth, relative to the square of the mouth's width."""
        return teeth_share(self.image, self.mesh[list(INNER), :2], self.mesh[:, :2])

    @property
    def is_open(self) -> bool:
        """Whether the lips are clearly apart and show teeth."""
        return self.gap >= OPEN and self.teeth >= 0.02

    @property
    def is_shut(self) -> bool:
        """Whether the lips are together."""
        return self.gap < SHUT and self.teeth < 0.004


def colour_near(image: Image, places: Floats, reach: float) -> Floats:
    """Return the median colour (L, a, b) of an RGB picture within `reach` pixels of points (n, 2)."""
    size = max(1, round(reach))
    spots = [
        image[max(0, y - size) : y + size + 1, max(0, x - size) : x + size + 1].reshape(-1, 3)
        for x, y in np.round(places).astype(int)
    ]
    return np.asarray(np.median(to_lab(np.concatenate(spots)[None])[0], axis=0))


def to_lab(image: Image | Floats) -> Floats:
    """Return RGB (rows, columns, 3) in 0..255 as CIELAB."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def to_rgb(lab: Floats) -> Floats:
    """Return CIELAB (rows, columns, 3) as RGB in 0..255."""
    return np.asarray(np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1) * 255, np.float32)


def frame(image: Image, mesh: Floats) -> tuple[Image, Floats]:
    """Return a picture framed about the face, and its mesh (468, 3) in pixels of the framed picture."""
    scale = ZOOM * SIDE / float(np.hypot(*(mesh[EYES[1]] - mesh[EYES[0]])[:2]))
    shift = np.array(MIDDLE) * SIDE - scale * mesh[:, :2].mean(axis=0)
    if scale < 0.7:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.35 / scale), dtype=np.uint8)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    framed = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(framed, np.uint8), mesh * scale + np.array([*shift, 0])


def read_portrait(path: Path, mesh: Mesh, detector: Detector) -> Portrait | None:
    """Return a framed portrait; None if no face is found."""
    read = cv2.imread(str(path))
    if read is None:
        return None
    image = np.ascontiguousarray(read[:, :, ::-1])
    found = face_of(image, mesh, detector)
    if found is None:
        return None
    framed, found = frame(image, found)
    return Portrait(f"{path.parent.name}/{path.stem}", framed, found)


def read_portraits(
    folder: Path, mesh: Mesh, detector: Detector, most_yaw: float, only: Callable[[str], bool] | None = None
) -> Iterator[Portrait]:
    """Yield the portraits in ``portraits.tsv`` with a yaw below `most_yaw` whose names satisfy `only`."""
    with (folder / "portraits.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row["file"] for row in csv.DictReader(file, delimiter="\t") if abs(float(row["yaw"])) < most_yaw]
    for name in rows:
        if only is not None and not only(Path(name).with_suffix("").as_posix()):
            continue
        found = read_portrait(folder / name, mesh, detector)
        if found is not None:
            yield found


def person_of(name: str) -> str:
    """Return the person on a portrait; London has two of each person."""
    return name.split("-")[0]


def is_left_out(name: str) -> bool:
    """Return whether a person is left out of training, by the hash of the name."""
    return hash_place(f"person {person_of(name)}") < LEFT_OUT


def by_lightness(portraits: Sequence[Portrait], n_groups: int) -> list[list[Portrait]]:
    """Return portraits in groups of equal steps of CIELAB lightness between the 2nd and the 98th percentile."""
    light = np.array([each.skin[0] for each in portraits])
    edges = np.linspace(*np.percentile(light, [2, 98]), n_groups + 1)[1:-1]
    group = np.digitize(light, edges)
    return [[each for each, own in zip(portraits, group) if own == number] for number in range(n_groups)]
