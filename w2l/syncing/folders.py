"""Folders as inputs of `sync`: the videos in one, and those of one with the speeches of another, paired by name."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.core.text import readable, some
from w2l.data.sources.pairs import KNOWN_SUFFIXES, suffix_kind
from w2l.data.sources.walk import VIDEO_SUFFIXES, Walk, walk_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Paired:
    """A video of a folder and its speech."""

    name: str
    """Of the video below its folder, without suffix."""
    video: Path
    speech: Path


def pair_folder(videos: Sequence[Path], speech: Path) -> list[Paired]:
    """Return the videos in folders, or named themselves, each with the speech, or with that of its name in a folder.

    A speech in a folder is a file with the video's name and another suffix, or the same; sound comes before video.
    What does not pair is logged. Raises ConfigError for a folder without videos, and where nothing pairs.
    """
    found = {name: path for video in videos for name, path in _videos(video)}
    if not speech.is_dir():
        return [Paired(name, path, speech) for name, path in found.items()]
    speeches = _speeches(speech, set(found.values()))
    paired = [Paired(name, path, speeches[name]) for name, path in found.items() if name in speeches]
    if not paired:
        theirs = some(sorted(speeches)) or "no sound at all"
        raise ConfigError(
            f"{speech} has no speech named like a video: the videos are {some(found)}, in {speech} there is {theirs};"
            " name them alike, or list them with --pairs"
        )
    if silent := [str(path) for name, path in found.items() if name not in speeches]:
        logger.warning("no speech in %s for %d of %d videos: %s", speech, len(silent), len(found), some(silent))
    if unused := [str(path) for name, path in speeches.items() if name not in found]:
        logger.warning("no video for %d of %d speeches: %s", len(unused), len(speeches), some(unused))
    return paired


def _videos(path: Path) -> list[tuple[str, Path]]:
    """Return the name and path of every video in a folder; of a file, its own."""
    if not path.is_dir():
        return [(path.stem, path)]
    walk = _walk(path, VIDEO_SUFFIXES)
    if not walk.videos:
        raise ConfigError(f"no videos in {path}; name a folder that has some")
    return [(os.path.splitext(name)[0], path / name) for name in walk.videos]


def _speeches(folder: Path, videos: set[Path]) -> dict[str, Path]:
    """Return the files with sound in a folder by their name without suffix; the videos to be redrawn are not speech."""
    found: dict[str, list[Path]] = {}
    for name in _walk(folder, KNOWN_SUFFIXES).videos:
        if folder / name not in videos:
            found.setdefault(os.path.splitext(name)[0], []).append(folder / name)
    chosen: dict[str, Path] = {}
    for name, files in found.items():
        sounds = [file for file in files if suffix_kind(file.name) == "sound"] or files
        if len(sounds) > 1:
            raise ConfigError(f"{some(map(str, sounds))} have one name, so the speech is unknown; keep one of them")
        chosen[name] = sounds[0]
    return chosen


def _walk(folder: Path, suffixes: frozenset[str]) -> Walk:
    walk = walk_files(str(folder), suffixes)
    for left in walk.unreadable:
        logger.warning("%s: skipped %s", folder, readable(left))
    return walk
