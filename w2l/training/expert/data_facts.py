"""Statistics of training data measured without any network, for the checks before a long run."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.timing import FPS, MEL_RATE, mel_columns
from w2l.data.batches.tracks import Tracks

MAX_LAG = 15
"""Largest lag between mouth and audio that is tried, in frames, both ways."""
LOOKED_AT = 250
"""Largest number of frames of a track that are read: 10 s."""
MOUTH_ROWS, MOUTH_COLUMNS = (0.55, 0.95), (0.25, 0.75)
"""Position of the mouth in crops of all kinds, as shares of their height and width."""
SLOW = 13
"""Frames over which the slow trend of a clip is averaged, about half a second: it is similar in all clips (silence, a
sentence, silence), whether their audio is their own or not, so it is removed before lags are compared."""
FLAT = 1e-3
"""Standard deviation below which a curve counts as constant."""


@dataclass(frozen=True)
class TrackStatistics:
    """Statistics of one track."""

    name: str
    """The clip."""
    n_frames: int
    n_columns: int
    silent_share: float
    """Share of its silent windows, 0..1."""
    contrast: float
    """Standard deviation within a crop, in grey levels, median over crops; 0 for a single colour."""
    motion: float
    """Mean change of the mouth from frame to frame, in grey levels; 0 for a still."""
    lags: NDArray[np.float64] | None
    """(2 * MAX_LAG + 1,): correlation of mouth motion with loudness for audio that runs ahead by -MAX_LAG to MAX_LAG
    frames; None if one of them is constant or the track too short."""
    picture: str
    """Hash of some of its crops."""
    sound: str
    """Hash of its mel; "" for constant ones."""


def track_statistics(tracks: Tracks, track: int) -> TrackStatistics:
    """Read at most 10 s of the crops of one track, and its mel."""
    mel = tracks.mel(track)
    starts = range(0, min(int(tracks.counts[track]), LOOKED_AT), tracks.n_frames)
    frames = np.concatenate([tracks.window(track, start) for start in starts])
    motion = mouth_changes(frames)
    chosen = np.ascontiguousarray(frames[[0, len(frames) // 2, -1]])
    return TrackStatistics(
        name=tracks.names[track],
        n_frames=len(tracks.frames(track)),
        n_columns=mel.shape[1],
        silent_share=float(tracks.silent(track).mean()),
        contrast=float(np.median(chosen.std(axis=(1, 2, 3)))),
        motion=float(motion.mean()),
        lags=lag_correlations(motion, loudness(mel, len(motion))),
        picture=hashlib.sha256(chosen.tobytes()).hexdigest(),
        sound=hashlib.sha256(np.ascontiguousarray(mel).tobytes()).hexdigest() if mel.std() > FLAT else "",
    )


def mouth_changes(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much the mouth changes around each frame, (frames,), in grey levels, from (frames, ..., 3) crops."""
    height, width = frames.shape[1:3]
    rows = slice(*(round(share * height) for share in MOUTH_ROWS))
    columns = slice(*(round(share * width) for share in MOUTH_COLUMNS))
    mouth = frames[:, rows, columns].astype(np.int16)
    change = np.abs(np.diff(mouth, axis=0)).mean(axis=(1, 2, 3))
    padded = np.concatenate([change[:1], change, change[-1:]])
    return np.asarray((padded[1:] + padded[:-1]) / 2, dtype=np.float64)


def loudness(mel: NDArray[np.float32], n_frames: int) -> NDArray[np.float64]:
    """Return the mean mel level during each of `n_frames` frames, as far as the audio goes; mel (80, columns)."""
    edges = np.minimum(np.round(np.arange(n_frames + 1) * MEL_RATE / FPS).astype(int), mel.shape[1])
    edges = edges[: int(np.searchsorted(edges, mel.shape[1])) + 1]
    sums = np.concatenate([[0.0], np.cumsum(mel.mean(axis=0, dtype=np.float64))])
    return np.asarray(np.diff(sums[edges]) / np.diff(edges))


def lag_correlations(motion: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Correlate ``motion[i]`` with ``level[i - lag]``, lags from -MAX_LAG to MAX_LAG; see `TrackStatistics.lags`.

    The sign is that of an offset: if the audio runs ahead of the picture by n frames, the peak is at n.
    """
    n = min(len(motion), len(level))
    if n < 3 * MAX_LAG or motion[:n].std() < FLAT or level[:n].std() < FLAT:
        return None
    motion, level = _quick(motion[:n]), _quick(level[:n])
    found = np.zeros(2 * MAX_LAG + 1)
    for column, lag in enumerate(range(-MAX_LAG, MAX_LAG + 1)):
        one = motion[max(lag, 0) : n + min(lag, 0)]
        other = level[max(-lag, 0) : n + min(-lag, 0)]
        spread = one.std() * other.std()
        found[column] = ((one - one.mean()) * (other - other.mean())).mean() / spread if spread > FLAT**2 else 0.0
    return found


def _quick(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the curve without its moving average over `SLOW` frames."""
    kernel = np.ones(SLOW)
    return curve - np.convolve(curve, kernel, "same") / np.convolve(np.ones(len(curve)), kernel, "same")


def missing_sound(facts: TrackStatistics) -> float:
    """Return by how many frames the audio is shorter than the picture; negative if it is longer."""
    return facts.n_frames - (facts.n_columns - mel_columns(0)) * FPS / MEL_RATE
