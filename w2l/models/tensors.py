"""Conversion of image and mel batches to the networks' inputs: range, channel order and layout."""

from typing import Literal

import torch
from torch import Tensor

ChannelOrder = Literal["rgb", "bgr"]
Precision = Literal["fp32", "bf16", "fp16"]
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision of convolutions other than float32."""


def cast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which convolutions on `device` use `precision`."""
    half = HALVES.get(precision)
    return torch.autocast(device.type, half, enabled=half is not None)


def pictures(frames: Tensor, colour: ChannelOrder = "rgb") -> Tensor:
    """Convert uint8 RGB (batch, frames, rows, width, channels) to 0..1 (batch, channels, frames, rows, width)."""
    return in_order(frames.permute(0, 4, 1, 2, 3).float() / 255, colour)


def in_order(frames: Tensor, colour: ChannelOrder) -> Tensor:
    """Convert RGB images (batch, 3 * n, ...) to a network's channel order; applied twice it returns RGB."""
    if colour == "rgb":
        return frames
    triples = frames.reshape(frames.shape[0], -1, 3, *frames.shape[2:])
    return triples.flip(2).flatten(1, 2)


def masked(faces: Tensor, hidden: Tensor) -> Tensor:
    """Return the faces (..., height, width) blacked out where `hidden` (height, width): what is to be redrawn."""
    return faces.masked_fill(hidden, 0.0)


def channels_last(tensor: Tensor) -> Tensor:
    """Return the same images (batch, channels, height, width) in the memory order fastest for convolutions."""
    return tensor.contiguous(memory_format=torch.channels_last)
