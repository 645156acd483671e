"""The record next to an output of `sync`: its inputs and settings, for users, `score` and `--resume`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from w2l.cache.records import SIDECAR, OutputRecord, read_output, versions, write_record
from w2l.cache.store import Cache
from w2l.core.config import plain
from w2l.core.errors import CacheError, ConfigError, MediaError
from w2l.core.files import LONGEST_NAME, check_writable, fingerprint, hidden, source_fingerprint
from w2l.core.locks import claim
from w2l.core.reading import real_path
from w2l.media.form import for_file
from w2l.media.picture_files import FIRST, are_written, check_pictures, is_pictures_output
from w2l.media.sequence import numbered, source_mark
from w2l.media.unfinished import Unfinished
from w2l.syncing.jobs import Job
from w2l.syncing.settings import WHOLE, SyncSettings

STAGE = "sync"
VERSION = 18
"""Version of the drawing, increased whenever the same settings give different pixels: old work is then not reused."""
SECTIONS_VERSION = 2
"""The same for outputs that are drawn in sections, see `w2l.syncing.sections`."""


@dataclass(frozen=True)
class SyncResult:
    """Result of `sync`, also the content of the record."""

    output: Path
    video: Path
    speech: Path
    model: Path
    frames: int
    """Number of frames of the output."""
    frames_passed_through: dict[str, int]
    """Reason -> number of frames that are unchanged."""
    faces: str
    """Description of the redrawn face and of other faces."""
    looked: bool
    """Whether faces were detected in this run; False if they were cached or the box was given."""
    references: str
    """Description of the references."""
    crop: int
    """Side in pixels of the crops in which the face was redrawn; with `look_ahead` in seconds, in the first section."""
    fps: float
    variable_rate: bool
    duration_s: float
    """Length of the output in seconds."""
    took_s: float
    """Total time of the run in seconds."""
    timing: dict[str, float]
    """Seconds by step; `first_frame` counts from the start to the first finished picture."""
    record: Path
    """Path of this record in the cache, for `score`."""
    settings: SyncSettings
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the video, the speech and the model file."""
    mark: str = ""
    """See `mark_of`."""
    licences: dict[str, str] = field(default_factory=dict)
    """Licence of the model and of its training data."""
    record_id: str = ""
    """Identifier in the mark of the pictures, computed from the claims of the record."""
    marked: str = ""
    """Description of the marking of the output."""
    manifest: str = ""
    """Signer of the C2PA manifest, or the reason why there is none."""


def mark_of(settings: SyncSettings, video: Path, speech: Path, model: Path, preview_s: float | None = None) -> str:
    """Return a hash that changes if the same command would make a different output."""
    told = [text for member in settings.cast for text in member]
    texts = (settings.face, settings.reference, settings.drive, *settings.mouths, *told)
    named = [Path(text) for text in texts if text and Path(text).is_file()]
    sources = [source_mark(video), *(source_fingerprint(path) for path in (speech, model, *named))]
    # The batch size affects only rounding, so a job that ran out of memory may resume with a smaller one.
    known = plain(replace(settings, batch=1))
    if preview_s is None and settings.look_ahead in WHOLE:
        del known["look_ahead"]  # so that outputs from before there was this setting are kept
    elif preview_s is None:
        known["sections"] = SECTIONS_VERSION
    return fingerprint(STAGE, VERSION, known, sources, preview_s)


def half_done_mark(mark: str, device: str) -> str:
    """Return a hash that changes if a partial output cannot be resumed; all parts must be made on the same device."""
    return fingerprint(mark, device)


def check_output(job: Job, cache: Cache, settings: SyncSettings) -> None:
    """Check before any work that the output and its records can be written.

    Raises ConfigError, MediaError or CacheError if not.
    """
    output, sidecar = job.output, job.output.with_suffix(SIDECAR)
    speeches = [Path(speech) for _, speech in settings.cast]
    inputs = {real_path(path) for path in (job.video, job.speech, Path(settings.drive or job.speech), *speeches)}
    if real_path(output) in inputs:
        raise ConfigError(f"{output} is an input of this command; choose another output with -o")
    if real_path(sidecar) in inputs:
        raise ConfigError(f"{sidecar}, the record of {output}, is an input; choose another output with -o")
    if output.is_file() and not job.overwrite:
        raise ConfigError(f"{output} exists; overwrite it with -y or choose another output with -o")
    if is_pictures_output(output):
        check_pictures(output, job.overwrite)
    else:
        Unfinished(output, for_file(settings.encoding, output).coder)  # checks folder and suffix
    for record in (sidecar, record_in(cache, output)):
        check_writable(record)
    _check_sidecar(sidecar, output, job.overwrite)


def _check_sidecar(sidecar: Path, output: Path, overwrite: bool) -> None:
    """Raise ConfigError or CacheError if a file other than the output's own record would be overwritten."""
    if overwrite or not os.path.lexists(sidecar):
        return
    known = _output_in(sidecar)
    if known == real_path(output):
        return
    remedy = "overwrite it with -y or choose another output with -o"
    if known is None:
        raise CacheError(f"{sidecar} is not a record of w2l; {remedy}")
    raise ConfigError(f"{sidecar} is the record of {known}; {remedy}")


@contextmanager
def hold(job: Job) -> Iterator[None]:
    """Lock the record, shared by o.mkv and o.mp4, against other processes; raise MediaError if it is locked."""
    sidecar = job.output.with_suffix(SIDECAR)
    with claim(hidden(sidecar, ".w2l-lock")) as mine:
        if not mine:
            raise MediaError(
                f"{job.output}: another process is writing this output or its record {sidecar.name}; wait for it, or"
                " choose another output"
            )
        yield


def _output_in(sidecar: Path) -> Path | None:
    """Return the output of a record; None if the file is damaged or not a record of w2l."""
    try:
        record = read_output(sidecar)
    except CacheError:
        return None
    return None if record.output is None or record.stage not in (None, STAGE) else Path(record.output)


def record_in(cache: Cache, output: Path) -> Path:
    """Return the path of an output's record in the cache; very long names are omitted."""
    stem = output.stem if len(os.fsencode(output.stem)) <= LONGEST_NAME else "output"
    return cache.runs / f"{stem}-{fingerprint(str(real_path(output)))[:8]}.json"


def keep(result: SyncResult, model_step: int) -> None:
    """Write the record next to the output and to the cache."""
    record = OutputRecord(**plain(result), stage=STAGE, versions=versions(), model_step=model_step)
    for path in (result.output.with_suffix(SIDECAR), result.record):
        write_record(path, record)


def made_before(output: Path, wanted: str, settings: SyncSettings) -> SyncResult | None:
    """Return the record next to `output` if it exists and has the hash `wanted`; else None.

    An output that was moved or rewritten since does not match its record.
    """
    sidecar = output.with_suffix(SIDECAR)
    newest = numbered(output, FIRST) if is_pictures_output(output) else output
    if not (newest.is_file() and sidecar.is_file()) or newest.stat().st_mtime_ns > sidecar.stat().st_mtime_ns:
        return None
    try:
        kept = read_output(sidecar)
    except CacheError:
        return None
    if kept.mark != wanted or kept.output != str(real_path(output)):
        return None
    values: dict[str, Any] = {one.name: getattr(kept, one.name) for one in fields(SyncResult)}
    if is_pictures_output(output) and not are_written(output, kept.frames or 0):
        return None
    if None in values.values():  # by another version of w2l
        return None
    paths = {name: Path(values[name]) for name in ("output", "video", "speech", "model", "record")}
    return SyncResult(**(values | paths | {"settings": settings}))
