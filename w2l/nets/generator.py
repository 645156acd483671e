"""The generator of Wav2Lip (Prajwal et al., ACM Multimedia 2020): masked face and mel window in, talking face out."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from w2l.nets.blocks import SMALLEST_GRID, ConvBlock, UpBlock, audio_encoder, frame_by_frame, residual_blocks

GeneratedRows = Literal["full", "lower"]
GeneratorLayout = Literal["published", "warping", "fork288", "fork288-prelu"]
FORKS = ("fork288", "fork288-prelu")
"""Layouts of a public fork, see `w2l.nets.fork288`: for inference only."""
FORK_SIZE = 288
MOST_BLUR = 0.25
"""Largest `flow_blur`, in sides of the face."""

_LARGEST_GRID = 7
_DECODER_WIDTHS = (4, 8, 16, 24)
"""Decoder channels in units of ``width``, finest level first; coarser levels have those of the embedding."""
_EMBEDDING_WIDTH = 32


@dataclass(frozen=True)
class GeneratorDimensions:
    """Everything needed to rebuild a generator.

    The published layout is the default; other sizes keep its finest levels and add or drop levels at the coarse end.
    A size is halved until it is at most 4 or odd, so 96 and 192 end at a 3 x 3 grid, 128 and 256 at 4 x 4.
    """

    size: int = 96
    """Rows and columns of the faces, in pixels."""
    width: int = 16
    """Channels of the first layer; all others scale with it."""
    n_references: int = 1
    """Complete faces given in addition to the masked one."""
    rows: GeneratedRows = "full"
    """Rows that are generated: all, or the lower half only, at half the decoder's cost."""
    layout: GeneratorLayout = "published"
    """`published`: that of Wav2Lip; `warping`: our own, see `w2l.nets.warping`; `fork288`: see `w2l.nets.fork288`."""
    flow_blur: float = 0.0
    """Standard deviation of the Gaussian over the flow of the warping layout, in sides of the face; 0: none."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_references < 1:
            raise ValueError(f"width and n_references must be at least 1, got {self.width} and {self.n_references}")
        if self.rows not in get_args(GeneratedRows):
            raise ValueError(f"rows must be one of {get_args(GeneratedRows)}, got {self.rows!r}")
        if self.layout not in get_args(GeneratorLayout):
            raise ValueError(f"layout must be one of {get_args(GeneratorLayout)}, got {self.layout!r}")
        if self.layout == "warping" and self.rows != "lower":
            raise ValueError("the warping layout generates the lower rows only; set rows=lower")
        if not 0 <= self.flow_blur <= MOST_BLUR or (self.flow_blur and self.layout != "warping"):
            raise ValueError(
                f"flow_blur must be from 0 to {MOST_BLUR}, and 0 unless layout is warping, got {self.flow_blur}"
            )
        if self.layout in FORKS:
            if (self.size, self.width, self.n_references, self.rows) != (FORK_SIZE, 16, 1, "full"):
                raise ValueError(f"the layout {self.layout} has size {FORK_SIZE}, width 16, one reference, all rows")
            return
        if self.size < 16 or self.level_sizes[-1] > _LARGEST_GRID:
            raise ValueError(
                f"size must be at least 16 and halve down to {_LARGEST_GRID} or less, as 96, 128, 192 and 256 do;"
                f" got {self.size}"
            )

    @property
    def embedding(self) -> int:
        """Channels of the audio embedding and of the coarsest face features."""
        return _EMBEDDING_WIDTH * self.width

    @property
    def level_sizes(self) -> list[int]:
        """Height of each level of the pyramid in pixels, finest first, without the final 1 x 1."""
        sizes = [self.size]
        while sizes[-1] > SMALLEST_GRID and sizes[-1] % 2 == 0:
            sizes.append(sizes[-1] // 2)
        return sizes


class Generator(nn.Module):
    """U-net whose bottleneck is the audio embedding; the faces enter through the skip connections only."""

    def __init__(self, dimensions: GeneratorDimensions | None = None) -> None:
        super().__init__()
        dims = dimensions or GeneratorDimensions()
        self.dimensions = dims
        self.face_encoder_blocks = _face_encoder(dims)
        self.audio_encoder = audio_encoder(2 * dims.width, 1)
        self.face_decoder_blocks = _face_decoder(dims)
        finest = (_DECODER_WIDTHS[0] + 1) * dims.width
        self.output_block = nn.Sequential(
            ConvBlock(finest, 2 * dims.width, 3, 1, 1), nn.Conv2d(2 * dims.width, 3, 1), nn.Sigmoid()
        )

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Generate faces whose lips match the mel windows.

        Parameters
        ----------
        mel : (batch, 1, 80, 16) or (batch, frames, 1, 80, 16)
            One mel window per frame, in [-4, 4].
        faces : (batch, 3 * (1 + n_references), size, size) or (batch, channels, frames, size, size)
            The masked face, then the references, in [0, 1].

        Returns
        -------
        generated : (batch, 3, rows, size) or (batch, 3, frames, rows, size)
            In [0, 1]; ``rows`` is size, or size / 2 when only the lower half is generated.
        """
        return frame_by_frame(self._generate, mel, faces)

    def _generate(self, mel: Tensor, faces: Tensor) -> Tensor:
        skips = []
        features = faces
        for block in self.face_encoder_blocks:
            features = block(features)
            skips.append(features)
        x: Tensor = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            x = block(x)
            x = torch.cat([x, skips.pop()[..., -x.shape[-2] :, :]], dim=1)
        generated: Tensor = self.output_block(x)
        return generated if self.dimensions.rows == "full" else generated[..., 1:, :]


def _face_encoder(dims: GeneratorDimensions) -> nn.ModuleList:
    """Return one block per level, then the grid to 1 x 1; channels double at each level up to the embedding's."""
    sizes = dims.level_sizes
    widths = [_encoder_width(dims, level) for level in range(len(sizes))]
    blocks = [nn.Sequential(ConvBlock(3 * (1 + dims.n_references), widths[0], 7, 1, 3))]
    for level in range(1, len(sizes)):
        n_residuals = 1 if level == len(sizes) - 1 else 3 if level == 2 else 2
        down = ConvBlock(widths[level - 1], widths[level], 3, 2, 1)
        blocks.append(nn.Sequential(down, *residual_blocks(widths[level], n_residuals)))
    embedding = dims.embedding
    blocks.append(nn.Sequential(ConvBlock(widths[-1], embedding, sizes[-1]), ConvBlock(embedding, embedding, 1)))
    return nn.ModuleList(blocks)


def _face_decoder(dims: GeneratorDimensions) -> nn.ModuleList:
    """Return the encoder's levels in reverse.

    With ``rows="lower"`` every level finer than the coarsest grid keeps its lower half and one margin row, so that the
    first row of the half still has a neighbour above it.
    """
    embedding, sizes = dims.embedding, dims.level_sizes
    blocks = [nn.Sequential(ConvBlock(embedding, embedding, 1))]
    n_in = 2 * embedding
    for level in reversed(range(len(sizes))):
        n_out = dims.width * (_DECODER_WIDTHS[level] if level < len(_DECODER_WIDTHS) else _EMBEDDING_WIDTH)
        if level == len(sizes) - 1:
            up, n_residuals = UpBlock(n_in, n_out, sizes[level]), 1
        else:
            keep_rows = sizes[level] // 2 + 1 if dims.rows == "lower" else None
            up, n_residuals = UpBlock(n_in, n_out, 3, 2, 1, keep_rows=keep_rows), 2
        blocks.append(nn.Sequential(up, *residual_blocks(n_out, n_residuals)))
        n_in = n_out + _encoder_width(dims, level)
    return nn.ModuleList(blocks)


def _encoder_width(dims: GeneratorDimensions, level: int) -> int:
    return min(dims.width << level, dims.embedding)
