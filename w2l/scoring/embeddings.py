"""What a judge or an expert makes of one clip: embeddings of picture and sound on one time grid."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.core.timing import FPS, MAX_SHIFT, SAMPLES_PER_FRAME, WINDOW_FRAMES
from w2l.media.audio import read_audio
from w2l.media.video import probe, read_frames
from w2l.models.soundness import check_returned
from w2l.scoring.clip import Watcher
from w2l.scoring.faces import main_face
from w2l.scoring.metrics.lse import lse_values
from w2l.scoring.metrics.sync import corrected_curve, embedding_distances
from w2l.scoring.tools import Bench


@dataclass(frozen=True, eq=False)
class ClipEmbeddings:
    """Embeddings of the windows of five frames of a clip, one window per frame at 25 fps."""

    video: NDArray[np.float32]
    """(windows, features) of the mouth."""
    speech: NDArray[np.float32]
    """(windows, features) of the sound in the same five frames."""
    start_s: float
    """Seconds of the video at which the first window begins."""
    max_shift: int = MAX_SHIFT
    """Largest shift of `distances`, in frames at 25 fps."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.video)

    @property
    def times(self) -> NDArray[np.float64]:
        """(windows,) Seconds of the video at which each window begins."""
        return self.start_s + np.arange(len(self)) / FPS

    @property
    def shifts(self) -> NDArray[np.int64]:
        """(2 * max_shift + 1,) The offset of each column of `distances` in frames; positive: the sound runs ahead."""
        return np.arange(self.max_shift, -self.max_shift - 1, -1)

    @cached_property
    def distances(self) -> NDArray[np.float32]:
        """(windows, 2 * max_shift + 1) Distance of each window of the picture to the sound at every shift."""
        return embedding_distances(self.video, self.speech, self.max_shift)

    @property
    def curve(self) -> NDArray[np.floating[Any]]:
        """(2 * max_shift + 1,) Mean distance at each shift, of the pairs that exist; a deep valley at 0: in sync."""
        return corrected_curve(self.distances)

    @property
    def values(self) -> dict[str, float]:
        """LSE-D, LSE-C and offset as ``w2l score`` prints them, by the names of its columns."""
        return lse_values(self.video, self.speech, self.max_shift).values


def embed_clip(path: Path, bench: Bench, speech: Path | None = None) -> ClipEmbeddings:
    """Return the embeddings of the main face of a video and of its sound, or of another.

    Raises MediaError for what cannot be read, is silent film or too short, NoFaceError where no face is seen.
    """
    info = probe(path)
    if info.is_still:
        raise MediaError(f"{path}: is a still picture, so there is nothing in it to embed; name a video")
    wave = read_audio(path, origin_s=info.start_s) if speech is None else read_audio(speech)
    watcher = Watcher(main_face(path, bench.scan(path), bench.crop), bench.embedder(), bench)
    for frame in read_frames(path):
        watcher.take(frame)
    first = watcher.shown.first_frame
    video, sound = watcher.finish(), bench.hear(wave[first * SAMPLES_PER_FRAME :], len(watcher.shown))
    check_returned(bench.judge.path, video, sound)
    count = min(len(video), len(sound))
    if count < 2:
        raise MediaError(
            f"{path}: picture and sound must both last {WINDOW_FRAMES + 1} frames at 25 fps; take a longer clip"
        )
    return ClipEmbeddings(video[:count], sound[:count], first / FPS, bench.settings.max_shift)
