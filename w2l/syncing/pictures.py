"""Read pictures of a source by frame index."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from w2l.core.arrays import Canvas, Floats
from w2l.media.player import play
from w2l.syncing.plan import Plan


def pictures_of(plan: Plan, wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
    """Yield index and picture of each wanted frame of a plan's source; indices increase."""
    return pictures_in(plan.info.path, plan.source_times, wanted)


def pictures_in(path: Path, times: Floats, wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
    """Yield index and picture of each wanted frame of the video at `path`; indices increase.

    `times` (frames,) are those of all its frames, in seconds.
    """
    indices = np.fromiter(wanted, dtype=np.int64)
    for frame_idx, frame in zip(indices, play(path, times, indices)):
        yield int(frame_idx), frame.picture
