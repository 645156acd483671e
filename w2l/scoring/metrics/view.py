"""What measures of the picture are fed with, and what they give: one `View` a frame, then numbers by column name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.scoring.metrics.columns import Column


@dataclass(frozen=True)
class View:
    """One frame of a clip beside the same moment of the real video."""

    output: Image
    """(rows, columns, 3) RGB: the whole frame."""
    reference: Image | None
    """The real frame at that time, brought to the output's size; None for a clip without a reference."""
    box: Floats
    """(4,): x1, y1, x2, y2 of the main face, pixels. Found in the reference where there is one: both are cut alike."""
    points: Floats
    """(5, 2): eyes, nose, mouth corners, steadied over time; found like the box."""
    time_s: float
    """Seconds since the first frame of the output."""


@dataclass(frozen=True)
class Hearing:
    """What sounds during a clip, and whether the clip is real."""

    wave: NDArray[np.floating[Any]]
    """(samples,): the output's own sound, mono at 16 kHz; sample 0 at the first frame of the output."""
    fps: float
    """Views a second."""
    words: tuple[tuple[float, float, str], ...] = ()
    """Start and end in seconds and text of each word, where an alignment is known."""
    own_speech: bool = False
    """Whether it is the reference's own speech, so that the real mouth says the same at the same time."""
    is_real: bool = False
    """Whether the clip is itself the real video, which stands beside outputs as their anchor."""


@runtime_checkable
class KnowsPerson(Protocol):
    """A measure that also takes what the real video shows after the end of the output: more of the same person."""

    def add_rest(self, view: View) -> None:
        """Take a further frame of the real video, which is both output and reference of `view`."""
        ...


class PictureMeasure(Protocol):
    """One measure, or several that share their work, of one clip; a new one is made for every clip."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """All that `finish` may give."""
        ...

    def add(self, view: View) -> None:
        """Takes the next frame; holds no frame longer than it must."""
        ...

    def finish(self, hearing: Hearing) -> Mapping[str, float | str]:
        """Return the numbers by column name.

        A number that cannot be told (no reference, no speech) is left out; text in its place says why, for a note.
        """
        ...
