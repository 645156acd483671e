"""Training and validation data: tracks of one cache, all cropped alike."""

from dataclasses import dataclass

from w2l.cache.store import Cache
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks, open_splits
from w2l.features.crop import CropSpec


@dataclass(frozen=True)
class TrainingData:
    """The tracks that a network is trained and validated on."""

    cache: Cache
    crop: CropSpec
    train: Tracks
    val: Tracks
    about: str = ""
    """For the model's card, if the settings do not state it."""
    mark: str = ""
    """Distinguishes a run on these data from one on others; empty if the cache may grow."""


def open_training_data(cache: Cache, crop: CropSpec, n_frames: int = WINDOW_FRAMES) -> TrainingData:
    """Open the cache's tracks with the crop spec `crop`, divided into training and validation."""
    train, val = open_splits(cache, crop, n_frames)
    return TrainingData(cache, crop, train, val, f"{len(train)} tracks")
