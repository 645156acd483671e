"""What looks at videos give to a page: plain values that need no networks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SeenFace:
    """One face of a video."""

    number: int
    """The N of ``--face N``."""
    words: str
    start_s: float
    end_s: float
    """Exclusive."""
    box: tuple[float, ...] | None
    """Its box x1, y1, x2, y2 as shares of the picture's width and height; None where it is not in the picture."""


@dataclass(frozen=True)
class SeenFaces:
    """The faces of a video, and where they are in one frame."""

    picture: str
    """Path of the frame."""
    faces: tuple[SeenFace, ...]
    duration_s: float
    time_s: float
    """Time of the frame in the video."""


@dataclass(frozen=True)
class Preview:
    """One second of a result, beside the video."""

    path: str
    source: str
    """The video as browsers play it."""
    starts_s: float
    """Where the second begins in the result."""
