"""Store the looks of a video in the cache, next to its faces, and the frames in which these are covered."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import CacheError
from w2l.core.files import DAMAGED, fingerprint, read_arrays, sha256, write_arrays
from w2l.faces.follow import Faces
from w2l.features.crop import CropSpec
from w2l.media.sequence import source_mark
from w2l.models.lip_reader import VERSION as LIPS_VERSION
from w2l.syncing.memory.hidden import Covers
from w2l.syncing.memory.looks import Looks, Measures, decompress

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")

VERSION = 4
"""Version of the gathering, increased whenever the same video gives different looks."""
COVERS_VERSION = 3
"""Version of the search for covers, increased whenever the same faces give different results."""
NAMES = [one.name for one in fields(Measures)]


def looks_mark(video: Path, faces: Faces, spec: CropSpec, expert: Path) -> str:
    """Return a hash that changes if different looks would be gathered."""
    known = (source_mark(video), _digest(faces), vars(spec), spec.interpolation, sha256(expert))
    return fingerprint("looks", VERSION, LIPS_VERSION, *known)


def covers_mark(video: Path, faces: Faces) -> str:
    """Return a hash that changes if different covers would be found."""
    return fingerprint("covers", COVERS_VERSION, LIPS_VERSION, source_mark(video), _digest(faces))


def kept_looks(path: Path, mark: str, gather: Callable[[], dict[int, Looks]]) -> dict[int, Looks]:
    """Return the looks in the file at `path`; if it is missing, damaged or outdated, gather them and write it."""
    return _kept(path, mark, gather, _arrays_of_looks, _looks, "mouth samples")


def kept_covers(path: Path, mark: str, find: Callable[[], dict[int, Covers]]) -> dict[int, Covers]:
    """Return the covers in the file at `path`; if it is missing, damaged or outdated, find them and write it."""
    return _kept(path, mark, find, _arrays_of_covers, _covers, "covers")


def _kept(
    path: Path,
    mark: str,
    make: Callable[[], dict[int, T]],
    arrays_of: Callable[[T], Arrays],
    read: Callable[[Arrays, int], T],
    name: str,
) -> dict[int, T]:
    """Return track -> content of the file at `path`; if it is missing, damaged or outdated, make and write it.

    If it cannot be written, the result is returned all the same.
    """
    if path.exists():
        try:
            arrays = read_arrays(path)
            if str(arrays["mark"]) == mark:
                return {int(track): read(arrays, int(track)) for track in arrays["tracks"]}
            logger.info("%s is outdated (other faces, model or crop); gathering %s again", path, name)
        except (*DAMAGED, IndexError, TypeError) as error:
            logger.warning("%s is damaged (%s); gathering %s again", path, error, name)
    made = make()
    content: Arrays = {"mark": np.array(mark), "tracks": np.array(sorted(made), dtype=np.int64)}
    for track, one in made.items():
        content |= {f"{track}/{key}": values for key, values in arrays_of(one).items()}
    try:
        write_arrays(path, content)
    except CacheError as error:  # the output does not depend on it
        logger.info("%s; the %s are not stored", error, name)
    return made


def _digest(faces: Faces) -> str:
    """Return a hash of the positions of all faces."""
    rows = hashlib.sha256()
    for values in (faces.first, faces.track, faces.boxes, faces.points, faces.strength):
        rows.update(np.ascontiguousarray(values).tobytes())
    return rows.hexdigest()


def _arrays_of_looks(looks: Looks) -> Arrays:
    arrays: Arrays = {}
    for part, measures in (("measures", looks.measures), ("seen", looks.seen)):
        arrays |= {f"{part}/{name}": getattr(measures, name) for name in NAMES}
    arrays["sync"] = looks.sync
    arrays["lengths"] = np.array([len(crop) for crop in looks.crops], dtype=np.int64)
    arrays["crops"] = np.frombuffer(b"".join(looks.crops), np.uint8)
    return arrays


def _arrays_of_covers(covers: Covers) -> Arrays:
    return {one.name: getattr(covers, one.name) for one in fields(Covers)}


def _covers(arrays: Arrays, track: int) -> Covers:
    found = Covers(**{one.name: arrays[f"{track}/{one.name}"] for one in fields(Covers)})
    masks = (found.hidden, found.seen, found.sudden)
    if {len(found.frame_idx)} != set(map(len, masks)) or any(mask.dtype != np.bool_ for mask in masks):
        raise ValueError("its arrays do not belong together")
    return found


def _looks(arrays: Arrays, track: int) -> Looks:
    ends = np.cumsum(arrays[f"{track}/lengths"])
    coded = arrays[f"{track}/crops"].tobytes()
    crops = tuple(coded[end - length : end] for end, length in zip(ends, arrays[f"{track}/lengths"]))
    measures, seen = (
        Measures(**{name: arrays[f"{track}/{part}/{name}"] for name in NAMES}) for part in ("measures", "seen")
    )
    if {len(crops), len(arrays[f"{track}/sync"])} != {len(measures)}:
        raise ValueError("its arrays have inconsistent lengths")
    for crop in crops:
        decompress(crop)
    return Looks(measures, arrays[f"{track}/sync"], crops, seen)
