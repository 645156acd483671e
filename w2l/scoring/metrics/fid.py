"""FID: the face features of each clip, from the published network or the judge's lip encoder (Heusel et al., 2017).

A single clip does not have a FID: the distance is between the sets that many clips form, see `w2l.scoring.fid_sets`.
"""

from collections import deque
from typing import Protocol, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.core.timing import WINDOW_FRAMES
from w2l.features.boxes import clip
from w2l.features.crop import cut, padded_box
from w2l.models.checkpoint import Model
from w2l.models.inception import InceptionWeights
from w2l.nets.inception import FEATURES, fitted
from w2l.nets.judge import Judge
from w2l.scoring.metrics.choices import FidRegion
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.view import Hearing, View

Features = NDArray[np.float32]
BATCH = 25
"""Pictures per batch; it does not change the result beyond rounding."""


LEAST_CLIPS = 8
"""Smallest number of clips for which a distance is extrapolated: a half needs four of them."""
ENOUGH_CLIPS = 100
"""Clips below which even the extrapolated distance is far too high, see `w2l.scoring.fid_sets`."""

_BIAS = (
    f"The distance at infinitely many clips: a line in 1 / clips through that of all clips and of two random halves "
    f"(Chong and Forsyth 2020, clips in place of frames, as neighbouring frames tell the same). Needs {LEAST_CLIPS} "
    f"clips, is still too high below about {ENOUGH_CLIPS}, and may fall just below 0."
)
_FRAMES = "{} that each of the two sets holds. Distances compare at equal numbers alone."

FID_COLUMNS: tuple[Column, ...] = (
    Column(
        "fid",
        "FID",
        "fid",
        "lower",
        "Fréchet distance of the pictures' Inception features from those of the real pictures (Heusel 2017); 0: alike. "
        "Sees looks, not sync; too high with few clips; other crops, codecs or weights give other numbers.",
        2,
    ),
    Column("fid_unbiased", "FID inf", "fid", "lower", _BIAS, 2),
    Column("fid_frames", "FID frames", "fid", "", _FRAMES.format("Frames"), 0, minor=True),
)
FD_JUDGE_COLUMNS: tuple[Column, ...] = (
    Column(
        "fd_judge",
        "FD-judge",
        "fid",
        "lower",
        f"As FID, in the judge's lip features for {WINDOW_FRAMES} consecutive frames, if FID weights are missing. "
        "Measures lips and their motion; not comparable with published numbers or other judges.",
    ),
    Column("fd_judge_unbiased", "FD-judge inf", "fid", "lower", _BIAS),
    Column("fd_judge_frames", "FD-judge windows", "fid", "", _FRAMES.format("Windows of frames"), 0, minor=True),
)
"""Distance, extrapolated distance and count, in this order, as in `FID_COLUMNS`."""


class FeatureSource(Protocol):
    """A network that computes features of pictures."""

    columns: tuple[Column, ...]
    """Columns of a set: the distance, the extrapolated one, the count."""
    title: str
    """Name of the distance and the weights, for a note below a table."""
    span: int
    """Consecutive pictures per feature."""
    dims: int
    """Length of a feature."""

    def cut(self, image: Image, view: View, region: FidRegion) -> Image:
        """Return a copy of the part of `image`, the output or the reference of `view`, that the network takes."""
        ...

    def embed(self, windows: list[list[Image]]) -> Features:
        """Embed windows of `span` cut pictures as (windows, dims)."""
        ...


class InceptionSource:
    """FID: one feature for each picture, as pytorch-fid computes it from image files."""

    columns = FID_COLUMNS
    span = 1
    dims = FEATURES

    def __init__(self, weights: InceptionWeights) -> None:
        self.title = f"FID ({weights.title})"
        self._network = weights.network
        self._device = next(weights.network.parameters()).device

    def cut(self, image: Image, view: View, region: FidRegion) -> Image:
        """Return the box of the face, inside the picture, in integer pixels; or the whole picture."""
        if region == "frame":
            return image.copy()
        height, width = image.shape[:2]
        x1, y1, x2, y2 = padded_box(clip(view.box, width, height), (0, 0, 0, 0), width, height)
        return image[y1:y2, x1:x2].copy()

    @torch.inference_mode()
    def embed(self, windows: list[list[Image]]) -> Features:
        """Embed pictures of any sizes as (pictures, 2048)."""
        pictures = [fitted(torch.from_numpy(image)[None].to(self._device)) for (image,) in windows]
        batch = torch.cat(pictures).contiguous(memory_format=torch.channels_last)
        # Rounded products would change features. `enabled` is required: flags() would switch cuDNN off.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            features: Features = self._network(batch).cpu().numpy()
        return features


class JudgeSource:
    """FD-judge: one feature for each window of five pictures, from the last layer of the judge's lip encoder.

    Consecutive frames, not one picture five times: that is the judge's training data, and a trembling or frozen mouth
    then counts, too. On 43 GRID clips with the shipped judge, lips shifted by a pixel in every other frame gave 0.66
    this way and 0.42 with repeated pictures, frozen ones 11.0 and 8.8, blurred ones (1.5 px) 7.3 and 7.0.
    """

    columns = FD_JUDGE_COLUMNS
    span = WINDOW_FRAMES

    def __init__(self, judge: Model) -> None:
        self.title = f"FD-judge (features of {judge.path.name}; not comparable with FID)"
        self._network = cast(Judge, judge.network)
        self._card = judge.card
        self._device = next(judge.network.parameters()).device
        self.dims = self._network.dimensions.scaled(512)

    def cut(self, image: Image, view: View, region: FidRegion) -> Image:
        """Return the face as the judge takes it, or the whole picture at the judge's size."""
        size = self._network.dimensions.size
        if region == "face":
            image = cut(image, view.box, view.points, self._card.crop)
        if image.shape[:2] == (size, size):
            return image.copy()
        return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    @torch.inference_mode()
    def embed(self, windows: list[list[Image]]) -> Features:
        """Embed windows of five pictures as (windows, dims)."""
        stack = torch.from_numpy(np.stack([np.stack(window) for window in windows])).to(self._device)
        if self._card.colour == "bgr":
            stack = stack.flip(-1)
        features: Features = self._network.forward_lipfeat(stack.permute(0, 4, 1, 2, 3).float()).cpu().numpy()
        return features


class FaceFeatures:
    """A `Measure` without numbers for a clip but with `features`, which many clips form a set of.

    Parameters
    ----------
    source : FeatureSource
        Shared by all clips.
    region : "face" or "frame"
        What is compared.
    every : int
        Frames between the first pictures of two features. Neighbours are nearly the same: on a CPU, 5 saves time and
        costs little.
    with_reference : bool
        Whether the real pictures are embedded as well.
    batch : int
        Windows per batch; no more pictures are held.
    """

    columns: tuple[Column, ...] = ()
    """None: a single clip does not have a FID."""

    def __init__(
        self,
        source: FeatureSource,
        region: FidRegion = "face",
        every: int = 1,
        with_reference: bool = True,
        batch: int = BATCH,
    ) -> None:
        if every < 1 or batch < 1:
            raise ValueError(f"every {every} and batch {batch} must be at least 1")
        self._source = source
        self._region: FidRegion = region
        self._every = every
        self._n_seen = 0
        self._output = _Embedded(source, batch)
        self._reference = _Embedded(source, batch) if with_reference else None

    def add(self, view: View) -> None:
        """Add the next frame. Once a frame comes without a reference, the clip has none."""
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
        """Embed the rest; return nothing."""
        for embedded in (self._output, self._reference):
            if embedded is not None:
                embedded.flush()
        return {}

    def features(self) -> tuple[Features, Features | None]:
        """Return the features of output and reference, (windows, dims) each, row by row of the same time.

        The reference's are None if there is no reference, or if they were not requested.
        """
        return self._output.features(), self._reference.features() if self._reference is not None else None


class _Embedded:
    """Windows of pictures, embedded in batches."""

    def __init__(self, source: FeatureSource, batch: int) -> None:
        self._source = source
        self._batch = batch
        self._held: deque[Image] = deque(maxlen=source.span)
        self._windows: list[list[Image]] = []
        self._features: list[Features] = []

    def take(self, image: Image, completes: bool) -> None:
        """Add a picture; `completes` marks the end of a window."""
        self._held.append(image)
        if completes:
            self._windows.append(list(self._held))
        if len(self._windows) == self._batch:
            self.flush()

    def flush(self) -> None:
        """Embed the pending windows."""
        if self._windows:
            self._features.append(self._source.embed(self._windows))
            self._windows = []

    def features(self) -> Features:
        """Return the features (windows, dims)."""
        return np.concatenate([np.empty((0, self._source.dims), np.float32), *self._features])
