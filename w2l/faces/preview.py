"""Previews of detected faces: a contact sheet, or the whole video with boxes."""

import math
from pathlib import Path

import cv2
import numpy as np

from w2l.core.errors import ConfigError, MediaError
from w2l.core.files import write_atomic
from w2l.core.progress import progress
from w2l.core.reading import real_path
from w2l.faces.drawing import contact_sheet, draw_tracks, tile
from w2l.faces.tracker import Scan, Track
from w2l.media.output import Output
from w2l.media.player import play
from w2l.media.timeline import end_of, lay_out
from w2l.media.unfinished import Unfinished
from w2l.media.video import VideoInfo, read_frames
from w2l.media.writer import VideoWriter

SHEET = ".png"
"""Suffix of a preview that is a contact sheet; others are videos."""
SHEET_FRAMES = 12
"""Largest number of frames on a contact sheet."""


def check_preview(preview: Path, video: Path, overwrite: bool) -> None:
    """Raise ConfigError or MediaError for a preview that cannot be written, before any work."""
    if real_path(preview) == real_path(video):
        raise ConfigError(f"{preview} is the input; choose another file for --preview")
    if preview.is_file() and not overwrite:
        raise ConfigError(f"{preview} exists; overwrite it with -y or choose another file for --preview")
    if preview.suffix.lower() != SHEET:
        Unfinished(preview, "h264")  # checks folder and suffix
    elif not preview.absolute().parent.is_dir():
        raise MediaError(f"{preview}: the folder {preview.parent} does not exist; create it or choose another")


def draw_preview(preview: Path, video: Path, info: VideoInfo, scan: Scan, tracks: list[Track]) -> None:
    """Draw the faces of `video` into `preview`."""
    if preview.suffix.lower() == SHEET:
        _draw_sheet(preview, video, scan, tracks)
    else:
        _draw_video(preview, video, info, scan, tracks)


def _draw_video(preview: Path, video: Path, info: VideoInfo, scan: Scan, tracks: list[Track]) -> None:
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
