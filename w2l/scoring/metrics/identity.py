"""Whether the face remains the same person's, compared with the real video: by a face recogniser and by tiny crops."""

from typing import Protocol

import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.faces.appearance import LOOK_SIDE, likenesses, look_of
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.spread import Spread
from w2l.scoring.metrics.view import Hearing, View

LOOKS_PER_S = 5.0
"""Frames per second that are embedded: a face's identity does not change faster, and a recogniser is slow."""
MOST_LOOKS = 128
"""Largest number of tiny crops compared per clip, evenly spaced."""

LIKENESS_COLUMNS = (
    Column(
        "likeness", "Likeness", "identity", "higher",
        f"Mean likeness of the face, brought to {LOOK_SIDE} x {LOOK_SIDE} pixels, to that of the real video at all "
        "moments: correlation of brightness less difference of colour, 1 for equal ones, near 0 for strangers. Needs "
        "no recogniser, and sees less: light, hair and skin, not features. Anchor: the halves of the real video.",
    ),
)  # fmt: skip

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
        "identity_any", "Identity any time", "identity", "higher",
        "Mean cosine of the output's embeddings with those of the real video at all moments, five times a second: "
        "below identity, as a face differs from itself over time. Anchor: the halves of the real video.", minor=True,
    ),
    Column(
        "identity_steady", "Identity steady", "identity", "higher",
        "Mean cosine of the output's embeddings with their own mean, five times a second, without the real video: "
        "1 for a face that never changes. It cannot tell a steady stranger from the right person.", minor=True,
    ),
)  # fmt: skip


class LookClock:
    """Schedules the frames that are embedded."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def is_due(self, time_s: float) -> bool:
        """Whether a frame at that time is due; times increase."""
        if time_s < self._next_s - 1e-6:
            return False
        self._next_s = max(self._next_s + 1 / LOOKS_PER_S, time_s)
        return True


class FaceEmbedder(Protocol):
    """The interface that `Identity` needs of a recogniser."""

    def embed(self, faces: list[tuple[Image, Floats]]) -> Floats:
        """Return unit embeddings (faces, features) of faces, each an RGB image and five points (5, 2) in its pixels."""
        ...


class Identity:
    """Identity of one clip; a `w2l.scoring.metrics.view.Measure`."""

    columns = IDENTITY_COLUMNS

    def __init__(self, recogniser: FaceEmbedder) -> None:
        self._recogniser = recogniser
        self._clock = LookClock()
        self._total = 0.0
        self._lowest = 2.0
        self._compared = 0
        self._real: Floats | float = 0.0
        self._halves: list[Floats | float] = [0.0, 0.0]
        self._looks = 0

    def add(self, view: View) -> None:
        """Embed the face of output and reference, if the frame is due."""
        if not self._clock.is_due(view.time_s):
            return
        images = [view.output] if view.reference is None else [view.output, view.reference]
        embeddings = self._recogniser.embed([(image, view.points) for image in images])
        if len(embeddings) == 2:
            cosine = float(embeddings[0] @ embeddings[1])
            self._total += cosine
            self._lowest = min(self._lowest, cosine)
            self._compared += 1
            self._real = self._real + embeddings[1]
        self._halves[self._looks % 2] = self._halves[self._looks % 2] + embeddings[0]
        self._looks += 1

    def finish(self, hearing: Hearing) -> dict[str, float]:
        """Return `identity_steady`, and the others if there is a real video, or the clip is one."""
        if not self._looks:
            return {}
        # Unit vectors' mean cosine is the product of their means; with their own mean it is the length of that mean.
        mean = np.asarray(self._halves[0] + self._halves[1]) / self._looks
        values = {"identity_steady": float(np.linalg.norm(mean))}
        if self._compared:
            any_time = float(mean @ np.asarray(self._real)) / self._compared
            values |= {"identity": self._total / self._compared, "identity_lowest": self._lowest}
            values["identity_any"] = any_time
        elif hearing.is_real and self._looks > 1:
            first, second = (np.asarray(half) for half in self._halves)
            values["identity_any"] = float(first @ second) / ((self._looks + 1) // 2 * (self._looks // 2))
        return values


class Likeness:
    """Likeness of one clip's face to the real video's, without a recogniser."""

    columns = LIKENESS_COLUMNS

    def __init__(self) -> None:
        self._clock = LookClock()
        self._output: Spread[Image] = Spread(MOST_LOOKS)
        self._real: Spread[Image] = Spread(MOST_LOOKS)

    def add(self, view: View) -> None:
        """Keep the tiny crops of output and reference, if the frame is due."""
        if not self._clock.is_due(view.time_s):
            return
        self._output.offer(lambda: look_of(view.output, view.points))
        real = view.reference
        if real is not None:
            self._real.offer(lambda: look_of(real, view.points))

    def finish(self, hearing: Hearing) -> dict[str, float]:
        """Return `likeness`, if there is a real video, or the clip is one."""
        ours, real = self._output.items, self._real.items
        if hearing.is_real:
            ours, real = ours[::2], ours[1::2]
        if not ours or not real:
            return {}
        return {"likeness": float(np.mean([likenesses(np.stack(ours), look) for look in real]))}
