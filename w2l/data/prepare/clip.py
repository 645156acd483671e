"""Preparation of one clip: crops of every face in it at 25 fps and the mel of its audio."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.cache.crops import Store
from w2l.cache.records import DONE, UNUSABLE, ClipRecord, PreprocessOutcome, RejectedTrack, TrackRecord
from w2l.cache.store import Clip
from w2l.core.config import plain
from w2l.core.errors import ConfigError, MediaError
from w2l.core.files import fingerprint, source_fingerprint
from w2l.core.text import one_line
from w2l.core.timing import FPS, SAMPLES_PER_FRAME
from w2l.data.prepare.cut import cut_pieces
from w2l.data.prepare.gates import OF_PIXELS, GateSettings, Refusal, commonest, refusal, silent_share
from w2l.data.prepare.samples import Piece, find_pieces
from w2l.data.prepare.sounds import Sounds, read_clip_audio, sound_features
from w2l.data.prepare.voices import VoiceSettings
from w2l.data.sources.listing import sound_beside
from w2l.faces.detectors.base import Detector
from w2l.faces.scan import DetectSettings, scan_clip, scan_fingerprint
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec
from w2l.media.video import VideoInfo, probe

VERSION = 2
"""Incremented when the same source and settings would result in other crops, mels or measurements."""
UNREADABLE, NO_SOUND, NO_FACE, NO_COMMON = "unreadable", "no sound", "no face", "no frames in common"
"""Keywords for clips that are set aside before any gate of `w2l.data.prepare.gates` is applied."""
NOT_THE_FILE = frozenset([
    errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN
])  # fmt: skip
"""System errors while reading a file that say nothing about the file itself."""
DIGITS = 4
"""Decimals of a measurement in the record."""


@dataclass(frozen=True)
class PrepareSettings:
    """What is stored of a clip."""

    crop: CropSpec = field(default_factory=CropSpec)
    """How faces are cropped: crop.kind, crop.size, crop.pads, crop.smooth_s."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """How faces are detected: detect.detector, detect.stride, detect.min_face."""
    gates: GateSettings = field(default_factory=GateSettings)
    """Which face tracks become samples: gates.min_track_s, gates.min_face_px, gates.max_silent and others."""
    voices: VoiceSettings = field(default_factory=VoiceSettings)
    """Further voices of the speech, for training with augment.shifted_voice: voices.semitones."""
    store: Store = "raw"
    """How crops are stored: `raw` (fastest to read) or `jpeg` (about a tenth of the bytes)."""
    max_track_s: float = 20.0
    """Longer tracks are split into equal samples."""
    long_s: float = 20.0
    """No effect: shots are found in videos of every length. Accepted so that settings of version 0.1 stay valid."""

    def __post_init__(self) -> None:
        """Reject contradictory lengths."""
        if self.max_track_s < 2 * self.gates.min_track_s:
            raise ConfigError(
                f"max_track_s {self.max_track_s:g} must be at least twice gates.min_track_s "
                f"{self.gates.min_track_s:g}, so that no half of a track is too short"
            )


@dataclass(frozen=True)
class SourceFacts:
    """Properties of a video that could be read; fields of a `ClipRecord`."""

    frames: int
    fps: float
    size: tuple[int, int]
    """(width, height)"""
    sound: str
    """Separate audio file, if any; else empty."""


@dataclass(frozen=True)
class _Prepared:
    """Result for a clip."""

    outcome: PreprocessOutcome
    facts: SourceFacts | None = None


def prepare_fingerprint(path: Path, detector: Detector, settings: PrepareSettings, content: bool = True) -> str:
    """Return a fingerprint of all that the crops, the mels or the choice of tracks depend on; not of `voices`.

    For `content` see `source_fingerprint`.
    """
    return fingerprint(_crops_mark(path, detector, settings, content), plain(settings.gates))


def known_fingerprints(path: Path, detector: Detector, settings: PrepareSettings) -> tuple[str, str]:
    """Return `prepare_fingerprint` as written now and by w2l 0.2, whose results stay valid."""
    return prepare_fingerprint(path, detector, settings), prepare_fingerprint(path, detector, settings, content=False)


def _crops_mark(path: Path, detector: Detector, settings: PrepareSettings, content: bool = True) -> str:
    """Return the fingerprint of everything except the gates."""
    beside = sound_beside(path)
    return fingerprint(
        "preprocess", VERSION, source_fingerprint(path, content),
        scan_fingerprint(path, detector, settings.detect, content),
        plain(settings.crop), settings.store, settings.max_track_s, settings.long_s,
        *([source_fingerprint(beside, content)] if beside else []),
    )  # fmt: skip


def prepare_clip(
    clip: Clip, path: Path, detector: Detector, settings: PrepareSettings, force: bool = False
) -> ClipRecord:
    """Write every face track of the video at `path` that passes the gates into `clip`; return the record to be saved.

    Cached detections are used unless `force` asks for new ones. If a record differs only in its gates, the tracks are
    judged again without decoding the video, if the same tracks remain. The clip counts as unfinished until the record
    is written. A clip that cannot be used is not an error: its outcome says why. A video without audio uses the file
    found by `sound_beside`, from its first sample on.

    Raises MediaError if the system prevents reading the video, see `NOT_THE_FILE`: that may be temporary.
    """
    record = replace(clip.record(), id=clip.id, source=str(path))
    mark, crops_mark = prepare_fingerprint(path, detector, settings), _crops_mark(path, detector, settings)
    if not force and record.preprocess.crops_mark in (crops_mark, _crops_mark(path, detector, settings, content=False)):
        again = _judged_again(path, record.preprocess, settings.gates)
        if again is not None:
            return record.noted(replace(again, fingerprint=mark))
    clip.reopen()
    try:
        prepared = _prepare(clip, path, detector, settings, force)
    except MediaError as error:
        if getattr(error.__cause__, "errno", None) in NOT_THE_FILE:
            raise
        prepared = _Prepared(_unusable(UNREADABLE, str(error)))
    if prepared.outcome.outcome == UNUSABLE:
        clip.clear_tracks()
    made = replace(prepared.outcome, fingerprint=mark, crops_mark=crops_mark)
    outcome = replace(made, crop=plain(settings.crop), store=settings.store)
    return replace(record, **vars(prepared.facts) if prepared.facts else {}).noted(outcome)


def _prepare(clip: Clip, path: Path, detector: Detector, settings: PrepareSettings, force: bool) -> _Prepared:
    info = probe(path)
    beside = None if info.has_sound else sound_beside(path)
    wave = read_clip_audio(path, info)
    if wave is None:
        reason = f"{path} has no audio stream, and no audio file lies beside it; training needs both picture and audio"
        return _Prepared(_unusable(NO_SOUND, reason))
    scan, _ = scan_clip(clip, path, detector, settings.detect, force)
    pieces, n_unheard = find_pieces(scan, settings.crop.smooth_s, settings.max_track_s, len(wave) // SAMPLES_PER_FRAME)
    facts = _facts(info, scan, beside)
    if not pieces and n_unheard:
        sound_s, picture_s = len(wave) / (FPS * SAMPLES_PER_FRAME), float(scan.times[-1])
        lengths = f"{sound_s:.2f} s of audio, {picture_s:.2f} s of picture"
        reason = f"{path}: no face is visible for 5 consecutive frames that have audio ({lengths})"
        return _Prepared(_unusable(NO_COMMON, reason), facts)
    if not pieces:
        return _Prepared(_unusable(NO_FACE, _no_face(path, scan)), facts)
    tracks, rejected = _write(clip, path, pieces, wave, settings)
    return _Prepared(_outcome(path, tracks, rejected), facts)


def _no_face(path: Path, scan: Scan) -> str:
    seen = len(np.unique(scan.frame))
    return (
        f"{path}: no face is visible for one window (faces in {seen} of {scan.n_frames} frames searched); try a "
        "smaller detect.min_face or another detector"
    )


def _facts(info: VideoInfo, scan: Scan, beside: Path | None) -> SourceFacts:
    sound = str(beside) if beside else ""
    return SourceFacts(scan.n_frames, round(info.fps, 6), (scan.width, scan.height), sound)


def _write(
    clip: Clip, path: Path, pieces: Sequence[Piece], wave: NDArray[np.float32], settings: PrepareSettings
) -> tuple[list[TrackRecord], list[RejectedTrack]]:
    """Judge all pieces and write the good ones; return the records of those kept and of those rejected."""
    tracks: list[TrackRecord] = []
    rejected: dict[int, RejectedTrack] = {}
    worth: list[tuple[int, Sounds, dict[str, float]]] = []
    for number, piece in enumerate(pieces):
        sounds = _sounds(piece, wave, settings.crop)
        quality = _rounded(**piece.quality, silent_share=silent_share(sounds["mel"], len(piece)))
        refused = refusal(quality, settings.gates)
        if refused is None:
            worth.append((number, sounds, quality))
        else:
            rejected[number] = _rejection(piece, quality, refused)
    for done in cut_pieces(path, [pieces[number] for number, _, _ in worth], settings.crop):
        number, sounds, quality = worth[done.number]
        piece = pieces[number]
        mouth = done.mouth.motion(sounds["mel"]) if done.mouth else None
        quality |= _rounded(blur=done.blur, mouth=mouth)
        refused = refusal(quality, settings.gates)
        if refused is not None:
            rejected[number] = _rejection(piece, quality, refused)
            continue
        shape = (len(piece), settings.crop.size, settings.crop.size, 3)
        clip.write_track(len(tracks), done.crops(), shape, sounds, settings.store)
        n_columns = int(sounds["mel"].shape[1])
        tracks.append(TrackRecord(len(piece), n_columns, piece.first_frame, piece.start_s, quality))
    return tracks, [rejected[number] for number in sorted(rejected)]


def _sounds(piece: Piece, wave: NDArray[np.float32], spec: CropSpec) -> Sounds:
    start = piece.first_frame * SAMPLES_PER_FRAME
    heard = wave[start : start + len(piece) * SAMPLES_PER_FRAME]
    return sound_features(heard, spec.kind)


def _rounded(**measures: float | None) -> dict[str, float]:
    """Return measurements rounded for the record, without missing ones."""
    return {name: round(value, DIGITS) for name, value in measures.items() if value is not None}


def _rejection(piece: Piece, quality: Mapping[str, float], refused: Refusal) -> RejectedTrack:
    return _refused(RejectedTrack(piece.start_s, piece.end_s, quality=quality), refused)


def _refused(track: RejectedTrack, refused: Refusal) -> RejectedTrack:
    """Return the record of a refused track with the reason, without the measurements of unneeded pixels."""
    measured = track.quality or {}
    kept = {name: value for name, value in measured.items() if refused.of_pixels or name not in OF_PIXELS}
    return replace(track, gate=refused.gate, reason=refused.reason, quality=kept)


def _unusable(gate: str, reason: str, rejected: Sequence[RejectedTrack] = ()) -> PreprocessOutcome:
    return PreprocessOutcome(outcome=UNUSABLE, gate=gate, reason=one_line(reason), tracks=(), rejected=tuple(rejected))


def _outcome(path: Path, tracks: Sequence[TrackRecord], rejected: Sequence[RejectedTrack]) -> PreprocessOutcome:
    """Return the outcome for a clip with faces."""
    if tracks:
        return PreprocessOutcome(outcome=DONE, tracks=tuple(tracks), rejected=tuple(rejected))
    gate = commonest([str(track.gate) for track in rejected])
    first = next(track for track in rejected if track.gate == gate)
    others = f" ({len(rejected)} face tracks rejected)" if len(rejected) > 1 else ""
    reason = f"{path}: {gate}: from {first.start_s:.1f} s on {first.reason}{others}; see --set gates.*"
    return _unusable(gate, reason, rejected)


def _judged_again(path: Path, before: PreprocessOutcome, gates: GateSettings) -> PreprocessOutcome | None:
    """Return the outcome under other gates from the recorded measurements; None if that needs other crops."""
    if any(refusal(track.quality or {}, gates) for track in before.tracks):
        return None
    again = []
    for track in before.rejected:
        refused = refusal(track.quality or {}, gates)
        if refused is None:
            return None
        again.append(_refused(track, refused))
    if not (before.tracks or again):
        return before
    judged = _outcome(path, before.tracks, again)
    return replace(before, outcome=judged.outcome, gate=judged.gate, reason=judged.reason, rejected=judged.rejected)
