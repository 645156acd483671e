"""The detect stage: the faces of one video, kept in the cache."""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, MediaError, NoFaceError
from w2l.core.files import write_atomic
from w2l.core.log import progress
from w2l.faces.detectors.factory import make_detector
from w2l.faces.drawing import contact_sheet, draw_tracks, tile
from w2l.faces.scan import DetectSettings, clip_for, scan_clip
from w2l.faces.select import describe, steady_tracks
from w2l.faces.tracker import Scan, Track
from w2l.media.output import Output
from w2l.media.timeline import end_of, lay_out, play
from w2l.media.unfinished import Unfinished
from w2l.media.video import VideoInfo, probe, read_frames
from w2l.media.writer import VideoWriter

STAGE = "detect"


SHEET_FRAMES = 12
"""Most frames on a contact sheet."""


@dataclass(frozen=True)
class Seen:
    """One track; its place in the list is the N of `--face N`."""

    start_s: float
    end_s: float
    """Exclusive."""
    frames: int
    """Frames in which it was seen, not interpolated."""
    box: tuple[float, ...]
    """Median box x1, y1, x2, y2 in pixels."""
    score: float
    """Median of how sure the detector is, 0..1."""
    words: str
    """The same in a few words."""


@dataclass(frozen=True)
class Result:
    """What was found."""

    video: Path
    frames: int
    fps: float
    detections: int
    """Faces found in the frames looked at."""
    tracks: int
    seen: tuple[Seen, ...]
    """The tracks, by number."""
    cuts: tuple[float, ...]
    """When a new shot begins, seconds."""
    frames_with_face: int
    """Frames that belong to a track."""
    fresh: bool
    """Made now; False: read from the cache."""
    faces: Path
    """Where the cache keeps the boxes."""
    preview: Path | None


def run(
    settings: DetectSettings,
    video: Path,
    cache: Cache,
    preview: Path | None = None,
    force: bool = False,
    device: str = "cpu",
    overwrite: bool = False,
) -> Result:
    """Finds the faces of `video`, or reads them from the cache; draws them into `preview` (.png, or a video's ending).

    Raises NoFaceError when there are none, ConfigError when `preview` exists and `overwrite` is not set.
    """
    info = probe(video)
    if preview is not None:
        _check_preview(preview, video, overwrite)
    clip = clip_for(cache, video)
    detector = make_detector(settings.detector, device, settings.min_face, cache.models)
    with progress(STAGE, info.n_frames or None) as advance:
        scan, fresh = scan_clip(clip, video, detector, settings, force, lambda _total: advance())
    tracks = steady_tracks(scan)
    if not tracks:
        raise NoFaceError(f"{video}: no face in {scan.n_frames} frames; try --set min_face=20 or another detector")
    if preview is not None:
        _draw(preview, video, info, scan, tracks)
    seen = np.zeros(scan.n_frames, dtype=np.bool_)
    for track in tracks:
        seen[track.start : track.stop] = True
    return Result(
        video=video,
        frames=scan.n_frames,
        fps=round(scan.fps, 3),
        detections=len(scan.frame),
        tracks=len(tracks),
        seen=tuple(_seen(track, scan) for track in tracks),
        cuts=tuple(round(float(scan.times[cut]), 3) for cut in scan.cuts),
        frames_with_face=int(seen.sum()),
        fresh=fresh,
        faces=clip.faces,
        preview=preview,
    )


def _seen(track: Track, scan: Scan) -> Seen:
    return Seen(
        start_s=round(float(scan.times[track.start]), 3),
        end_s=round(float(scan.times[track.stop - 1]) + 1 / scan.fps, 3),
        frames=int(track.seen.sum()),
        box=tuple(round(float(side), 1) for side in np.median(track.boxes, axis=0)),
        score=round(float(np.median(track.scores)), 3),
        words=describe(track, scan),
    )


def _check_preview(preview: Path, video: Path, overwrite: bool) -> None:
    if preview.resolve() == video.resolve():
        raise ConfigError(f"{preview} is the input; name another file for --preview")
    if preview.is_file() and not overwrite:
        raise ConfigError(f"{preview} exists; overwrite it with -y or name another file for --preview")
    if preview.suffix.lower() != ".png":
        Unfinished(preview, "h264")  # looks at folder and ending
    elif not preview.absolute().parent.is_dir():
        raise MediaError(f"{preview}: there is no folder {preview.parent}; make it or name another")


def _draw(preview: Path, video: Path, info: VideoInfo, scan: Scan, tracks: list[Track]) -> None:
    if preview.suffix.lower() == ".png":
        _draw_sheet(preview, video, scan, tracks)
        return
    cuts = set(scan.cuts.tolist())
    end_s = end_of(scan.times, info.fps, info.end_s)
    timeline = lay_out(scan.times, end_s, info.fps, end_s)
    output = Output(
        preview,
        scan.width,
        scan.height,
        timeline.fps,
        pixel_aspect=info.pixel_aspect,
        speech=video if info.has_sound else None,
        speech_origin_s=info.start_s,
        until_s=timeline.end_s,
        speech_until_s=math.inf,
        variable=not timeline.constant,
    )
    with VideoWriter(output) as writer, progress("preview", len(timeline)) as advance:
        for frame, time_s in zip(play(video, scan.times, timeline.source), timeline.times.tolist()):
            writer.write(draw_tracks(frame.image, frame.idx, tracks, cuts), time_s)
            advance()


def _draw_sheet(path: Path, video: Path, scan: Scan, tracks: list[Track]) -> None:
    chosen = set(np.linspace(0, scan.n_frames - 1, SHEET_FRAMES).round().astype(int).tolist())
    tiles = [
        tile(
            draw_tracks(frame.image, frame.idx, tracks, scan.cuts.tolist()),
            f"{frame.time_s:.1f} s, shot {int((scan.cuts <= frame.idx).sum())}",
        )
        for frame in read_frames(video)
        if frame.idx in chosen
    ]
    encoded = cv2.imencode(".png", contact_sheet(tiles)[..., ::-1])[1]
    write_atomic(path, lambda file: file.write(encoded.tobytes()))
