"""Quality gates for face tracks: what is measured of each track, and the limits; pure.

A gate has a keyword (`GATES`), by which refused tracks are counted, and a sentence with the value and the limit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.core.errors import ConfigError
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.features.windows import VOICED_LEVEL, expert_mel, n_windows, silent_windows

MEASURE_SIZE = 96
"""Side in pixels of the aligned crops that are measured, whatever crops are stored."""
FACE = (slice(12, 92), slice(12, 84))
"""Rows and columns of such a crop that contain the face and little else."""
MOUTH = (slice(56, 84), slice(28, 68))
"""Rows and columns with the mouth and the chin's upper part."""
STILL = (slice(20, 50), slice(18, 78))
"""Rows and columns with eyes and cheeks, which move with the head and not with speech."""
BUSY_SHARE = 75.0
"""Percentile of the motion between frames that is compared: a talking mouth also rests."""
SLACK = 1e-6
"""Tolerance of the limits, as measurements are rounded."""
LEAST_CONTRAST = 2.0
"""Grey levels added to a face's contrast, so that noise does not make a plain area sharp or moving."""


@dataclass(frozen=True)
class GateSettings:
    """Limits for a face track to become a sample; 0 (or 1 for a share, 90 for degrees) disables a gate."""

    min_track_s: float = 1.0
    """Shortest time, in seconds, for which a face must be continuously visible with audio."""
    min_face_px: float = 48.0
    """Smallest typical side of the face box, in pixels of the source."""
    min_score: float = 0.6
    """Smallest typical score that the detector gives the face, 0..1."""
    max_yaw: float = 55.0
    """Largest typical turn of the head to the side, in degrees, estimated from the five points."""
    one_face: bool = False
    """Whether to refuse faces that are not alone in the picture."""
    max_silent: float = 0.9
    """Largest share of windows without speech, 0..1."""
    min_sharpness: float = 0.09
    """Smallest `crop_sharpness`: 0.24 on GRID, 0.10 if that is blurred by 1/50 of the crop, 0 for a plain area."""
    min_mouth: float = 0.008
    """Smallest `speech_motion` if several faces are on screen; GRID's speakers: 0.016 to 0.087, 0.004 in silence."""

    @property
    def max_faces(self) -> float:
        """Largest number of faces on screen at the same time."""
        return 1.0 if self.one_face else float("inf")

    def __post_init__(self) -> None:
        """Reject impossible limits."""
        if self.min_track_s < WINDOW_FRAMES / FPS:
            raise ConfigError(f"min_track_s {self.min_track_s} must be at least 0.2, the length of a window")
        for name in ("min_score", "max_silent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"gates.{name} {getattr(self, name)} must lie between 0 and 1")


@dataclass(frozen=True)
class Refusal:
    """Why a track is not a sample."""

    gate: str
    """Keyword of the gate; see `GATES`."""
    reason: str
    """One sentence."""
    of_pixels: bool = False
    """Whether the pixels were needed for it."""


@dataclass(frozen=True)
class _Gate:
    word: str
    measure: str
    """Key of the measurement."""
    limit: str
    """The setting with the limit: ``min_...`` or ``max_...``."""
    sentence: str
    """Template with fields for the value and the limit."""

    def refuses(self, value: float, limit: float) -> bool:
        return value < limit - SLACK if self.limit.startswith("min") else value > limit + SLACK


_GATES = (
    _Gate("too short", "length_s", "min_track_s", "it is visible with audio for {:.2f} s, less than {:g} s"),
    _Gate("small face", "face_px", "min_face_px", "the face is {:.0f} px wide, less than {:g} px"),
    _Gate("unsure", "score", "min_score", "the detector's score is {:.2f}, less than {:g}"),
    _Gate("turned away", "yaw", "max_yaw", "the head is turned by {:.0f} degrees, more than {:g}"),
    _Gate("several faces", "n_faces", "max_faces", "{:.0f} faces are on screen at the same time, more than {:g}"),
    _Gate("silent", "silent_share", "max_silent", "{:.0%} of it is without speech, more than {:.0%}"),
    _Gate("blurred", "blur", "min_sharpness", "its sharpness is {:.3f}, less than {:g}"),
    _Gate("not speaking", "mouth", "min_mouth", "the mouth moves by {:.4f} during speech, less than {:g}"),
)
OF_PIXELS = ("blur", "mouth")
"""Measurements that need pixels; their gates come last."""
GATES = tuple(gate.word for gate in _GATES)
"""Keyword of each gate, in the order of application."""


def refusal(quality: Mapping[str, float], settings: GateSettings) -> Refusal | None:
    """Return the first gate that a track with these measurements does not pass; None if it passes all.

    Parameters
    ----------
    quality : mapping
        `length_s`, `face_px`, `score`, `yaw` (degrees), `n_faces`, `silent_share`, `blur` (see `crop_sharpness`) and
        `mouth` (see `speech_motion`). Gates of missing measurements are skipped.
    """
    for gate in _GATES:
        limit = float(getattr(settings, gate.limit))
        if gate.measure in quality and gate.refuses(quality[gate.measure], limit):
            return Refusal(gate.word, gate.sentence.format(quality[gate.measure], limit), gate.measure in OF_PIXELS)
    return None


def commonest(words: Sequence[str]) -> str:
    """Return the most frequent word, among equally frequent ones the first; empty if there are none."""
    counted = Counter(words).most_common(1)
    return counted[0][0] if counted else ""


def silent_share(mel: NDArray[np.float32], n_frames: int) -> float:
    """Return the share, 0..1, of windows without speech of a track of `n_frames` with that mel (80, columns)."""
    count = n_windows(n_frames, mel.shape[1])
    if not count:
        return 1.0
    return float(silent_windows(mel, count).mean())


def crop_sharpness(crop: Image) -> float:
    """Return the sharpness of an aligned crop (96, 96, 3): the deviation of its Laplacian over that of its brightness.

    The variance of the Laplacian (Pech-Pacheco et al., 2000), with noise slightly averaged out and the contrast
    divided out, so that it detects blur and upscaled faces whatever the light.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(crop[FACE]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.8), cv2.CV_32F)
    return float(edges.std() / (grey.std() + LEAST_CONTRAST))


class MouthWatch:
    """Measures how much a mouth moves during speech, from aligned crops (96, 96, 3) given one by one."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._contrast: list[float] = []
        self._moves: list[tuple[float, float]] = []

    def push(self, crop: Image) -> None:
        """Add the crop of the next frame."""
        smooth = cv2.GaussianBlur(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
        grey = np.asarray(smooth, dtype=np.float32)
        if self._last is not None:
            moved = np.abs(grey - self._last)
            self._moves.append((float(moved[MOUTH].mean()), float(moved[STILL].mean())))
        self._contrast.append(float(grey[FACE].std()))
        self._last = grey

    def motion(self, mel: NDArray[np.float32]) -> float | None:
        """Return `speech_motion` for the mel (80, columns) of these frames."""
        contrast = float(np.mean(self._contrast)) + LEAST_CONTRAST if self._contrast else LEAST_CONTRAST
        return speech_motion(np.array(self._moves).reshape(-1, 2) / contrast, mel)


def speech_motion(moves: Floats, mel: NDArray[np.float32]) -> float | None:
    """Return how much more a mouth moves than the rest of its face during speech; None with too little speech.

    Parameters
    ----------
    moves : (frames - 1, 2)
        Mean change of brightness from one frame to the next, relative to the face's contrast: of `MOUTH` and `STILL`.
    mel : (80, columns)
        Of the same frames.
    """
    middle = WINDOW_FRAMES // 2  # a motion belongs to the window around the later of its two frames
    levels = [float(expert_mel(mel, start + 1 - middle).mean()) for start in range(len(moves))]
    loud = np.flatnonzero(np.array(levels) >= VOICED_LEVEL)
    if len(loud) < WINDOW_FRAMES:
        return None
    busy = np.percentile(moves[loud], BUSY_SHARE, axis=0)
    return float(busy[0] - busy[1])
