"""Made faces in front of a memory: drawn pictures with overlays, looks from numbers, plans without a video."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from w2l.core.arrays import Canvas, Image
from w2l.data.puppets import draw_face
from w2l.faces.follow import REDRAWN, Faces
from w2l.media.picture import RgbPicture

OVERLAYS = ("subtitle", "lower third", "hand", "cup", "microphone")
CENTRE, HALF_WIDTH = (80.0, 78.0), 44.0


def talking(count: int, seed: int = 0) -> tuple[list[Image], Faces]:
    """Pictures of a drawn face that talks and sways, with noise, and where it is."""
    rng = np.random.default_rng(seed)
    images, points = [], []
    for idx in range(count):
        image = np.full((160, 160, 3), (70, 110, 140), dtype=np.uint8)
        x = CENTRE[0] + 2 * np.sin(idx / 9)
        mouth = 0.5 - 0.5 * np.cos(idx / 2.3) * np.cos(idx / 7.1)
        points.append(draw_face(image, x, CENTRE[1], HALF_WIDTH, mouth))
        images.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
    return images, faces_at(np.stack(points))


def faces_at(points: np.ndarray) -> Faces:
    """One face in every frame."""
    count = len(points)
    return Faces(
        first=np.arange(count + 1),
        track=np.zeros(count, dtype=np.int64),
        boxes=np.repeat([[36.0, 30, 124, 140]], count, axis=0),
        points=points,
        strength=np.ones(count),
        why=np.full(count, REDRAWN, dtype=np.int8),
    )


def covered(image: Image, kind: str) -> Image:
    """The picture with something over chin or mouth."""
    made = image.copy()
    if kind == "subtitle":
        for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.putText(made, "what I said", (30, 132), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thick, cv2.LINE_AA)
    elif kind == "lower third":
        made[120:] = (30, 40, 120)
    elif kind == "hand":
        for finger in range(3):
            at = (78 + 13 * finger, 128 - 4 * finger)
            cv2.ellipse(made, at, (9, 18), 25, 0, 360, (120, 84, 70), -1, cv2.LINE_AA)
            cv2.ellipse(made, at, (7, 16), 25, 0, 360, (200, 150, 128), -1, cv2.LINE_AA)
    elif kind == "cup":
        cv2.rectangle(made, (62, 100), (98, 150), (236, 236, 230), -1)
    else:
        cv2.circle(made, (80, 126), 13, (25, 25, 28), -1, cv2.LINE_AA)
    return made


def reader(images: list[Image], asked: list[int] | None = None):
    """Read pictures from memory, the first again after the last."""

    def read(wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
        for idx in wanted:
            if asked is not None:
                asked.append(idx)
            yield idx, RgbPicture(images[idx % len(images)])

    return read
