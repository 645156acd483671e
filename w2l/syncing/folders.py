"""Folders as inputs of `sync`: all videos in a folder, with one speech or with speeches of the same names."""

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
    """Path of the video relative to its folder, without suffix."""
    video: Path
    speech: Path


def pair_folder(videos: Sequence[Path], speech: Path) -> list[Paired]:
    """Pair the videos, given as files or folders, with the speech, or with the speeches of the same names in a folder.

    A speech in a folder is a file with the name of the video and any suffix; audio files take precedence over videos.
    Files without a partner are logged. Raises ConfigError for a folder without videos, and if nothing pairs.
    """
    found = {name: path for video in videos for name, path in _videos(video)}
    if not speech.is_dir():
        return [Paired(name, path, speech) for name, path in found.items()]
    speeches = _speeches(speech, set(found.values()))
    paired = [Paired(name, path, speeches[name]) for name, path in found.items() if name in speeches]
    if not paired:
        theirs = some(sorted(speeches)) or "no audio"
        raise ConfigError(
            f"no speech in {speech} has the name of a video: the videos are {some(found)}, the folder contains"
            f" {theirs}; rename the files, or list them with --pairs"
        )
    if silent := [str(path) for name, path in found.items() if name not in speeches]:
        logger.warning("no speech in %s for %d of %d videos: %s", speech, len(silent), len(found), some(silent))
    if unused := [str(path) for name, path in speeches.items() if name not in found]:
        logger.warning("no video for %d of %d speeches: %s", len(unused), len(speeches), some(unused))
    return paired


def _videos(path: Path) -> list[tuple[str, Path]]:
    """Return name and path of every video in a folder, or of a single file."""
    if not path.is_dir():
        return [(path.stem, path)]
    walk = _walk(path, VIDEO_SUFFIXES)
    if not walk.videos:
        raise ConfigError(f"no videos in {path}; pass a folder that contains videos")
    return [(os.path.splitext(name)[0], path / name) for name in walk.videos]


def _speeches(folder: Path, videos: set[Path]) -> dict[str, Path]:
    """Return name without suffix -> file with audio in a folder, without the videos to redraw."""
    found: dict[str, list[Path]] = {}
    for name in _walk(folder, KNOWN_SUFFIXES).videos:
        if folder / name not in videos:
            found.setdefault(os.path.splitext(name)[0], []).append(folder / name)
    chosen: dict[str, Path] = {}
    for name, files in found.items():
        sounds = [file for file in files if suffix_kind(file.name) == "sound"] or files
        if len(sounds) > 1:
            raise ConfigError(
                f"{some(map(str, sounds))} have the same name, so the speech is ambiguous; keep one of them"
            )
        chosen[name] = sounds[0]
    return chosen


def _walk(folder: Path, suffixes: frozenset[str]) -> Walk:
    walk = walk_files(str(folder), suffixes)
    for left in walk.unreadable:
        logger.warning("%s: skipped %s", folder, readable(left))
    return walk
