"""Typed records of clips, tracks and outputs: the only module that knows their JSON keys.

    clips/<clip-id>/clip.json   `ClipRecord`: properties of the source, and one outcome per stage
        stages.preprocess       `PreprocessOutcome`: its tracks (`TrackRecord`) and the rejected ones (`RejectedTrack`)
        stages.audit            `AuditOutcome`: a `TrackVerdict` per track, and the underlying `Measurements`
    out.w2l.json, runs/*.json   `OutputRecord`: what `sync` made, and from what

The fields are named like the keys. A record that is read and written again keeps what other versions of w2l and other
stages wrote into it: a value that did not change stays as it was in the file, whatever it was.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from w2l.cache.typed_json import FileObject, from_json, to_json
from w2l.core.files import fingerprint, read_json, write_json

SIDECAR = ".w2l.json"
"""Suffix of the record beside the output."""
PACKAGES = ("w2l", "av", "numpy", "onnxruntime", "opencv-python", "torch")
"""Packages that the pixels and the audio of an output depend on."""
DONE, UNUSABLE = "done", "set aside"
"""Outcomes of a clip in preprocess: prepared, or not usable at all."""
KEPT, SHIFTED, EXCLUDED = "kept", "shifted", "set aside"
"""Verdicts of the audit on a track: in sync, put in sync by its offset, or excluded from training."""
VERDICTS = (KEPT, SHIFTED, EXCLUDED)


@dataclass(frozen=True)
class TrackRecord:
    """One kept track of a clip."""

    n_frames: int = 0
    n_columns: int = 0
    """Mel columns."""
    first_frame: int | None = None
    """Its frames on the clip's grid of 25 per second; None in old records."""
    start_s: float | None = None
    """Start, in seconds from the first frame."""
    quality: Mapping[str, float] | None = None
    """Measurements of the quality gates, by name; None in old records."""


@dataclass(frozen=True)
class RejectedTrack:
    """One track that a quality gate rejected."""

    start_s: float = 0.0
    end_s: float = 0.0
    """Start, in seconds from the first frame."""
    gate: str | None = None
    """Keyword of the gate."""
    reason: str | None = None
    """The same as a sentence, with the number and the limit."""
    quality: Mapping[str, float] | None = None
    """Measurements of the quality gates, by name."""


@dataclass(frozen=True)
class PreprocessOutcome(FileObject):
    """Result of preprocess for a clip; empty if it has not finished."""

    fingerprint: str | None = None
    """Changes with everything that the crops, the mels or the choice of tracks depend on."""
    crops_mark: str | None = None
    """The same without the gates; None in old records."""
    outcome: str | None = None
    """`DONE` or `UNUSABLE`."""
    tracks: tuple[TrackRecord, ...] = ()
    rejected: tuple[RejectedTrack, ...] = ()
    gate: str | None = None
    """Keyword of the reason why the clip cannot be used."""
    reason: str | None = None
    """The same as a sentence."""
    crop: Mapping[str, Any] | None = None
    """How faces were cropped: the fields of a `CropSpec`."""
    store: str | None = None
    """How crops are stored: `raw` or `jpeg`."""
    voices: tuple[float, ...] | None = None
    """Semitones of the further voices in which the speech of every track is stored; None without any."""
    voices_mark: str | None = None
    """Changes with everything that these voices depend on, besides the tracks."""

    @property
    def tracks_mark(self) -> str | None:
        """Fingerprint of the tracks' source and position: an audit is valid as long as it stays the same.

        It does not change if other gates keep the same tracks; older records use their fingerprint instead.
        """
        if self.crops_mark is None:
            return self.fingerprint
        return fingerprint(self.crops_mark, [(track.first_frame, track.n_frames) for track in self.tracks])


@dataclass(frozen=True)
class TrackVerdict:
    """Result of the audit for one track."""

    verdict: str = ""
    """One of `VERDICTS`; empty for a track that was not audited."""
    offset: int = 0
    """Video frames by which the audio runs ahead of the picture, relative to the zero; undone when shifted."""
    confidence: float = 0.0
    margin: float = 0.0
    likelihood: float = 0.0
    """Mean log odds of being in sync at that offset."""
    reason: str = ""
    """Why it is excluded."""


@dataclass(frozen=True)
class Measurements:
    """What the audit measured for a clip's tracks, independent of thresholds."""

    fingerprint: str | None = None
    """Changes with the expert, and with settings that the measurement depends on."""
    of: str | None = None
    """Fingerprint of the measured tracks: `PreprocessOutcome.tracks_mark`."""
    tracks: tuple[Mapping[str, Any], ...] = ()
    """One `w2l.training.audit.verdicts.LagMeasurement` per track, as plain values."""


@dataclass(frozen=True)
class AuditOutcome(FileObject):
    """Result of the audit for a clip; empty if there was none, or it was undone."""

    fingerprint: str | None = None
    """Changes with the measurements, the thresholds and the zero."""
    of: str | None = None
    """Fingerprint of the judged tracks: `PreprocessOutcome.tracks_mark`."""
    expert: str | None = None
    """Fingerprint of the expert's file."""
    zero: float | None = None
    """Lag, in frames, that counts as in sync."""
    tracks: tuple[TrackVerdict, ...] | None = None
    measured: Measurements | None = None


@dataclass(frozen=True)
class _Stages(FileObject):
    """Results of the stages."""

    preprocess: PreprocessOutcome | None = None
    audit: AuditOutcome | None = None


@dataclass(frozen=True)
class ClipRecord(FileObject):
    """Content of clip.json; a field is None until a stage sets it."""

    id: str | None = None
    source: str | None = None
    """The video."""
    sound: str | None = None
    """Separate audio file, if any; else empty."""
    frames: int | None = None
    fps: float | None = None
    size: tuple[int, ...] | None = None
    """(width, height)"""
    split: str | None = None
    speaker: str | None = None
    """Empty when unknown."""
    stages: _Stages | None = None

    @property
    def preprocess(self) -> PreprocessOutcome:
        """Result of preprocess."""
        return (self.stages and self.stages.preprocess) or PreprocessOutcome(file_content={})

    @property
    def audit(self) -> AuditOutcome:
        """Result of the audit, possibly of tracks that were recut since; see `verdicts`."""
        return (self.stages and self.stages.audit) or AuditOutcome(file_content={})

    @property
    def verdicts(self) -> tuple[TrackVerdict, ...]:
        """Verdict on each track of `preprocess`; empty ones if there was no audit or tracks were recut since."""
        found, audited = self.preprocess, self.audit.tracks or ()
        if len(audited) != len(found.tracks) or self.audit.of != found.tracks_mark:
            return (TrackVerdict(),) * len(found.tracks)
        return audited

    def noted(self, outcome: PreprocessOutcome | AuditOutcome | None) -> "ClipRecord":
        """Return a copy with the result of a stage; None resets preprocess to unfinished."""
        stages = self.stages or _Stages(file_content={})
        if isinstance(outcome, AuditOutcome):
            return replace(self, stages=replace(stages, audit=outcome))
        return replace(self, stages=replace(stages, preprocess=outcome))


@dataclass(frozen=True)
class OutputRecord(FileObject):
    """What `sync` made, and from what; a field is None if the record, of another version, lacks it."""

    output: str | None = None
    video: str | None = None
    speech: str | None = None
    model: str | None = None
    """Paths."""
    frames: int | None = None
    """Frames of the output."""
    frames_passed_through: Mapping[str, int] | None = None
    """Number of them left unchanged, by reason."""
    faces: str | None = None
    """Which face was redrawn, and which others were detected."""
    looked: bool | None = None
    """Whether faces were detected in this run; else they were cached, or the box was given."""
    references: str | None = None
    """What the appearance was copied from."""
    crop: int | None = None
    """Side in pixels of the crops in which the face was redrawn."""
    fps: float | None = None
    variable_rate: bool | None = None
    duration_s: float | None = None
    took_s: float | None = None
    """Seconds of work."""
    timing: Mapping[str, float] | None = None
    """Those seconds by step."""
    record: str | None = None
    """Path of this record in the cache."""
    settings: Mapping[str, Any] | None = None
    """The fields of a `SyncSettings`."""
    hashes: Mapping[str, str] | None = None
    """SHA-256 of the video, the speech and the model file."""
    mark: str | None = None
    """Changes when the same command would produce another output."""
    licences: Mapping[str, str] | None = None
    """Of the model (`model`), what it was trained on (`data`), and the licences of that data (`data_licence`)."""
    record_id: str | None = None
    """Ten hexadecimal digits that follow from the claims of the record; the mark in the picture carries them."""
    marked: str | None = None
    """What the output carries, in words."""
    manifest: str | None = None
    """Who signed its C2PA manifest; else why there is none."""
    stage: str | None = None
    versions: Mapping[str, str] | None = None
    model_step: int | None = None

    @property
    def model_name(self) -> str | None:
        """The model as named by the user, else its file; None if neither is recorded."""
        return str((self.settings or {}).get("model") or self.model or "") or None


def read_clip(path: Path) -> ClipRecord:
    """Read a clip.json; return an empty record if there is none; raise CacheError if it is damaged."""
    return from_json(ClipRecord, read_json(path) if path.exists() else {})


def read_output(path: Path) -> OutputRecord:
    """Read the record of an output; raise CacheError if it is missing or damaged."""
    return from_json(OutputRecord, read_json(path))


def write_record(path: Path, record: ClipRecord | OutputRecord) -> None:
    """Write a record, atomically."""
    write_json(path, to_json(record))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the output depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
