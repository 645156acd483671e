"""FID: features of the faces of each clip, and the Fréchet distance of the sets that many clips make.

Heusel et al., 2017. A clip has no FID: `FaceFeatures` takes its features, which are kept in a file of their own, and
`FrechetSets` reads the files of all clips, one after the other.
"""

import functools
import hashlib
from collections import deque
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from w2l.errors import CacheError
from w2l.faces.boxes import clip
from w2l.faces.crop import cut, padded_box
from w2l.files import DAMAGED, write_atomic
from w2l.inception_weights import InceptionWeights
from w2l.metrics.columns import Column
from w2l.metrics.fid_columns import ENOUGH_CLIPS, FD_JUDGE_COLUMNS, FID_COLUMNS, LEAST_CLIPS
from w2l.metrics.frechet import Moments, extrapolate, frechet_distance
from w2l.metrics.view import Hearing, Image, View
from w2l.nets.inception import FEATURES, fitted
from w2l.nets.judge import Judge
from w2l.score_data import REAL
from w2l.timing import WINDOW_FRAMES
from w2l.training.checkpoint import Model

Features = NDArray[np.float32]
Region = Literal["face", "frame"]
"""What is compared: the box of the face, or the whole frame."""

BATCH = 25
"""Pictures embedded at once; it does not change the result beyond rounding."""


class FeatureSource(Protocol):
    """A network that gives features of pictures."""

    columns: tuple[Column, ...]
    """What a set gets: the distance, the extrapolated one, the count."""
    title: str
    """Names the distance and the weights, for a note under a table."""
    span: int
    """Neighbouring pictures that make one feature."""
    dims: int
    """Length of a feature."""

    def cut(self, image: Image, view: View, region: Region) -> Image:
        """The part of `image`, the output or the reference of `view`, that the network sees; a copy."""
        ...

    def embed(self, windows: list[list[Image]]) -> Features:
        """Windows of `span` cut pictures -> (windows, dims)."""
        ...


class InceptionSource:
    """FID: one feature for each picture, as pytorch-fid takes it from picture files."""

    columns = FID_COLUMNS
    span = 1
    dims = FEATURES

    def __init__(self, weights: InceptionWeights) -> None:
        self.title = f"FID ({weights.title})"
        self._network = weights.network
        self._device = next(weights.network.parameters()).device

    def cut(self, image: Image, view: View, region: Region) -> Image:
        """The box of the face, inside the picture, in whole pixels; or the whole picture."""
        if region == "frame":
            return image.copy()
        height, width = image.shape[:2]
        x1, y1, x2, y2 = padded_box(clip(view.box, width, height), (0, 0, 0, 0), width, height)
        return image[y1:y2, x1:x2].copy()

    @torch.inference_mode()
    def embed(self, windows: list[list[Image]]) -> Features:
        """Pictures of any sizes -> (pictures, 2048)."""
        pictures = [fitted(torch.from_numpy(image)[None].to(self._device)) for (image,) in windows]
        batch = torch.cat(pictures).contiguous(memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):  # rounded products would move features
            features: Features = self._network(batch).cpu().numpy()
        return features


class JudgeSource:
    """FD-judge: one feature for each window of five pictures, from the last layer of the judge's eyes.

    Real neighbours, not one picture five times: that is what the judge learnt to see, and a trembling or frozen mouth
    then counts, too. On 43 GRID clips with the shipped judge, lips shifted by a pixel in every other frame gave 0.66
    this way and 0.42 with repeated pictures, frozen ones 11.0 and 8.8, blurred ones (1.5 px) 7.3 and 7.0.
    """

    columns = FD_JUDGE_COLUMNS
    span = WINDOW_FRAMES

    def __init__(self, judge: Model) -> None:
        self.title = f"FD-judge (eyes of {judge.path.name}; not comparable with FID)"
        self._network = cast(Judge, judge.network)
        self._card = judge.card
        self._device = next(judge.network.parameters()).device
        self.dims = self._network.dimensions.scaled(512)

    def cut(self, image: Image, view: View, region: Region) -> Image:
        """The face as the judge takes it, or the whole picture at the judge's size."""
        size = self._network.dimensions.size
        if region == "face":
            image = cut(image, view.box, view.points, self._card.crop)
        if image.shape[:2] == (size, size):
            return image.copy()
        return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    @torch.inference_mode()
    def embed(self, windows: list[list[Image]]) -> Features:
        """Windows of five pictures -> (windows, dims)."""
        stack = torch.from_numpy(np.stack([np.stack(window) for window in windows])).to(self._device)
        if self._card.colour == "bgr":
            stack = stack.flip(-1)
        features: Features = self._network.forward_lipfeat(stack.permute(0, 4, 1, 2, 3).float()).cpu().numpy()
        return features


class FaceFeatures:
    """A `Measure` that gives no numbers of a clip but `features`, which are kept for `FrechetSets`.

    Parameters
    ----------
    source : FeatureSource
        Shared by all clips.
    region : "face" or "frame"
        What is compared.
    every : int
        Frames from one feature's first picture to the next one's. Neighbours tell almost the same: on a CPU, 5 saves
        time and costs little.
    with_reference : bool
        Whether the real pictures are embedded as well.
    batch : int
        Windows embedded at once; no more pictures are held.
    """

    columns: tuple[Column, ...] = ()
    """None: one clip has no FID."""

    def __init__(
        self,
        source: FeatureSource,
        region: Region = "face",
        every: int = 1,
        with_reference: bool = True,
        batch: int = BATCH,
    ) -> None:
        if every < 1 or batch < 1:
            raise ValueError(f"every {every} and batch {batch} must be at least 1")
        self._source = source
        self._region: Region = region
        self._every = every
        self._n_seen = 0
        self._output = _Embedded(source, batch)
        self._reference = _Embedded(source, batch) if with_reference else None

    def add(self, view: View) -> None:
        """Takes the next frame. Once a frame comes without a reference, the clip has none."""
        start = self._n_seen - self._source.span + 1
        is_needed = self._n_seen % self._every < self._source.span
        completes = start >= 0 and start % self._every == 0
        self._n_seen += 1
        if view.reference is None:
            self._reference = None
        if is_needed:
            self._output.take(self._source.cut(view.output, view, self._region), completes)
            if self._reference is not None and view.reference is not None:
                self._reference.take(self._source.cut(view.reference, view, self._region), completes)

    def finish(self, hearing: Hearing) -> dict[str, float]:
        """Embeds what is left; gives nothing."""
        for embedded in (self._output, self._reference):
            if embedded is not None:
                embedded.flush()
        return {}

    def features(self) -> tuple[Features, Features | None]:
        """Of the output and of the reference, (windows, dims) each, row by row of the same time; after `finish`.

        The reference's are None where there is no reference, or where they were not asked for.
        """
        return self._output.features(), self._reference.features() if self._reference is not None else None


class _Embedded:
    """Windows of pictures, embedded a batch at a time."""

    def __init__(self, source: FeatureSource, batch: int) -> None:
        self._source = source
        self._batch = batch
        self._held: deque[Image] = deque(maxlen=source.span)
        self._windows: list[list[Image]] = []
        self._features: list[Features] = []

    def take(self, image: Image, completes: bool) -> None:
        """Takes a picture; `completes` says that a window ends with it."""
        self._held.append(image)
        if completes:
            self._windows.append(list(self._held))
        if len(self._windows) == self._batch:
            self.flush()

    def flush(self) -> None:
        """Embeds the windows that wait."""
        if self._windows:
            self._features.append(self._source.embed(self._windows))
            self._windows = []

    def features(self) -> Features:
        """(windows, dims)"""
        return np.concatenate([np.empty((0, self._source.dims), np.float32), *self._features])


def write_features(path: Path, features: Features) -> None:
    """One clip's features (windows, dims) as a .npy file, atomically.

    In half precision, at half the space, which moved no distance measured by more than 2e-5 of its value (43 GRID
    clips in the judge's features, simulated ones of 2048 dimensions). In single precision where a number is too large.
    """
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    kept = half if np.isfinite(half).all() else features
    write_atomic(path, functools.partial(np.save, arr=kept))


def read_features(path: Path) -> NDArray[np.floating[Any]]:
    """What `write_features` wrote; CacheError when it is missing or damaged."""
    try:
        features: NDArray[np.floating[Any]] = np.load(path)
    except DAMAGED as error:
        raise CacheError(f"{path} cannot be read ({error}); run score with --force") from error
    if features.ndim != 2 or features.dtype.kind != "f":
        raise CacheError(f"{path} holds no features of a clip; run score with --force")
    return features


class FrechetSets:
    """The distance of each system's pictures from the real ones, from files of features; one clip is held at a time.

    Half the clips are drawn by a hash of their names: the same ones in every system, whatever the order.

    A system whose clips have references of their own is compared with those, clip by clip the same real pictures;
    clips without are left out and counted in `notes`. One that has none at all is compared with all clips of `REAL`.

    Simulated clips of ten frames each, 128 dimensions, outputs and real ones drawn apart, true distance 0.020: 64 clips
    give 0.233, extrapolated 0.093; 128 clips 0.138 and 0.039. Frames drawn in place of clips, as published, leave 0.197
    and 0.119.
    """

    def __init__(self, columns: tuple[Column, ...] = FID_COLUMNS, seed: int = 0) -> None:
        """`columns`: those of the source of the features; `seed`: draws the halves."""
        self._names = [column.name for column in columns]
        self._seed = seed
        self._clips: dict[str, dict[str, tuple[Path, Path | None]]] = {}
        self._notes: list[str] = []

    def add(self, system: str, clip: str, output: Path, reference: Path | None) -> None:
        """Two files of `write_features`; they are read by `score`. The order of the calls decides nothing."""
        self._clips.setdefault(system, {})[clip] = (output, reference)

    def score(self, system: str) -> dict[str, float]:
        """By column name, for `SystemScore.whole`; empty where there is nothing to compare with.

        Raises CacheError for a file that is missing, damaged or of another network.
        """
        clips = self._clips.get(system, {})
        paired = {name: (output, real) for name, (output, real) in clips.items() if real is not None}
        outputs = {name: output for name, (output, _) in clips.items()}
        reals = {name: output for name, (output, _) in self._clips.get(REAL, {}).items()} if system != REAL else {}
        if paired:
            if len(paired) < len(clips):
                self._note(system, f"{len(clips) - len(paired)} of {len(clips)} clips left out: no real video is known")
            outputs, reals = ({name: pair[side] for name, pair in paired.items()} for side in (0, 1))
        elif outputs and reals:
            self._note(system, f"compared with all {len(reals)} real clips, as none has a real video of its own")
        if not outputs or not reals:
            return {}
        return self._measured(system, outputs, reals)

    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the systems scored so far: clips left out, too few of them."""
        return tuple(dict.fromkeys(self._notes))

    def _measured(self, system: str, outputs: dict[str, Path], reals: dict[str, Path]) -> dict[str, float]:
        sides = [self._halves(outputs), self._halves(reals)]
        first, second = ([_gathered(side[half]) for side in sides] for half in (0, 1))
        if len({part.dims for part in (*first, *second) if part.n_rows}) > 1:
            raise CacheError(f"the features kept of {system} are of several networks; run score with --force")
        n_clips = min(len(outputs), len(reals))
        is_enough = n_clips >= LEAST_CLIPS and all(part.n_rows > 1 for part in (*first, *second))
        halves = [frechet_distance(*half) for half in (first, second)] if is_enough else []
        for whole, more in zip(first, second):
            whole.merge(more)
        n_rows = min(whole.n_rows for whole in first)
        if n_rows < 2:
            self._note(system, "too short for a covariance: two frames are needed")
            return {}
        distance = max(frechet_distance(*first), 0.0)  # of equal sets, rounding may leave less
        found = {self._names[0]: distance, self._names[2]: float(n_rows)}
        if halves:
            found[self._names[1]] = extrapolate([n_clips, n_clips / 2, n_clips / 2], [distance, *halves])
        dims = first[0].dims
        if n_clips < ENOUGH_CLIPS or n_rows <= dims:
            few = f"{n_clips} clips, {n_rows} rows of {dims} features"
            self._note(system, f"{few}: higher than more clips would give; compare sets of equal size alone")
        return found

    def _halves(self, files: dict[str, Path]) -> tuple[list[Path], list[Path]]:
        """The files in two parts, as a hash of the clips' names draws them."""
        order = sorted(files, key=lambda name: hashlib.sha256(f"{self._seed}:{name}".encode()).digest())
        middle = (len(order) + 1) // 2
        return [files[name] for name in order[:middle]], [files[name] for name in order[middle:]]

    def _note(self, system: str, what: str) -> None:
        self._notes.append(f"{self._names[0]} of {system}: {what}")


def _gathered(files: list[Path]) -> Moments:
    """The moments of all that the files hold; without files, of nothing."""
    moments: Moments | None = None
    for path in files:
        rows = read_features(path)
        moments = moments or Moments(rows.shape[1])
        try:
            moments.add(rows)
        except ValueError as error:
            raise CacheError(f"{path}: {error}; run score with --force") from error
    return moments or Moments(1)
