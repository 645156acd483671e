"""What stages write down about a clip, its tracks and an output, with types: the only module that knows their keys.

    clips/<clip-id>/clip.json   `ClipRecord`: facts of the source, and per stage what it noted
        stages.preprocess       `PreprocessOutcome`: its tracks (`TrackRecord`) and the refused ones (`RejectedTrack`)
        stages.audit            `AuditOutcome`: a `Verdict` per track, and the `Measurements` behind them
    out.w2l.json, runs/*.json   `OutputRecord`: what `sync` made, and of what

The fields are named as the keys. A record that was read and is written again keeps what other versions of w2l and
other stages wrote into it: a value that did not change stays as it was in the file, whatever it was.
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
"""What the pixels and the sound of an output depend on."""
DONE, UNUSABLE = "done", "set aside"
"""Outcomes of a clip in preprocess: prepared, or nothing of it can be used."""
KEPT, SHIFTED, EXCLUDED = "kept", "shifted", "set aside"
"""Verdicts of the audit on a track: in sync, put in sync by its offset, or left out of training."""
VERDICTS = (KEPT, SHIFTED, EXCLUDED)


@dataclass(frozen=True)
class TrackRecord:
    """One kept track of a clip."""

    n_frames: int = 0
    n_columns: int = 0
    """Mel columns."""
    first_frame: int | None = None
    """Its place on the clip's grid of 25 frames a second; None in old records."""
    start_s: float | None = None
    """When it begins, seconds from the first picture."""
    quality: Mapping[str, float] | None = None
    """What the gates measured, by name; None in old records."""


@dataclass(frozen=True)
class RejectedTrack:
    """One track that a gate refused."""

    start_s: float = 0.0
    end_s: float = 0.0
    """Seconds from the first picture."""
    gate: str | None = None
    """The word of the gate."""
    reason: str | None = None
    """The same as a sentence, with the number and the limit."""
    quality: Mapping[str, float] | None = None
    """What the gates measured, by name."""


@dataclass(frozen=True)
class PreprocessOutcome(FileObject):
    """What preprocess noted about a clip; empty when it never finished with it."""

    fingerprint: str | None = None
    """Changes when anything does that the crops, the mels or the choice of tracks depend on."""
    crops_mark: str | None = None
    """The same for all but the gates; None in old records."""
    outcome: str | None = None
    """`DONE` or `UNUSABLE`."""
    tracks: tuple[TrackRecord, ...] = ()
    rejected: tuple[RejectedTrack, ...] = ()
    gate: str | None = None
    """The word for why the clip cannot be used."""
    reason: str | None = None
    """The same as a sentence."""
    crop: Mapping[str, Any] | None = None
    """How faces were cut: the fields of a `CropSpec`."""
    store: str | None = None
    """How crops are kept: `raw` or `jpeg`."""

    @property
    def tracks_mark(self) -> str | None:
        """What the tracks were cut from and where: an audit counts while it stays the same.

        Other gates that keep the same tracks leave it alone; records of older versions tell by their fingerprint.
        """
        if self.crops_mark is None:
            return self.fingerprint
        return fingerprint(self.crops_mark, [(track.first_frame, track.n_frames) for track in self.tracks])


@dataclass(frozen=True)
class Verdict:
    """What the audit found of one track."""

    verdict: str = ""
    """One of `VERDICTS`; empty for a track that was not audited."""
    offset: int = 0
    """Video frames by which the sound runs ahead of the picture, from the zero; undone when shifted."""
    confidence: float = 0.0
    margin: float = 0.0
    likelihood: float = 0.0
    """Mean log odds of being in sync at that offset."""
    reason: str = ""
    """Why it is set aside."""


@dataclass(frozen=True)
class Measurements:
    """What the audit measured of a clip's tracks, whatever the thresholds."""

    fingerprint: str | None = None
    """Changes with the expert, and with settings that the measure depends on."""
    of: str | None = None
    """The tracks that were measured: `PreprocessOutcome.tracks_mark`."""
    tracks: tuple[Mapping[str, Any], ...] = ()
    """One `w2l.training.audit.verdicts.LagMeasurement` per track, as plain values."""


@dataclass(frozen=True)
class AuditOutcome(FileObject):
    """What the audit noted about a clip; empty when there was none, or it was undone."""

    fingerprint: str | None = None
    """Changes with the measurements, the thresholds and the zero."""
    of: str | None = None
    """The tracks that were judged: `PreprocessOutcome.tracks_mark`."""
    expert: str | None = None
    """Fingerprint of the expert's file."""
    zero: float | None = None
    """Lag, in frames, that counts as in sync."""
    tracks: tuple[Verdict, ...] | None = None
    measured: Measurements | None = None


@dataclass(frozen=True)
class _Stages(FileObject):
    """What each stage noted."""

    preprocess: PreprocessOutcome | None = None
    audit: AuditOutcome | None = None


@dataclass(frozen=True)
class ClipRecord(FileObject):
    """The content of clip.json; a field is None as long as nobody noted it."""

    id: str | None = None
    source: str | None = None
    """The video."""
    sound: str | None = None
    """The file with the sound, where that is another one; else empty."""
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
        """What preprocess noted."""
        return (self.stages and self.stages.preprocess) or PreprocessOutcome(file_content={})

    @property
    def audit(self) -> AuditOutcome:
        """What the audit noted, though it may be of tracks that were cut anew since; see `verdicts`."""
        return (self.stages and self.stages.audit) or AuditOutcome(file_content={})

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict on each track of `preprocess`; empty ones where no audit was, or tracks were cut anew since."""
        found, audited = self.preprocess, self.audit.tracks or ()
        if len(audited) != len(found.tracks) or self.audit.of != found.tracks_mark:
            return (Verdict(),) * len(found.tracks)
        return audited

    def noted(self, outcome: PreprocessOutcome | AuditOutcome | None) -> "ClipRecord":
        """The same with what a stage found; None forgets that preprocess has finished."""
        stages = self.stages or _Stages(file_content={})
        if isinstance(outcome, AuditOutcome):
            return replace(self, stages=replace(stages, audit=outcome))
        return replace(self, stages=replace(stages, preprocess=outcome))


@dataclass(frozen=True)
class OutputRecord(FileObject):
    """What `sync` made, and of what; a field is None where the record, of another version, does not say it."""

    output: str | None = None
    video: str | None = None
    speech: str | None = None
    model: str | None = None
    """Paths."""
    frames: int | None = None
    """Frames of the output."""
    frames_passed_through: Mapping[str, int] | None = None
    """Those of them that stay as the source's, by reason."""
    faces: str | None = None
    """Which face was redrawn, and what else was seen."""
    looked: bool | None = None
    """Whether faces were looked for; else they were known from before, or the box was given."""
    references: str | None = None
    """What looks were copied from."""
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
    """Where the cache keeps this."""
    settings: Mapping[str, Any] | None = None
    """The fields of a `SyncSettings`."""
    hashes: Mapping[str, str] | None = None
    """SHA-256 of the video, the speech and the model file."""
    mark: str | None = None
    """Changes when the same command would make another output."""
    stage: str | None = None
    versions: Mapping[str, str] | None = None
    model_step: int | None = None

    @property
    def model_name(self) -> str | None:
        """The model, as the user named it; else its file; None where neither is said."""
        return str((self.settings or {}).get("model") or self.model or "") or None


def read_clip(path: Path) -> ClipRecord:
    """Read a clip.json, an empty record when there is none; CacheError when it is damaged."""
    return from_json(ClipRecord, read_json(path) if path.exists() else {})


def read_output(path: Path) -> OutputRecord:
    """Read the record of an output; CacheError when it is missing or damaged."""
    return from_json(OutputRecord, read_json(path))


def write_record(path: Path, record: ClipRecord | OutputRecord) -> None:
    """Write a record, atomically."""
    write_json(path, to_json(record))


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that make the pixels."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
