"""Directory walk that lists each directory once, follows links once and reports unreadable folders."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

VIDEO_SUFFIXES = frozenset(
    [".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"]
)


def is_video_name(name: str) -> bool:
    """Whether a file of this name counts as a video: a known suffix, and no leading dot."""
    return _has_suffix(name, VIDEO_SUFFIXES)


def _has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    return name[:1] != "." and os.path.splitext(name)[1].lower() in suffixes


@dataclass
class Walk:
    """The videos, or other files of certain suffixes, below a folder."""

    root: str
    videos: list[str] = field(default_factory=list)
    """Paths below the root, sorted."""
    unreadable: list[str] = field(default_factory=list)
    """Unreadable folders and dangling links, below the root, each with the reason."""
    others: Counter[str] = field(default_factory=Counter)
    """Suffix -> number of files with it that are not videos."""
    suffixes: frozenset[str] = VIDEO_SUFFIXES
    """Of the files that are looked for, in lower case."""


def walk_videos(root: str, limit: int | None = None) -> Walk:
    """Return all videos below `root`, or about the first `limit` of them, in any order.

    Hidden files and folders are left out. Links to folders are followed, after everything else; a folder reached
    twice counts once, and a link to a folder that contains the root not at all: links cannot cause cycles.
    """
    return walk_files(root, VIDEO_SUFFIXES, limit)


def walk_files(root: str, suffixes: frozenset[str], limit: int | None = None) -> Walk:
    """Return all files with one of these suffixes below `root`, as `walk_videos` does."""
    walk = Walk(root, suffixes=suffixes)
    seen: set[tuple[int, int]] = set()
    above = os.path.realpath(root)
    folders, links = [""], list[str]()
    while folders or links:
        if not folders:
            links.sort(reverse=True)
            link = links.pop()
            if _holds(os.path.realpath(os.path.join(root, link)), above):
                continue
            folders.append(link)
        folder = folders.pop()
        try:
            for entry in _entries(os.path.join(root, folder), seen):
                _sort_in(entry, os.path.join(folder, entry.name), walk, folders, links)
                if limit is not None and len(walk.videos) >= limit:
                    return walk
        except OSError as error:
            walk.unreadable.append(f"{folder or root}: {error.strerror}")
    walk.videos.sort()
    return walk


def _holds(folder: str, inner: str) -> bool:
    return inner == folder or inner.startswith(os.path.join(folder, ""))


def _entries(path: str, seen: set[tuple[int, int]]) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder, unless it was `seen`."""
    status = os.stat(path)
    if (status.st_dev, status.st_ino) not in seen:
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            yield from entries


def _sort_in(entry: os.DirEntry[str], path: str, walk: Walk, folders: list[str], links: list[str]) -> None:
    if entry.name[0] == ".":
        return
    if entry.is_dir():
        (links if entry.is_symlink() else folders).append(path)
    elif not _has_suffix(entry.name, walk.suffixes):
        walk.others[os.path.splitext(entry.name)[1]] += 1
    elif entry.is_file():
        walk.videos.append(path)
    elif entry.is_symlink():
        walk.unreadable.append(f"{path}: a dangling link")
