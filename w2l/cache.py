"""The cache on disk: the only module that knows its files, versions, fingerprints, atomic writes and locks.

    cache.json                              format version
    clips/<clip-id>/clip.json               source, what is known of it, and per stage a fingerprint and an outcome
    clips/<clip-id>/faces.npz               detections of one detector
    clips/<clip-id>/tracks/<k>/frames.npy   crops (frames, height, width, 3) uint8 RGB at 25 fps
    clips/<clip-id>/tracks/<k>/mel.npy      (80, columns) float32; mfcc.npy (13, columns) beside it for a judge
    index.npz                               one row a track; absent while stale
    checkpoints/<run>/                      model files, training state, config.yaml, log.jsonl, samples/
    runs/<name>.json                        what `sync` made, for `score`

Every file is written under a temporary name, flushed and renamed: a reader never sees half a file.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from w2l.errors import CacheError, ConfigError
from w2l.locks import claim, is_alive, machine

FORMAT = 1
INDEX = "index.npz"
TEMPORARY = ".tmp-"
"""How the names of half-written files begin."""
LEFTOVER_S = 86400.0
"""A temporary file that was not written to for so long, in seconds, has been given up, whoever made it."""
DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
"""What reading a damaged array file raises."""


def default_root() -> Path:
    """``$W2L_CACHE``, else ``w2l-cache`` in the working directory."""
    return Path(os.environ.get("W2L_CACHE") or "w2l-cache")


def fingerprint(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the JSON-able `parts` does."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_fingerprint(path: Path) -> str:
    """Fingerprint of a source file by size and modification time; does not read it, nor need it be there."""
    try:
        status = path.stat()
    except OSError:
        return fingerprint("gone")
    return fingerprint(status.st_size, status.st_mtime_ns)


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Has `write` fill a temporary file beside `path`, flushes it to disk and renames it to `path`.

    Raises CacheError when the folder cannot be written or the disk is full; `path` then is as it was.
    """
    temporary = path.with_name(f"{_temporary_prefix()}{os.getpid()}-{threading.get_native_id()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}; check space and permissions") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _temporary_prefix() -> str:
    return f"{TEMPORARY}{fingerprint(machine())[:6]}-"


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left half-written in `folder`, not what a living one is writing."""
    for left in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if _is_leftover(left):
                left.unlink()


def _is_leftover(path: Path) -> bool:
    pid = path.name.removeprefix(_temporary_prefix()).partition("-")[0]
    is_ours = path.name.startswith(_temporary_prefix()) and pid.isdecimal()
    return (is_ours and not is_alive(int(pid))) or time.time() - path.stat().st_mtime > LEFTOVER_S


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as sorted, indented JSON, atomically."""
    text = json.dumps(content, indent=1, sort_keys=True, default=str) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_text(path: Path, text: str) -> None:
    """Writes `text`, atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes an npz file, atomically."""
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file; CacheError when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CacheError(f"{path} cannot be read ({error}); delete it and run the stage again") from error
    if not isinstance(content, dict):
        raise CacheError(f"{path} holds no JSON object; delete it and run the stage again")
    return content


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
        for folder in (root, root / "runs", *root.glob("checkpoints/**/")):
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

    def run_folder(self, run: str) -> Path:
        """Where a training run keeps its files; ConfigError for a name that leads elsewhere."""
        if not run or run.startswith(".") or "/" in run or os.sep in run:
            raise ConfigError(f"run name {run!r} must be plain, without / and without a leading dot")
        return self.root / "checkpoints" / run

    @property
    def runs(self) -> Path:
        """Where `sync` and `score` keep their records."""
        return self.root / "runs"

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
