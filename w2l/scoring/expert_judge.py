"""An expert in place of the judge: its embeddings, window by window."""

from collections import deque
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.arrays import Image
from w2l.core.errors import ConfigError
from w2l.core.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES
from w2l.features.speech import speech_mel
from w2l.features.windows import expert_mel
from w2l.models.checkpoint import Model
from w2l.models.tensors import channels_last, in_order, pictures
from w2l.nets.blocks import stack_frames
from w2l.nets.expert import Expert
from w2l.scoring.metrics.embed import Embeddings


def check_judging_expert(expert: Model) -> None:
    """Raise ConfigError for an expert whose windows are not the five frames that LSE is defined on."""
    n_frames = expert.card.dimensions.get("n_frames", WINDOW_FRAMES)
    if n_frames != WINDOW_FRAMES:
        raise ConfigError(
            f"expert {expert.path} takes windows of {n_frames} frames; LSE requires {WINDOW_FRAMES}: choose a "
            "judge, or an expert of that length"
        )


class ExpertEmbedder:
    """Embeddings of one face: half crops in, unit vectors out; holds the frames of one batch."""

    def __init__(self, expert: Model, batch: int) -> None:
        self._network = cast(Expert, expert.network)
        self._colour, self._batch = expert.card.colour, batch
        self._held: deque[Image] = deque(maxlen=WINDOW_FRAMES)
        self._windows: list[NDArray[np.uint8]] = []
        self._done: list[Embeddings] = []

    def add(self, image: Image) -> None:
        """Add the next crop (size, size, 3) RGB."""
        self._held.append(image[image.shape[0] // 2 :])
        if len(self._held) == WINDOW_FRAMES:
            self._windows.append(np.stack(list(self._held)))
        if len(self._windows) == self._batch:
            self._embed()

    def finish(self) -> Embeddings:
        """Return the embeddings (windows, features) of all windows; the next `add` begins another clip."""
        if self._windows:
            self._embed()
        done = self._done or [np.empty((0, 0), np.float32)]
        self._held.clear()
        self._done = []
        return np.concatenate(done)

    @torch.inference_mode()
    def _embed(self) -> None:
        windows = torch.from_numpy(np.stack(self._windows)).to(_device(self._network))
        faces = channels_last(in_order(stack_frames(pictures(windows)), self._colour))
        self._done.append(self._network.embed_faces(faces).float().cpu().numpy())
        self._windows = []


@torch.inference_mode()
def embed_expert_sound(expert: Model, wave: NDArray[np.floating[Any]], n_frames: int, batch: int) -> Embeddings:
    """Return the audio embeddings (windows, features) for `n_frames` frames, or for as many as it has."""
    network = cast(Expert, expert.network)
    n_frames = min(n_frames, len(wave) // SAMPLES_PER_FRAME)
    n_windows = max(0, n_frames - WINDOW_FRAMES + 1)
    if not n_windows:
        return np.empty((0, 0), np.float32)
    mel = speech_mel(wave)
    found: list[Tensor] = []
    for start in range(0, n_windows, batch):
        mels = np.stack([expert_mel(mel, idx) for idx in range(start, min(start + batch, n_windows))])
        found.append(network.embed_audio(torch.from_numpy(mels)[:, None].to(_device(network))).float().cpu())
    return torch.cat(found).numpy()


def _device(network: Expert) -> torch.device:
    return next(network.parameters()).device
