"""The visual quality discriminator of Wav2Lip: the probability that a lower half face is real."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from w2l.nets.blocks import SMALLEST_GRID, PlainConvBlock

_N_LARGE_KERNELS = 3
"""Number of levels after the first that have 5 x 5 kernels; coarser ones have 3 x 3."""


@dataclass(frozen=True)
class DiscriminatorDimensions:
    """Everything needed to rebuild a discriminator; the defaults are the published one."""

    size: int = 96
    """Rows and columns of a whole face, in pixels; the lower half of the rows is judged."""
    width: int = 32
    """Channels of the first layer; all others scale with it."""
    n_frames: int = 1
    """Frames judged together, stacked on the channels; published: 1."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_frames < 1:
            raise ValueError(f"width and n_frames must be at least 1, got {self.width} and {self.n_frames}")
        if self.size < 32 or self.size % 2:
            raise ValueError(f"size must be even and at least 32, got {self.size}")


class Discriminator(nn.Module):
    """Strided convolutions without normalisation."""

    def __init__(self, dimensions: DiscriminatorDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dimensions or DiscriminatorDimensions()
        self.face_encoder_blocks = _face_encoder(self.dimensions)
        self.binary_pred = nn.Sequential(nn.Conv2d(16 * self.dimensions.width, 1, 1), nn.Sigmoid())

    def forward(self, faces: Tensor) -> Tensor:
        """Return the probability (batch, 1) that half faces (batch, 3 * n_frames, size/2, size) in [0, 1] are real."""
        return torch.sigmoid(self.logits(faces))

    def logits(self, faces: Tensor) -> Tensor:
        """Return the output of `forward` before the sigmoid, for a loss that stays finite."""
        x = faces
        for block in self.face_encoder_blocks:
            x = block(x)
        logits: Tensor = self.binary_pred[0](x)
        return logits.flatten(1)


def _face_encoder(dims: DiscriminatorDimensions) -> nn.ModuleList:
    """Return a first layer, a level that makes the half face square, and halvings down to a grid of at most 4 x 4."""
    w = dims.width
    blocks = [nn.Sequential(PlainConvBlock(3 * dims.n_frames, w, 7, 1, 3))]
    grid, n_in, stride = dims.size // 2, w, (1, 2)
    while True:
        n_out = min(2 * n_in, 16 * w)
        kernel = 5 if len(blocks) <= _N_LARGE_KERNELS else 3
        down = PlainConvBlock(n_in, n_out, kernel, stride, kernel // 2)
        blocks.append(nn.Sequential(down, PlainConvBlock(n_out, n_out, kernel, 1, kernel // 2)))
        n_in = n_out
        if grid <= SMALLEST_GRID:
            break
        grid, stride = -(-grid // 2), (2, 2)
    blocks.append(nn.Sequential(PlainConvBlock(n_in, 16 * w, grid), PlainConvBlock(16 * w, 16 * w, 1)))
    return nn.ModuleList(blocks)
