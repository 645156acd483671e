"""3 x 3 convolutions on the CPU by Winograd's algorithm: a quarter of the multiplications of a direct one.

Each tile of 6 x 6 inputs gives 4 x 4 outputs: tiles and kernels are transformed, multiplied number by number, and the
products, summed over channels, are transformed back. A direct convolution already runs as fast as the processor
multiplies; the transforms pay where there are many channels. Results differ by about 1e-5 of the largest value.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE, STEP = 6, 4
"""Sides of a tile of inputs and of its outputs."""
CHANNELS = range(128, 385)
"""Numbers of channels for which it is faster; with fewer, the transforms take longer than the multiplications.

Milliseconds of one core with AVX-512 for 16 images, direct and by tiles: 64 channels of 96 x 96 118 and 155, 128 of
48 x 48 95 and 75, 256 of 24 x 24 94 and 56, 384 of 12 x 12 54 and 29, 512 of 6 x 6 27 and 24. Transformed weights take
four times the memory.
"""
LEAST_TILES = 96
"""Tiles of a batch below which the direct convolution is as fast."""
CHUNK_TILES = 200
"""Most tiles that are transformed together, so that they stay in the processor's cache."""
INPUT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0),
         (0, 4, 0, -5, 0, 1))  # fmt: skip
"""Transform of a column of six inputs, for the points 0, 1, -1, 2, -2 and infinity."""
KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
"""24 times that of a column of three weights."""
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""Transform of a column of six products to four outputs."""


class Winograd:
    """The same results as those of a convolution for which `is_suited` holds; its weights are copied."""

    def __init__(self, conv: nn.Conv2d) -> None:
        kernel = torch.tensor(KERNEL, dtype=torch.float32) / 24
        weights = conv.weight.detach().float().permute(2, 3, 1, 0).reshape(9, -1)
        self._weights = (torch.kron(kernel, kernel) @ weights).view(TILE * TILE, conv.in_channels, conv.out_channels)
        self._bias = None if conv.bias is None else conv.bias.detach().float()
        self._of_input, self._of_output = (
            torch.kron(matrix, matrix)
            for matrix in (torch.tensor(each, dtype=torch.float32) for each in (INPUT, OUTPUT))
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows, columns), channels last."""
        n_images = max(1, CHUNK_TILES // _n_tiles(x[:1]))
        return torch.cat([self._convolved(x[first : first + n_images]) for first in range(0, len(x), n_images)])

    def _convolved(self, x: Tensor) -> Tensor:
        n_images, _, n_rows, n_columns = x.shape
        down, across = -(-n_rows // STEP), -(-n_columns // STEP)
        right, below = across * STEP + 1 - n_columns, down * STEP + 1 - n_rows
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below)).contiguous()
        image, row, column, _ = padded.stride()
        shape = (TILE, TILE, n_images, down, across, x.shape[1])
        tiles = padded.as_strided(shape, (row, column, image, STEP * row, STEP * column, 1))
        seen = (self._of_input @ tiles.reshape(TILE * TILE, -1)).view(TILE * TILE, -1, x.shape[1])
        products = torch.bmm(seen, self._weights)
        made = (self._of_output @ products.view(TILE * TILE, -1)).view(STEP, STEP, n_images, down, across, -1)
        whole = made.permute(2, 3, 0, 4, 1, 5).reshape(n_images, down * STEP, across * STEP, -1)
        kept = whole[:, :n_rows, :n_columns]
        return (kept if self._bias is None else kept + self._bias).permute(0, 3, 1, 2)


def can_replace(conv: nn.Module) -> bool:
    """Return whether a convolution has the form and the number of channels for `Winograd`."""
    return (
        isinstance(conv, nn.Conv2d)
        and (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        and (conv.groups, conv.padding_mode) == (1, "zeros")
        and conv.in_channels in CHANNELS
        and conv.out_channels in CHANNELS
    )


def is_suited(x: Tensor) -> bool:
    """Return whether an input is large enough, on the CPU, in float32, and no gradient is wanted."""
    is_inference = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()
    return is_inference and _n_tiles(x) >= LEAST_TILES


def _n_tiles(x: Tensor) -> int:
    return x.shape[0] * -(-x.shape[2] // STEP) * -(-x.shape[3] // STEP)
