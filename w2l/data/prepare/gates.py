"""Which face tracks are good enough to train on: what is measured of each, and the limits; pure.

A gate has a word (`GATES`), under which refused tracks are counted, and gives a sentence with the number and the limit.
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
"""Rows and columns of such a crop that hold the face and little else."""
MOUTH = (slice(56, 84), slice(28, 68))
"""Rows and columns with the mouth and the chin's upper part."""
STILL = (slice(20, 50), slice(18, 78))
"""Rows and columns with eyes and cheeks, which move with the head and not with speech."""
BUSY_SHARE = 75.0
"""Percentile of the motion between frames that counts: a talking mouth rests, too."""
SLACK = 1e-6
"""What a measure may be beyond a limit: it was rounded."""
LEAST_CONTRAST = 2.0
"""Grey levels added to a face's contrast, so that a plain area does not count as sharp or busy for its noise."""


@dataclass(frozen=True)
class GateSettings:
    """Limits that a face track must keep to become a sample; 0 (or 1 for a share, 90 for degrees) opens a gate."""

    min_track_s: float = 1.0
    """A face must be seen, with sound, for so many seconds on end."""
    min_face_px: float = 48.0
    """Smallest typical side of the face box, in pixels of the source."""
    min_score: float = 0.6
    """Smallest typical score that the detector gives the face, 0..1."""
    max_yaw: float = 55.0
    """Degrees that the head may typically be turned to the side, estimated from the five points."""
    one_face: bool = False
    """Whether to refuse faces that are not alone in the picture."""
    max_silent: float = 0.9
    """Largest share of windows without speech, 0..1."""
    min_sharpness: float = 0.09
    """Smallest `sharpness`: 0.24 on GRID, 0.10 where that is blurred by 1/50 of the crop, 0 for a plain area."""
    min_mouth: float = 0.008
    """Smallest `speech_motion` where several faces are on screen; GRID's speakers: 0.016 to 0.087, 0.004 in silence."""

    @property
    def max_faces(self) -> float:
        """Most faces on screen at once."""
        return 1.0 if self.one_face else float("inf")

    def __post_init__(self) -> None:
        """Refuses limits that make no sense."""
        if self.min_track_s < WINDOW_FRAMES / FPS:
            raise ConfigError(f"min_track_s {self.min_track_s} must be at least 0.2, the length of a window")
        for name in ("min_score", "max_silent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"gates.{name} {getattr(self, name)} must lie between 0 and 1")


@dataclass(frozen=True)
class Refusal:
    """Why a track is no sample."""

    gate: str
    """The gate's word; see `GATES`."""
    reason: str
    """One sentence."""
    of_pixels: bool = False
    """Whether it took a look at the pixels."""


@dataclass(frozen=True)
class _Gate:
    word: str
    measure: str
    """Key of the measured value."""
    limit: str
    """The setting with the limit: ``min_...`` or ``max_...``."""
    sentence: str
    """With places for the value and the limit."""

    def refuses(self, value: float, limit: float) -> bool:
        return value < limit - SLACK if self.limit.startswith("min") else value > limit + SLACK


_GATES = (
    _Gate("too short", "length_s", "min_track_s", "it is seen and heard for {:.2f} s, less than {:g} s"),
    _Gate("small face", "face_px", "min_face_px", "the face is {:.0f} px wide, less than {:g} px"),
    _Gate("unsure", "score", "min_score", "the detector's score is {:.2f}, less than {:g}"),
    _Gate("turned away", "yaw", "max_yaw", "the head is turned by {:.0f} degrees, more than {:g}"),
    _Gate("several faces", "n_faces", "max_faces", "{:.0f} faces are on screen at once, more than {:g}"),
    _Gate("silent", "silent_share", "max_silent", "{:.0%} of it is without speech, more than {:.0%}"),
    _Gate("blurred", "blur", "min_sharpness", "its sharpness is {:.3f}, less than {:g}"),
    _Gate("not speaking", "mouth", "min_mouth", "the mouth moves by {:.4f} during speech, less than {:g}"),
)
OF_PIXELS = ("blur", "mouth")
"""The measures that pixels are needed for; their gates come last."""
GATES = tuple(gate.word for gate in _GATES)
"""The word of each gate, in the order in which they are asked."""


def refusal(quality: Mapping[str, float], settings: GateSettings) -> Refusal | None:
    """The first gate that a track with these measures does not pass; None when it passes all.

    Parameters
    ----------
    quality : mapping
        `length_s`, `face_px`, `score`, `yaw` (degrees), `n_faces`, `silent_share`, `blur` (see `sharpness`) and
        `mouth` (see `speech_motion`). Gates of what was not measured are not asked.
    """
    for gate in _GATES:
        limit = float(getattr(settings, gate.limit))
        if gate.measure in quality and gate.refuses(quality[gate.measure], limit):
            return Refusal(gate.word, gate.sentence.format(quality[gate.measure], limit), gate.measure in OF_PIXELS)
    return None


def commonest(words: Sequence[str]) -> str:
    """The word that comes most often, of equally common ones the first; empty when there is none."""
    counted = Counter(words).most_common(1)
    return counted[0][0] if counted else ""


def silent_share(mel: NDArray[np.float32], n_frames: int) -> float:
    """Share, 0..1, of the windows of a track of `n_frames` with that mel (80, columns) that hold no speech."""
    count = n_windows(n_frames, mel.shape[1])
    if not count:
        return 1.0
    return float(silent_windows(mel, count).mean())


def sharpness(crop: Image) -> float:
    """How sharp an aligned crop (96, 96, 3) is: the spread of its Laplacian over that of its brightness.

    The variance of the Laplacian (Pech-Pacheco et al., 2000), with noise averaged out a little and the contrast
    divided out, so that it tells blur, and faces blown up from few pixels, whatever the light.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(crop[FACE]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.8), cv2.CV_32F)
    return float(edges.std() / (grey.std() + LEAST_CONTRAST))


class MouthWatch:
    """How much a mouth moves while there is speech, measured as aligned crops (96, 96, 3) come."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._contrast: list[float] = []
        self._moves: list[tuple[float, float]] = []

    def push(self, crop: Image) -> None:
        """Takes the crop of the next frame."""
        smooth = cv2.GaussianBlur(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
        grey = np.asarray(smooth, dtype=np.float32)
        if self._last is not None:
            moved = np.abs(grey - self._last)
            self._moves.append((float(moved[MOUTH].mean()), float(moved[STILL].mean())))
        self._contrast.append(float(grey[FACE].std()))
        self._last = grey

    def motion(self, mel: NDArray[np.float32]) -> float | None:
        """See `speech_motion`, for the sound (80, columns) of these frames."""
        contrast = float(np.mean(self._contrast)) + LEAST_CONTRAST if self._contrast else LEAST_CONTRAST
        return speech_motion(np.array(self._moves).reshape(-1, 2) / contrast, mel)


def speech_motion(moves: Floats, mel: NDArray[np.float32]) -> float | None:
    """How much more a mouth moves than the rest of its face while there is speech; None where there is too little.

    Parameters
    ----------
    moves : (frames - 1, 2)
        Mean change of brightness from one frame to the next, in the face's contrasts: of `MOUTH` and of `STILL`.
    mel : (80, columns)
        Of the same frames.
    """
    middle = WINDOW_FRAMES // 2  # of the window heard with a motion: the later of its two frames
    levels = [float(expert_mel(mel, start + 1 - middle).mean()) for start in range(len(moves))]
    loud = np.flatnonzero(np.array(levels) >= VOICED_LEVEL)
    if len(loud) < WINDOW_FRAMES:
        return None
    busy = np.percentile(moves[loud], BUSY_SHARE, axis=0)
    return float(busy[0] - busy[1])
