"""Layers shared by the networks, and the layout of time and rows in their inputs.

Attribute names are those of the published Wav2Lip models, so that their state dicts load without renaming.
"""

import math
from typing import Literal, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

IntPair = int | tuple[int, int]
Norm = Literal["batch", "group"]
"""`batch`: batch norm, as published; `group`: group norm (Wu & He, 2018), the same in training and evaluation."""
Ending = Literal["relu", "residual", "linear"]
GROUP_CHANNELS = 8
"""Channels per group of the group norm."""

N_BANDS, COLUMNS_OF_FIVE = 80, 16
"""Rows of a mel and its columns for five frames: 80 per second at 25 fps."""
STRIDED_GRID = 6
"""`strided_encoder` halves its grid until no side is longer than this; one valid convolution reduces the rest."""
MAX_WIDENING = 8
"""Largest number of channels before its last layers, in units of its width."""
SMALLEST_GRID = 4
"""Downsampling stops at a grid of at most this size; one valid convolution reduces that to 1 x 1."""


def normalisation(norm: Norm, n_channels: int) -> nn.Module:
    """Return a normalisation layer for `n_channels` channels."""
    if norm == "batch":
        return nn.BatchNorm2d(n_channels)
    return nn.GroupNorm(max(1, math.gcd(n_channels, max(1, n_channels // GROUP_CHANNELS))), n_channels)


class ConvBlock(nn.Module):
    """Convolution and norm, followed by what `ending` says.

    `relu`: a ReLU; `residual`: the input is added before the ReLU; `linear`: nothing, at the end of a signed encoder.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: IntPair,
        stride: IntPair = 1,
        padding: IntPair = 0,
        *,
        ending: Ending = "relu",
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(n_in, n_out, kernel, stride, padding), normalisation(norm, n_out))
        self.residual = ending == "residual"
        self.activation = ending != "linear"

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows', columns')."""
        out: Tensor = self.conv_block(x)
        if self.residual:
            out = out.add_(x)
        return F.relu_(out) if self.activation else out


class UpBlock(nn.Module):
    """Transposed convolution, batch norm, ReLU; ``keep_rows`` keeps only that many rows, counted from the bottom."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, *, keep_rows: int | None = None
    ) -> None:
        super().__init__()
        transposed = nn.ConvTranspose2d(n_in, n_out, kernel, stride, padding, output_padding=stride - 1)
        self.conv_block = nn.Sequential(transposed, nn.BatchNorm2d(n_out))
        self.keep_rows = keep_rows

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows', columns')."""
        out: Tensor = self.conv_block[0](x)
        if self.keep_rows is not None:
            out = out[..., -self.keep_rows :, :]
        return F.relu_(self.conv_block[1](out))


class PlainConvBlock(nn.Module):
    """Convolution and leaky ReLU without a norm, for the discriminator."""

    def __init__(self, n_in: int, n_out: int, kernel: IntPair, stride: IntPair = 1, padding: IntPair = 0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(n_in, n_out, kernel, stride, padding))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows', columns')."""
        return F.leaky_relu_(self.conv_block(x), 0.01)


def residual_blocks(n_channels: int, n_blocks: int, norm: Norm = "batch") -> list[nn.Module]:
    """Return `n_blocks` residual 3 x 3 blocks that keep the shape."""
    return [ConvBlock(n_channels, n_channels, 3, 1, 1, ending="residual", norm=norm) for _ in range(n_blocks)]


def audio_encoder(width: int, n_last_residuals: int, *, signed: bool = False) -> nn.Sequential:
    """Return an encoder of one mel window: (batch, 1, 80, 16) -> (batch, 16 * width, 1, 1).

    Parameters
    ----------
    width : int
        Channels of the first layer, 32 in the published models.
    n_last_residuals : int
        Residual blocks at the coarsest grid: 1 in the published generator, 2 in the published expert.
    signed : bool
        Whether the embedding may be negative (no ReLU at the end).
    """
    w = width
    return nn.Sequential(
        ConvBlock(1, w, 3, 1, 1),
        *residual_blocks(w, 2),
        ConvBlock(w, 2 * w, 3, (3, 1), 1),  # 27 x 16
        *residual_blocks(2 * w, 2),
        ConvBlock(2 * w, 4 * w, 3, 3, 1),  # 9 x 6
        *residual_blocks(4 * w, 2),
        ConvBlock(4 * w, 8 * w, 3, (3, 2), 1),  # 3 x 3
        *residual_blocks(8 * w, n_last_residuals),
        ConvBlock(8 * w, 16 * w, 3),
        ConvBlock(16 * w, 16 * w, 1, ending="linear" if signed else "relu"),
    )


def strided_encoder(
    n_in: int, grid: tuple[int, int], width: int, n_features: int, signed: bool, norm: Norm = "batch"
) -> nn.Sequential:
    """Return an encoder (batch, n_in, *grid) -> (batch, n_features, 1, 1); each axis is halved while it is long.

    Much faster than one that keeps the full resolution in its first layers. ``signed``: without a ReLU at the end.
    """
    layers: list[nn.Module] = []
    rows, columns = grid
    n_out = width
    while max(rows, columns) > STRIDED_GRID:
        # An axis much shorter than the other is not halved yet, so that the grid becomes about square.
        stride = (2 if 2 * rows > columns else 1, 2 if 2 * columns > rows else 1)
        kernel, padding = (5, 2) if not layers else (3, 1)
        layers.append(ConvBlock(n_in, n_out, kernel, stride, padding, norm=norm))
        rows, columns = -(-rows // stride[0]), -(-columns // stride[1])
        layers += residual_blocks(n_out, 1 if len(layers) == 1 else 2, norm)
        n_in, n_out = n_out, min(2 * n_out, MAX_WIDENING * width)
    layers.append(ConvBlock(n_in, n_features, (rows, columns), norm=norm))
    layers.append(nn.Conv2d(n_features, n_features, 1))
    if not signed:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def lower_half(frames: Tensor) -> Tensor:
    """Return the lower half of the rows: (..., size, size) -> (..., size / 2, size), a view."""
    return frames[..., frames.shape[-2] // 2 :, :]


def stack_frames(frames: Tensor) -> Tensor:
    """Put the frames of a window side by side on the channel axis, frame 0 first.

    (batch, channels, frames, rows, columns) -> (batch, frames * channels, rows, columns).
    """
    return frames.transpose(1, 2).flatten(1, 2)


class FrameMaker(Protocol):
    """Generates single frames."""

    def __call__(self, mel: Tensor, faces: Tensor, /) -> Tensor:
        """Map (batch, 1, 80, 16) and (batch, channels, rows, columns) to (batch, channels', rows', columns')."""


def frame_by_frame(make: FrameMaker, mel: Tensor, faces: Tensor) -> Tensor:
    """Apply `make`, which takes single frames, to single frames or to windows of frames.

    Single frames: `mel` (batch, ...) and `faces` (batch, channels, rows, columns), returned as by `make`. Windows:
    `mel` (batch, frames, ...) and `faces` (batch, channels, frames, rows, columns), returned in the shape of `faces`.
    """
    if faces.dim() == 4:
        return make(mel, faces)
    return unfold_time(make(mel.transpose(0, 1).flatten(0, 1), fold_time(faces)), faces.shape[2])


def fold_time(frames: Tensor) -> Tensor:
    """Turn frames into single images, frame 0 of all clips first, then frame 1.

    (batch, channels, frames, rows, columns) -> (frames * batch, channels, rows, columns).
    """
    return frames.permute(2, 0, 1, 3, 4).flatten(0, 1)


def unfold_time(pictures: Tensor, n_frames: int) -> Tensor:
    """Undo `fold_time`: (frames * batch, channels, ...) -> (batch, channels, frames, ...)."""
    return pictures.reshape(n_frames, -1, *pictures.shape[1:]).movedim(0, 2)
