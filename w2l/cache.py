"""The cache on disk: the only module that knows its files, versions, index and claims.

    cache.json                              format version
    clips/<clip-id>/clip.json               source, what is known of it, and per stage a fingerprint and an outcome
    clips/<clip-id>/faces.npz               detections of one detector
    clips/<clip-id>/tracks/<k>/frames.npy   crops (frames, height, width, 3) uint8 RGB at 25 fps
    clips/<clip-id>/tracks/<k>/mel.npy      (80, columns) float32; mfcc.npy (13, columns) beside it for a judge
    index.npz                               one row a track; absent while stale
    checkpoints/<run>/                      model files, training state, config.yaml, log.jsonl, samples/
    runs/<name>.json                        what `sync` made, for `score`
    models/<name>.safetensors               imported models; models/<pack>/ fetched ones

Every file is written under a temporary name, flushed and renamed: a reader never sees half a file.
"""

import functools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from w2l.errors import CacheError, ConfigError
from w2l.files import DAMAGED, TEMPORARY, read_json, remove_leftovers, write_atomic, write_json
from w2l.locks import claim

FORMAT = 1
INDEX = "index.npz"
def default_root() -> Path:
    """``$W2L_CACHE``, else ``w2l-cache`` in the working directory."""
    return Path(os.environ.get("W2L_CACHE") or "w2l-cache")


@dataclass(frozen=True)
class Clip:
    """One clip's folder."""

    id: str
    folder: Path

    @property
    def faces(self) -> Path:
        """Where the detections are kept."""
        return self.folder / "faces.npz"

    def record(self) -> dict[str, Any]:
        """The content of clip.json; empty when the clip is new."""
        path = self.folder / "clip.json"
        return read_json(path) if path.exists() else {}

    def outcome(self, stage: str) -> dict[str, Any]:
        """What `stage` noted about this clip: fingerprint, outcome, reason; empty when it never finished."""
        outcome = self.record().get("stages", {}).get(stage, {})
        return outcome if isinstance(outcome, dict) else {}

    def note(self, stage: str, outcome: Mapping[str, Any], **facts: Any) -> None:
        """Records that `stage` has finished with this clip; written last, so that what it names is there."""
        record = self.record()
        record.update(facts, id=self.id)
        record.setdefault("stages", {})[stage] = dict(outcome)
        write_json(self.folder / "clip.json", record)

    @property
    def lock(self) -> Path:
        """Where a process that works on the clip says so."""
        return self.folder / ".lock"

    def claim(self) -> AbstractContextManager[bool]:
        """Context manager: True inside when this process may work on the clip, False when another one does."""
        return claim(self.lock)

    def reopen(self, stage: str) -> None:
        """Forgets that `stage` has finished, then removes all tracks: who is killed now leaves a clip to be done."""
        record = self.record()
        if record.get("stages", {}).pop(stage, None) is not None:
            write_json(self.folder / "clip.json", record)
        self.clear_tracks()

    def clear_tracks(self) -> None:
        """Removes all tracks and what a killed process left half-written; for the process that holds the clip."""
        shutil.rmtree(self.folder / "tracks", ignore_errors=True)
        self.clear_leftovers()

    def clear_leftovers(self) -> None:
        """Removes half-written files beside clip.json; for the process that holds the clip."""
        for left in self.folder.glob(f"{TEMPORARY}*"):
            left.unlink(missing_ok=True)

    def write_track(
        self,
        number: int,
        frames: Iterable[NDArray[np.uint8]],
        shape: tuple[int, ...],
        sounds: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Writes the crops of track `number` as they come, `shape` (frames, height, width, 3), and `sounds`.

        `sounds`: mel (80, columns) and, for crops of a judge, mfcc (13, columns).
        """
        folder = self.folder / "tracks" / str(number)
        write_atomic(folder / "frames.npy", lambda file: _write_frames(file, frames, shape))
        for name, sound in sounds.items():
            write_atomic(folder / f"{name}.npy", functools.partial(np.save, arr=sound))


@dataclass(frozen=True)
class TrackRow:
    """One track of the index."""

    clip: str
    track: int
    n_frames: int
    n_columns: int
    split: str


@dataclass(frozen=True)
class Cache:
    """An opened cache."""

    root: Path

    @classmethod
    def open(cls, root: Path | None = None, create: bool = False) -> "Cache":
        """The cache at `root`, else at the default place; CacheError when missing, of another version or no cache."""
        root = (root or default_root()).absolute()
        marker = root / "cache.json"
        if not marker.exists():
            if not create:
                raise CacheError(f"there is no cache at {root}; run w2l preprocess first, or name it with --cache")
            if _holds_other_files(root) and not marker.exists():  # asked again: another process may be making it
                raise CacheError(f"{root} holds other files and is no cache; name an empty folder with --cache")
            write_json(marker, {"format": FORMAT, "kind": "w2l cache"})
        version = _format_of(marker)
        if version != FORMAT:
            raise CacheError(f"cache {root} has format {version}, this w2l reads {FORMAT}; use another --cache")
        for folder in (root, root / "runs", *root.glob("checkpoints/**/"), *root.glob("models/**/")):
            remove_leftovers(folder)
        return cls(root)

    def clip(self, clip_id: str) -> Clip:
        """The folder of one clip, which need not exist yet."""
        return Clip(clip_id, self.root / "clips" / clip_id)

    def clips(self) -> Iterator[Clip]:
        """All clips with a record, sorted by id."""
        base = self.root / "clips"
        for path in sorted(base.rglob("clip.json")):
            yield Clip(path.parent.relative_to(base).as_posix(), path.parent)

    @property
    def checkpoints(self) -> Path:
        """Where the training runs are."""
        return self.root / "checkpoints"

    def run_folder(self, run: str) -> Path:
        """Where a training run keeps its files; ConfigError for a name that leads elsewhere."""
        if not run or run.startswith(".") or "/" in run or os.sep in run:
            raise ConfigError(f"run name {run!r} must be plain, without / and without a leading dot")
        return self.checkpoints / run

    @property
    def runs(self) -> Path:
        """Where `sync` and `score` keep their records."""
        return self.root / "runs"

    @property
    def models(self) -> Path:
        """Where imported models and fetched packs are."""
        return self.root / "models"

    def invalidate_index(self) -> None:
        """Marks the index stale, after a track has changed.

        Takes the index that another process is building away from it, too, as that may not know of the change.
        """
        for path in (*self.root.glob(f"{TEMPORARY}*-{INDEX}"), self.root / INDEX):
            path.unlink(missing_ok=True)

    def tracks(self) -> list[TrackRow]:
        """All tracks, from the index, which is rebuilt when stale; CacheError when there is none."""
        rows = self.all_tracks()
        if not rows:
            raise CacheError(f"cache {self.root} holds no face track; run w2l preprocess on a folder of videos first")
        return rows

    def all_tracks(self) -> list[TrackRow]:
        """As `tracks`, but there may be none."""
        try:
            with np.load(self.root / INDEX) as index:
                columns = [index[column.name].tolist() for column in fields(TrackRow)]
        except DAMAGED:
            return self.build_index()
        return [TrackRow(*row) for row in zip(*columns)]

    def build_index(self) -> list[TrackRow]:
        """Writes the index anew from the clips; gives its rows. It stays stale when a track changes meanwhile."""
        rows: list[TrackRow] = []

        def write(file: BinaryIO) -> None:  # scans with the temporary file in place, see `invalidate_index`
            rows.extend(row for clip in self.clips() for row in _rows(clip))
            columns = {column.name: [getattr(row, column.name) for row in rows] for column in fields(TrackRow)}
            text = {"clip", "split"}
            arrays = {name: np.array(column, np.str_ if name in text else np.int64) for name, column in columns.items()}
            np.savez(file, **arrays)  # type: ignore[arg-type]

        try:
            write_atomic(self.root / INDEX, write)
        except CacheError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        return rows

    def load_track(self, row: TrackRow) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Crops (frames, height, width, 3), memory-mapped, and mel (80, columns) of one track."""
        folder = self.clip(row.clip).folder / "tracks" / str(row.track)
        try:
            return np.load(folder / "frames.npy", mmap_mode="r"), np.load(folder / "mel.npy")
        except DAMAGED as error:
            raise CacheError(f"track {folder} cannot be read ({error}); run w2l preprocess --force") from error

    def load_mfcc(self, row: TrackRow) -> NDArray[np.float32]:
        """MFCC (13, columns) of one track that was cut for a judge."""
        path = self.clip(row.clip).folder / "tracks" / str(row.track) / "mfcc.npy"
        try:
            return np.asarray(np.load(path), dtype=np.float32)
        except DAMAGED as error:
            raise CacheError(f"{path} cannot be read ({error}); run w2l preprocess --set crop.kind=judge") from error


def _format_of(marker: Path) -> Any:
    try:
        return read_json(marker).get("format")
    except CacheError as error:
        line = json.dumps({"format": FORMAT})
        raise CacheError(f"{marker} is damaged; write {line} into it, or use another --cache") from error


def _holds_other_files(root: Path) -> bool:
    try:
        return root.is_dir() and any(entry.name[0] != "." for entry in root.iterdir())
    except OSError as error:
        raise CacheError(f"{root} cannot be read ({error.strerror}); name another folder with --cache") from error


def _write_frames(file: BinaryIO, frames: Iterable[NDArray[np.uint8]], shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    written = 0
    for frame in frames:
        if frame.shape != shape[1:]:
            raise CacheError(f"a crop has shape {frame.shape}, not {shape[1:]}")
        file.write(np.ascontiguousarray(frame).tobytes())
        written += 1
    if written != shape[0]:
        raise CacheError(f"{written} of {shape[0]} crops could be made")


def _rows(clip: Clip) -> Iterator[TrackRow]:
    record = clip.record()
    outcome = record.get("stages", {}).get("preprocess", {})
    for number, facts in enumerate(outcome.get("tracks", [])):
        yield TrackRow(clip.id, number, facts["n_frames"], facts["n_columns"], str(record.get("split", "")))
