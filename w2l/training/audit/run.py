"""The sync audit of a cache: an expert finds the offset of every track; what is out of step is undone or set aside.

It works in two passes. First the lag of each track is measured, which is slow and depends on the expert alone. Then,
from the zero that all tracks share, come the verdicts. Both are kept in each clip's record, so that an audit goes on
where it was stopped, and other thresholds cost no second look:

    stages.audit.measured   `w2l.cache.records.Measurements`
    stages.audit            `w2l.cache.records.AuditOutcome`

The audit is virtual: crops and sounds stay as they are, and whoever reads a track that was shifted undoes its offset.
What is measured is always the track as it lies on disk, so a second audit finds what the first one found.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from w2l.cache.records import EXCLUDED, VERDICTS, AuditOutcome, Measurements, Verdict
from w2l.cache.store import Cache, Clip, TrackRow
from w2l.core.config import build, plain
from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import fingerprint
from w2l.core.progress import progress
from w2l.training.audit.measure import Auditor, measure_lag, open_auditor
from w2l.training.audit.verdicts import AuditSettings, LagMeasurement, Zero, find_zero, judge_track, why_at_chance

logger = logging.getLogger(__name__)
STAGE = "audit"
VERSION = 1
"""Rises whenever the same track and expert would give another lag."""
LEAST_CLIPS = 2
"""Clips that an audit leaves, where the cache has so many: a training divides them."""
POLL_S = 1.0
"""Seconds between two looks at clips that another process works on."""


@dataclass(frozen=True)
class AuditedTrack:
    """The verdict on one track of the cache."""

    clip: str
    track: int
    verdict: Verdict


@dataclass(frozen=True)
class AuditResult:
    """What became of the tracks."""

    expert: Path
    zero: Zero
    counts: dict[str, int]
    """Tracks by verdict."""
    offsets: dict[int, int]
    """Tracks by offset, in frames, those set aside left out."""
    findings: tuple[AuditedTrack, ...] = field(repr=False)
    """All tracks, in the order of the index."""
    measured: int = 0
    """Clips measured now; the others were before."""
    refused: str = ""
    """Why the cache was left as it was; empty where the verdicts were written."""

    def __str__(self) -> str:
        """One line."""
        counts = ", ".join(f"{self.counts[word]} {word}" for word in VERDICTS)
        left = f"; nothing was changed: {self.refused}" if self.refused else ""
        return f"{len(self.findings)} tracks: {counts}; zero {self.zero.lag:+.2f} frames{left}"


def audit_cache(
    cache: Cache,
    model: str,
    settings: AuditSettings | None = None,
    device: torch.device | str = "cpu",
    clips: str = "*",
    via: Cache | None = None,
) -> AuditResult:
    """Finds the offset of every kept track and writes a verdict on it into its clip's record.

    Several processes may do so at once with the same arguments, and one that was stopped goes on.

    Parameters
    ----------
    cache : Cache
        Of `preprocess`; its crops and sounds are not touched.
    model : str
        An expert by name or path; where the crops are a judge's, a judge.
    settings : AuditSettings, optional
        Thresholds.
    device : device or its name
        Where the expert computes.
    clips : str
        Pattern (``*``, ``?``, ``[...]``) of the clip ids to audit.
    via : Cache, optional
        A cache of the same clips in crops that `model` can see; by default `cache` itself.

    Raises
    ------
    ConfigError
        When the model cannot see these crops, or no clip fits the pattern.
    CacheError
        When there is no track, or `via` holds other tracks than `cache`.
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


def _why_nothing_left(cache: Cache, verdicts: dict[str, list[Verdict]]) -> str:
    """Return why verdicts must not be written: too few clips would be left to train on; empty where enough are."""
    others = {row.clip for row in cache.all_tracks() if row.clip not in verdicts and not row.status}
    left = {name for name, found in verdicts.items() if any(one.verdict != EXCLUDED for one in found)}
    if len(others | left) >= min(LEAST_CLIPS, len(verdicts) + len(others)):
        return ""
    return f"it would set aside all but {len(others | left)} clips, and nothing could be trained on what is left"


def _free(cache: Cache) -> None:
    """Undo the audit of a cache that an earlier one left without any usable track."""
    if not cache.all_tracks().usable.any():
        count = undo_audit(cache)
        logger.warning("an earlier audit had set all tracks aside; that of %d clips is undone", count)


def undo_audit(cache: Cache, clips: str = "*") -> int:
    """Forgets all verdicts, on clips whose id fits the pattern; gives the number of clips that had some.

    Raises ConfigError when no clip fits it.
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
    """All kept tracks of each clip, as they lie on disk: without what an earlier audit found."""
    found: dict[str, list[TrackRow]] = {}
    for row in cache.all_tracks():
        if fnmatchcase(row.clip, pattern):
            found.setdefault(row.clip, []).append(replace(row, offset=0, status=""))
    if not found and pattern != "*":
        raise _nothing_fits(cache, pattern)
    if not found:
        raise CacheError(f"cache {cache.root} holds no face track; run w2l preprocess on a folder of videos first")
    return found


def _nothing_fits(cache: Cache, pattern: str) -> ConfigError:
    return ConfigError(f"no clip of cache {cache.root} fits {pattern!r}; --clips takes a pattern such as 's1/*'")


def _each(clips: Iterable[Clip], work: Callable[[Clip], bool]) -> None:
    """Has `work` done on all clips; one that another process holds (False) is tried again later."""
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
    """What is measured of the tracks of each clip, kept in its record; and of how many clips that was done now."""
    found: dict[str, list[LagMeasurement]] = {}
    fresh: set[str] = set()

    def look(clip: Clip) -> bool:
        known = _measured(clip, mark)
        if known is None:
            with clip.claim() as mine:
                if not mine:
                    return False
                known = _measured(clip, mark)  # by a process that has just left
                if known is None:
                    known = _measure_clip(clip, rows[clip.id], auditor, settings)
                    _note_measured(clip, mark, known)
                    fresh.add(clip.id)
        found[clip.id] = known
        return True

    _each([cache.clip(name) for name in rows], look)
    return {name: found[name] for name in rows}, len(fresh)


def _measured(clip: Clip, mark: str) -> list[LagMeasurement] | None:
    """What was measured before, of the crops that are there now; None when that has to be done."""
    record = clip.record()
    measured = record.audit.measured or Measurements()
    if measured.fingerprint != mark or measured.of != record.preprocess.tracks_mark:
        return None
    return [build(LagMeasurement, facts) for facts in measured.tracks]


def _note_measured(clip: Clip, mark: str, tracks: list[LagMeasurement]) -> None:
    """Keeps what was measured; verdicts of an earlier audit stay until there are new ones."""
    record = clip.record()
    measured = Measurements(mark, record.preprocess.tracks_mark, tuple(asdict(track) for track in tracks))
    clip.note(replace(record.audit, measured=measured))


def _note_verdicts(cache: Cache, clip: Clip, outcome: AuditOutcome, verdicts: list[Verdict]) -> bool:
    """Writes the verdicts on one clip, where they are new; False when another process holds it."""
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
    """Refuses crops of another cache that are not of the same faces at the same times."""
    spans = [
        [(track.first_frame, track.n_frames) for track in one.record().preprocess.tracks]
        for one in (clip, source.clip(clip.id))
    ]
    if spans[0] != spans[1]:
        raise CacheError(
            f"clip {clip.id}: cache {source.root} holds other tracks than the cache to audit; preprocess the same "
            "folder into both with the same settings but for the crop"
        )


def _findings(rows: dict[str, list[TrackRow]], verdicts: dict[str, list[Verdict]]) -> list[AuditedTrack]:
    return [AuditedTrack(name, row.track, verdict) for name in rows for row, verdict in zip(rows[name], verdicts[name])]


def _result(expert: Path, zero: Zero, findings: list[AuditedTrack], fresh: int) -> AuditResult:
    counts: dict[str, int] = {word: sum(found.verdict.verdict == word for found in findings) for word in VERDICTS}
    placed = [found.verdict.offset for found in findings if found.verdict.verdict != EXCLUDED]
    offsets = {offset: placed.count(offset) for offset in sorted(set(placed))}
    return AuditResult(expert, zero, counts, offsets, tuple(findings), fresh)
