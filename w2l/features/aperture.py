"""Measures of a mouth's aperture over time: closures, rest in silence, amount of motion; pure.

An aperture is the gap between the lips in each frame, (frames,), in eye distances of the face.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.intervals import runs

Mask = NDArray[np.bool_]

CLOSED_SHARE = 0.3
"""A mouth counts as closed below this share of the way from its narrowest to its widest..."""
NARROWEST, WIDEST = 2.0, 95.0
"""... which are these percentiles of the real aperture."""
MIN_RANGE = 0.02
"""With less between the two, in eye distances, the mouth hardly moves, and closed and open cannot be distinguished."""
TOLERANCE_S = 0.04
"""Tolerance in seconds for the other mouth's closures: a frame at 25 fps."""
BILABIALS = "bpm"
"""Letters of the bilabial sounds."""
NO_WORDS = ("sil", "sp", "spn")
"""Labels that alignments use for stretches without a word."""
ONSET_S = (0.12, 0.06)
"""Seconds before and after the onset of a word in which the lips close for its first sound."""
SETTLE_S = 0.12
"""Seconds at both ends of a pause in which a real mouth is still closing or already opening."""
STILL = 0.004
"""Mean motion, in eye distances per frame, below which a mouth counts as still: what remains is noise."""
MIN_STEPS = 5
"""Smallest number of steps from frame to frame for which motion is measured."""

Word = tuple[float, float, str]


def closed_level(real: Floats) -> float | None:
    """Return the aperture below which this mouth counts as closed; None for one that hardly moves."""
    low, high = (float(level) for level in np.percentile(real, [NARROWEST, WIDEST]))
    return low + CLOSED_SHARE * (high - low) if high - low >= MIN_RANGE else None


def bilabial_spans(words: Sequence[Word]) -> list[tuple[float, float]]:
    """Return the times (seconds) in which the lips close for a b, p or m: near a word's onset or anywhere inside it."""
    spans = []
    for start_s, end_s, word in words:
        letters = word.lower()
        if not letters or letters in NO_WORDS:
            continue
        if letters[0] in BILABIALS:
            spans.append((start_s - ONSET_S[0], start_s + ONSET_S[1]))
        elif any(letter in letters for letter in BILABIALS):
            spans.append((start_s, end_s))
    return spans


def closures(real: Floats, level: float, speech: Mask, fps: float, words: Sequence[Word] = ()) -> list[tuple[int, int]]:
    """Return the frames (first, last + 1) of each closure of the real mouth in speech.

    Without `words`: runs below `level` between two openings. With them: the narrowest frame of each span of a b, p or m
    in which it closes.
    """
    closed = real < level
    if not words:
        inside = [(start, stop) for start, stop in runs(closed) if start > 0 and stop < len(real)]
        return [(start, stop) for start, stop in inside if speech[start - 1 : stop + 1].all()]
    found = []
    for start_s, end_s in bilabial_spans(words):
        start, stop = max(0, round(start_s * fps)), min(len(real), round(end_s * fps) + 1)
        if stop > start and closed[start:stop].any():
            narrowest = start + int(real[start:stop].argmin())
            found.append((narrowest, narrowest + 1))
    return found


def closure_recall(output: Floats, level: float, events: Sequence[tuple[int, int]], fps: float) -> float | None:
    """Return the share of the real mouth's `closures` at which the other one is closed, too; None if there are none."""
    slack = max(1, round(TOLERANCE_S * fps))
    met = [bool((output[max(0, start - slack) : stop + slack] < level).any()) for start, stop in events]
    return float(np.mean(met)) if met else None


def closure_precision(output: Floats, real: Floats, level: float, speech: Mask, fps: float) -> float | None:
    """Return the share of closed frames in speech in which the real mouth is closed, too; None if none is closed."""
    asked = np.flatnonzero((output < level) & speech)
    slack = max(1, round(TOLERANCE_S * fps))
    closed = real < level
    met = [bool(closed[max(0, frame - slack) : frame + slack + 1].any()) for frame in asked]
    return float(np.mean(met)) if met else None


def speech_and_rest(paused: Mask, column_rate: float, fps: float, n_frames: int) -> tuple[Mask, Mask]:
    """Return which frames lie in speech and in which the mouth should rest: (n_frames,) each.

    `paused` (columns,): the columns of a mel, `column_rate` per second, that lie in pauses; see `w2l.features.pauses`.
    A mouth settles after speech and prepares for it, so the ends of a pause count as neither.
    """
    frames = np.arange(n_frames)
    first = np.floor(frames / fps * column_rate).astype(int)
    last = np.maximum(first + 1, np.ceil((frames + 1) / fps * column_rate).astype(int))
    quiet = np.array([bool(paused[a:b].all()) and a < len(paused) for a, b in zip(first, last)], dtype=np.bool_)
    rest = np.zeros(n_frames, dtype=np.bool_)
    settle = round(SETTLE_S * fps)
    for start, stop in runs(quiet):
        rest[start + settle * (start > 0) : max(start, stop - settle * (stop < n_frames))] = True
    sounds = np.array([a < len(paused) and not paused[a:b].any() for a, b in zip(first, last)], dtype=np.bool_)
    return sounds, rest


def motion(values: Floats, where: Mask) -> float | None:
    """Return the mean change of an aperture from frame to frame within `where` (frames,); None with too few frames.

    Each value is first averaged with its neighbours (weights 1, 2, 1): noise makes a resting mouth tremble.
    """
    if len(values) < 2:
        return None
    padded = np.pad(values, 1, mode="edge")
    calm = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    within = where[1:] & where[:-1]
    return float(np.abs(np.diff(calm))[within].mean()) if within.sum() >= MIN_STEPS else None


def leak(output: Floats, speech: Mask, rest: Mask) -> float | None:
    """Return motion in `rest` over that in `speech`; None without either, or if the mouth does not move in speech."""
    resting, moving = motion(output, rest), motion(output, speech)
    return resting / moving if resting is not None and moving is not None and moving >= STILL else None


def articulation(output: Floats, real: Floats, where: Mask) -> float | None:
    """Return motion over the real mouth's within `where`; None with too few frames or if the real mouth is still."""
    moving, model = motion(output, where), motion(real, where)
    return moving / model if moving is not None and model is not None and model >= STILL else None


def correlation(output: Floats, real: Floats) -> float | None:
    """Return Pearson's correlation of two apertures; None if one of them is constant."""
    if len(real) < MIN_STEPS or min(float(output.std()), float(real.std())) < 1e-9:
        return None
    return float(np.corrcoef(output, real)[0, 1])


def beside(output: Floats, real: Floats, speech: Mask, fps: float, words: Sequence[Word] = ()) -> dict[str, float]:
    """Compare a mouth with the real one saying the same, frame by frame: (frames,) each.

    `articulation`, `aperture_corr`, `closure_recall` and `closure_precision` as in `w2l.scoring.metrics.mouth`; those
    that cannot be measured are left out. `words` in seconds from the first frame.
    """
    found = {"articulation": articulation(output, real, speech), "aperture_corr": correlation(output, real)}
    if (level := closed_level(real)) is not None:
        events = closures(real, level, speech, fps, words)
        found["closure_recall"] = closure_recall(output, level, events, fps)
        found["closure_precision"] = closure_precision(output, real, level, speech, fps)
    return {name: value for name, value in found.items() if value is not None}
