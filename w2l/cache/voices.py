"""Files of a track's speech in further voices: `mel.voice+3.npy` is its mel three semitones higher."""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.cache.crops import read_sound
from w2l.cache.store import Cache, Clip, TrackRow
from w2l.core.errors import CacheError
from w2l.core.files import DAMAGED, write_atomic


def write_voice(clip: Clip, track: int, semitones: float, sounds: Mapping[str, NDArray[np.float32]]) -> None:
    """Write the features of a track in another voice; `sounds` as in `Clip.open_track`."""
    for name, sound in sounds.items():
        write_atomic(_path(clip, track, name, semitones), functools.partial(np.save, arr=sound))


def clear_voices(clip: Clip) -> None:
    """Remove the further voices of all tracks; the caller must hold the clip."""
    for path in clip.folder.glob("tracks/*/*.voice*.npy"):
        path.unlink(missing_ok=True)


def load_voice(cache: Cache, row: TrackRow, name: str, n_rows: int, semitones: float) -> NDArray[np.float32]:
    """Return the features `name` (n_rows, columns) of a track in another voice; raise CacheError if damaged."""
    path = _path(cache.clip(row.clip), row.track, name, semitones)
    try:
        return read_sound(path, n_rows)
    except DAMAGED as error:
        raise CacheError(f"{path} cannot be read ({error}); run w2l preprocess --force on this clip") from error


def _path(clip: Clip, track: int, name: str, semitones: float) -> Path:
    return clip.folder / "tracks" / str(track) / f"{name}.voice{semitones:+g}.npy"
