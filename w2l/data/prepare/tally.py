"""Statistics of a cache's clips, counted from their records, whatever version of w2l wrote them."""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.cache.records import EXCLUDED, ClipRecord, RejectedTrack, TrackVerdict
from w2l.cache.store import Cache
from w2l.core.arrays import Floats
from w2l.core.errors import CacheError
from w2l.core.timing import FPS
from w2l.data.prepare.gates import GateSettings
from w2l.data.sources.clip_lists import SPLITS

NOT_SAID, UNFINISHED, DAMAGED_RECORD = "not said", "unfinished", "damaged record"
"""Keywords for clips whose record does not name a gate: from an old w2l, an interrupted run, or unreadable."""
AUDIT = "out of sync"
"""Keyword for the tracks that the sync audit excluded."""
UNKNOWN = "unknown"
"""Name of an unknown speaker or split."""
N_EXAMPLES = 8
"""Number of tracks named for each reason."""


@dataclass(frozen=True)
class TrackMeasure:
    """A quality that is measured for every track."""

    key: str
    """Its key in a record."""
    title: str
    unit: str = ""
    gate: str = ""
    """Keyword of the gate that uses it."""
    limit: str = ""
    """Name of that gate's limit in `GateSettings`: ``min_...`` or ``max_...``."""
    is_whole: bool = False
    """Whether its values are integers."""


MEASURES = (
    TrackMeasure("face_px", "Size of the face", "pixels", "small face", "min_face_px"),
    TrackMeasure("score", "Score of the detector", "0 to 1", "unsure", "min_score"),
    TrackMeasure("blur", "Sharpness", "", "blurred", "min_sharpness"),
    TrackMeasure("yaw", "Head turned aside", "degrees", "turned away", "max_yaw"),
    TrackMeasure("silent_share", "Windows without speech", "share", "silent", "max_silent"),
    TrackMeasure("mouth", "Motion of the mouth", "", "not speaking", "min_mouth"),
    TrackMeasure("n_faces", "Faces on screen", "faces", "several faces", "max_faces", True),
    TrackMeasure("length_s", "Length", "seconds", "too short", "min_track_s"),
)


@dataclass(frozen=True)
class Group:
    """Totals of clips with a property in common."""

    name: str
    clips: int = 0
    tracks: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Loss(Group):
    """What is not used for one reason: clips without any usable track, and tracks of any clip."""

    examples: tuple[tuple[str, str], ...] = ()
    """Name and reason of the worst tracks."""


@dataclass(frozen=True)
class Audit:
    """Result of the sync audit for the tracks that it examined."""

    verdicts: Mapping[str, int]
    """Verdict -> number of tracks."""
    offsets: NDArray[np.int64]
    """(tracks not excluded,): in video frames, positive if the audio runs ahead of the picture."""
    confidences: Floats
    """(tracks,)"""


@dataclass(frozen=True)
class Report:
    """Statistics of a cache's clips."""

    root: str
    n_clips: int
    kept: Group
    """Everything that training may use."""
    splits: tuple[Group, ...]
    speakers: tuple[Group, ...]
    """Kept tracks per speaker, the one with most seconds first."""
    losses: tuple[Loss, ...]
    """Losses by reason, the one with most tracks first."""
    names: tuple[str, ...]
    """Name of every track, kept and refused."""
    gates: NDArray[np.str_]
    """(tracks,): why each is not used; empty if it is."""
    values: Mapping[str, Floats]
    """Key of a measure -> (tracks,), NaN where it was not measured."""
    limits: Mapping[str, float]
    """Key of a measure -> the limit of its gate, if known and enabled."""
    audit: Audit | None = None


class _Tally:
    """Totals that grow clip by clip."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.gates: list[str] = []
        self.values: dict[str, dict[int, float]] = defaultdict(dict)
        self.groups: dict[tuple[str, str], Group] = {}
        self.sentences: dict[str, list[tuple[int | None, str, str]]] = defaultdict(list)
        self.audited: list[tuple[str, int, float]] = []

    def count(self, kind: str, name: str, clips: int, tracks: int, seconds: float) -> None:
        """Add to the group `name` of one kind: split, speaker, loss or kept."""
        old = self.groups.get((kind, name), Group(name))
        self.groups[kind, name] = Group(name, old.clips + clips, old.tracks + tracks, old.seconds + seconds)

    def of_kind(self, kind: str) -> list[Group]:
        """Return the groups of one kind, in order of appearance."""
        return [group for (own, _), group in self.groups.items() if own == kind]

    def add_track(self, name: str, gate: str, quality: Mapping[str, Any] | None) -> int:
        """Add the measurements of a track; return its number."""
        number = len(self.names)
        self.names.append(name)
        self.gates.append(gate)
        for key, value in (quality or {}).items():
            self.values[key][number] = _number(value)
        return number


def collect(cache: Cache, gates: GateSettings | None = None) -> Report:
    """Collect the statistics of the records in `cache`.

    `gates` are the settings whose limits are shown; records do not contain them.
    """
    tally, n_clips = _Tally(), 0
    for clip in cache.clips():
        n_clips += 1
        try:
            record = clip.record()
        except CacheError as error:
            _lose_clip(tally, clip.id, DAMAGED_RECORD, str(error), 0.0)
        else:
            _count_clip(tally, clip.id, record)
    values = {key: _column(found, len(tally.names)) for key, found in tally.values.items()}
    marks = np.array(tally.gates, dtype=np.str_)
    losses = [_loss(group, tally, values) for group in tally.of_kind("loss")]
    return Report(
        root=str(cache.root),
        n_clips=n_clips,
        kept=next(iter(tally.of_kind("kept")), Group("kept")),
        splits=tuple(sorted(tally.of_kind("split"), key=lambda group: _split_order(group.name))),
        speakers=tuple(sorted(tally.of_kind("speaker"), key=lambda group: (-group.seconds, group.name))),
        losses=tuple(sorted(losses, key=lambda loss: (-loss.tracks, -loss.clips, loss.name))),
        names=tuple(tally.names),
        gates=marks,
        values=values,
        limits=_limits(gates) if gates is not None else {},
        audit=_audit(tally),
    )


def _count_clip(tally: _Tally, clip: str, record: ClipRecord) -> None:
    outcome = record.preprocess
    clip_s = (record.frames or 0) / record.fps if record.fps else 0.0
    if outcome.is_empty:
        _lose_clip(tally, clip, UNFINISHED, "preprocess has not finished with it", clip_s)
        return
    n_kept, kept_s = 0, 0.0
    lost: list[str] = []
    for number, (track, verdict) in enumerate(zip(outcome.tracks, record.verdicts)):
        gate = _heed_audit(tally, f"{clip} #{number}", verdict)
        seconds = track.n_frames / FPS
        tally.add_track(f"{clip} #{number}", gate, track.quality)
        if gate:
            lost.append(gate)
            tally.count("loss", gate, 0, 1, seconds)
        else:
            n_kept, kept_s = n_kept + 1, kept_s + seconds
    lost += [_refuse(tally, clip, track) for track in outcome.rejected]
    if n_kept:
        for kind, name in (("kept", "kept"), ("split", record.split), ("speaker", record.speaker)):
            tally.count(kind, name or UNKNOWN, 1, n_kept, kept_s)
    elif lost:
        tally.count("loss", outcome.gate or Counter(lost).most_common(1)[0][0], 1, 0, 0.0)
    else:
        reason = outcome.reason or "no track, and no reason was recorded"
        _lose_clip(tally, clip, outcome.gate or NOT_SAID, reason, clip_s)


def _refuse(tally: _Tally, clip: str, track: RejectedTrack) -> str:
    """Count a track that a gate refused; return the gate's keyword."""
    gate, name = track.gate or NOT_SAID, f"{clip} at {track.start_s:.1f} s"
    number = tally.add_track(name, gate, track.quality)
    tally.sentences[gate].append((number, name, track.reason or ""))
    tally.count("loss", gate, 0, 1, max(0.0, track.end_s - track.start_s))
    return gate


def _lose_clip(tally: _Tally, clip: str, word: str, reason: str, seconds: float) -> None:
    tally.count("loss", word, 1, 0, seconds)
    tally.sentences[word].append((None, clip, reason))


def _heed_audit(tally: _Tally, name: str, found: TrackVerdict) -> str:
    """Count the audit's verdict on a track; return AUDIT if it must not be used."""
    if not found.verdict:
        return ""
    tally.audited.append((found.verdict, found.offset, found.confidence))
    if found.verdict != EXCLUDED:
        return ""
    tally.sentences[AUDIT].append((None, name, found.reason))
    return AUDIT


def _loss(group: Group, tally: _Tally, values: Mapping[str, Floats]) -> Loss:
    """Add the examples that miss the limit most; for a gate without a measure, the first ones."""
    rows = tally.sentences[group.name]
    measure = next((measure for measure in MEASURES if measure.gate == group.name), None)
    column = values.get(measure.key) if measure else None

    def rank(row: tuple[int | None, str, str]) -> float:
        if measure is None or column is None or row[0] is None or np.isnan(column[row[0]]):
            return math.inf
        return float(column[row[0]]) if measure.limit.startswith("min") else -float(column[row[0]])

    worst = heapq.nsmallest(N_EXAMPLES, rows, key=rank)
    return Loss(group.name, group.clips, group.tracks, group.seconds, tuple((name, text) for _, name, text in worst))


def _audit(tally: _Tally) -> Audit | None:
    if not tally.audited:
        return None
    counted = dict(Counter(verdict for verdict, _, _ in tally.audited).most_common())
    offsets = [offset for verdict, offset, _ in tally.audited if verdict != EXCLUDED]
    confidences = [confidence for _, _, confidence in tally.audited]
    return Audit(counted, np.array(offsets, np.int64), np.array(confidences, np.float64))


def _limits(gates: GateSettings) -> dict[str, float]:
    """Return key of a measure -> limit, for the gates that are enabled."""
    limits = {measure.key: float(getattr(gates, measure.limit)) for measure in MEASURES}
    return {key: limit for key, limit in limits.items() if limit and math.isfinite(limit)}


def _column(found: Mapping[int, float], n_tracks: int) -> Floats:
    column = np.full(n_tracks, np.nan)
    column[list(found)] = list(found.values())
    return column


def _split_order(name: str) -> tuple[int, str]:
    return SPLITS.index(name) if name in SPLITS else len(SPLITS), name


def _number(value: Any) -> float:
    """Return a number of a record; 0 if it is missing."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0
