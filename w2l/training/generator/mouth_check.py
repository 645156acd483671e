"""Validation of generated mouths: whether they move, close and rest like the real ones.

The measures are those of `w2l score` (see `w2l.scoring.metrics.mouth`), on whole stretches of a few validation clips: a
window of five frames is too short for them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.timing import FPS, MEL_RATE
from w2l.data.batches.tracks import Tracks
from w2l.features.aperture import Word, beside, leak, speech_and_rest
from w2l.features.crop import CropSpec
from w2l.features.pauses import pauses
from w2l.models.lip_reader import read_lips

logger = logging.getLogger(__name__)

MAX_FRAMES = 150
"""Longest stretch of a track: 6 s."""
FIGURES = {
    "articulation": "articulation", "closure_recall": "closure", "leak": "leak", "aperture_corr": "aperture_r",
}  # fmt: skip
"""Column of `w2l score` -> its name among the scores of a validation."""


@dataclass(frozen=True)
class MouthStretch:
    """Consecutive frames of a track that are measured."""

    track: int
    first: int
    stop: int
    """Last frame plus one."""


@dataclass(frozen=True)
class RealMouth:
    """Measures of the real mouth in a stretch; (frames,) each."""

    gaps: Floats
    """Aperture in eye distances."""
    speech: NDArray[np.bool_]
    rest: NDArray[np.bool_]
    """Frames in speech, and those in which a mouth should rest."""
    words: tuple[Word, ...]
    """Words with times in seconds from the stretch's first frame."""


Generate = Callable[[MouthStretch], Floats]
"""Generates the lower halves (frames, rows, width, 3), RGB in 0..255, of a stretch from its own audio.

As in `w2l.syncing.engine` at inference, pauses should be silenced (`w2l.features.pauses.gate_silence`)."""
WordsOf = Callable[[int], Sequence[Word]]
"""The words of a track, in seconds from its frame 0; empty if unknown."""


class MouthCheck:
    """Compares generated mouths with the real ones of the same few stretches at each call."""

    def __init__(
        self, tracks: Tracks, crop: CropSpec, n_tracks: int, words: WordsOf | None = None,
        max_frames: int = MAX_FRAMES,
    ) -> None:  # fmt: skip
        """Choose the stretches, the same ones for the same tracks; real mouths are measured on first use.

        Nothing is measured, with a note in the log, if crops are not aligned: the lip reader requires a fixed mouth
        position. With `words`, closures are those of b, p and m; else all in speech.
        """
        self._tracks, self._words, self._real = tracks, words, dict[MouthStretch, RealMouth]()
        self.stretches = tuple(_stretch(tracks, track, max_frames) for track in _chosen(tracks, n_tracks))
        self._reads = crop.kind == "aligned"
        if not self._reads:
            logger.info("crops are of kind %s; validation measures lips only on aligned crops", crop.kind)

    def measure(self, generate: Generate) -> dict[str, float]:
        """Return means over the tracks; a measure that no track has is left out, so none is ever nan.

        `articulation` (motion relative to the real mouth: 1 is equal), `closure` (share, 0 to 1, of the real closures
        that are matched; a mouth that stays shut has 1), `leak` (motion in pauses over that in speech: 0 rests),
        `aperture_r` (correlation, -1 to 1).
        """
        read = self.stretches if self._reads else ()
        found = [self._measured(stretch, generate(stretch)) for stretch in read]
        told = {name: [one[name] for one in found if name in one] for name in FIGURES}
        return {FIGURES[name]: float(np.mean(values)) for name, values in told.items() if values}

    def _measured(self, stretch: MouthStretch, generated: Floats) -> dict[str, float]:
        faces = np.array(self._tracks.frames(stretch.track)[stretch.first : stretch.stop])
        real = self._real_mouth(stretch, faces)
        half = faces.shape[1] // 2
        if generated.shape != faces[:, half:].shape:
            raise ValueError(f"lower halves of {stretch} must be {faces[:, half:].shape}, got {generated.shape}")
        faces[:, half:] = generated.clip(0, 255).round().astype(np.uint8)
        gaps, _ = read_lips(faces)
        found = beside(gaps, real.gaps, real.speech, FPS, real.words)
        leaking = leak(gaps, real.speech, real.rest)
        return found if leaking is None else {**found, "leak": leaking}

    def _real_mouth(self, stretch: MouthStretch, faces: NDArray[np.uint8]) -> RealMouth:
        if stretch not in self._real:
            gaps, _ = read_lips(faces)
            inside = slice(stretch.first, stretch.stop)
            speech, rest = (frames[inside] for frames in _speech_and_rest(self._tracks, stretch.track))
            begin_s = stretch.first / FPS
            words = self._words(stretch.track) if self._words else ()
            moved = tuple((start_s - begin_s, end_s - begin_s, word) for start_s, end_s, word in words)
            self._real[stretch] = RealMouth(gaps, speech, rest, moved)
        return self._real[stretch]


def _chosen(tracks: Tracks, n_tracks: int) -> list[int]:
    """Return tracks of all speakers in equal shares, as far as possible, evenly spaced among each speaker's."""
    groups = [sorted(group.tolist(), key=lambda track: (tracks.names[track], track)) for group in tracks.of_speakers]
    groups = [groups[number] for number in _spread(len(groups), n_tracks)]
    shares = [0] * len(groups)
    while sum(shares) < min(n_tracks, len(tracks)):
        open_groups = [number for number, group in enumerate(groups) if shares[number] < len(group)]
        shares[min(open_groups, key=shares.__getitem__)] += 1
    return [group[number] for group, share in zip(groups, shares) for number in _spread(len(group), share)]


def _spread(length: int, count: int) -> list[int]:
    """Return `count` evenly spaced indices below `length`, or all of them."""
    count = min(count, length)
    return [(2 * number + 1) * length // (2 * count) for number in range(count)]


def _stretch(tracks: Tracks, track: int, max_frames: int) -> MouthStretch:
    """Return the part of a track, at most `max_frames` long, with most of both speech and rest; the first of equals."""
    n_frames = _n_frames(tracks, track)
    if n_frames <= max_frames:
        return MouthStretch(track, 0, n_frames)
    speech, rest = _speech_and_rest(tracks, track)

    def worth(first: int) -> tuple[int, int]:
        spoken, resting = (int(frames[first : first + max_frames].sum()) for frames in (speech, rest))
        return min(spoken, resting), spoken

    first = max(range(0, n_frames - max_frames + 1, max(max_frames // 2, 1)), key=worth)
    return MouthStretch(track, first, first + max_frames)


def _n_frames(tracks: Tracks, track: int) -> int:
    """Return the number of frames of a track that have audio."""
    return int(tracks.counts[track]) + tracks.n_frames - 1


def _speech_and_rest(tracks: Tracks, track: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return speech_and_rest(pauses(tracks.mel(track)), MEL_RATE, FPS, _n_frames(tracks, track))
