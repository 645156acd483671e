"""Which pictures of a video the judge sees, and where the face is that pictures are measured on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.core.errors import MediaError, NoFaceError
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.faces.tracker import Scan, Track, link_tracks, smooth_track
from w2l.features.crop import CropSpec, cut
from w2l.features.windows import nearest_frames
from w2l.media.coded import frame_times
from w2l.scoring.metrics.sync import median_filter

STEADY_FRAMES = 13
"""Frames over which the SyncNet pipeline takes the median of a face's place and size."""
STEADY_S = 0.12
"""Standard deviation, in seconds, of the Gaussian that steadies the face that pictures are measured on."""


@dataclass(frozen=True)
class Shown:
    """What makes each frame at 25 fps that the judge sees."""

    source_idx: NDArray[np.int64]
    """(frames,): index in the video's own frames."""
    first_frame: int = 0
    """Place of the first one on the video's 25 fps grid."""
    boxes: Floats | None = None
    """(frames, 4) in pixels; None where the whole picture is the face."""
    points: Floats | None = None
    """(frames, 5, 2) in pixels; None likewise."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.source_idx)

    def picture(self, image: Image, row: int, spec: CropSpec) -> Image:
        """Frame `row` as the judge sees it, from the video's picture (height, width, 3)."""
        if self.boxes is None or self.points is None:
            return image
        return cut(image, self.boxes[row], self.points[row], spec)


def whole_frames(path: Path) -> Shown:
    """All frames of the video at `path`, uncut. Raises MediaError where it cannot be read."""
    return Shown(nearest_frames(frame_times(path), FPS))


def main_face(path: Path, scan: Scan, spec: CropSpec) -> Shown:
    """The face with the most area over time that is seen for 6 frames on end.

    MediaError for a shorter video, NoFaceError where there is no such face.
    """
    nearest = nearest_frames(scan.times, FPS)
    if len(nearest) <= WINDOW_FRAMES:
        raise MediaError(
            f"{path}: the clip is too short to score: the picture lasts {len(nearest)} frames at 25 fps, and must last "
            f"{WINDOW_FRAMES + 1}; take a longer clip"
        )
    for track in link_tracks(scan):
        if (shown := _shown(track, nearest, scan, spec)) and len(shown) > WINDOW_FRAMES:
            return shown
    raise NoFaceError(
        f"{path}: no face seen for {WINDOW_FRAMES + 1} frames on end; try a smaller detect.min_face, another detector, "
        "or --variant lrs when the picture is the face"
    )


def face_tracks(path: Path, scan: Scan, spec: CropSpec, min_frames: int, min_px: float) -> list[Shown]:
    """Every face track that the SyncNet pipeline keeps: more than `min_frames` frames, a mean side over `min_px`.

    In order of their beginning. NoFaceError where there is none, which is how clips vanish from published averages.
    """
    nearest = nearest_frames(scan.times, FPS)
    kept = []
    for track in link_tracks(scan):
        sides = (track.boxes[:, 2:] - track.boxes[:, :2]).mean(axis=0)
        shown = _shown(track, nearest, scan, spec)
        if shown is not None and len(shown) > min_frames and float(sides.max()) > min_px:
            kept.append(shown)
    if not kept:
        raise NoFaceError(
            f"{path}: no face track of more than {min_frames} frames at 25 fps and {min_px:g} px, the published rule; "
            "take --variant face, or lower min_track and min_track_px"
        )
    return sorted(kept, key=lambda shown: shown.first_frame)


def _shown(track: Track, nearest: NDArray[np.int64], scan: Scan, spec: CropSpec) -> Shown | None:
    inside = np.flatnonzero((nearest >= track.start) & (nearest < track.stop))
    if not len(inside):
        return None
    if spec.kind != "judge":
        track = smooth_track(track, spec.smooth_s * scan.fps)
    rows = nearest[inside] - track.start
    boxes = steadied(track.boxes[rows]) if spec.kind == "judge" else track.boxes[rows]
    return Shown(nearest[inside], int(inside[0]), boxes, track.points[rows])


def steadied(boxes: Floats) -> Floats:
    """Squares around boxes (frames, 4), their centre and half side median-filtered as the SyncNet pipeline does.

    As published, zeros count beyond the ends; a track shorter than the filter takes a shorter filter, which leaves no
    square empty.
    """
    span = min(STEADY_FRAMES, len(boxes) - 1 + len(boxes) % 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    half = median_filter(sides.max(axis=1) / 2, span)
    x, y = (median_filter(boxes[:, [axis, axis + 2]].mean(axis=1), span) for axis in (0, 1))
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


class MeasuredFace:
    """Where the main face of a video is, frame by frame."""

    def __init__(self, scan: Scan) -> None:
        tracks = link_tracks(scan)
        self._track = smooth_track(tracks[0], STEADY_S * scan.fps) if tracks else None

    def at(self, frame_idx: int) -> tuple[Floats, Floats] | None:
        """Box (4,) and points (5, 2) in a frame; None where it is not seen."""
        track = self._track
        if track is None or not track.start <= frame_idx < track.stop:
            return None
        return track.boxes[frame_idx - track.start], track.points[frame_idx - track.start]
