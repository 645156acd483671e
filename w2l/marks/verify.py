"""The story of `verify`: which marks a file carries, found without its original, in one pass over its pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from w2l.cache.records import SIDECAR
from w2l.core.arrays import Floats
from w2l.core.errors import CacheError
from w2l.core.files import read_json
from w2l.marks.claims import id_in_tag, id_of
from w2l.marks.detect import Found, analysed, search
from w2l.marks.provenance import read_manifest
from w2l.marks.verdict import Beside, MarkFound, Stretch, Verdict
from w2l.media.coded import CodedReader
from w2l.media.container import Clock, ReadStats, undecodable
from w2l.media.tags import comments

INTACT = ("valid", "untrusted", "expired")
"""States of a manifest that fits its file."""
STRETCH_S = 5.0
"""Seconds of video that are searched as one."""
PER_S = 4.0
"""Pictures looked at per second: the mark is the same in all."""
MIN_STRETCH_S = 1.0
"""A last stretch that is shorter counts to the one before."""


def verify(path: Path) -> Verdict:
    """Return what a file says of how it was made; MediaError where it cannot be read at all."""
    stats = ReadStats()
    marks, duration_s = find_marks(path, stats)
    tag = next((record for text in comments(path) if (record := id_in_tag(text))), "")
    manifest = read_manifest(path)
    is_intact = manifest.state in INTACT and bool(manifest.record)
    known = {one.record for one in marks} | ({tag} if tag else set()) | ({manifest.record} if is_intact else set())
    return Verdict(
        path=path,
        is_marked=bool(known),
        marks=marks,
        tag=tag,
        manifest=manifest,
        record=record_beside(path.with_suffix(SIDECAR), known),
        duration_s=round(duration_s, 3),
        is_whole=not stats.n_skipped,
    )


def record_beside(sidecar: Path, known: set[str]) -> Beside:
    """Return what is known of the record beside a file in which the record ids `known` were found."""
    if not sidecar.is_file():
        return "none"
    try:
        content = read_json(sidecar)
    except CacheError:
        return "unreadable"
    if not isinstance(content, dict):
        return "unreadable"
    record = id_of(content)
    if content.get("record_id") not in (None, record):
        return "altered"
    if not known or content.get("record_id") is None:
        return "unchecked"
    return "matches" if record in known else "other"


@dataclass
class _Search:
    """Marks found so far."""

    stretches: dict[str, list[Stretch]] = field(default_factory=dict)
    best: dict[str, Found] = field(default_factory=dict)
    whole: Any = 0.0
    """Sum of all analysed pictures."""

    def stretch(self, total: Floats, start_s: float, end_s: float) -> None:
        """Search a stretch: where marks were found before, at their scales first."""
        self.whole = self.whole + total
        scales = sorted({one.scale for one in self.best.values()})
        found = [one for scale in scales for one in search(total, scale)] or search(total)
        for record in self._keep(found):
            parts = self.stretches.setdefault(record, [])
            if parts and parts[-1].end_s == start_s:
                start_s = parts.pop().start_s
            parts.append(Stretch(start_s, end_s))

    def finish(self) -> tuple[MarkFound, ...]:
        """Search the whole video taken together; return all marks, the surest first."""
        self._keep(search(self.whole))
        found = sorted(self.best.values(), key=lambda one: -one.score)
        return tuple(
            MarkFound(one.record, round(one.score, 2), tuple(self.stretches.get(one.record, ()))) for one in found
        )

    def _keep(self, found: list[Found]) -> set[str]:
        for one in found:
            if one.record not in self.best or self.best[one.record].score < one.score:
                self.best[one.record] = one
        return {one.record for one in found}


def find_marks(path: Path, stats: ReadStats) -> tuple[tuple[MarkFound, ...], float]:
    """Return the marks in the pictures of a file, and for how many seconds it was looked at."""
    searched = _Search()
    total: Any = None
    start_s = end_s = 0.0
    for time_s, luma, levels in sampled(path, stats):
        if total is not None and time_s >= start_s + STRETCH_S:
            searched.stretch(total, start_s, time_s)
            total, start_s = None, time_s
        seen = analysed(luma, levels)
        total = seen if total is None else total + seen
        end_s = time_s + 1 / PER_S
    if total is None:
        raise undecodable(path)
    if start_s == 0.0 or end_s - start_s >= MIN_STRETCH_S:
        searched.stretch(total, start_s, end_s)
    else:
        searched.whole = searched.whole + total
    return searched.finish(), end_s


def sampled(path: Path, stats: ReadStats) -> Iterator[tuple[float, NDArray[Any], float]]:
    """Yield some pictures a second: time in seconds, luma (rows, columns), and its levels per level of 8 bits."""
    with CodedReader(path, stats) as reader:
        clock, due_s = Clock(reader.fps), 0.0
        for frame, stamp in reader.decoded():
            time_s = clock.tick(stamp.time_s)
            picture = reader.picture(frame) if time_s >= due_s - 1e-6 else None
            if picture is not None:
                due_s = time_s + 1 / PER_S
                yield time_s, picture.y, 2.0 ** (picture.colour.depth - 8)
