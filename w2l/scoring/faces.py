"""Selection of the frames for the judge, and position of the measured face."""

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
"""Frames of the SyncNet pipeline's median filter of a face's position and size."""
STEADY_S = 0.12
"""Standard deviation, in seconds, of the Gaussian that smooths the measured face."""


@dataclass(frozen=True)
class Shown:
    """The judge's frames at 25 fps."""

    source_idx: NDArray[np.int64]
    """(frames,): index in the video's own frames."""
    first_frame: int = 0
    """Position of the first one on the video's 25 fps grid."""
    boxes: Floats | None = None
    """(frames, 4) in pixels; None if the whole picture is the face."""
    points: Floats | None = None
    """(frames, 5, 2) in pixels; None likewise."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.source_idx)

    def picture(self, image: Image, row: int, spec: CropSpec) -> Image:
        """Return the judge's crop `row` from the video's image (height, width, 3)."""
        if self.boxes is None or self.points is None:
            return image
        return cut(image, self.boxes[row], self.points[row], spec)


def whole_frames(path: Path) -> Shown:
    """Return all frames of the video at `path`, uncropped. Raises MediaError if it cannot be read."""
    return Shown(nearest_frames(frame_times(path), FPS))


def main_face(path: Path, scan: Scan, spec: CropSpec) -> Shown:
    """Return the face with the most area over time that is visible for 6 consecutive frames.

    Raises MediaError for a shorter video, NoFaceError if there is no such face.
    """
    nearest = nearest_frames(scan.times, FPS)
    if len(nearest) <= WINDOW_FRAMES:
        raise MediaError(
            f"{path}: the clip is too short to score: the picture lasts {len(nearest)} frames at 25 fps, and must last "
            f"{WINDOW_FRAMES + 1}; use a longer clip"
        )
    for track in link_tracks(scan):
        if (shown := _shown(track, nearest, scan, spec)) and len(shown) > WINDOW_FRAMES:
            return shown
    raise NoFaceError(
        f"{path}: no face visible for {WINDOW_FRAMES + 1} consecutive frames; reduce detect.min_face, try another "
        "detector, or --variant lrs if the picture is the face"
    )


def face_tracks(path: Path, scan: Scan, spec: CropSpec, min_frames: int, min_px: float) -> list[Shown]:
    """Return every face track that the SyncNet pipeline keeps: over `min_frames` frames, a mean side over `min_px`.

    In order of their start. Raises NoFaceError if there are none, which is how clips vanish from published averages.
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
            "use --variant face, or reduce min_track and min_track_px"
        )
    return sorted(kept, key=lambda shown: shown.first_frame)


def _shown(track: Track, nearest: NDArray[np.int64], scan: Scan, spec: CropSpec) -> Shown | None:
    inside = np.flatnonzero((nearest >= track.start) & (nearest < track.stop))
    if not len(inside):
        return None
    if spec.kind != "judge":
        track = smooth_track(track, spec.smooth_s * scan.fps)
    rows = nearest[inside] - track.start
    boxes = steadied_boxes(track.boxes[rows]) if spec.kind == "judge" else track.boxes[rows]
    return Shown(nearest[inside], int(inside[0]), boxes, track.points[rows])


def steadied_boxes(boxes: Floats) -> Floats:
    """Return squares around boxes (frames, 4), centre and half side median-filtered as in the SyncNet pipeline.

    As published, zeros count beyond the ends; a track shorter than the filter uses a shorter filter, so that no
    square is empty.
    """
    span = min(STEADY_FRAMES, len(boxes) - 1 + len(boxes) % 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    half = median_filter(sides.max(axis=1) / 2, span)
    x, y = (median_filter(boxes[:, [axis, axis + 2]].mean(axis=1), span) for axis in (0, 1))
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


class MeasuredFace:
    """Position of a video's main face, frame by frame."""

    def __init__(self, scan: Scan) -> None:
        tracks = link_tracks(scan)
        self._track = smooth_track(tracks[0], STEADY_S * scan.fps) if tracks else None

    def at(self, frame_idx: int) -> tuple[Floats, Floats] | None:
        """Return box (4,) and points (5, 2) in a frame; None if the face is not detected."""
        track = self._track
        if track is None or not track.start <= frame_idx < track.stop:
            return None
        return track.boxes[frame_idx - track.start], track.points[frame_idx - track.start]
