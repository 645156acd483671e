"""From face tracks to pieces: stretches of one face at 25 fps, each of which may become a sample; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.faces.follow import yaw_of
from w2l.faces.tracker import Scan, Track, link_tracks, smooth_track
from w2l.features.boxes import area
from w2l.features.windows import nearest_frames


@dataclass(frozen=True)
class Piece:
    """A stretch of one face on the clip's grid of 25 frames per second."""

    first_frame: int
    """Its position on the grid."""
    source_idx: NDArray[np.int64]
    """(frames,): source frame of each of its frames; never decreasing."""
    boxes: Floats
    """(frames, 4), smoothed."""
    points: Floats
    """(frames, 5, 2), smoothed."""
    quality: dict[str, float]
    """Measurements that need neither pixels nor audio: `length_s`, `face_px`, `score`, `yaw`, `n_faces`."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.source_idx)

    @property
    def start_s(self) -> float:
        """Start, in seconds from the first frame."""
        return self.first_frame / FPS

    @property
    def end_s(self) -> float:
        """End, in seconds from the first frame."""
        return (self.first_frame + len(self)) / FPS


def find_pieces(scan: Scan, smooth_s: float, max_track_s: float, n_sound_frames: int) -> tuple[list[Piece], int]:
    """Return the pieces of all face tracks, sorted by time, and the number of tracks with less than a window of audio.

    Parameters
    ----------
    scan : Scan
    smooth_s : float
        Standard deviation in seconds of the Gaussian that smooths boxes and points.
    max_track_s : float
        Longer tracks are split evenly.
    n_sound_frames : int
        Frames of the grid that have audio; the rest is cut off.
    """
    nearest = nearest_frames(scan.times, FPS)
    tracks = [track for track in link_tracks(scan) if _duration_s(scan, track) > WINDOW_FRAMES / FPS - 1e-6]
    n_faces = _faces_at_once(tracks, scan.n_frames)
    pieces: list[Piece] = []
    n_unheard = 0
    for track in tracks:
        steady = smooth_track(track, smooth_s * scan.fps)
        grid = np.flatnonzero((nearest >= track.start) & (nearest < track.stop))
        heard = grid[grid < n_sound_frames]
        if len(heard) < WINDOW_FRAMES:
            n_unheard += 1
            continue
        n_parts = max(1, -(-len(heard) // round(max_track_s * FPS)))
        for part in np.array_split(heard, n_parts):
            pieces.append(_piece(steady, int(part[0]), nearest[part], n_faces))
    return sorted(pieces, key=lambda piece: (piece.first_frame, float(piece.boxes[0, 0]))), n_unheard


def _piece(track: Track, first_frame: int, source_idx: NDArray[np.int64], n_faces: NDArray[np.int64]) -> Piece:
    rows = source_idx - track.start
    boxes, points = track.boxes[rows], track.points[rows]
    quality = {
        "length_s": len(rows) / FPS,
        "face_px": float(np.median(np.sqrt(area(boxes)))),
        "score": float(np.median(track.scores[rows])),
        "yaw": float(np.median(yaw_of(points))),
        "n_faces": float(n_faces[source_idx].max()),
    }
    return Piece(first_frame, source_idx, boxes, points, quality)


def _faces_at_once(tracks: Sequence[Track], n_frames: int) -> NDArray[np.int64]:
    """Return the number of faces on screen in each frame of the source: (frames,)."""
    count = np.zeros(n_frames, dtype=np.int64)
    for track in tracks:
        count[track.start : track.stop] += 1
    return count


def _duration_s(scan: Scan, track: Track) -> float:
    return float(scan.times[track.stop - 1] - scan.times[track.start]) + 1 / scan.fps
