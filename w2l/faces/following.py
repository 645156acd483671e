"""Which face is redrawn in every frame, and how it usually looks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.faces.crop import CropSpec, Image, cut
from w2l.faces.tracker import Scan, link_tracks, smooth_track
from w2l.media.video import Frame

MIN_TRACK_S = 0.2
"""A face seen for less time, in seconds, is taken for a false alarm."""
REFERENCE_S = 2.0
"""Seconds at the beginning of a track among whose frames the still reference is chosen."""
HAND_POINTS = np.array([[0.27, 0.386], [0.73, 0.386], [0.50, 0.584], [0.30, 0.778], [0.70, 0.778]])
"""Where eyes, nose and mouth corners lie in a face box of side 1: the mean over GRID's speakers, made symmetric."""


@dataclass(frozen=True)
class Face:
    """The face to redraw in one frame."""

    track: int
    box: NDArray[np.float64]
    points: NDArray[np.float64]


@dataclass(frozen=True)
class Faces:
    """Which face to redraw in every frame of the source; the last row also counts for all frames after it."""

    track: NDArray[np.int64]
    """(frames,): which track; -1 where there is no face."""
    boxes: NDArray[np.float64]
    """(frames, 4)"""
    points: NDArray[np.float64]
    """(frames, 5, 2)"""

    def at(self, frame_idx: int) -> Face | None:
        """The face in one frame, if there is one."""
        row = min(frame_idx, len(self.track) - 1)
        track = int(self.track[row])
        return None if track < 0 else Face(track, self.boxes[row], self.points[row])


def follow(scan: Scan, smooth_s: float) -> Faces:
    """The main face of a scan in every frame: the track with most area over time where it is, else the next one.

    `smooth_s` is the standard deviation in seconds of the Gaussian that steadies boxes and points.
    """
    shortest = min(scan.n_frames, max(1, round(MIN_TRACK_S * scan.fps)))
    faces = Faces(
        np.full(scan.n_frames, -1, dtype=np.int64), np.zeros((scan.n_frames, 4)), np.zeros((scan.n_frames, 5, 2))
    )
    tracks = [track for track in link_tracks(scan) if len(track) >= shortest]
    for number, track in enumerate(tracks):
        steady = smooth_track(track, smooth_s * scan.fps)
        free = np.flatnonzero(faces.track[track.start : track.stop] < 0)
        rows = free + track.start
        faces.track[rows] = number
        faces.boxes[rows] = steady.boxes[free]
        faces.points[rows] = steady.points[free]
    return faces


def fixed_face(box: tuple[float, float, float, float]) -> Faces:
    """The same box (x1, y1, x2, y2) in every frame, with the five points that a face in it would have."""
    corners = np.asarray(box, dtype=np.float64)
    points = corners[:2] + HAND_POINTS * (corners[2:] - corners[:2])
    return Faces(np.zeros(1, dtype=np.int64), corners[None], points[None])


def still_references(
    frames: Iterable[Frame], faces: Faces, spec: CropSpec, fps: float, n_references: int = 1
) -> dict[int, Image]:
    """For each track of `faces` the crops of it that serve as reference all along: (size, size, 3 * references).

    Of the track's first two seconds the crops nearest to their median: no blink, no blur, no odd mouth. Reads no
    further than it must.
    """
    n_looks = max(n_references, round(REFERENCE_S * fps))
    wanted = {int(number) for number in np.unique(faces.track) if number >= 0}
    chosen: dict[int, Image] = {}
    looks: list[Image] = []
    looking_at = -1
    for frame in frames:
        face = faces.at(frame.idx)
        if looks and (face is None or face.track != looking_at or len(looks) >= n_looks):
            chosen[looking_at] = _most_typical(looks, n_references)
            looks = []
        if wanted <= chosen.keys():
            return chosen
        if face is not None and face.track not in chosen:
            looking_at = face.track
            looks.append(cut(frame.image, face.box, face.points, spec))
    if looks:
        chosen[looking_at] = _most_typical(looks, n_references)
    return chosen


def _most_typical(crops: list[Image], count: int) -> Image:
    stack = np.stack(crops)
    distance = np.abs(stack - np.median(stack, axis=0)).mean(axis=(1, 2, 3))
    best = np.resize(np.argsort(distance, kind="stable"), count)
    return np.concatenate([stack[idx] for idx in best], axis=-1)
