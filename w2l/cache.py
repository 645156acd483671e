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

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from w2l.errors import CacheError
from w2l.locks import claim

FORMAT = 1
TEMPORARY = ".tmp-"


def default_root() -> Path:
    """``$W2L_CACHE``, else ``w2l-cache`` in the working directory."""
    return Path(os.environ.get("W2L_CACHE") or "w2l-cache")


def fingerprint(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the JSON-able `parts` does."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_fingerprint(path: Path) -> str:
    """Fingerprint of a source file by size and modification time; does not read it."""
    status = path.stat()
    return fingerprint(status.st_size, status.st_mtime_ns)


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Has `write` fill a temporary file beside `path`, flushes it to disk and renames it to `path`.

    Raises CacheError when the folder cannot be written or the disk is full; `path` then is as it was.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
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
        temporary.unlink(missing_ok=True)


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

    def claim(self) -> AbstractContextManager[bool]:
        """Context manager: True inside when this process may work on the clip, False when another one does."""
        return claim(self.folder / ".lock")

    def clear_tracks(self) -> None:
        """Removes all tracks and whatever a killed process left half-written."""
        shutil.rmtree(self.folder / "tracks", ignore_errors=True)
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
            if root.is_dir() and any(entry.name[0] != "." for entry in root.iterdir()):
                raise CacheError(f"{root} holds other files and is no cache; name an empty folder with --cache")
            write_json(marker, {"format": FORMAT, "kind": "w2l cache"})
        version = read_json(marker).get("format")
        if version != FORMAT:
            raise CacheError(f"cache {root} has format {version}, this w2l reads {FORMAT}; use another --cache")
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
        """Where a training run keeps its files."""
        return self.root / "checkpoints" / run

    @property
    def runs(self) -> Path:
        """Where `sync` and `score` keep their records."""
        return self.root / "runs"

    def invalidate_index(self) -> None:
        """Marks the index stale, before a track changes."""
        (self.root / "index.npz").unlink(missing_ok=True)

    def tracks(self) -> list[TrackRow]:
        """All tracks, from the index, which is rebuilt when stale; CacheError when there is none."""
        path = self.root / "index.npz"
        if not path.exists():
            self.build_index()
        with np.load(path) as index:
            columns = [index[name].tolist() for name in ("clip", "track", "n_frames", "n_columns", "split")]
        if not columns[0]:
            raise CacheError(f"cache {self.root} holds no face track; run w2l preprocess on a folder of videos first")
        return [TrackRow(*row) for row in zip(*columns)]

    def build_index(self) -> int:
        """Writes the index anew from the clips; returns the number of tracks."""
        rows = [row for clip in self.clips() for row in _rows(clip)]
        arrays = {
            "clip": np.array([row.clip for row in rows], dtype=np.str_),
            "track": np.array([row.track for row in rows], dtype=np.int32),
            "n_frames": np.array([row.n_frames for row in rows], dtype=np.int64),
            "n_columns": np.array([row.n_columns for row in rows], dtype=np.int64),
            "split": np.array([row.split for row in rows], dtype=np.str_),
        }
        write_arrays(self.root / "index.npz", arrays)
        return len(rows)

    def load_track(self, row: TrackRow) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Crops (frames, height, width, 3), memory-mapped, and mel (80, columns) of one track."""
        folder = self.clip(row.clip).folder / "tracks" / str(row.track)
        try:
            return np.load(folder / "frames.npy", mmap_mode="r"), np.load(folder / "mel.npy")
        except (OSError, ValueError) as error:
            raise CacheError(f"track {folder} cannot be read ({error}); run w2l preprocess --force") from error

    def load_mfcc(self, row: TrackRow) -> NDArray[np.float32]:
        """MFCC (13, columns) of one track that was cut for a judge."""
        path = self.clip(row.clip).folder / "tracks" / str(row.track) / "mfcc.npy"
        try:
            return np.asarray(np.load(path), dtype=np.float32)
        except (OSError, ValueError) as error:
            raise CacheError(f"{path} cannot be read ({error}); run w2l preprocess --set crop.kind=judge") from error


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
