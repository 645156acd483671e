"""The sync audit of a cache: an expert finds the offset of every track; offsets are undone, or the track is set aside.

It works in two passes. First the lag of each track is measured, which is slow and depends only on the expert. Then
the verdicts follow from the zero common to all tracks. Both are stored in each clip's record, so that an audit resumes
where it was stopped, and other thresholds need no second measurement:

    stages.audit.measured   `w2l.cache.records.Measurements`
    stages.audit            `w2l.cache.records.AuditOutcome`

The audit is virtual: crops and audio stay as they are, and the code that reads a shifted track undoes its offset.
Measurements always refer to the track as it lies on disk, so a second audit finds what the first one found.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from w2l.cache.records import EXCLUDED, VERDICTS, AuditOutcome, Measurements, TrackVerdict
from w2l.cache.store import Cache, Clip, TrackRow
from w2l.core.config import build, plain
from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import fingerprint
from w2l.core.progress import progress
from w2l.core.text import counted
from w2l.training.audit.measure import Auditor, measure_lag, open_auditor
from w2l.training.audit.verdicts import AuditSettings, LagMeasurement, Zero, find_zero, judge_track, why_at_chance

logger = logging.getLogger(__name__)
STAGE = "audit"
VERSION = 1
"""Incremented when the same track and expert would give another lag."""
LEAST_CLIPS = 2
"""Number of clips that an audit must leave, if the cache has as many: training divides them."""
POLL_S = 1.0
"""Seconds between two checks of clips that another process holds."""


@dataclass(frozen=True)
class AuditedTrack:
    """The verdict on one track of the cache."""

    clip: str
    track: int
    verdict: TrackVerdict


@dataclass(frozen=True)
class AuditResult:
    """Result of an audit."""

    expert: Path
    zero: Zero
    counts: dict[str, int]
    """Number of tracks by verdict."""
    offsets: dict[int, int]
    """Number of tracks by offset, in frames, without those set aside."""
    findings: tuple[AuditedTrack, ...] = field(repr=False)
    """All tracks, in the order of the index."""
    measured: int = 0
    """Clips measured in this run; the others were measured before."""
    refused: str = ""
    """Why the cache was left unchanged; empty if the verdicts were written."""

    def __str__(self) -> str:
        """Return one line."""
        counts = ", ".join(f"{self.counts[word]} {word}" for word in VERDICTS)
        left = f"; nothing was changed: {self.refused}" if self.refused else ""
        return f"{counted(len(self.findings), 'track')}: {counts}; zero {self.zero.lag:+.2f} frames{left}"


def audit_cache(
    cache: Cache,
    model: str,
    settings: AuditSettings | None = None,
    device: torch.device | str = "cpu",
    clips: str = "*",
    via: Cache | None = None,
) -> AuditResult:
    """Find the offset of every kept track and write a verdict on it into its clip's record.

    Several processes may do so with the same arguments at the same time, and an interrupted audit resumes.

    Parameters
    ----------
    cache : Cache
        Output of `preprocess`; its crops and audio are not changed.
    model : str
        An expert by name or path, or a judge if the crops are a judge's.
    settings : AuditSettings, optional
        Thresholds.
    device : device or its name
        Where the expert computes.
    clips : str
        Pattern (``*``, ``?``, ``[...]``) of the clip ids to audit.
    via : Cache, optional
        A cache of the same clips with crops for `model`; by default `cache` itself.

    Raises
    ------
    ConfigError
        If the model cannot use these crops, or no clip matches the pattern.
    CacheError
        If there are no tracks, or `via` contains other tracks than `cache`.
    """
    chosen = settings or AuditSettings()
    rows = _rows_by_clip(cache, clips)
    auditor = open_auditor(model, via or cache, torch.device(device))
    mark = fingerprint(STAGE, VERSION, auditor.mark, chosen.max_shift, chosen.min_voiced)
    measured, n_fresh = _measure_all(cache, rows, auditor, chosen, mark)
    all_measured = [track for tracks in measured.values() for track in tracks]
    zero = find_zero(all_measured, chosen)
    verdicts = {
        name: [judge_track(track, zero.lag, chosen) for track in tracks] for name, tracks in measured.items()
    }  # fmt: skip
    refused = why_at_chance(all_measured) or _why_nothing_left(cache, verdicts)
    if refused:
        _free(cache)
    else:
        outcome = AuditOutcome(fingerprint(mark, plain(chosen), zero.lag), expert=auditor.mark, zero=zero.lag)
        _each([cache.clip(name) for name in rows], lambda clip: _note_verdicts(cache, clip, outcome, verdicts[clip.id]))
    return replace(_result(auditor.model.path, zero, _findings(rows, verdicts), n_fresh), refused=refused)


def _why_nothing_left(cache: Cache, verdicts: dict[str, list[TrackVerdict]]) -> str:
    """Return why verdicts must not be written: too few clips would be left to train on; empty where enough are."""
    others = {row.clip for row in cache.all_tracks() if row.clip not in verdicts and not row.status}
    left = {name for name, found in verdicts.items() if any(one.verdict != EXCLUDED for one in found)}
    if len(others | left) >= min(LEAST_CLIPS, len(verdicts) + len(others)):
        return ""
    return f"it would set aside all but {len(others | left)} clips, too few to train on"


def _free(cache: Cache) -> None:
    """Undo the audit of a cache that an earlier one left without any usable track."""
    if not cache.all_tracks().usable.any():
        count = undo_audit(cache)
        logger.warning("an earlier audit had set all tracks aside; it is undone for %d clips", count)


def undo_audit(cache: Cache, clips: str = "*") -> int:
    """Remove all verdicts on clips whose id matches the pattern; return the number of clips that had some.

    Raises ConfigError if no clip matches.
    """
    fitting = [clip for clip in cache.clips() if fnmatchcase(clip.id, clips)]
    if not fitting and clips != "*":
        raise _nothing_fits(cache, clips)
    audited = [clip for clip in fitting if not clip.record().audit.is_empty]

    def forget(clip: Clip) -> bool:
        with clip.claim() as mine:
            if mine:
                clip.note(AuditOutcome())
                cache.invalidate_index()
            return mine

    _each(audited, forget)
    return len(audited)


def _rows_by_clip(cache: Cache, pattern: str) -> dict[str, list[TrackRow]]:
    """Return all kept tracks of each clip, as they lie on disk: without the results of an earlier audit."""
    found: dict[str, list[TrackRow]] = {}
    for row in cache.all_tracks():
        if fnmatchcase(row.clip, pattern):
            found.setdefault(row.clip, []).append(replace(row, offset=0, status=""))
    if not found and pattern != "*":
        raise _nothing_fits(cache, pattern)
    if not found:
        raise CacheError(f"cache {cache.root} contains no face tracks; run w2l preprocess on some videos first")
    return found


def _nothing_fits(cache: Cache, pattern: str) -> ConfigError:
    return ConfigError(f"no clip of cache {cache.root} matches {pattern!r}; --clips takes a pattern such as 's1/*'")


def _each(clips: Iterable[Clip], work: Callable[[Clip], bool]) -> None:
    """Run `work` on all clips; one that another process holds (False) is retried later."""
    waiting = list(clips)
    with progress(STAGE, len(waiting), "clips") as advance:
        while waiting:
            busy = []
            for clip in waiting:
                if work(clip):
                    advance()
                else:
                    busy.append(clip)
            waiting = busy
            if waiting:
                time.sleep(POLL_S)


def _measure_all(
    cache: Cache, rows: dict[str, list[TrackRow]], auditor: Auditor, settings: AuditSettings, mark: str
) -> tuple[dict[str, list[LagMeasurement]], int]:
    """Return the measurements of each clip's tracks, stored in its record, and the number of clips measured now."""
    found: dict[str, list[LagMeasurement]] = {}
    fresh: set[str] = set()

    def look(clip: Clip) -> bool:
        known = _measured(clip, mark)
        if known is None:
            with clip.claim() as mine:
                if not mine:
                    return False
                known = _measured(clip, mark)  # by a process that has just finished
                if known is None:
                    known = _measure_clip(clip, rows[clip.id], auditor, settings)
                    _note_measured(clip, mark, known)
                    fresh.add(clip.id)
        found[clip.id] = known
        return True

    _each([cache.clip(name) for name in rows], look)
    return {name: found[name] for name in rows}, len(fresh)


def _measured(clip: Clip, mark: str) -> list[LagMeasurement] | None:
    """Return the stored measurements of the current crops; None if they have to be measured."""
    record = clip.record()
    measured = record.audit.measured or Measurements()
    if measured.fingerprint != mark or measured.of != record.preprocess.tracks_mark:
        return None
    return [build(LagMeasurement, facts) for facts in measured.tracks]


def _note_measured(clip: Clip, mark: str, tracks: list[LagMeasurement]) -> None:
    """Store measurements; verdicts of an earlier audit stay until there are new ones."""
    record = clip.record()
    measured = Measurements(mark, record.preprocess.tracks_mark, tuple(asdict(track) for track in tracks))
    clip.note(replace(record.audit, measured=measured))


def _note_verdicts(cache: Cache, clip: Clip, outcome: AuditOutcome, verdicts: list[TrackVerdict]) -> bool:
    """Write the verdicts on one clip if they are new; return False if another process holds it."""
    record = clip.record()
    if (record.audit.fingerprint, record.audit.of) == (outcome.fingerprint, record.preprocess.tracks_mark):
        return True
    with clip.claim() as mine:
        if mine:
            measured = clip.record().audit.measured or Measurements()
            clip.note(replace(outcome, of=measured.of, tracks=tuple(verdicts), measured=measured))
            cache.invalidate_index()
        return mine


def _measure_clip(clip: Clip, rows: list[TrackRow], auditor: Auditor, settings: AuditSettings) -> list[LagMeasurement]:
    _check_same(clip, auditor.source)
    return [measure_lag(auditor, row, settings) for row in rows]


def _check_same(clip: Clip, source: Cache) -> None:
    """Raise CacheError if another cache's crops are not of the same faces at the same times."""
    spans = [
        [(track.first_frame, track.n_frames) for track in one.record().preprocess.tracks]
        for one in (clip, source.clip(clip.id))
    ]
    if spans[0] != spans[1]:
        raise CacheError(
            f"clip {clip.id}: cache {source.root} contains other tracks than the audited cache; preprocess the same "
            "folder into both with the same settings except for the crop"
        )


def _findings(rows: dict[str, list[TrackRow]], verdicts: dict[str, list[TrackVerdict]]) -> list[AuditedTrack]:
    return [AuditedTrack(name, row.track, verdict) for name in rows for row, verdict in zip(rows[name], verdicts[name])]


def _result(expert: Path, zero: Zero, findings: list[AuditedTrack], fresh: int) -> AuditResult:
    counts: dict[str, int] = {word: sum(found.verdict.verdict == word for found in findings) for word in VERDICTS}
    placed = [found.verdict.offset for found in findings if found.verdict.verdict != EXCLUDED]
    offsets = {offset: placed.count(offset) for offset in sorted(set(placed))}
    return AuditResult(expert, zero, counts, offsets, tuple(findings), fresh)
