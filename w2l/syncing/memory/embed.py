"""Embed looks and audio with the sync expert; the cosine of two embeddings measures how well they match."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.features.windows import mel_window
from w2l.models.checkpoint import Model
from w2l.nets.expert import Expert

BATCH = 32
"""Windows per batch."""
LEAD_COLUMNS = 3
"""Mel columns by which the window of an expert, with the shown frame in the middle, starts before that of the
generator, in which it is the second frame: one frame, 3.2 columns."""


class SyncExpert:
    """An expert of five frames, ready for inference."""

    def __init__(self, model: Model) -> None:
        if not isinstance(model.network, Expert) or model.network.dimensions.n_frames != WINDOW_FRAMES:
            raise ValueError("comparing looks with audio requires an expert of five frames")
        self._network = model.network
        self._device = next(model.network.parameters()).device

    def faces(self, lower: Image, windows: NDArray[np.int64]) -> Floats:
        """Return unit vectors (windows, features) of windows (windows, 5), indices into `lower` (faces, 48, 96, 3)."""
        found = []
        for first in range(0, len(windows), BATCH):
            frames = lower[windows[first : first + BATCH]]  # (batch, 5, rows, columns, 3)
            joined = frames.transpose(0, 1, 4, 2, 3).reshape(len(frames), -1, *lower.shape[1:3])
            found.append(self._embedded(self._network.embed_faces, joined, 1 / 255))
        return np.concatenate(found) if found else np.zeros((0, self._network.dimensions.n_features))

    def sounds(self, mel: NDArray[np.float32], starts: NDArray[np.int64]) -> Floats:
        """Return unit vectors (frames, features) of the audio around frames whose windows start at `starts`."""
        found = []
        for first in range(0, len(starts), BATCH):
            heard = [mel_window(mel, int(start) - LEAD_COLUMNS) for start in starts[first : first + BATCH]]
            found.append(self._embedded(self._network.embed_audio, np.stack(heard)[:, None], 1.0))
        return np.concatenate(found) if found else np.zeros((0, self._network.dimensions.n_features))

    def _embedded(
        self, network: Callable[[torch.Tensor], torch.Tensor], values: NDArray[np.generic], scale: float
    ) -> Floats:
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(values)).to(self._device).float() * scale
            return np.asarray(network(given).float().cpu().numpy())


def windows_around(times: Floats, looks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices (looks, 5) into frames at increasing `times` of the window around each look.

    A window has 25 frames per second, whatever the rate of the video; missing frames are replaced by the nearest.
    """
    wanted = times[looks][:, None] + (np.arange(WINDOW_FRAMES) - WINDOW_FRAMES // 2) / FPS
    after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    return np.where(wanted - times[before] <= times[after] - wanted + 1e-9, before, after)
