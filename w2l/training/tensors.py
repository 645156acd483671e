"""From batches of pictures and mels to what networks take: one place for range, order and layout."""

from typing import Literal

import torch
from torch import Tensor

Colour = Literal["rgb", "bgr"]


def pictures(frames: Tensor, colour: Colour = "rgb") -> Tensor:
    """uint8 RGB (batch, frames, rows, width, channels) -> float (batch, channels, frames, rows, width) in [0, 1]."""
    return in_order(frames.permute(0, 4, 1, 2, 3).float() / 255, colour)


def in_order(frames: Tensor, colour: Colour) -> Tensor:
    """RGB pictures (batch, 3 * n, ...) in the channel order of a network; applied twice it gives RGB back."""
    if colour == "rgb":
        return frames
    triples = frames.reshape(frames.shape[0], -1, 3, *frames.shape[2:])
    return triples.flip(2).flatten(1, 2)


def masked(faces: Tensor) -> Tensor:
    """The faces (..., height, width) with their lower half black: what the generator must redraw."""
    hidden = faces.clone()
    hidden[..., faces.shape[-2] // 2 :, :] = 0
    return hidden


def channels_last(tensor: Tensor) -> Tensor:
    """The same pictures (batch, channels, height, width) in the memory order that convolutions run fastest on."""
    return tensor.contiguous(memory_format=torch.channels_last)
