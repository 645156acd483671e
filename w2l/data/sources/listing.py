"""The videos of a dataset, each with split and speaker: from a folder of any layout or from file lists."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from w2l.cache.store import safe_id
from w2l.core.errors import ConfigError, MediaError
from w2l.core.text import readable
from w2l.data.sources.clip_lists import SPLITS, Finder, read_list, readings, split_of
from w2l.data.sources.layouts import LAYOUTS, Dataset, Place, recognise
from w2l.data.sources.walk import VIDEO_SUFFIXES, Walk, is_video_name, walk_videos

logger = logging.getLogger(__name__)

SOUND_SUFFIXES = (".m4a", ".wav", ".flac")
"""Suffixes of files that contain the audio of a video beside them."""
PEEK = 100
"""Number of videos from which the layout is recognised for a folder whose clips come from lists."""
STRICTEST_FIRST = ("test", "unseen", "val", "train", "pretrain")
"""A clip on two lists at the root belongs to the first of these: test clips must not train."""


@dataclass(frozen=True)
class Source:
    """One video of a dataset."""

    clip_id: str
    """The path below the dataset's root, without suffix, made safe."""
    path: Path
    split: str = ""
    """The split it belongs to, one of SPLITS; empty if unknown."""
    speaker: str = ""
    """Speaker, or programme or talk it was cut from: clips that share it must not be separated; empty: unknown."""


@dataclass(frozen=True)
class Listing:
    """The videos of a dataset, and what could not be found."""

    sources: tuple[Source, ...]
    missing: tuple[str, ...] = ()
    """Lines of the file lists that do not name a video."""
    layout: str = "folder"
    """The layout, recognised or given."""
    unreadable: tuple[str, ...] = ()
    """Folders that could not be read, and dangling links, with the reason."""


def find_videos(root: Path, filelists: Iterable[Path] = (), layout: str = "auto") -> Listing:
    """Return the videos below `root`, or those named by `filelists`, sorted by id.

    `layout` is one of LAYOUTS; `auto` uses the one that the paths fit, else `folder`. `root` may be the dataset, the
    folder above it or any folder within it: ids are the same. Splits come from the dataset's folders or from the lists
    `<split>.txt` at its root, unless a list in `filelists` overrides them; otherwise they are empty, and
    `w2l.data.batches.splits` divides by speaker.

    Raises MediaError if `root` is not a folder or nothing is found, ConfigError if it does not fit `layout`.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"unknown layout {layout}; one of {', '.join(LAYOUTS)}")
    if not root.is_dir():
        raise MediaError(f"{root} is not a folder; choose the folder that contains the videos")
    lists = list(filelists)
    listing = _from_lists(root, lists, layout) if lists else _from_folder(root, layout)
    splits = Counter(source.split or "no split" for source in listing.sources)
    counts = ", ".join(f"{splits[split]} {split}" for split in (*SPLITS, "no split") if splits[split])
    logger.info("%s: layout %s, %d videos (%s)", root, listing.layout, len(listing.sources), counts)
    return listing


def _from_folder(root: Path, layout: str) -> Listing:
    walk = walk_videos(str(root))
    for folder in walk.unreadable:
        logger.warning("skipping %s", readable(folder))
    if not walk.videos:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise MediaError(f"no videos in {root}{_found_instead(walk)}; known suffixes: {suffixes}")
    dataset = recognise(os.path.abspath(root), walk.videos, layout)
    placed = _wanted(dataset, [(name, dataset.place(os.path.join(dataset.root, name))) for name in walk.videos])
    splits = _own_splits(dataset, {place.key for _, place in placed})
    stems = Counter(place.key for _, place in placed)
    sources = [
        _source(place, root / name, place.split or splits.get(place.key, ""), stems[place.key] > 1)
        for name, place in placed
    ]
    return Listing(_sorted(sources), (), dataset.layout, tuple(map(readable, walk.unreadable)))


def _found_instead(walk: Walk) -> str:
    found = [f"{count} {readable(suffix) or 'without suffix'}" for suffix, count in walk.others.most_common(3)]
    lost = [f"skipped {readable(folder)}" for folder in walk.unreadable[:3]]
    return f" (other files: {', '.join(found)})" * bool(found) + f" ({', '.join(lost)})" * bool(lost)


def _wanted(dataset: Dataset, placed: list[tuple[str, Place | None]]) -> list[tuple[str, Place]]:
    """Return the videos that fit the layout and were requested; log those that do not or were not."""
    fitting = [(name, place) for name, place in placed if place is not None]
    if len(fitting) < len(placed):
        stray = next(name for name, place in placed if place is None)
        n_strays = len(placed) - len(fitting)
        logger.warning("skipping %d videos that do not fit %s, such as %s", n_strays, dataset.layout, readable(stray))
    wanted = [(name, place) for name, place in fitting if dataset.wants(place.subset)]
    if not wanted:
        folder = os.path.join(dataset.home, fitting[0][1].subset)
        raise ConfigError(f"{dataset.root} contains no part of {dataset.layout} but {folder}; choose that folder")
    if len(wanted) < len(fitting):
        logger.info("%d videos of pretrain/ are not used; choose that folder to use them", len(fitting) - len(wanted))
    return wanted


def _from_lists(root: Path, lists: list[Path], layout: str) -> Listing:
    """Return the videos named by the lists; the folder is only sampled."""
    dataset = recognise(os.path.abspath(root), walk_videos(str(root), PEEK).videos, layout)
    finder, real = Finder(), functools.cache(os.path.realpath)
    named: dict[tuple[str, str], tuple[str, str]] = {}
    missing: list[str] = []
    for filelist in lists:
        split, bases = split_of(filelist), dataset.bases(split_of(filelist))
        n_moved = 0
        for line in read_list(filelist):
            path = finder.find(bases, line)
            if path is None:
                missing.append(readable(line))
                continue
            folder, name = os.path.split(path)
            n_moved += named.setdefault((real(folder), name), (path, split))[1] != split
        if n_moved:
            logger.warning("%s: %d clips are also in an earlier list and keep its split", filelist, n_moved)
    if not named and missing:
        raise MediaError(f"none of the {len(missing)} listed lines names a video in {root}; check folder and list")
    if not named:
        raise MediaError(f"no video in {root} is listed in {', '.join(map(str, lists))}; the lists are empty")
    placed = [(path, split, _place_anywhere(dataset, path)) for path, split in named.values()]
    splits = _own_splits(dataset, {place.key for _, split, place in placed if not (split or place.split)})
    sources = [
        _source(place, Path(path), split or place.split or splits.get(place.key, ""), finder.shares_stem(path))
        for path, split, place in placed
    ]
    return Listing(_sorted(sources), tuple(missing), dataset.layout)


def _place_anywhere(dataset: Dataset, path: str) -> Place:
    """Return `Dataset.place`, also for a video elsewhere."""
    path = os.path.abspath(path)
    place = dataset.place(path) or dataset.place(os.path.realpath(path))
    return place or Place(os.path.relpath(os.path.splitext(path)[0], dataset.home))


def _source(place: Place, path: Path, split: str, shares_stem: bool) -> Source:
    """Return the source; a video that differs from another only in its suffix keeps the suffix in its id."""
    return Source(safe_id(place.key + path.suffix if shares_stem else place.key), path, split, place.speaker)


def _sorted(sources: Iterable[Source]) -> tuple[Source, ...]:
    return tuple(sorted(sources, key=lambda source: source.clip_id))


def _own_splits(dataset: Dataset, keys: set[str]) -> dict[str, str]:
    """Return key -> split by the lists at the dataset's root, for those of `keys` that are listed."""
    splits: dict[str, str] = {}
    for split in STRICTEST_FIRST if keys else ():
        for filelist in (Path(folder, f"{split}.txt") for folder in dataset.list_folders()):
            if not filelist.is_file():
                continue
            lines = read_list(filelist)
            found = [key for key in (_key_of(dataset, split, line, keys) for line in lines) if key]
            for key in found:
                splits.setdefault(key, split)
            if found:
                logger.info("%s: %d of its %d clips are here", filelist, len(found), len(lines))
                break
    return splits


def _key_of(dataset: Dataset, split: str, line: str, keys: set[str]) -> str:
    """Return the key that a line of a list refers to; empty if there is none."""
    for reading in readings(line):
        name = os.path.splitext(reading)[0] if is_video_name(os.path.basename(reading)) else reading
        for key in dataset.keys(os.path.normpath(name), split):
            if key in keys:
                return key
    return ""


def sound_beside(video: Path) -> Path | None:
    """Return the file with the audio of a video that has none; None if there is none.

    It has the video's name and a suffix of SOUND_SUFFIXES, and lies beside it or, as in VoxCeleb2, below `aac`
    (or `wav`) if the video lies below `mp4`: ``dev/mp4/id00012/x/00001.mp4``, ``dev/aac/id00012/x/00001.m4a``.
    """
    stems = [video.with_suffix("")]
    if "mp4" in video.parts[:-1]:
        place = len(video.parts) - 1 - video.parts[::-1].index("mp4")
        stems += [Path(*video.parts[:place], folder, *stems[0].parts[place + 1 :]) for folder in ("aac", "wav")]
    candidates = (f"{stem}{suffix}" for stem in stems for suffix in SOUND_SUFFIXES)
    return next((Path(path) for path in candidates if os.path.isfile(path)), None)
