"""Linking detections to tracks: one face, with one box and five points on every frame of its stay in a shot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.faces.appearance import NO_LOOK, likenesses, typical
from w2l.faces.turning import turns
from w2l.features import boxes as bx

MAX_GAP_S = 1.0
"""Longest time without a detection that a track survives, in seconds; the frames between are interpolated."""
MIN_OVERLAP = 0.2
"""Smallest overlap (intersection over union) of a detection with the expected position of its track."""
PACE_FRAMES = 4
"""Number of detections of a track from which its movement is extrapolated."""
MAX_GROWTH = 1.8
"""Largest change of a face's side, as a factor, from one detection to the next."""
SURE_GAP_S = 0.16
"""Gap in seconds up to which the position identifies a face, unless it looks like a stranger."""
ALIKE = 0.6
"""Smallest likeness of a face before and after a longer gap."""
NOT_STRANGE = 0.25
"""Smallest likeness of a face before and after a short one."""


def _none() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Scan:
    """All detections of one video."""

    n_frames: int
    """Number of frames read."""
    fps: float
    """Their average rate."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    times: Floats
    """(frames,): seconds since the first frame."""
    frame: NDArray[np.int64]
    """(detections,): frame index of each detection, never decreasing."""
    box: Floats
    """(detections, 4)"""
    score: Floats
    """(detections,): 0..1"""
    points: Floats
    """(detections, 5, 2)"""
    detector: str
    """Fingerprint of the detector."""
    stride: int
    """Number of frames from one detection of a known face to the next."""
    cuts: NDArray[np.int64] = field(default_factory=_none)
    """(cuts,): the first frame of each shot but the first."""
    looks: NDArray[np.uint8] = field(default_factory=lambda: NO_LOOK[None][:0])
    """(detections, side, side, 3): appearance of each face, small and aligned; no rows if it was not stored."""
    renewed: Floats = field(default_factory=lambda: np.zeros(0))
    """(frames,): change of the whole picture across each frame, see `w2l.faces.turning`; empty where not known."""

    @property
    def shots(self) -> list[tuple[int, int]]:
        """Return the first frame of each shot, and the one after its last."""
        return list(pairwise([0, *self.cuts.tolist(), self.n_frames]))


@dataclass(frozen=True)
class Track:
    """One face through one shot, one row for every frame from `start` on."""

    start: int
    """Index of the first frame."""
    boxes: Floats
    """(frames, 4)"""
    points: Floats
    """(frames, 5, 2)"""
    scores: Floats
    """(frames,): 0..1, interpolated like the boxes."""
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """(frames,): False in gaps, where boxes and points are interpolated; by default True everywhere."""
    look: NDArray[np.uint8] = field(default_factory=NO_LOOK.copy)
    """(side, side, 3): its typical appearance; all 0 if unknown."""
    alike: Floats = field(default_factory=lambda: np.zeros(0))
    """(frames,): likeness to it, see `w2l.faces.appearance.likeness`; by default 1 everywhere."""

    def __post_init__(self) -> None:
        if not len(self.seen):
            object.__setattr__(self, "seen", np.ones(len(self.boxes), dtype=np.bool_))
        if not len(self.alike):
            object.__setattr__(self, "alike", np.ones(len(self.boxes)))

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.boxes)

    @property
    def stop(self) -> int:
        """Index of the frame after the last."""
        return self.start + len(self.boxes)

    @property
    def side(self) -> float:
        """Typical side of the box in pixels."""
        return float(np.median(np.sqrt(bx.area(self.boxes))))

    @property
    def presence(self) -> float:
        """Face area summed over the frames where it is detected: how prominent the face is in the video."""
        return float(bx.area(self.boxes)[self.seen].sum())

    def within(self, start: int, stop: int) -> Track:
        """Return the rows of the frames from `start` to `stop` (exclusive); there may be none."""
        first = min(max(start, self.start), self.stop)
        rows = slice(first - self.start, max(first, min(stop, self.stop)) - self.start)
        arrays = {name: getattr(self, name)[rows] for name in ("boxes", "points", "scores", "seen", "alike")}
        return replace(self, start=first, **arrays)


def link_tracks(scan: Scan) -> list[Track]:
    """Return the tracks of a scan, the one with the most face area over time first; none crosses a cut."""
    tracks = [
        _fill(scan, part, first, stop)
        for first, stop in scan.shots
        for chain in _chains(scan, first, stop)
        for part in _persons(scan, chain)
    ]
    return sorted(tracks, key=lambda track: -track.presence)


def smooth_track(track: Track, sigma_frames: float) -> Track:
    """Smooth boxes and points of a track over time with a centred Gaussian, without lag."""
    return replace(
        track,
        boxes=bx.smooth_gaussian(track.boxes, sigma_frames),
        points=bx.smooth_gaussian(track.points, sigma_frames),
    )


def _chains(scan: Scan, first: int, stop: int) -> list[list[int]]:
    """Return rows of the scan that belong to one face each, within the shot from `first` to `stop` (exclusive)."""
    max_gap = max(round(MAX_GAP_S * scan.fps), scan.stride)
    done: list[list[int]] = []
    live: list[list[int]] = []
    rows = np.flatnonzero((scan.frame >= first) & (scan.frame < stop))
    for fresh in np.split(rows, np.flatnonzero(np.diff(scan.frame[rows])) + 1):
        if not len(fresh):
            continue
        frame_idx = int(scan.frame[fresh[0]])
        done.extend(chain for chain in live if frame_idx - scan.frame[chain[-1]] > max_gap)
        live = [chain for chain in live if frame_idx - scan.frame[chain[-1]] <= max_gap]
        taken = best_pairs(_fitness(scan, live, fresh, frame_idx))
        for chain_idx, fresh_idx in taken.items():
            live[chain_idx].append(int(fresh[fresh_idx]))
        born = sorted(set(range(len(fresh))) - set(taken.values()))
        live.extend([int(fresh[fresh_idx])] for fresh_idx in born)
    return done + live


def _persons(scan: Scan, chain: list[int]) -> list[list[int]]:
    """Split a chain into parts of one person each."""
    if not len(scan.looks) or not len(scan.renewed):
        return [chain]
    frames = scan.frame[chain]
    edges = [0, *turns(scan.looks[chain], scan.times[frames], scan.renewed[frames]), len(chain)]
    return [chain[start:stop] for start, stop in pairwise(edges)]


def _fitness(scan: Scan, live: list[list[int]], fresh: NDArray[np.intp], frame_idx: int) -> Floats:
    """Return how well each new detection continues each chain, (chains, fresh), 0..1 and 0 where it cannot."""
    if not live:
        return np.zeros((0, len(fresh)))
    last = scan.box[[chain[-1] for chain in live]]
    expected = np.stack([_expected(scan, chain, frame_idx) for chain in live])
    overlap: Floats = np.maximum(bx.iou(last, scan.box[fresh]) * 0.9, bx.iou(expected, scan.box[fresh]))
    sides = np.sqrt(bx.area(last))[:, None] / np.maximum(np.sqrt(bx.area(scan.box[fresh])), 1e-9)[None]
    overlap[(sides > MAX_GROWTH) | (sides < 1 / MAX_GROWTH)] = 0.0
    overlap[overlap < MIN_OVERLAP] = 0.0
    for chain_idx, chain in enumerate(live) if len(scan.looks) else ():
        n_missed = frame_idx - int(scan.frame[chain[-1]])
        rivals = np.flatnonzero(overlap[chain_idx])
        if not len(rivals) or (n_missed <= scan.stride and len(fresh) == 1 == len(live)):
            continue  # nothing ambiguous
        least = ALIKE if n_missed > max(SURE_GAP_S * scan.fps, scan.stride) else NOT_STRANGE
        alike = likenesses(scan.looks[fresh[rivals]], typical(scan.looks[chain[-PACE_FRAMES:]]))
        doubtful = (alike < least) & (n_missed > scan.stride)
        overlap[chain_idx, rivals] *= np.where(doubtful, 0.0, 0.5 + 0.5 * np.clip(alike, 0.0, 1.0))
    return overlap


def _expected(scan: Scan, chain: list[int], frame_idx: int) -> Floats:
    """Return the box of a chain's face expected at `frame_idx`, (4,), if its movement continues."""
    back = chain[-min(len(chain), PACE_FRAMES)]
    last = chain[-1]
    n_frames = int(scan.frame[last] - scan.frame[back])
    if not n_frames:
        return np.asarray(scan.box[last])
    centre = (scan.box[last, :2] + scan.box[last, 2:]) / 2
    before = (scan.box[back, :2] + scan.box[back, 2:]) / 2
    ahead = min(frame_idx - int(scan.frame[last]), 2 * n_frames)
    move = (centre - before) / n_frames * ahead
    return np.asarray(scan.box[last] + np.tile(move, 2))


def best_pairs(fitness: Floats) -> dict[int, int]:
    """Match rows of `fitness` (rows, columns) to columns: best values first, each used once, 0 never."""
    taken: dict[int, int] = {}
    left = fitness.copy()
    while left.size and left.max() > 0:
        chain_idx, fresh_idx = np.unravel_index(left.argmax(), left.shape)
        taken[int(chain_idx)] = int(fresh_idx)
        left[chain_idx, :] = 0.0
        left[:, fresh_idx] = 0.0
    return taken


def _fill(scan: Scan, chain: list[int], first: int, stop: int) -> Track:
    """Return a row for every frame of a chain, extended to the edges of the shot if the stride skipped them."""
    known = scan.frame[chain]
    start = first if known[0] - first < scan.stride else int(known[0])
    end = stop if stop - known[-1] <= scan.stride else int(known[-1]) + 1
    wanted = np.arange(start, end, dtype=np.int64)
    after = known[np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)]
    before = known[np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 1)]
    look = typical(scan.looks[chain]) if len(scan.looks) else NO_LOOK
    alike = likenesses(scan.looks[chain], look) if len(scan.looks) else np.ones(len(chain))
    return Track(
        start=start,
        boxes=bx.interpolate(known, scan.box[chain], wanted),
        points=bx.interpolate(known, scan.points[chain], wanted),
        scores=bx.interpolate(known, scan.score[chain], wanted),
        seen=after - before <= scan.stride,
        look=look,
        alike=bx.interpolate(known, alike, wanted),
    )
