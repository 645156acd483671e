"""From detections on some frames to tracks: one face, one box and five points on every frame of its stay in a shot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from w2l.errors import MediaError
from w2l.faces import boxes as bx
from w2l.faces.detector import Detection, Detector
from w2l.timing import FPS

if TYPE_CHECKING:
    from w2l.media.video import Frame

Floats = NDArray[np.float64]

MAX_GAP_S = 1.0
"""Longest time without a detection that a track survives; the frames between are interpolated."""
MIN_OVERLAP = 0.2
"""Least overlap (intersection over union) of successive detections of one face."""


@dataclass(frozen=True)
class Scan:
    """All detections of one video."""

    n_frames: int
    """Frames that were read."""
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
    """Every how many frames the detector looked."""


@dataclass(frozen=True)
class Track:
    """One face through one shot, a row for every frame from `start` on."""

    start: int
    """Index of the first frame."""
    boxes: Floats
    """(frames, 4)"""
    points: Floats
    """(frames, 5, 2)"""
    scores: Floats
    """(frames,): 0..1, interpolated like the boxes."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.boxes)

    @property
    def stop(self) -> int:
        """Index of the frame after the last."""
        return self.start + len(self.boxes)


def scan_faces(
    frames: Iterable[Frame], detector: Detector, stride: int = 5, on_progress: Callable[[int], None] | None = None
) -> Scan:
    """Detections on every `stride`-th frame and on the last one; holds one frame at a time.

    Parameters
    ----------
    frames : iterable of Frame
        Of one size; their order counts, not their `idx`.
    on_progress : callable
        Called with the number of frames read so far.
    """
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    times: list[float] = []
    found: list[tuple[int, Detection]] = []
    last: Frame | None = None
    for n_before, frame in enumerate(frames):
        times.append(frame.time_s)
        if n_before % stride == 0:
            found.extend((n_before, detection) for detection in detector.detect([frame.image])[0])
        last = frame
        if on_progress is not None:
            on_progress(n_before + 1)
    if last is None:
        raise MediaError("no frames to look for faces in; the video is empty")
    if (len(times) - 1) % stride:
        found.extend((len(times) - 1, detection) for detection in detector.detect([last.image])[0])
    span_s = times[-1] - times[0]
    return Scan(
        n_frames=len(times),
        fps=(len(times) - 1) / span_s if span_s > 0 else float(FPS),
        width=last.image.shape[1],
        height=last.image.shape[0],
        times=np.asarray(times, dtype=np.float64),
        frame=np.array([idx for idx, _ in found], dtype=np.int64),
        box=np.array([detection.box for _, detection in found], dtype=np.float64).reshape(-1, 4),
        score=np.array([detection.score for _, detection in found], dtype=np.float64),
        points=np.array([detection.points for _, detection in found], dtype=np.float64).reshape(-1, 5, 2),
        detector=detector.fingerprint,
        stride=stride,
    )


def link_tracks(scan: Scan, cuts: Sequence[int] = ()) -> list[Track]:
    """The tracks of a scan, the one with the most face area over time first.

    Parameters
    ----------
    scan : Scan
    cuts : sequence of int
        Index of the first frame of each shot but the first; no track crosses one.
    """
    edges = sorted({0, scan.n_frames, *(cut for cut in cuts if 0 < cut < scan.n_frames)})
    tracks = [
        _fill(scan, chain, first, stop)
        for first, stop in pairwise(edges)
        for chain in _chains(scan, first, stop)
    ]  # fmt: skip
    return sorted(tracks, key=lambda track: -float(bx.area(track.boxes).sum()))


def smooth_track(track: Track, sigma_frames: float) -> Track:
    """The track with boxes and points averaged over time by a centred Gaussian: steadier, and without lag."""
    return replace(
        track,
        boxes=bx.smooth_gaussian(track.boxes, sigma_frames),
        points=bx.smooth_gaussian(track.points, sigma_frames),
    )


def _chains(scan: Scan, first: int, stop: int) -> list[list[int]]:
    """Rows of the scan that belong to one face each, within the shot of frames `first` to `stop` (exclusive)."""
    max_gap = max(round(MAX_GAP_S * scan.fps), scan.stride)
    done: list[list[int]] = []
    live: list[list[int]] = []
    for frame_idx in np.unique(scan.frame[(scan.frame >= first) & (scan.frame < stop)]):
        fresh = np.flatnonzero(scan.frame == frame_idx)
        ended = [chain for chain in live if frame_idx - scan.frame[chain[-1]] > max_gap]
        done.extend(ended)
        live = [chain for chain in live if frame_idx - scan.frame[chain[-1]] <= max_gap]
        taken = _assign(scan.box[[chain[-1] for chain in live]], scan.box[fresh])
        for chain_idx, fresh_idx in taken.items():
            live[chain_idx].append(int(fresh[fresh_idx]))
        born = sorted(set(range(len(fresh))) - set(taken.values()))
        live.extend([int(fresh[fresh_idx])] for fresh_idx in born)
    return done + live


def _assign(known: Floats, fresh: Floats) -> dict[int, int]:
    """For each known box (n, 4) that has one, its fresh box (m, 4): best overlaps first, each used once."""
    taken: dict[int, int] = {}
    overlap = bx.iou(known, fresh)
    while overlap.size and overlap.max() >= MIN_OVERLAP:
        known_idx, fresh_idx = np.unravel_index(overlap.argmax(), overlap.shape)
        taken[int(known_idx)] = int(fresh_idx)
        overlap[known_idx, :] = -1.0
        overlap[:, fresh_idx] = -1.0
    return taken


def _fill(scan: Scan, chain: list[int], first: int, stop: int) -> Track:
    """A row for every frame of a chain, held to the edges of the shot where the stride passed over them."""
    known = scan.frame[chain]
    start = first if known[0] - first < scan.stride else int(known[0])
    end = stop if stop - known[-1] <= scan.stride else int(known[-1]) + 1
    wanted = np.arange(start, end, dtype=np.int64)
    return Track(
        start=start,
        boxes=bx.interpolate(known, scan.box[chain], wanted),
        points=bx.interpolate(known, scan.points[chain], wanted),
        scores=bx.interpolate(known, scan.score[chain], wanted),
    )
