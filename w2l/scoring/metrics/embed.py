"""The judge's embeddings of a clip: one of lips and one of audio for each window of five frames."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.arrays import Image
from w2l.core.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES, exact_div
from w2l.features.mel import MFCC_FRAME, MFCC_HOP, mfcc, to_int16
from w2l.models.tensors import ChannelOrder
from w2l.nets.folded.judge import FoldedJudge, fold_judge
from w2l.nets.judge import Judge
from w2l.scoring.metrics.choices import BATCH

MFCC_PER_FRAME = exact_div(SAMPLES_PER_FRAME, MFCC_HOP)
"""MFCC columns of one video frame: 4."""
MFCC_WINDOW = WINDOW_FRAMES * MFCC_PER_FRAME
"""MFCC columns of a window: 20."""
SOUND_BLOCK = 1500
"""Windows of audio converted to MFCC per block: a minute, so that memory does not grow with the clip."""

Embeddings = NDArray[np.float32]
AnyJudge = Judge | FoldedJudge


def ready_judge(judge: AnyJudge, half: bool | None = None) -> FoldedJudge:
    """Return a copy of the judge optimised for inference, see `fold_judge`; useful if many clips are embedded.

    Parameters
    ----------
    judge : Judge
        In evaluation mode. One that is already optimised is returned unchanged.
    half : bool, optional
        Whether the lips are embedded in half precision  [on a GPU].
    """
    if isinstance(judge, FoldedJudge):
        return judge
    folded = fold_judge(judge)
    on_gpu = next(judge.parameters()).device.type == "cuda"
    if on_gpu if half is None else half:
        folded.halve_lips()
    return folded


class LipEmbedder:
    """The judge's embeddings of one clip's pictures after the other; holds the frames of one batch.

    Parameters
    ----------
    judge : Judge
        In evaluation mode; runs on the device that its weights are on. See `ready_judge`.
    colour : "bgr" or "rgb"
        Channel order that the judge was trained on: the published one on BGR.
    batch : int
        Windows per batch.
    """

    def __init__(self, judge: AnyJudge, colour: ChannelOrder = "bgr", batch: int = BATCH) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self._judge = ready_judge(judge)
        self._colour = colour
        self._batch = batch
        self._device = next(self._judge.parameters()).device
        self._planes: list[Image] = []
        self._features: list[Tensor] = []

    def add(self, image: Image) -> None:
        """Add the next frame of the clip at 25 fps: (height, width, 3) RGB uint8, of any size."""
        self._planes.append(_planes(image, self._judge.dimensions.size, self._colour))
        if len(self._planes) == self._batch + WINDOW_FRAMES - 1:
            self._embed()

    def finish(self) -> Embeddings:
        """End the clip and return (frames - 4, features), all its windows; (0, features) with fewer than 5 frames.

        The published evaluation omits the last one. The next `add` begins another clip.
        """
        self._embed()
        features, self._features, self._planes = self._features, [], []
        if not features:
            return np.empty((0, self._judge.dimensions.embedding), np.float32)
        embeddings: Embeddings = torch.cat(features).cpu().numpy()
        return embeddings

    @torch.inference_mode()
    def _embed(self) -> None:
        """Embed the complete windows, and keep the four frames that the next one begins with.

        Their embeddings stay on the device: a GPU continues while the next frames are read.
        """
        n_windows = len(self._planes) - WINDOW_FRAMES + 1
        if n_windows < 1:
            return
        windows = _windows(np.stack(self._planes), self._judge.dimensions.size, self._device)
        self._features.append(self._judge.forward_lip(windows))
        del self._planes[:n_windows]


@torch.inference_mode()
def embed_sound(
    judge: AnyJudge, wave: NDArray[np.floating[Any]], n_frames: int | None = None, batch: int = BATCH
) -> Embeddings:
    """Return the judge's embeddings of audio: (frames - 4, features), all windows; (0, features) with too few frames.

    The published evaluation omits the last one. Its audio extends 15 ms beyond the last frame: zeros are used after
    the end of `wave`.

    Parameters
    ----------
    judge : Judge
        In evaluation mode; runs on the device that its weights are on. See `ready_judge`.
    wave : (samples,)
        Mono at 16 kHz in [-1, 1]; sample 0 belongs to the beginning of the first frame.
    n_frames : int, optional
        Frames of the picture: later audio is ignored.
    batch : int
        Windows per batch.
    """
    judge = ready_judge(judge)
    n_sounding = len(wave) // SAMPLES_PER_FRAME
    n_frames = n_sounding if n_frames is None else min(n_frames, n_sounding)
    n_windows = n_frames - WINDOW_FRAMES + 1
    if n_windows < 1:
        return np.empty((0, judge.dimensions.embedding), np.float32)
    blocks = [
        _embed_block(judge, wave, first, min(SOUND_BLOCK, n_windows - first), batch)
        for first in range(0, n_windows, SOUND_BLOCK)
    ]
    return np.concatenate(blocks)


def _embed_block(judge: FoldedJudge, wave: NDArray[np.floating[Any]], first: int, count: int, batch: int) -> Embeddings:
    """Return the embeddings of `count` windows of audio from window `first` on, (count, features)."""
    lead = min(first, 1)  # the frame before: the pre-emphasis needs one earlier sample
    start = (first - lead) * SAMPLES_PER_FRAME
    stop = (first + count + WINDOW_FRAMES - 1) * SAMPLES_PER_FRAME + MFCC_FRAME - MFCC_HOP
    heard = to_int16(np.pad(wave[start:stop], (0, max(0, stop - len(wave)))))
    columns = torch.from_numpy(mfcc(heard)[:, lead * MFCC_PER_FRAME :])
    # (rows, windows, columns) -> (windows, 1, rows, columns)
    windows = columns.unfold(1, MFCC_WINDOW, MFCC_PER_FRAME).permute(1, 0, 2)[:count, None]
    device = next(judge.parameters()).device
    features = [judge.forward_aud(part.to(device)) for part in torch.split(windows, batch)]
    embeddings: Embeddings = torch.cat(features).cpu().numpy()
    return embeddings


def _planes(image: Image, size: int, colour: ChannelOrder) -> Image:
    """Return the image as the judge takes it, one colour after the other: (3, size * size)."""
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    planes = cv2.transpose(np.ascontiguousarray(image).reshape(-1, 3)).astype(np.uint8, copy=False)
    return planes[::-1] if colour == "bgr" else planes


def _windows(planes: Image, size: int, device: torch.device) -> Tensor:
    """Convert frames (frames, 3, size * size) to windows (frames - 4, 15, size, size), channels last, uint8."""
    if device.type != "cpu":
        # (windows, 3, pixels, 5): each frame goes to the device once
        found = torch.from_numpy(planes).to(device).unfold(0, WINDOW_FRAMES, 1).permute(0, 2, 3, 1)
        return found.reshape(len(found), size, size, -1).permute(0, 3, 1, 2)
    n_windows = len(planes) - WINDOW_FRAMES + 1
    rows = planes.reshape(-1, size * size)
    stacked = np.empty((n_windows, size * size, 3 * WINDOW_FRAMES), np.uint8)
    for idx, window in enumerate(stacked):  # five times as fast as joining the frames pixel by pixel
        cv2.transpose(rows[3 * idx : 3 * (idx + WINDOW_FRAMES)], window)
    return torch.from_numpy(stacked).reshape(n_windows, size, size, -1).permute(0, 3, 1, 2)
