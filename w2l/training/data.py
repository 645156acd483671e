"""What a network is trained and validated on: tracks of one cache, all cut alike."""

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
    """For the model's card, where the settings are silent."""
    mark: str = ""
    """Tells a run on these data from one on others; empty where the cache may grow."""


def open_training_data(cache: Cache, crop: CropSpec, n_frames: int = WINDOW_FRAMES) -> TrainingData:
    """Open the cache's tracks, of which `crop` is the cut, divided into those that train and those that validate."""
    train, val = open_splits(cache, crop, n_frames)
    return TrainingData(cache, crop, train, val, f"{len(train)} tracks")
