"""All crops of a split in the device's memory: batches are gathered and augmented there without disk access."""

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.device import free_memory
from w2l.data.batches.augment import Look, augment_frames, widened
from w2l.data.batches.tracks import Tracks

logger = logging.getLogger(__name__)
Resident = Literal["auto", "always", "never"]
"""Whether all crops are kept on the device; `auto`: if they fit a GPU's free memory."""
SHARE = 0.6
"""Share of a GPU's free memory that crops may take; the rest is for the network and its batches."""
RAMP: NDArray[np.uint8] = np.tile(np.arange(256, dtype=np.uint8)[None, :, None, None], (1, 1, 1, 3))
"""An image with every value once: its augmented version is a lookup table."""


def is_kept(n_bytes: int, device: torch.device, resident: Resident) -> bool:
    """Return whether to keep crops of `n_bytes` on the device: `resident` "always", or "auto" if they fit a GPU."""
    kept = resident == "always" or (resident == "auto" and n_bytes <= SHARE * free_memory(device))
    if kept:
        logger.info("all crops, %.1f GB, are kept on %s", n_bytes / 1e9, device)
    return kept


class KeptCrops:
    """The crops of all tracks in one tensor on the device."""

    def __init__(self, tracks: Tracks, counts: NDArray[np.int64], cut: int, device: torch.device) -> None:
        """Take the first `counts` (tracks,) frames of each track, from row `cut` on."""
        self.base = np.concatenate([[0], np.cumsum(counts)])
        """(tracks + 1,): start of the frames of each track."""
        _, height, width, channels = tracks.frames(0).shape
        shape = (int(self.base[-1]), height - cut, width, channels)
        self.frames = torch.empty(shape, dtype=torch.uint8, device=device)
        for track, count in enumerate(counts.tolist()):
            crops = np.array(tracks.frames(track)[0:count][:, cut:])  # a copy: files are read-only
            self.frames[self.base[track] : self.base[track + 1]] = torch.from_numpy(crops).to(device)

    def gather(self, tracks: NDArray[np.integer[Any]], frames: NDArray[np.integer[Any]]) -> Tensor:
        """Return the `frames` (n, frames) of `tracks` (n,): (n, frames, rows, width, 3)."""
        return self.frames[torch.from_numpy(self.base[tracks, None] + frames).to(self.frames.device)]


def vary(frames: Tensor, looks: Sequence[Look], first_row: int = 0) -> Tensor:
    """Run `augment_frames` on many clips together: uint8 (clips, frames, rows, width, 3), one look each."""
    device = frames.device
    if any(look.paint is not None for look in looks):
        paint = torch.from_numpy(np.stack([look.painted(*frames.shape[2:4]) for look in looks])).to(device)
        frames = _rounded(frames * paint[:, None])
    if any(look.moves for look in looks):
        frames = _moved(frames, looks, first_row)
    else:
        mirrored = torch.tensor([look.mirrored for look in looks], device=device)
        frames = torch.where(mirrored[:, None, None, None, None], frames.flip(3), frames)[:, :, first_row:]
    if any(look.grey or look.hue for look in looks):
        colours = torch.tensor(np.stack([look.colours() for look in looks]), dtype=torch.float32, device=device)
        frames = _rounded(frames.float() @ colours[:, None, None].transpose(-1, -2))
    if any(look.light != (0.0, 0.0) for look in looks):
        gains = torch.from_numpy(np.stack([look.brightness(*frames.shape[2:4]) for look in looks])).to(device)
        frames = _rounded(frames * gains[:, None, :, :, None])
    tables = np.stack([_table(look) for look in looks])
    if np.any(tables != RAMP[0, :, 0]):
        clip = torch.arange(len(looks), device=device)[:, None, None, None, None]
        frames = torch.from_numpy(tables).to(device)[clip, frames.long(), torch.arange(3, device=device)]
    if any(look.blur for look in looks):
        frames = _blurred(frames, [look.blur * frames.shape[3] / 96 for look in looks])
    return frames


def _rounded(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _table(look: Look) -> NDArray[np.uint8]:
    """Return (256, 3): the new value for each value of each channel."""
    return augment_frames(RAMP, Look(False, look.gains, look.contrast, look.gamma))[0, :, 0]


def _moved(frames: Tensor, looks: Sequence[Look], first_row: int) -> Tensor:
    n_clips, n_frames, height, width, _ = frames.shape
    back = torch.tensor(np.stack([look.source_of(height, width) for look in looks]), dtype=torch.float32)
    rows = torch.arange(first_row, height, dtype=torch.float32, device=frames.device)
    columns = torch.arange(width, dtype=torch.float32, device=frames.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ back.to(frames.device)[:, None].transpose(-1, -2)
    if any(look.bend is not None for look in looks):
        bent = torch.from_numpy(np.stack([look.bent_by(height, width)[first_row:] for look in looks]))
        places = places + bent.to(frames.device)
    if any(look.mouth != (1.0, 1.0) for look in looks):
        mouths = torch.tensor([look.mouth for look in looks], device=frames.device)
        places = widened(places, mouths[:, None, None], width)
    grid = places / torch.tensor([(width - 1) / 2, (height - 1) / 2], device=frames.device) - 1
    flat = frames.permute(0, 1, 4, 2, 3).reshape(n_clips, -1, height, width).float()
    moved = F.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return _rounded(moved.reshape(n_clips, n_frames, 3, *grid.shape[1:3]).permute(0, 1, 3, 4, 2))


def _blurred(frames: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Blur each clip with its own Gaussian, truncated at two sigmas, one axis after the other."""
    n_clips, n_frames, rows, width, channels = frames.shape
    reach = math.ceil(2 * max(sigmas))
    kernels = torch.tensor(np.stack([_kernel(sigma, reach) for sigma in sigmas]), dtype=torch.float32)
    weights = kernels.to(frames.device).repeat_interleave(n_frames * channels, 0)[:, None]
    planes = frames.permute(0, 1, 4, 2, 3).reshape(1, -1, rows, width).float()
    padded = F.pad(planes, (reach, reach, reach, reach), mode="reflect")
    across = F.conv2d(padded, weights[:, :, None], groups=len(weights))
    down = F.conv2d(across, weights[:, :, :, None], groups=len(weights))
    return _rounded(down.reshape(n_clips, n_frames, channels, rows, width).permute(0, 1, 3, 4, 2))


def _kernel(sigma: float, reach: int) -> NDArray[np.float64]:
    """Return (2 * reach + 1,): the weights of a Gaussian, zero beyond two sigmas; an impulse without blur."""
    places = np.arange(-reach, reach + 1)
    if not sigma:
        return np.asarray(places == 0, dtype=np.float64)
    weights = np.exp(-(places**2) / (2 * sigma**2)) * (np.abs(places) <= math.ceil(2 * sigma))
    return np.asarray(weights / weights.sum())
