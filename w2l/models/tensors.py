"""From batches of pictures and mels to what networks take: one place for range, order and layout."""

from typing import Literal

import torch
from torch import Tensor

ChannelOrder = Literal["rgb", "bgr"]
Precision = Literal["fp32", "bf16", "fp16"]
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Arithmetic of convolutions that is not float32."""


def cast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which convolutions on `device` are done in `precision`."""
    half = HALVES.get(precision)
    return torch.autocast(device.type, half, enabled=half is not None)


def pictures(frames: Tensor, colour: ChannelOrder = "rgb") -> Tensor:
    """uint8 RGB (batch, frames, rows, width, channels) -> float (batch, channels, frames, rows, width) in [0, 1]."""
    return in_order(frames.permute(0, 4, 1, 2, 3).float() / 255, colour)


def in_order(frames: Tensor, colour: ChannelOrder) -> Tensor:
    """RGB pictures (batch, 3 * n, ...) in the channel order of a network; applied twice it gives RGB back."""
    if colour == "rgb":
        return frames
    triples = frames.reshape(frames.shape[0], -1, 3, *frames.shape[2:])
    return triples.flip(2).flatten(1, 2)


def masked(faces: Tensor, hidden: Tensor) -> Tensor:
    """The faces (..., height, width), black where `hidden` (height, width): what the generator must redraw."""
    return faces.masked_fill(hidden, 0.0)


def channels_last(tensor: Tensor) -> Tensor:
    """The same pictures (batch, channels, height, width) in the memory order that convolutions run fastest on."""
    return tensor.contiguous(memory_format=torch.channels_last)
