"""Interface of picture measures: one `View` per frame in, numbers by column name out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.scoring.metrics.columns import Column


@dataclass(frozen=True)
class View:
    """One frame of a clip with the same moment of the real video."""

    output: Image
    """(rows, columns, 3) RGB: the whole frame."""
    reference: Image | None
    """The real frame at that time, resized to the output's size; None for a clip without a reference."""
    box: Floats
    """(4,): x1, y1, x2, y2 of the main face, pixels. Detected in the reference if any: both are cropped alike."""
    points: Floats
    """(5, 2): eyes, nose, mouth corners, smoothed over time; detected like the box."""
    time_s: float
    """Seconds since the first frame of the output."""


@dataclass(frozen=True)
class Hearing:
    """The audio of a clip, and whether the clip is real."""

    wave: NDArray[np.floating[Any]]
    """(samples,): the output's own audio, mono at 16 kHz; sample 0 at the first frame of the output."""
    fps: float
    """Views per second."""
    words: tuple[tuple[float, float, str], ...] = ()
    """Start and end in seconds and text of each word, if an alignment is known."""
    own_speech: bool = False
    """Whether it is the reference's own speech, so that the real mouth says the same at the same time."""
    is_real: bool = False
    """Whether the clip is the real video itself, used as the anchor of the outputs."""


@runtime_checkable
class KnowsPerson(Protocol):
    """A measure that also uses the real video after the end of the output: more of the same person."""

    def add_rest(self, view: View) -> None:
        """Add a further frame of the real video, which is both output and reference of `view`."""
        ...


class PictureMeasure(Protocol):
    """One measure, or several that share work, of one clip; a new one is created for every clip."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that `finish` may return."""
        ...

    def add(self, view: View) -> None:
        """Add the next frame; holds frames no longer than necessary."""
        ...

    def finish(self, hearing: Hearing) -> Mapping[str, float | str]:
        """Return the numbers by column name.

        A number that cannot be measured (no reference, no speech) is left out; text in its place is the reason.
        """
        ...
