"""A trained generator made quick: batch norms folded into the convolutions, channels last, only the rows that show."""

import torch
from torch import Tensor, nn

from w2l.nets.blocks import frame_by_frame
from w2l.nets.folded.layers import Operations, TorchOperations, Value, fold_block, fold_blocks, fold_plain
from w2l.nets.folded.warping import FoldedWarping
from w2l.nets.folded.whole import Whole
from w2l.nets.generator import FORKS, Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator

DECODER_RESIDUALS = 2
"""Residual 3 x 3 blocks after each transposed convolution; each needs one more row above than it gives."""


class FoldedGenerator(nn.Module):
    """What `fold` gives; `first_row` is the first row of the face that it generates."""

    def __init__(self, generator: Generator, first_row: int) -> None:
        super().__init__()
        dims = generator.dimensions
        self.dimensions = dims
        self.first_row = max(first_row, dims.size // 2 if dims.rows == "lower" else 0)
        self.tops = needed_tops(dims, first_row)
        self.own_tops = own_tops(dims)
        self.face_encoder_blocks = nn.ModuleList(fold_blocks(block) for block in generator.face_encoder_blocks)
        self.audio_encoder = fold_blocks(generator.audio_encoder)
        self.face_decoder_blocks = nn.ModuleList(fold_blocks(block) for block in generator.face_decoder_blocks)
        last, to_rgb, _ = generator.output_block
        self.output_block = nn.Sequential(fold_block(last), fold_plain(to_rgb, "sigmoid"))

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """As `Generator.forward`, but only the rows from `first_row` on: (batch, 3, size - first_row, size)."""
        return frame_by_frame(self._generate, mel, faces)

    def _generate(self, mel: Tensor, faces: Tensor) -> Tensor:
        return self.walk(TorchOperations(), mel, faces.contiguous(memory_format=torch.channels_last))

    def walk(self, do: Operations[Value], mel: Value, faces: Value) -> Value:
        """The way from inputs to output, told once for all that can `do` it: PyTorch here, a graph elsewhere."""
        sizes = self.dimensions.level_sizes
        skips = []
        features = faces
        for block in self.face_encoder_blocks:
            features = do.convolve(block, features)
            skips.append(features)
        bottom, *decoder = self.face_decoder_blocks
        x = do.join(do.convolve(bottom, do.convolve(self.audio_encoder, mel)), skips.pop())
        n_rows = 1
        for level in reversed(range(len(sizes))):
            up, residuals = _split(decoder[len(sizes) - 1 - level])
            x = do.convolve(up, x)
            n_rows = 2 * n_rows if level < len(sizes) - 1 else sizes[level]
            x, n_rows = _cut(do, x, n_rows, sizes[level] - self.own_tops[level])
            x = do.convolve(residuals, x)
            kept = sizes[level] - self.tops[level]
            x, n_rows = _cut(do, x, n_rows, kept)
            x = do.join(x, _cut(do, skips.pop(), sizes[level], kept)[0])
        return _cut(do, do.convolve(self.output_block, x), n_rows, sizes[0] - self.first_row)[0]


Folded = FoldedGenerator | FoldedWarping | Whole
"""A generator of any layout, made quick."""


def _split(block: nn.Module) -> tuple[nn.Module, nn.Module]:
    """A level of the decoder as the transposed convolution and the residual blocks after it."""
    up, *residuals = block.children()
    return nn.Sequential(up), nn.Sequential(*residuals)


def _cut(do: Operations[Value], x: Value, n_rows: int, wanted: int) -> tuple[Value, int]:
    """The last `wanted` of `n_rows` rows, and how many they are."""
    return (x, n_rows) if n_rows <= wanted else (do.lowest_rows(x, wanted), wanted)


def fold(generator: Generator | WarpingGenerator, first_row: int = 0) -> Folded:
    """A copy of `generator` that gives the same pictures sooner, and only their rows from `first_row` on.

    Batch norms become part of the convolutions, weights are laid out channels last, and every level of a published
    decoder computes no more rows than those that are asked for see. Agrees with `generator` to the rounding of
    its numbers.

    Parameters
    ----------
    generator : Generator or WarpingGenerator
        In eval mode, of any dimensions; it is not changed.
    first_row : int
        Row of the face, counted from its top, from 0 to size - 1. A generator of lower rows gives its half at most.
    """
    if any(module.training for module in generator.modules()):
        raise ValueError("only a generator in eval mode can be folded; call eval() first")
    if not 0 <= first_row < generator.dimensions.size:
        raise ValueError(f"first_row {first_row} must lie between 0 and {generator.dimensions.size - 1}")
    folded: Folded
    if generator.dimensions.layout in FORKS and isinstance(generator, Generator):
        folded = Whole(generator, first_row)
    elif isinstance(generator, WarpingGenerator):
        folded = FoldedWarping(generator, first_row)
    else:
        folded = FoldedGenerator(generator, first_row)
    folded.eval().requires_grad_(False)
    for weight in folded.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return folded


def own_tops(dims: GeneratorDimensions) -> list[int]:
    """The first row that the generator itself computes at each level of its decoder, finest first."""
    sizes = dims.level_sizes
    if dims.rows == "full":
        return [0] * len(sizes)
    return [size - (size // 2 + 1) for size in sizes[:-1]] + [0]


def needed_tops(dims: GeneratorDimensions, first_row: int) -> list[int]:
    """The first row that is needed of each level's features, finest first, for the output from `first_row` on.

    The output block looks one row up, the residual blocks of a level one each, and the row r of a transposed
    convolution comes from the rows r // 2 and r // 2 + 1. A level's zero padding then stands above rows that are
    computed for their lower neighbours alone; what it spoils is cut off before anything is made of it.
    """
    tops = []
    top = first_row - 1
    for own in own_tops(dims):
        tops.append(max(top, own))
        top = (tops[-1] - DECODER_RESIDUALS) // 2
    return tops
