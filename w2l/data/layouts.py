"""Which videos a dataset holds: a folder of any depth, or the lines of a file list."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from w2l.errors import ConfigError, MediaError
from w2l.files import fingerprint

VIDEO_SUFFIXES = frozenset(
    [".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"]
)
SPLITS = ("pretrain", "train", "val", "test", "unseen")
"""Names of a file list that say which split its clips belong to."""

RESERVED = frozenset(["clip.json", "faces.npz", "tracks"])
"""What the cache calls its files in a clip's folder; another clip's id may lead through there."""
MAX_NAME = 200
"""Longest part of an id, in characters, so that file systems take it with a hash at its end."""


@dataclass(frozen=True)
class Source:
    """One video of a dataset."""

    clip_id: str
    """The path below the dataset's root, without suffix, made safe."""
    path: Path
    split: str = ""
    """The split it belongs to; empty when the dataset does not say."""


@dataclass(frozen=True)
class Listing:
    """The videos of a dataset, and the lines of its file lists that name none."""

    sources: tuple[Source, ...]
    missing: tuple[str, ...] = ()


def find_videos(root: Path, filelists: Iterable[Path] = ()) -> Listing:
    """The videos below `root`, or those that `filelists` name, sorted by id.

    Raises MediaError when `root` is no folder or nothing is found.
    """
    if not root.is_dir():
        raise MediaError(f"{root} is no folder; name the folder that holds the videos")
    lists = list(filelists)
    if not lists:
        named = [(path, "") for path in sorted(root.rglob("*")) if path.name[0] != "." and _is_video(path)]
        listing = Listing(tuple(_with_ids(root, named)))
    else:
        listing = _from_lists(root, lists)
    if not listing.sources and listing.missing:
        raise MediaError(f"none of {len(listing.missing)} listed lines names a video in {root}; check folder and list")
    if not listing.sources:
        raise MediaError(f"no video in {root}; known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))}")
    return listing


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and os.path.isfile(path)  # Path.is_file fails on an overlong name


def _from_lists(root: Path, lists: list[Path]) -> Listing:
    named: dict[Path, str] = {}
    missing: list[str] = []
    for filelist in lists:
        try:
            lines = filelist.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"file list {filelist} cannot be read ({error}); check the path") from error
        split = filelist.stem if filelist.stem in SPLITS else ""
        for line in filter(None, map(str.strip, lines)):
            path = _resolve(root, line)
            if path is None:
                missing.append(line)
            else:
                named.setdefault(path, split)
    return Listing(tuple(_with_ids(root, sorted(named.items()))), tuple(missing))


def _resolve(root: Path, line: str) -> Path | None:
    """The video a line names: with or without suffix; what follows the first blank may be a second column."""
    for name in (line, line.split()[0]):
        path = root / name
        if _is_video(path):
            return path
        for suffix in sorted(VIDEO_SUFFIXES):
            candidate = Path(f"{path}{suffix}")
            if os.path.isfile(candidate):
                return candidate
    return None


def _with_ids(root: Path, named: list[tuple[Path, str]]) -> Iterator[Source]:
    stems = Counter(path.with_suffix("") for path, _ in named)
    for path, split in named:
        unique = path.with_suffix("") if stems[path.with_suffix("")] == 1 else path
        yield Source(safe_id(Path(os.path.relpath(unique, root)).as_posix()), path, split)


def safe_id(name: str) -> str:
    """`name` as a relative path of plain characters; a name that had to change carries a hash, to stay unique."""
    parts = [re.sub(r"[^A-Za-z0-9._+=-]", "_", part).lstrip(".")[:MAX_NAME] or "_" for part in name.split("/")]
    safe = "/".join(f"{part}_" if part in RESERVED else part for part in parts)
    return safe if safe == name else f"{safe}-{fingerprint(name)[:8]}"
