"""A trained generator optimised for inference: folded batch norms, channels last, only the visible rows computed."""

import torch
from torch import Tensor, nn

from w2l.nets.blocks import frame_by_frame
from w2l.nets.folded.layers import Operations, TorchOperations, Value, fold_block, fold_blocks, fold_plain
from w2l.nets.folded.warping import FoldedWarping
from w2l.nets.folded.whole import Whole
from w2l.nets.generator import FORKS, Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator

DECODER_RESIDUALS = 2
"""Residual 3 x 3 blocks after each transposed convolution; each needs one more input row above than it outputs."""


class FoldedGenerator(nn.Module):
    """Result of `fold`; `first_row` is the first row of the face that it generates."""

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
        """Run `Generator.forward` for the rows from `first_row` on: (batch, 3, size - first_row, size)."""
        return frame_by_frame(self._generate, mel, faces)

    def _generate(self, mel: Tensor, faces: Tensor) -> Tensor:
        return self.walk(TorchOperations(), mel, faces.contiguous(memory_format=torch.channels_last))

    def walk(self, do: Operations[Value], mel: Value, faces: Value) -> Value:
        """Run the forward pass, written once: computed by PyTorch or recorded as ONNX nodes, depending on `do`."""
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
"""A generator of any layout, optimised for inference."""


def _split(block: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Split a decoder level into the transposed convolution and the residual blocks after it."""
    up, *residuals = block.children()
    return nn.Sequential(up), nn.Sequential(*residuals)


def _cut(do: Operations[Value], x: Value, n_rows: int, wanted: int) -> tuple[Value, int]:
    """Return the last `wanted` of `n_rows` rows, and their number."""
    return (x, n_rows) if n_rows <= wanted else (do.lowest_rows(x, wanted), wanted)


def fold(generator: Generator | WarpingGenerator, first_row: int = 0) -> Folded:
    """Return a copy of `generator` that computes the same images faster, and only their rows from `first_row` on.

    Batch norms are merged into the convolutions, weights are stored channels last, and every level of a published
    decoder computes only the rows that the wanted output depends on. The result equals that of `generator` up to
    rounding.

    Parameters
    ----------
    generator : Generator or WarpingGenerator
        In eval mode, of any dimensions; it is not changed.
    first_row : int
        Row of the face, counted from the top, from 0 to size - 1. A generator of lower rows returns at most its half.
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
    """Return the first row that the generator itself computes at each level of its decoder, finest first."""
    sizes = dims.level_sizes
    if dims.rows == "full":
        return [0] * len(sizes)
    return [size - (size // 2 + 1) for size in sizes[:-1]] + [0]


def needed_tops(dims: GeneratorDimensions, first_row: int) -> list[int]:
    """Return the first row required of each level's features, finest first, for the output from `first_row` on.

    The output block reads one row above, the residual blocks of a level one each, and row r of a transposed
    convolution depends on the rows r // 2 and r // 2 + 1. A level's zero padding then lies above rows that are computed
    computed only for their lower neighbours; the rows it distorts are cut off before they are used.
    """
    tops = []
    top = first_row - 1
    for own in own_tops(dims):
        tops.append(max(top, own))
        top = (tops[-1] - DECODER_RESIDUALS) // 2
    return tops
