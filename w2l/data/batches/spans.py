"""Stretches of clips in which something is known of the mouth, from the times of words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.data.sources.word_times import STILL
from w2l.features.aperture import Word, bilabial_spans

OfClips = Mapping[str, Sequence[tuple[float, float]]]
"""Clip -> spans in seconds, first and last."""


@dataclass(frozen=True)
class Spans:
    """Spans of clips, in seconds of each clip."""

    bilabials: OfClips = field(default_factory=dict)
    """Where lips close for a b, p or m."""
    stills: OfClips = field(default_factory=dict)
    """Where references may be taken from, but no window: the person in another look, without speech."""

    @classmethod
    def of(cls, words: Mapping[str, Sequence[Word]]) -> "Spans":
        """Find the spans of clips in their words; clips without any are left out."""
        bilabials = {clip: spans for clip, spoken in words.items() if (spans := bilabial_spans(spoken))}
        stills = {clip: spans for clip, spoken in words.items() if (spans := _stills(spoken))}
        return cls(bilabials, stills)

    def still_frames(self, clip: str, first_frame: int, n_frames: int) -> NDArray[np.int64]:
        """Return which of the `n_frames` frames of a track lie in a still; the track begins at `first_frame`."""
        inside = np.zeros(n_frames, dtype=np.bool_)
        for start_s, end_s in self.stills.get(clip, ()):
            inside[_place(start_s, first_frame) : _place(end_s, first_frame)] = True
        return np.flatnonzero(inside)


NO_SPANS = Spans()
"""Of clips of which nothing is known."""


def clear_of(frames: NDArray[np.int64], n_windows: int) -> NDArray[np.int64]:
    """Return the windows, of `n_windows`, that contain none of `frames`; all where none would be left."""
    starts = np.arange(n_windows)
    hit = ((frames[None] >= starts[:, None]) & (frames[None] < starts[:, None] + WINDOW_FRAMES)).any(axis=1)
    return starts if hit.all() else starts[~hit]


def _stills(words: Sequence[Word]) -> list[tuple[float, float]]:
    return [(start_s, end_s) for start_s, end_s, word in words if word == STILL]


def _place(time_s: float, first_frame: int) -> int:
    return max(0, round(time_s * FPS) - first_frame)
