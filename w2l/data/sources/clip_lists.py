"""Lists of clips: one per line, with or without suffix, perhaps with more columns after a blank."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.core.reading import Unreadable, read_text
from w2l.data.sources.walk import is_video_name

SPLITS = ("pretrain", "train", "val", "test", "unseen")
"""Names of a file list that say which split its clips belong to."""


def split_of(filelist: Path) -> str:
    """Return the split named by a list's file name; empty for any other name."""
    return filelist.stem if filelist.stem in SPLITS else ""


def read_list(filelist: Path) -> list[str]:
    """Return the lines of a list, without blank ones; bytes that are not UTF-8 are preserved as in file names.

    ConfigError when it cannot be read or is UTF-16.
    """
    try:
        text = read_text(filelist, errors="surrogateescape")
    except Unreadable as error:
        raise ConfigError(f"file list {filelist} cannot be read ({error}); check the path") from error
    return [line for line in map(str.strip, re.split(r"[\r\n]+", text)) if line]


def readings(line: str) -> Iterator[str]:
    """Return the names that a line may refer to: all of it, else fewer and fewer of its columns."""
    while line:
        yield line
        line = re.sub(r"\s*\S+$", "", line)


class Finder:
    """Finds the videos that lines name; each folder is looked into once, however many lines name its clips."""

    def __init__(self) -> None:
        """Nothing is looked into yet."""
        self._folders: dict[str, dict[str, list[str]]] = {}

    def find(self, bases: list[str], line: str) -> str | None:
        """Return the video named by `line` below the first of `bases` that has it, or by its absolute path."""
        for name in readings(line):
            for base in bases:
                folder, last = os.path.split(os.path.join(base, name))
                stems = self._look_into(folder)
                files = stems.get(last, [])
                if is_video_name(last) and last in stems.get(os.path.splitext(last)[0], []):
                    return os.path.join(folder, last)
                if files:
                    return os.path.join(folder, files[0])
        return None

    def shares_stem(self, path: str) -> bool:
        """Whether another video beside `path`, which was found, differs from it in its suffix only."""
        folder, last = os.path.split(path)
        return len(self._look_into(folder)[os.path.splitext(last)[0]]) > 1

    def _look_into(self, folder: str) -> dict[str, list[str]]:
        """Return the videos of each stem, sorted."""
        if folder not in self._folders:
            stems: dict[str, list[str]] = {}
            try:
                with os.scandir(folder) as entries:
                    names = sorted(entry.name for entry in entries if is_video_name(entry.name) and entry.is_file())
            except (OSError, ValueError):  # no such folder; a line with a zero byte
                names = []
            for name in names:
                stems.setdefault(os.path.splitext(name)[0], []).append(name)
            self._folders[folder] = stems
        return self._folders[folder]
