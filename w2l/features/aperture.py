"""What the opening of a mouth over time says: where it closes, whether it rests in silence, how much it moves; pure.

An aperture is the gap between the lips in each frame, (frames,), in eye distances of the face.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.intervals import runs

Mask = NDArray[np.bool_]

CLOSED_SHARE = 0.3
"""A mouth counts as closed under this share of the way from its narrowest to its widest..."""
NARROWEST, WIDEST = 2.0, 95.0
"""... which are these percentiles of the real aperture."""
MIN_RANGE = 0.02
"""With less between the two, in eye distances, the mouth hardly moves: nothing tells closed from open."""
TOLERANCE_S = 0.04
"""Seconds by which the other mouth may close earlier or later: a frame at 25 fps."""
BILABIALS = "bpm"
"""Letters of the sounds that the lips close for."""
NO_WORDS = ("sil", "sp", "spn")
"""What alignments call stretches without a word."""
ONSET_S = (0.12, 0.06)
"""Seconds before and after the onset of a word in which the lips close for its first sound."""
SETTLE_S = 0.12
"""Seconds at both ends of a pause in which a real mouth still closes, or opens ahead of the next sound."""
STILL = 0.004
"""Mean motion, in eye distances a frame, under which a mouth does not move: what is seen then is grain."""
MIN_STEPS = 5
"""Fewer steps from frame to frame than this say nothing about motion."""

Word = tuple[float, float, str]


def closed_level(real: Floats) -> float | None:
    """The aperture under which this mouth counts as closed; None for one that hardly moves."""
    low, high = (float(level) for level in np.percentile(real, [NARROWEST, WIDEST]))
    return low + CLOSED_SHARE * (high - low) if high - low >= MIN_RANGE else None


def bilabial_spans(words: Sequence[Word]) -> list[tuple[float, float]]:
    """Seconds in which the lips close for a b, p or m: around the onset of a word, or anywhere inside of it."""
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
    """First and last-plus-one frame of each time that the real mouth closes in speech.

    Without `words`: stretches under `level` between two openings. With them: the narrowest frame of each span of a
    b, p or m in which it closes.
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
    """Share of the real mouth's `closures` at which the other one is closed too; None where there are none."""
    slack = max(1, round(TOLERANCE_S * fps))
    met = [bool((output[max(0, start - slack) : stop + slack] < level).any()) for start, stop in events]
    return float(np.mean(met)) if met else None


def closure_precision(output: Floats, real: Floats, level: float, speech: Mask, fps: float) -> float | None:
    """Share of the frames in speech with a closed mouth where the real one closes, too; None where none is closed."""
    asked = np.flatnonzero((output < level) & speech)
    slack = max(1, round(TOLERANCE_S * fps))
    closed = real < level
    met = [bool(closed[max(0, frame - slack) : frame + slack + 1].any()) for frame in asked]
    return float(np.mean(met)) if met else None


def speech_and_rest(paused: Mask, column_rate: float, fps: float, n_frames: int) -> tuple[Mask, Mask]:
    """Which frames lie in speech, and in which the mouth should rest: (n_frames,) each.

    `paused` (columns,): the columns of a mel, `column_rate` a second, that lie in pauses; see `w2l.features.pauses`.
    A mouth settles after speech and prepares for it, so that the ends of a pause count as neither.
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
    """Mean change of an aperture from frame to frame within `where` (frames,); None with too few frames.

    Each value first becomes the mean of itself, twice, and its neighbours: grain makes a resting mouth tremble.
    """
    if len(values) < 2:
        return None
    padded = np.pad(values, 1, mode="edge")
    calm = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    within = where[1:] & where[:-1]
    return float(np.abs(np.diff(calm))[within].mean()) if within.sum() >= MIN_STEPS else None


def leak(output: Floats, speech: Mask, rest: Mask) -> float | None:
    """Motion in `rest` over that in `speech`; None without either, or for a mouth that does not move in speech."""
    resting, moving = motion(output, rest), motion(output, speech)
    return resting / moving if resting is not None and moving is not None and moving >= STILL else None


def articulation(output: Floats, real: Floats, where: Mask) -> float | None:
    """Motion over that of the real mouth within `where`; None with too few frames, or where the real one is still."""
    moving, model = motion(output, where), motion(real, where)
    return moving / model if moving is not None and model is not None and model >= STILL else None


def correlation(output: Floats, real: Floats) -> float | None:
    """Pearson's correlation of two apertures; None where one of them stands still."""
    if len(real) < MIN_STEPS or min(float(output.std()), float(real.std())) < 1e-9:
        return None
    return float(np.corrcoef(output, real)[0, 1])


def beside(output: Floats, real: Floats, speech: Mask, fps: float, words: Sequence[Word] = ()) -> dict[str, float]:
    """What tells a mouth from the real one that says the same, frame by frame: (frames,) each.

    `articulation`, `aperture_corr`, `closure_recall` and `closure_precision` as in `w2l.scoring.metrics.mouth`; those
    that cannot be told are left out. `words` in seconds from the first frame.
    """
    found = {"articulation": articulation(output, real, speech), "aperture_corr": correlation(output, real)}
    if (level := closed_level(real)) is not None:
        events = closures(real, level, speech, fps, words)
        found["closure_recall"] = closure_recall(output, level, events, fps)
        found["closure_precision"] = closure_precision(output, real, level, speech, fps)
    return {name: value for name, value in found.items() if value is not None}
