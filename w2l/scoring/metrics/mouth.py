"""Whether the mouth moves like the real one: opens as far, closes where it must, rests in silence.

Both faces are warped to the same aligned crop by the points of the view, so that head motion does not count.
"""

import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.core.timing import MEL_RATE
from w2l.faces.detectors.landmarks import INNER_LOWER, INNER_UPPER, Landmarks
from w2l.features.aperture import articulation, beside, leak, speech_and_rest
from w2l.features.crop import CropSpec, alignment, cut
from w2l.features.pauses import pauses
from w2l.features.speech import speech_mel
from w2l.models.lip_reader import LipReader
from w2l.nets.lips import EYE_DISTANCE
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.view import Hearing, View

CROP = CropSpec("aligned", 96)
"""How faces are cropped for the lip reader."""
LIPS = slice(52, 72)
"""Indices of the lips among the 106 points."""

APERTURE_CORR, CLOSURE_RECALL, CLOSURE_PRECISION, LEAK, ARTICULATION, LMD = MOUTH_COLUMNS = (
    Column(
        "aperture_corr", "aperture r", "mouth", "higher",
        "Correlation over time of the gap between the lips with that of the real mouth, -1 to 1; only for the real "
        "clip's own speech. It does not see how far the mouth opens.",
    ),
    Column(
        "closure_recall", "closure", "mouth", "higher",
        "Share, 0 to 1, of the times that the real lips close in speech (for a b, p or m where the words are known) at "
        "which these are closed too, within a frame; only for the real clip's own speech. A mouth that never opens has "
        "1: see closure_precision.",
    ),
    Column(
        "closure_precision", "closure prec.", "mouth", "higher",
        "Share, 0 to 1, of the frames in speech with closed lips at which the real ones are closed as well, or a frame "
        "earlier or later.",
    ),
    Column(
        "leak", "leak", "mouth", "zero",
        "Motion of the lips in pauses of the sound over that in speech, mean change of their gap from frame to frame; "
        "0 for a mouth that rests. Real people move a little in pauses (about 0.1); absent without a pause of about "
        "half a second, or when the mouth does not move in speech.",
    ),
    Column(
        "articulation", "articulation", "mouth", "one",
        "Motion of the lips over that of the real video, mean change of their gap from frame to frame: 1 is as lively, "
        "0 a frozen mouth, above 1 exaggerated or trembling. Real mouths softened by 2 pixels of a 96-pixel face have "
        "0.9 to 1.2.",
    ),
    Column(
        "lmd", "LMD", "mouth", "lower",
        "Mean distance of points of the lips from those of the real video, in percent of the distance of the eyes; "
        "only for the real clip's own speech. Six points by a small network, twenty with an InsightFace 2d106det.onnx.",
        digits=2,
    ),
)  # fmt: skip
"""All columns of `Mouth`."""


class LipTracker:
    """Measures apertures in eye distances and lip points in sides of the crop, face by face."""

    def __init__(self, landmarks: Landmarks | None = None) -> None:
        self._landmarks = landmarks
        self._reader = LipReader() if landmarks is None else None
        self._gaps: list[float] = []
        self._points: list[Floats] = []

    def add(self, image: Image, box: Floats, points: Floats) -> None:
        """Add the face with `box` and five `points` of a frame."""
        if self._reader is not None:
            self._reader.add(cut(image, box, points, CROP))
        elif self._landmarks is not None:
            matrix = alignment(points, 1)
            placed = self._landmarks.place(image, box) @ matrix[:, :2].T + matrix[:, 2]
            gap = np.linalg.norm(placed[list(INNER_LOWER)] - placed[list(INNER_UPPER)], axis=1).mean()
            self._gaps.append(float(gap) / EYE_DISTANCE)
            self._points.append(placed[LIPS])

    def finish(self) -> tuple[Floats, Floats]:
        """Return apertures (frames,) and points (frames, points, 2)."""
        if self._reader is not None:
            return self._reader.finish()
        return np.array(self._gaps), np.array(self._points).reshape(len(self._gaps), -1, 2)


class Mouth:
    """Measures the mouth of one clip, with the 106 points of an InsightFace model or with the shipped lip reader."""

    def __init__(self, landmarks: Landmarks | None = None) -> None:
        self._output = LipTracker(landmarks)
        self._real = LipTracker(landmarks)
        self._has_reference = True

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that `finish` may return."""
        return MOUTH_COLUMNS

    def add(self, view: View) -> None:
        """Add the next frame."""
        self._output.add(view.output, view.box, view.points)
        if view.reference is None:
            self._has_reference = False
        elif self._has_reference:
            self._real.add(view.reference, view.box, view.points)

    def finish(self, hearing: Hearing) -> dict[str, float]:
        """Return the numbers by column name; those requiring a reference, its speech or a pause may be missing."""
        gaps, points = self._output.finish()
        if not len(gaps):
            return {}
        paused = pauses(speech_mel(hearing.wave)) if len(hearing.wave) else np.zeros(0, np.bool_)
        speech, rest = speech_and_rest(paused, MEL_RATE, hearing.fps, len(gaps))
        found: dict[str, float] = {}
        if (leaking := leak(gaps, speech, rest)) is not None:
            found[LEAK.name] = leaking
        if not self._has_reference:
            return found
        real, real_points = self._real.finish()
        if hearing.own_speech:
            found |= beside(gaps, real, speech, hearing.fps, hearing.words)
            found[LMD.name] = 100 * float(np.linalg.norm(points - real_points, axis=-1).mean()) / EYE_DISTANCE
        elif (lively := articulation(gaps, real, np.ones(len(gaps), np.bool_))) is not None:
            found[ARTICULATION.name] = lively
        return found
