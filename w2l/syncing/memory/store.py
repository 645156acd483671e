"""Store the looks of a video in the cache, next to its faces."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.files import DAMAGED, fingerprint, read_arrays, sha256, write_arrays
from w2l.faces.follow import Faces
from w2l.features.crop import CropSpec
from w2l.media.sequence import source_mark
from w2l.models.lip_reader import VERSION as LIPS_VERSION
from w2l.syncing.memory.looks import Looks, Measures, decompress

logger = logging.getLogger(__name__)

VERSION = 1
"""Version of the gathering, increased whenever the same video gives different looks."""
NAMES = [one.name for one in fields(Measures)]


def looks_mark(video: Path, faces: Faces, spec: CropSpec, expert: Path) -> str:
    """Return a hash that changes if different looks would be gathered."""
    rows = hashlib.sha256()
    for values in (faces.first, faces.track, faces.boxes, faces.points, faces.strength):
        rows.update(np.ascontiguousarray(values).tobytes())
    known = (source_mark(video), rows.hexdigest(), vars(spec), sha256(expert))
    return fingerprint("looks", VERSION, LIPS_VERSION, *known)


def kept_looks(path: Path, mark: str, gather: Callable[[], dict[int, Looks]]) -> dict[int, Looks]:
    """Return the looks in the file at `path`; if it is missing, damaged or outdated, gather them and write it."""
    if path.exists():
        try:
            found = _read(path, mark)
            if found is not None:
                return found
            logger.info("%s is outdated (other faces, model or crop); gathering mouth samples again", path)
        except (*DAMAGED, IndexError, TypeError) as error:
            logger.warning("%s is damaged (%s); gathering mouth samples again", path, error)
    looks = gather()
    write_arrays(path, _arrays(looks, mark))
    return looks


def _arrays(looks: dict[int, Looks], mark: str) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"mark": np.array(mark), "tracks": np.array(sorted(looks), dtype=np.int64)}
    for track, some in looks.items():
        for part, measures in (("measures", some.measures), ("seen", some.seen)):
            arrays |= {f"{track}/{part}/{name}": getattr(measures, name) for name in NAMES}
        arrays[f"{track}/sync"] = some.sync
        arrays[f"{track}/lengths"] = np.array([len(crop) for crop in some.crops], dtype=np.int64)
        arrays[f"{track}/crops"] = np.frombuffer(b"".join(some.crops), np.uint8)
    return arrays


def _read(path: Path, mark: str) -> dict[int, Looks] | None:
    """Return the looks in a file; None if its hash differs. Raises one of DAMAGED."""
    arrays = read_arrays(path)
    if str(arrays["mark"]) != mark:
        return None
    return {int(track): _looks(arrays, int(track)) for track in arrays["tracks"]}


def _looks(arrays: dict[str, NDArray[Any]], track: int) -> Looks:
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
