"""A clip as the judge sees and hears it: one embedding of lips and one of sound for each window of five frames."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.errors import MediaError
from w2l.nets.judge import Judge
from w2l.spectral import MFCC_HOP, mfcc, to_int16
from w2l.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES, exact_div

MFCC_PER_FRAME = exact_div(SAMPLES_PER_FRAME, MFCC_HOP)
"""MFCC columns of one video frame: 4."""
MFCC_WINDOW = WINDOW_FRAMES * MFCC_PER_FRAME
"""MFCC columns of a window: 20."""
BATCH = 20
"""Windows embedded at once, as the published evaluation does; it does not change the result."""

Colour = Literal["bgr", "rgb"]
Image = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


def embed_clip(
    judge: Judge,
    frames: Iterable[Image],
    wave: NDArray[np.floating[Any]],
    colour: Colour = "bgr",
    batch: int = BATCH,
) -> tuple[Embeddings, Embeddings]:
    """The judge's embeddings of a clip, window by window, as the published evaluation takes them.

    Frames are read once and only the windows of one batch are held. Picture or sound that outlasts the other is left
    out, and so is, as published, the last window that would fit.

    Parameters
    ----------
    judge : Judge
        In evaluation mode; runs on the device that its weights are on.
    frames : images (height, width, 3)
        RGB uint8 at 25 fps, of any size; resized to the judge's.
    wave : (samples,)
        Mono at 16 kHz in [-1, 1]; sample 0 belongs to the beginning of the first frame.
    colour : "bgr" or "rgb"
        Channel order that the judge was trained on: the published one on BGR.
    batch : int
        Windows embedded at once.

    Returns
    -------
    lip, audio : (windows, features) each
        windows = min(frames, whole frames of sound) - 5.

    Raises
    ------
    MediaError
        Where picture or sound is shorter than 6 frames.
    """
    if judge.training:
        raise ValueError("the judge must be in evaluation mode: call judge.eval() first")
    device = next(judge.parameters()).device
    n_sounding = len(wave) // SAMPLES_PER_FRAME
    lip = _embed_lips(judge, islice(frames, n_sounding), colour, batch, device)
    if not len(lip):
        raise MediaError(
            f"the clip is too short to score: picture and sound must both last {WINDOW_FRAMES + 1} frames at 25 fps "
            f"(the sound lasts {n_sounding}); take a longer clip"
        )
    n_samples = (len(lip) + WINDOW_FRAMES) * SAMPLES_PER_FRAME
    return lip, _embed_sound(judge, wave[:n_samples], len(lip), batch, device)


@torch.inference_mode()
def _embed_lips(judge: Judge, frames: Iterable[Image], colour: Colour, batch: int, device: torch.device) -> Embeddings:
    """Embeddings (windows, features) of all windows that are followed by one more frame."""
    size = judge.dimensions.size
    resized = (_fitted(image, size, colour) for image in frames)
    features = [
        judge.forward_lip(torch.from_numpy(stack).to(device).permute(0, 4, 1, 2, 3).float()).cpu().numpy()
        for stack in _stacks(_windows(resized), batch)
    ]
    return np.concatenate(features) if features else np.empty((0, 0), np.float32)


@torch.inference_mode()
def _embed_sound(
    judge: Judge, wave: NDArray[np.floating[Any]], n_windows: int, batch: int, device: torch.device
) -> Embeddings:
    """Embeddings (windows, features) of the MFCC columns that sound during each window of frames."""
    columns = torch.from_numpy(mfcc(to_int16(wave)))
    # (rows, windows, columns) -> (windows, 1, rows, columns)
    windows = columns.unfold(1, MFCC_WINDOW, MFCC_PER_FRAME)[:, :n_windows].permute(1, 0, 2)[:, None]
    features: list[Tensor] = [
        judge.forward_aud(windows[start : start + batch].to(device)).cpu() for start in range(0, n_windows, batch)
    ]
    return torch.cat(features).numpy()


def _fitted(image: Image, size: int, colour: Colour) -> Image:
    """The image as the judge takes it: (size, size, 3), its channels in the judge's order."""
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return image[:, :, ::-1] if colour == "bgr" else image


def _windows(frames: Iterable[Image]) -> Iterator[list[Image]]:
    """Five neighbouring frames at a time, except the last five (quirk of the published evaluation)."""
    held: deque[Image] = deque(maxlen=WINDOW_FRAMES + 1)
    for image in frames:
        held.append(image)
        if len(held) > WINDOW_FRAMES:
            yield list(held)[:WINDOW_FRAMES]


def _stacks(windows: Iterator[list[Image]], batch: int) -> Iterator[Image]:
    """Windows in batches: (windows, frames, height, width, channels)."""
    while chosen := list(islice(windows, batch)):
        yield np.stack([np.stack(window) for window in chosen])
