"""From one clip to what training reads: crops of its main face at 25 fps and the mel of its sound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.cache import Clip
from w2l.config import plain
from w2l.data.windows import nearest_frames
from w2l.errors import ConfigError, MediaError, NoFaceError
from w2l.faces.crop import CropSpec, cut
from w2l.faces.detector import Detector
from w2l.faces.scanning import DetectSettings, scan_clip, scan_fingerprint
from w2l.faces.tracker import Scan, Track, link_tracks, smooth_track
from w2l.files import fingerprint, source_fingerprint
from w2l.media.audio import read_audio
from w2l.media.video import probe, read_frames
from w2l.spectral import mel_spectrogram, mfcc, to_int16
from w2l.timing import FPS, SAMPLES_PER_FRAME, WINDOW_FRAMES

VERSION = 1
"""Rises whenever the same source and settings would give other crops or mels."""


@dataclass(frozen=True)
class PrepareSettings:
    """What is kept of a clip."""

    crop: CropSpec = field(default_factory=CropSpec)
    """How faces are cut: crop.kind, crop.size, crop.pads, crop.smooth_s."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """How faces are found: detect.detector, detect.stride, detect.min_face."""
    min_track_s: float = 1.0
    """A face must be seen for so many seconds on end."""

    def __post_init__(self) -> None:
        """Refuses tracks shorter than a window."""
        if self.min_track_s < 0.2:
            raise ConfigError(f"min_track_s {self.min_track_s} must be at least 0.2, the length of a window")


@dataclass(frozen=True)
class _Plan:
    """Which source frame and which box make each crop."""

    source_idx: NDArray[np.int64]
    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    first_frame: int
    """Place of the first crop on the clip's 25 fps grid."""


def prepare_fingerprint(path: Path, detector: Detector, settings: PrepareSettings) -> str:
    """Changes when anything does that the crops or the mel depend on."""
    return fingerprint(
        "preprocess", VERSION, source_fingerprint(path), scan_fingerprint(path, detector, settings.detect),
        plain(settings.crop), settings.min_track_s,
    )  # fmt: skip


def prepare_clip(
    clip: Clip, path: Path, detector: Detector, settings: PrepareSettings, force: bool = False
) -> dict[str, Any]:
    """Writes the main face track of the video at `path` into `clip`; returns facts for clip.json.

    Detections that the cache has are used unless `force` asks for new ones.

    Raises
    ------
    MediaError
        For a video or sound that cannot be read or is too short.
    NoFaceError
        When no face is seen for `min_track_s` on end.
    """
    info = probe(path)
    if not info.has_sound:
        raise MediaError(f"{path} has no sound stream; training needs pictures and sound")
    wave = read_audio(path, origin_s=info.start_s)
    scan, _ = scan_clip(clip, path, detector, settings.detect, force)
    plan = _plan(path, scan, settings)
    n_frames = min(len(plan.source_idx), (len(wave) // SAMPLES_PER_FRAME) - plan.first_frame)
    if n_frames < WINDOW_FRAMES:
        raise MediaError(f"{path}: picture and sound overlap for {max(n_frames, 0) / FPS:.2f} s, less than one window")
    start = plan.first_frame * SAMPLES_PER_FRAME
    sounds = _sounds(wave[start : start + n_frames * SAMPLES_PER_FRAME], settings.crop)
    shape = (n_frames, settings.crop.size, settings.crop.size, 3)
    clip.write_track(0, _crops(path, plan, n_frames, settings.crop), shape, sounds)
    n_columns = sounds["mel"].shape[1]
    return {
        "frames": scan.n_frames, "fps": round(info.fps, 6), "size": [scan.width, scan.height],
        "tracks": [{"n_frames": n_frames, "n_columns": n_columns, "first_frame": plan.first_frame}],
    }  # fmt: skip


def _sounds(wave: NDArray[np.float32], spec: CropSpec) -> dict[str, NDArray[np.float32]]:
    sounds = {"mel": mel_spectrogram(wave)}
    if spec.kind == "judge":
        sounds["mfcc"] = mfcc(to_int16(wave))
    return sounds


def _plan(path: Path, scan: Scan, settings: PrepareSettings) -> _Plan:
    tracks = [track for track in link_tracks(scan) if _duration_s(scan, track) > settings.min_track_s - 1e-6]
    if not tracks:
        seen = len(np.unique(scan.frame))
        raise NoFaceError(
            f"{path}: no face seen for {settings.min_track_s:g} s on end (faces in {seen} looked-at frames of "
            f"{scan.n_frames}); try a smaller detect.min_face or another detector"
        )
    track = smooth_track(tracks[0], settings.crop.smooth_s * scan.fps)
    nearest = nearest_frames(scan.times, FPS)
    inside = np.flatnonzero((nearest >= track.start) & (nearest < track.stop))
    rows = nearest[inside] - track.start
    return _Plan(nearest[inside], track.boxes[rows], track.points[rows], int(inside[0]))


def _duration_s(scan: Scan, track: Track) -> float:
    return float(scan.times[track.stop - 1] - scan.times[track.start]) + 1 / scan.fps


def _crops(path: Path, plan: _Plan, count: int, spec: CropSpec) -> Iterator[NDArray[np.uint8]]:
    row = 0
    for frame in read_frames(path):
        while row < count and plan.source_idx[row] == frame.idx:
            yield cut(frame.image, plan.boxes[row], plan.points[row], spec)
            row += 1
        if row >= count:
            return
    raise MediaError(f"{path}: only {row} of {count} frames could be read the second time; copy or record it again")
