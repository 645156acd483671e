"""Whether the face stays the same person's: cosines of a face recogniser's embeddings, against the real video."""

from typing import Protocol

import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.score.metrics.columns import Column
from w2l.score.metrics.view import Hearing, View

LOOKS_PER_S = 5.0
"""Frames a second that are embedded: a face's identity does not change faster, and a recogniser is slow."""

IDENTITY_COLUMNS = (
    Column(
        "identity", "Identity", "identity", "higher",
        "Mean cosine (-1..1) of the face recogniser's embeddings of the output and the real video at the same moment, "
        "five times a second. 1 is the same face; strangers are near 0. It hardly sees the mouth.",
    ),
    Column(
        "identity_lowest", "Identity low", "identity", "higher",
        "The lowest of these cosines: a moment at which the face becomes somebody else's.", minor=True,
    ),
    Column(
        "identity_steady", "Identity steady", "identity", "higher",
        "Mean cosine of the output's embeddings with their own mean, five times a second, without the real video: "
        "1 for a face that never changes. It cannot tell a steady stranger from the right person.", minor=True,
    ),
)  # fmt: skip


class FaceEmbedder(Protocol):
    """What `Identity` needs of a recogniser."""

    def embed(self, faces: list[tuple[Image, Floats]]) -> Floats:
        """Unit embeddings (faces, features) of faces, each an RGB picture and five points (5, 2) in its pixels."""
        ...


class Identity:
    """Identity of one clip; a `w2l.score.metrics.view.Measure`."""

    columns = IDENTITY_COLUMNS

    def __init__(self, recogniser: FaceEmbedder) -> None:
        self._recogniser = recogniser
        self._next_s = 0.0
        self._total = 0.0
        self._lowest = 2.0
        self._compared = 0
        self._sum: Floats | None = None
        self._looks = 0

    def add(self, view: View) -> None:
        """Embeds the face of output and reference, where it is time for the next look."""
        if view.time_s < self._next_s - 1e-6:
            return
        self._next_s = max(self._next_s + 1 / LOOKS_PER_S, view.time_s)
        images = [view.output] if view.reference is None else [view.output, view.reference]
        embeddings = self._recogniser.embed([(image, view.points) for image in images])
        if len(embeddings) == 2:
            cosine = float(embeddings[0] @ embeddings[1])
            self._total += cosine
            self._lowest = min(self._lowest, cosine)
            self._compared += 1
        self._sum = embeddings[0] if self._sum is None else self._sum + embeddings[0]
        self._looks += 1

    def finish(self, hearing: Hearing) -> dict[str, float]:
        """`identity` and `identity_lowest` with a reference, `identity_steady` always."""
        values = {}
        if self._compared:
            values = {"identity": self._total / self._compared, "identity_lowest": self._lowest}
        if self._sum is not None:
            # Unit vectors' mean cosine with their own mean is the length of that mean.
            values["identity_steady"] = float(np.linalg.norm(self._sum)) / self._looks
        return values
