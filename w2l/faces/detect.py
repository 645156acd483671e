"""The detect stage: find the faces of one video and store them in the cache."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, NoFaceError
from w2l.core.progress import progress
from w2l.faces.detectors.factory import make_detector
from w2l.faces.preview import draw_preview
from w2l.faces.scan import DetectSettings, at_rate, clip_for, scan_clip
from w2l.faces.select import describe, steady_tracks
from w2l.faces.tracker import Scan, Track
from w2l.media.video import probe, sequence_at

STAGE = "detect"


@dataclass(frozen=True)
class FoundTrack:
    """One track; its index in the list is the N of `--face N`."""

    start_s: float
    end_s: float
    """Exclusive."""
    frames: int
    """Frames in which it was detected, not interpolated."""
    box: tuple[float, ...]
    """Median box x1, y1, x2, y2 in pixels."""
    score: float
    """Median detector score, 0..1."""
    words: str
    """A short description."""


@dataclass(frozen=True)
class DetectResult:
    """The detected faces."""

    video: Path
    frames: int
    fps: float
    detections: int
    """Faces found in the frames searched."""
    tracks: int
    seen: tuple[FoundTrack, ...]
    """The tracks, by number."""
    cuts: tuple[float, ...]
    """Start times of the shots after the first, in seconds."""
    frames_with_face: int
    """Frames that belong to a track."""
    fresh: bool
    """Whether detection ran now; False: read from the cache."""
    faces: Path
    """Path of the boxes in the cache."""
    preview: Path | None


def run(
    settings: DetectSettings,
    video: Path,
    cache: Cache,
    preview: Path | None = None,
    force: bool = False,
    device: str = "cpu",
    fps: float | None = None,
) -> DetectResult:
    """Find the faces of `video`, or read them from the cache; draw them into `preview` (.png, or a video suffix).

    A preview that exists is replaced. `fps` is the rate of a sequence of pictures. Raises NoFaceError for no faces.
    """
    info = sequence_at(probe(video), fps)
    if fps is not None and not info.is_sequence:
        raise ConfigError(f"--fps is the rate of a sequence of pictures, and {video} is not one; leave it out")
    clip = clip_for(cache, video)
    detector = make_detector(settings.detector, device, settings.min_face, cache.models)
    with progress(STAGE, info.n_frames or None) as advance:
        scan, fresh = scan_clip(clip, video, detector, settings, force, lambda _total: advance())
    scan = at_rate(scan, info)
    tracks = steady_tracks(scan)
    if not tracks:
        raise NoFaceError(f"{video}: no faces in {scan.n_frames} frames; try --set min_face=20 or another detector")
    if preview is not None:
        draw_preview(preview, video, info, scan, tracks)
    return DetectResult(
        video=video,
        frames=scan.n_frames,
        fps=round(scan.fps, 3),
        detections=len(scan.frame),
        tracks=len(tracks),
        seen=tuple(_seen(track, scan) for track in tracks),
        cuts=tuple(round(float(scan.times[cut]), 3) for cut in scan.cuts),
        frames_with_face=_frames_with_face(tracks, scan.n_frames),
        fresh=fresh,
        faces=clip.faces,
        preview=preview,
    )


def _frames_with_face(tracks: list[Track], n_frames: int) -> int:
    seen = np.zeros(n_frames, dtype=np.bool_)
    for track in tracks:
        seen[track.start : track.stop] = True
    return int(seen.sum())


def _seen(track: Track, scan: Scan) -> FoundTrack:
    return FoundTrack(
        start_s=round(float(scan.times[track.start]), 3),
        end_s=round(float(scan.times[track.stop - 1]) + 1 / scan.fps, 3),
        frames=int(track.seen.sum()),
        box=tuple(round(float(side), 1) for side in np.median(track.boxes, axis=0)),
        score=round(float(np.median(track.scores)), 3),
        words=describe(track, scan),
    )
