"""FID of whole systems: the features of each clip are stored in a file, and the files of all clips form the sets.

Heusel et al., 2017.
"""

import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import CacheError
from w2l.core.files import DAMAGED, read_array, write_atomic
from w2l.core.text import counted
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.fid import ENOUGH_CLIPS, FID_COLUMNS, LEAST_CLIPS, Features
from w2l.scoring.metrics.frechet import Moments, extrapolate, frechet_distance
from w2l.scoring.results import REAL


def write_features(path: Path, features: Features) -> None:
    """Write one clip's features (windows, dims) as a .npy file, atomically.

    In single precision, as computed by the networks: half precision changed FID by 1e-4 of its value.
    """
    write_atomic(path, functools.partial(np.save, arr=features.astype(np.float32)))


def read_features(path: Path) -> NDArray[np.floating[Any]]:
    """Return what `write_features` wrote; raise CacheError if it is missing or damaged."""
    try:
        features: NDArray[np.floating[Any]] = read_array(path)
    except DAMAGED as error:
        raise CacheError(f"{path} cannot be read ({error}); run score with --force") from error
    if features.ndim != 2 or features.dtype.kind != "f":
        raise CacheError(f"{path} does not contain the features of a clip; run score with --force")
    return features


class FrechetSets:
    """The distance of each system's pictures from the real ones, from feature files; one clip is held at a time.

    The halves of the clips are drawn by a hash of their names: the same ones in every system, whatever the order.

    A system whose clips have their own references is compared with those, clip by clip the same real pictures;
    clips without are left out and counted in `notes`. One without any is compared with all clips of `REAL`.

    Simulated clips of ten frames each, 128 dimensions, outputs and real ones drawn apart, true distance 0.020: 64 clips
    give 0.233, extrapolated 0.093; 128 clips 0.138 and 0.039. Frames drawn instead of clips, as published, leave 0.197
    and 0.119.
    """

    def __init__(self, columns: tuple[Column, ...] = FID_COLUMNS, seed: int = 0) -> None:
        """Use the `columns` of the feature source; `seed` draws the halves."""
        self._names = [column.name for column in columns]
        self._heading = columns[0].heading
        self._seed = seed
        self._clips: dict[str, dict[str, tuple[Path, Path | None]]] = {}
        self._notes: list[str] = []

    def add(self, system: str, clip: str, output: Path, reference: Path | None) -> None:
        """Add two files of `write_features`; they are read by `score`. The order of the calls does not matter."""
        self._clips.setdefault(system, {})[clip] = (output, reference)

    def score(self, system: str) -> dict[str, float]:
        """Return numbers by column name, for `SystemScore.whole`; empty if there is nothing to compare with.

        Raises CacheError for a file that is missing, damaged or of another network.
        """
        clips = self._clips.get(system, {})
        paired = {name: (output, real) for name, (output, real) in clips.items() if real is not None}
        outputs = {name: output for name, (output, _) in clips.items()}
        reals = {name: output for name, (output, _) in self._clips.get(REAL, {}).items()} if system != REAL else {}
        if paired:
            if len(paired) < len(clips):
                left_out = f"{len(clips) - len(paired)} of {counted(len(clips), 'clip')}"
                self._note(system, f"{left_out} left out: no real video is known")
            outputs, reals = ({name: pair[side] for name, pair in paired.items()} for side in (0, 1))
        elif outputs and reals:
            self._note(system, f"compared with all real clips ({len(reals)}), as none has its own real video")
        if not outputs or not reals:
            return {}
        return self._measured(system, outputs, reals)

    def notes(self) -> tuple[str, ...]:
        """Return notes on the systems scored so far: clips left out, too few of them."""
        return tuple(dict.fromkeys(self._notes))

    def _measured(self, system: str, outputs: dict[str, Path], reals: dict[str, Path]) -> dict[str, float]:
        sides = [self._halves(outputs), self._halves(reals)]
        first, second = ([_gathered(side[half]) for side in sides] for half in (0, 1))
        if len({part.dims for part in (*first, *second) if part.n_rows}) > 1:
            raise CacheError(f"the stored features of {system} are of several networks; run score with --force")
        n_clips = min(len(outputs), len(reals))
        is_enough = n_clips >= LEAST_CLIPS and all(part.n_rows > 1 for part in (*first, *second))
        halves = [frechet_distance(*half) for half in (first, second)] if is_enough else []
        for whole, more in zip(first, second):
            whole.merge(more)
        n_rows = min(whole.n_rows for whole in first)
        if n_rows < 2:
            self._note(system, "too short for a covariance: two frames are required")
            return {}
        distance = max(frechet_distance(*first), 0.0)  # rounding may make it negative for equal sets
        found = {self._names[0]: distance, self._names[2]: float(n_rows)}
        if halves:
            found[self._names[1]] = extrapolate([n_clips, n_clips / 2, n_clips / 2], [distance, *halves])
        dims = first[0].dims
        if n_clips < ENOUGH_CLIPS or n_rows <= dims:
            few = f"of {counted(n_clips, 'clip')}, which is biased upwards: compare it only with as many clips"
            self._note(system, f"{few} ({n_rows} rows of {dims} features)")
        return found

    def _halves(self, files: dict[str, Path]) -> tuple[list[Path], list[Path]]:
        """Return the files in two parts, drawn by a hash of the clips' names."""
        order = sorted(files, key=lambda name: hashlib.sha256(os.fsencode(f"{self._seed}:{name}")).digest())
        middle = (len(order) + 1) // 2
        return [files[name] for name in order[:middle]], [files[name] for name in order[middle:]]

    def _note(self, system: str, what: str) -> None:
        self._notes.append(f"{self._heading} of {system}: {what}")


def _gathered(files: list[Path]) -> Moments:
    """Return the moments of all rows in the files."""
    moments: Moments | None = None
    for path in files:
        rows = read_features(path)
        moments = moments or Moments(rows.shape[1])
        try:
            moments.add(rows)
        except ValueError as error:
            raise CacheError(f"{path}: {error}; run score with --force") from error
    return moments or Moments(1)
