"""The preprocess stage: from a folder of talking clips to face crops, mels and an index in the cache."""

import functools
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from w2l.cache.records import UNUSABLE
from w2l.cache.store import Cache, Clip
from w2l.core.device import choose_device
from w2l.core.errors import MediaError
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Busy, Done, Task
from w2l.core.progress import progress
from w2l.data.prepare.clip import PrepareSettings, known_fingerprints, prepare_clip
from w2l.data.prepare.voices import VoiceSettings, voices_ready, write_voices
from w2l.data.sources.listing import Listing, Source
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector

logger = logging.getLogger(__name__)


STAGE = "preprocess"
FAILED = "failed"
"""Keyword for clips whose processing was interrupted; the next run tries them again."""


@dataclass(frozen=True)
class PrepareOptions:
    """Parallelism, and which clips are processed."""

    jobs: int = 1
    """Clips worked on at the same time."""
    ray: str | None = None
    """Address of a Ray cluster, as `w2l.core.jobs.pool.run_tasks` takes it; None runs locally."""
    force: bool = False
    """Whether finished clips are prepared again."""
    strict: bool = False
    """Whether the first clip that cannot be used stops the run."""


DEFAULTS = PrepareOptions()
"""Run in this process what is not finished."""


@dataclass(frozen=True)
class ClipResult:
    """Result for one clip."""

    is_new: bool
    """Whether it was processed in this run; else it was already finished."""
    gate: str = ""
    """Keyword of the reason why it was set aside; empty if it was not."""
    reason: str = ""
    """The same as a sentence."""
    rejected: tuple[str, ...] = ()
    """The gate of each of its rejected face tracks."""


@dataclass(frozen=True)
class PrepareResult:
    """Results for all clips."""

    done: int = 0
    """Clips processed in this run, including those set aside."""
    skipped: int = 0
    """Clips that were already finished or set aside."""
    tracks: int = 0
    """Face tracks in the whole cache."""
    set_aside: dict[str, str] = field(default_factory=dict)
    """Clip id -> why it cannot be used."""
    reasons: dict[str, list[str]] = field(default_factory=dict)
    """Keyword of the reason -> ids of the clips set aside for it."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Keyword of a gate -> number of face tracks it rejected, over all clips of this call."""
    missing: tuple[str, ...] = ()
    """Lines of the file lists that do not name a video, and folders that could not be read."""

    @property
    def is_whole(self) -> bool:
        """Whether everything requested was found."""
        return not (self.set_aside or self.missing)


def run(
    settings: PrepareSettings, listing: Listing, cache: Cache, device: str = "cpu", options: PrepareOptions = DEFAULTS
) -> PrepareResult:
    """Prepare every unfinished clip of a listing; several processes may do so on one cache at the same time.

    Raises MediaError if `options` are strict and a clip is missing or cannot be used; other work then stops.
    """
    missing = _missing(listing, options)
    tasks = (Task(source.clip_id, (_absolute(source), settings, options.force)) for source in listing.sources)
    set_up = functools.partial(_set_up, settings, cache.root, device)
    tally = _Tally()
    with progress(STAGE, len(listing.sources), "clips") as advance:
        for done in run_tasks(tasks, prepare_one, set_up, options.jobs, options.ray):
            tally.add(done)
            if options.strict:
                tally.check()
            advance()
    return tally.result(len(cache.all_tracks()), missing)


def _missing(listing: Listing, options: PrepareOptions) -> tuple[str, ...]:
    """Return what was requested and not found."""
    missing = (*listing.missing, *listing.unreadable)
    if options.strict and missing:
        raise MediaError(f"{missing[0]} is missing ({len(missing)} in total); without --strict the others are prepared")
    return missing


def _absolute(source: Source) -> Source:
    """Return the source with an absolute path, valid in every process."""
    return Source(source.clip_id, source.path.absolute(), source.split, source.speaker)


def _set_up(settings: PrepareSettings, root: Path, device: str) -> tuple[Cache, Detector]:
    """Set up a worker; the device is chosen there, as machines of a cluster may differ."""
    cache, detect = Cache.open(root), settings.detect
    return cache, make_detector(detect.detector, str(choose_device(device)), detect.min_face, cache.models)


def prepare_one(context: tuple[Cache, Detector], source: Source, settings: PrepareSettings, force: bool) -> ClipResult:
    """Prepare one clip unless it is finished; raise Busy while another process works on it."""
    cache, detector = context
    clip = cache.clip(source.clip_id)
    marks = known_fingerprints(source.path, detector, settings)
    if not force and _is_ready(clip, marks, settings.voices, source) and not clip.lock.exists():
        return _result(clip, is_new=False)
    with clip.claim() as mine:
        if not mine:
            raise Busy
        clip.clear_leftovers()
        # another process may have just finished, or been killed, in the meantime
        if not force and _is_ready(clip, marks, settings.voices, source):
            return _result(clip, is_new=False)
        cache.invalidate_index()
        record = clip.record()
        if force or record.preprocess.fingerprint not in marks:  # otherwise only its split, speaker or voices
            record = prepare_clip(clip, source.path, detector, settings, force)
            if record.preprocess.outcome == UNUSABLE:
                logger.warning("set aside %s: %s", source.clip_id, record.preprocess.reason)
        split, speaker = source.split or record.split or "", source.speaker or record.speaker or ""
        clip.write(replace(record, split=split, speaker=speaker))
        if not voices_ready(record.preprocess, settings.voices):
            write_voices(clip, source.path, settings.voices)
        cache.invalidate_index()
    return _result(clip, is_new=True)


def _is_ready(clip: Clip, marks: tuple[str, ...], voices: VoiceSettings, source: Source) -> bool:
    """Whether nothing is left to do; a clip whose split or speaker is unknown keeps the recorded one."""
    record = clip.record()
    same = source.split in ("", record.split or "") and source.speaker in ("", record.speaker or "")
    return same and record.preprocess.fingerprint in marks and voices_ready(record.preprocess, voices)


def _result(clip: Clip, is_new: bool) -> ClipResult:
    outcome = clip.record().preprocess
    rejected = tuple(track.gate or "" for track in outcome.rejected)
    return ClipResult(is_new, outcome.gate or "", outcome.reason or "", rejected)


class _Tally:
    """Counts the results of clips as they arrive."""

    def __init__(self) -> None:
        self.set_aside: dict[str, str] = {}
        self._reasons: dict[str, list[str]] = {}
        self._rejected: Counter[str] = Counter()
        self._n = Counter[bool]()

    def add(self, done: Done[ClipResult]) -> None:
        """Add the result of one clip."""
        result = done.result or ClipResult(False, FAILED, done.error)
        if done.result is not None:
            self._n[result.is_new] += 1
        self._rejected.update(result.rejected)
        if result.gate:
            self.set_aside[done.task.name] = result.reason
            self._reasons.setdefault(result.gate, []).append(done.task.name)

    def check(self) -> None:
        """Raise MediaError if a clip cannot be used."""
        if self.set_aside:
            clip_id, reason = next(iter(self.set_aside.items()))
            raise MediaError(f"{clip_id} cannot be used: {reason}; without --strict it is set aside")

    def result(self, n_tracks: int, missing: tuple[str, ...]) -> PrepareResult:
        """Return the totals, sorted by name and not by completion time."""
        reasons = {gate: sorted(self._reasons[gate]) for gate in sorted(self._reasons)}
        aside = {clip: self.set_aside[clip] for clip in sorted(self.set_aside)}
        rejected = dict(sorted(self._rejected.items()))
        return PrepareResult(self._n[True], self._n[False], n_tracks, aside, reasons, rejected, missing)
