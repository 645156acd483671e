"""The cache on disk: the only module that knows its files, versions, index and locks.

    cache.json                              format version
    clips/<clip-id>/clip.json               source, its properties, and per stage a fingerprint and an outcome
    clips/<clip-id>/faces.npz               detections of one detector; faces-<first>-<stop>.npz: in those frames alone
    clips/<clip-id>/looks.npz               these faces elsewhere, for `sync`; see `w2l.syncing.memory.store`
    clips/<clip-id>/covers.npz              frames in which something is in front of them; see the same
    clips/<clip-id>/tracks/<k>/frames.*     crops at 25 fps, raw or as JPEG images, see `w2l.cache.crops`
    clips/<clip-id>/tracks/<k>/mel.npy      (80, columns) float32; also mfcc.npy (13, columns) for a judge
    clips/<clip-id>/tracks/<k>/*.voice*.npy the same in further voices, see `w2l.cache.voices`
    index.npz                               one row per track, see `w2l.cache.index`; absent while stale
    index.old.npz                           the previous index, while stale: unchanged clips need not be read again
    checkpoints/<run>/                      model files, training state, config.yaml, log.jsonl, samples/
    runs/<name>.json                        what `sync` made, for `score`
    scores/<..>/<mark>.*                    what `score` measured of one clip, see `w2l.scoring.store`
    models/<name>.safetensors               imported models; models/<pack>/ downloaded ones
    jobs/<id>/                              jobs of the page, with their results; see `w2l.queue.store`

Every file is written under a temporary name, flushed and renamed: a reader never sees a partial file.
"""

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from w2l.cache.crops import Crops, CropWriter, Store, damaged, open_crops, read_sound, write_crops
from w2l.cache.index import Builder, Rows, rows_of
from w2l.cache.index import TrackRow as TrackRow
from w2l.cache.place import default_root
from w2l.cache.records import AuditOutcome, ClipRecord, PreprocessOutcome, read_clip, write_record
from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import DAMAGED, drafts, fingerprint, read_json, remove_leftovers, write_atomic, write_json
from w2l.core.locks import claim
from w2l.core.own_files import refuse_link, remove_folder

FORMAT = 1
RECORD = "clip.json"
INDEX = "index.npz"
OLD_INDEX = "index.old.npz"
UNSURE_NS = 2_000_000_000
"""A clip that changed within this many nanoseconds before the index was started is read again: times are rounded."""


@dataclass(frozen=True)
class Clip:
    """The folder of one clip."""

    id: str
    folder: Path

    @property
    def faces(self) -> Path:
        """Path of the detections."""
        return self.folder / "faces.npz"

    @property
    def looks(self) -> Path:
        """Path of the faces' appearance elsewhere, from which `sync` chooses."""
        return self.folder / "looks.npz"

    @property
    def covers(self) -> Path:
        """Path of what `sync` found in front of the faces, frame by frame."""
        return self.folder / "covers.npz"

    def part(self, name: str) -> Path:
        """Return the path of what is known of some frames only, such as `faces-0-250`."""
        return self.folder / f"{name}.npz"

    def record(self) -> ClipRecord:
        """Return the content of clip.json; empty if the clip is new."""
        return read_clip(self.folder / RECORD)

    def note(self, outcome: PreprocessOutcome | AuditOutcome, **facts: Any) -> None:
        """Record that a stage has finished with this clip; written last, so that what it refers to exists.

        `facts` are other fields of the `ClipRecord`.
        """
        self.write(replace(self.record(), **facts, id=self.id).noted(outcome))

    def write(self, record: ClipRecord) -> None:
        """Replace clip.json."""
        write_record(self.folder / RECORD, record)

    @property
    def lock(self) -> Path:
        """Path of the lock of the process that works on the clip."""
        return self.folder / ".lock"

    def claim(self) -> AbstractContextManager[bool]:
        """Context manager: True inside if this process may work on the clip, False if another one does."""
        refuse_link(self.folder)
        return claim(self.lock)

    def reopen(self) -> None:
        """Reset preprocess to unfinished, then remove all tracks, in this order in case the process is killed."""
        record = self.record()
        if not record.preprocess.is_empty:
            self.write(record.noted(None))
        self.clear_tracks()

    def clear_tracks(self) -> None:
        """Remove all tracks and temporary files of killed processes; the caller must hold the clip."""
        remove_folder(self.folder / "tracks")
        self.clear_leftovers()

    def clear_leftovers(self) -> None:
        """Remove temporary files beside clip.json; the caller must hold the clip."""
        remove_leftovers(self.folder, held=True)

    def write_track(
        self,
        number: int,
        frames: Iterable[NDArray[np.uint8]],
        shape: tuple[int, ...],
        sounds: Mapping[str, NDArray[np.float32]],
        store: Store = "raw",
    ) -> None:
        """Write the crops of track `number` as they come; see `open_track`."""
        with self.open_track(number, shape, store, sounds) as track:
            for frame in frames:
                track.write(frame)

    @contextmanager
    def open_track(
        self, number: int, shape: tuple[int, ...], store: Store, sounds: Mapping[str, NDArray[np.float32]]
    ) -> Iterator[CropWriter]:
        """Context manager that takes the crops of track `number`, one `write(frame)` each; several may be open.

        `shape` is (frames, height, width, 3). When the context succeeds, the crops are in place, with `sounds` beside
        them: mel (80, columns) and, for crops of a judge, mfcc (13, columns). A store in the other format is removed.
        Raises CacheError if the number or the shape of the crops is wrong, or the disk is full.
        """
        folder = self.folder / "tracks" / str(number)
        with write_crops(folder, shape, store) as writer:
            yield writer
        for name, sound in sounds.items():
            write_atomic(folder / f"{name}.npy", functools.partial(np.save, arr=sound))


@dataclass(frozen=True)
class Cache:
    """An opened cache."""

    root: Path

    @classmethod
    def open(cls, root: Path | None = None, create: bool = False) -> "Cache":
        """Open the cache at `root`, else at the default path; raise CacheError if missing, invalid or outdated."""
        root = (root or default_root(create)).absolute()
        marker = root / "cache.json"
        if not marker.exists():
            if not create:
                raise CacheError(f"cache {root} does not exist; run w2l preprocess first, or set --cache")
            if _holds_other_files(root) and not marker.exists():  # asked again: another process may be making it
                raise CacheError(f"{root} contains other files and is not a cache; choose an empty folder with --cache")
            write_json(marker, {"format": FORMAT, "kind": "w2l cache"})
        version = _format_of(marker)
        if version != FORMAT:
            raise CacheError(f"cache {root} has format {version}, this w2l reads {FORMAT}; use another --cache")
        for folder in (root, root / "runs", *root.glob("checkpoints/**/"), *root.glob("models/**/")):
            remove_leftovers(folder)
        return cls(root)

    def clip(self, clip_id: str) -> Clip:
        """Return the folder of one clip, which need not exist yet."""
        return Clip(clip_id, self.root / "clips" / clip_id)

    def clips(self) -> Iterator[Clip]:
        """Yield all clips with a record, each folder's in the order of their names."""
        return (clip for clip, _ in self._records())

    def _records(self) -> Iterator[tuple[Clip, os.DirEntry[str]]]:
        """Yield all clips with the directory entry of their record; lists each folder once, even for a million."""
        waiting = [""]
        while waiting:
            clip_id = waiting.pop()
            folder = self.root / "clips" / clip_id
            try:
                with os.scandir(folder) as entries:
                    found = {entry.name: entry for entry in entries}
            except (FileNotFoundError, NotADirectoryError):
                continue
            record = found.get(RECORD)
            if record:
                yield Clip(clip_id, folder), record
                found.pop("tracks", None)
            below = [name for name, entry in found.items() if entry.is_dir(follow_symlinks=False)]
            waiting += [f"{clip_id}/{name}" if clip_id else name for name in sorted(below, reverse=True)]

    @property
    def checkpoints(self) -> Path:
        """Path of the training runs."""
        return self.root / "checkpoints"

    def run_folder(self, run: str) -> Path:
        """Return the folder of a training run; raise ConfigError for a name that leads elsewhere."""
        if not run or run.startswith(".") or "/" in run or os.sep in run:
            raise ConfigError(f"run name {run!r} must be plain, without / and without a leading dot")
        return self.checkpoints / run

    @property
    def runs(self) -> Path:
        """Path of the records of `sync` and `score`."""
        return self.root / "runs"

    @property
    def scores(self) -> Path:
        """Path of the measurements of `score`."""
        return self.root / "scores"

    @property
    def models(self) -> Path:
        """Path of imported models and downloaded packs."""
        return self.root / "models"

    def invalidate_index(self) -> None:
        """Mark the index as stale, after a track has changed.

        An index that another process is building is discarded, too, as it may lack the change.
        """
        for path in drafts(self.root / INDEX):
            path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self.root / INDEX).replace(self.root / OLD_INDEX)

    def tracks(self) -> Rows:
        """Return the usable tracks from the index, which is rebuilt if stale; raise CacheError if there are none."""
        rows = self.all_tracks()
        if not len(rows):
            raise CacheError(f"cache {self.root} contains no face tracks; run w2l preprocess on some videos first")
        usable = rows.select(rows.usable)
        if not len(usable):
            reason = next(iter(rows.counts("status")))
            raise CacheError(
                f"cache {self.root}: the audit excluded all {len(rows)} tracks ({reason}); see w2l audit --undo"
            )
        return usable

    def all_tracks(self) -> Rows:
        """Return `tracks` including those that the audit excluded; may be empty."""
        try:
            return Rows.read(self.root / INDEX)
        except DAMAGED:
            return self.build_index()

    def build_index(self) -> Rows:
        """Rebuild the index from the clips and return its rows. It stays stale if a track changes meanwhile.

        The records of clips that did not change since the previous index was started are not read again.
        """
        rows: list[Rows] = []

        def write(file: BinaryIO) -> None:  # scan while the temporary file exists, see `invalidate_index`
            began_ns = os.fstat(file.fileno()).st_ctime_ns  # by the clock of the disk that also timestamps the records
            rows.append(self._scan())
            rows[0].write(file)
            file.flush()
            os.utime(file.fileno(), ns=(began_ns, began_ns))

        try:
            write_atomic(self.root / INDEX, write)
            (self.root / OLD_INDEX).unlink(missing_ok=True)
        except CacheError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        return rows[0]

    def _scan(self) -> Rows:
        """Return the rows of all clips, those of unchanged ones from the previous index."""
        known, known_ns = Builder().finish(), 0
        with contextlib.suppress(*DAMAGED):
            known_ns = (self.root / OLD_INDEX).stat().st_mtime_ns - UNSURE_NS
            known = Rows.read(self.root / OLD_INDEX)
        found, changed, order = Builder(), set[str](), dict[str, int]()
        for clip, record in self._records():
            order[clip.id] = len(order)
            if len(known) and record.stat().st_ctime_ns < known_ns:  # the time of the last rename, or later
                continue
            changed.add(clip.id)
            for row, crop in rows_of(clip.id, clip.record()):
                found.add(row, crop)
        unchanged = {clip_id: place for clip_id, place in order.items() if clip_id not in changed}
        return (known.of_clips(unchanged) + found.finish()).of_clips(order)

    def load_track(self, row: TrackRow) -> tuple[Crops, NDArray[np.float32]]:
        """Return crops (frames, height, width, 3), read as they are sliced, and mel (80, columns) of one track."""
        return self.load_crops(row), self.load_mel(row)

    def load_crops(self, row: TrackRow) -> Crops:
        """Return the crops of one track, read as they are sliced; raise CacheError if damaged."""
        return open_crops(self._track(row))

    def load_mel(self, row: TrackRow) -> NDArray[np.float32]:
        """Return the mel (80, columns) of one track; raise CacheError if damaged."""
        try:
            return read_sound(self._track(row) / "mel.npy", 80)
        except DAMAGED as error:
            raise damaged(self._track(row), error) from error

    def _track(self, row: TrackRow) -> Path:
        return self.clip(row.clip).folder / "tracks" / str(row.track)

    def load_mfcc(self, row: TrackRow) -> NDArray[np.float32]:
        """Return the MFCC (13, columns) of one track that was cropped for a judge."""
        path = self._track(row) / "mfcc.npy"
        try:
            return read_sound(path, 13)
        except DAMAGED as error:
            raise CacheError(f"{path} cannot be read ({error}); run w2l preprocess --set crop.kind=judge") from error


def _format_of(marker: Path) -> Any:
    try:
        return read_json(marker).get("format")
    except CacheError as error:
        line = json.dumps({"format": FORMAT})
        raise CacheError(f"{marker} is damaged; replace its content by {line}, or use another --cache") from error


def _holds_other_files(root: Path) -> bool:
    try:
        return root.is_dir() and any(entry.name[0] != "." for entry in root.iterdir())
    except OSError as error:
        raise CacheError(f"{root} cannot be read ({error.strerror}); choose another folder with --cache") from error


RESERVED = frozenset([RECORD, "faces.npz", "looks.npz", "covers.npz", "tracks"])
"""Names of the cache's own files in a clip's folder, which must not be part of another clip's id."""
MAX_NAME = 200
"""Longest part of an id, in characters, so that file systems accept it with a hash appended."""


def safe_id(name: str) -> str:
    """Return `name` as a relative path of plain characters, with a hash appended if it had to change."""
    parts = [re.sub(r"[^A-Za-z0-9._+=-]", "_", part).lstrip(".")[:MAX_NAME] or "_" for part in name.split("/")]
    safe = "/".join(f"{part}_" if part in RESERVED else part for part in parts)
    return safe if safe == name else f"{safe}-{fingerprint(name)[:8]}"
