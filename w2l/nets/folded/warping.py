"""The warping generator with folded layers; its forward pass is written once, for PyTorch and for ONNX."""

import copy
from functools import partial

import torch
from torch import Tensor, nn

from w2l.nets.blocks import ConvBlock, frame_by_frame
from w2l.nets.folded.layers import (
    FoldedConv,
    FoldedJoin,
    Operations,
    TorchOperations,
    Value,
    fold_blocks,
    fold_plain,
)
from w2l.nets.warping import MARGIN, WarpingGenerator, level_width, lowest_rows, mixture, n_halvings

DRAWN_SHARE = 3
"""Channel of `w2l.nets.warping.mixture`'s `drawn` that holds the drawn share of a pixel, before the softmax."""
NO_SHARE = -1e4
"""Its value where nothing is drawn; within the range of half precision."""


class FoldedWarping(nn.Module):
    """Result of `w2l.nets.folded.generator.fold` for a warping generator; `first_row` is the first row it generates.

    All of the lower half is computed, and the rows above `first_row` are cut off at the end: the pasted part of an
    aligned face begins at the half.
    """

    def __init__(self, generator: WarpingGenerator, first_row: int) -> None:
        super().__init__()
        dims = generator.dimensions
        self.dimensions = dims
        self.first_row = max(first_row, dims.size // 2)
        self.encoder = nn.ModuleList(fold_blocks(block) for block in generator.encoder.values())
        *tower, last = generator.audio_encoder
        self.audio_encoder = nn.Sequential(*fold_blocks(nn.Sequential(*tower)), fold_plain(last, "none"))
        self.sound = nn.ModuleList(_join(block, level_width(dims.width, n)) for n, block in enumerate(generator.sound))
        self.bottom = fold_blocks(generator.bottom)
        self.decoder = nn.ModuleList(fold_blocks(block) for block in generator.decoder.values())
        self.flow = nn.Sequential(fold_plain(generator.flow, "none"))
        self.blur = copy.deepcopy(generator.blur)
        # A ReLU before the pixel shuffle equals one after it.
        self.to_pixels = nn.Sequential(fold_plain(generator.to_pixels, "relu"))
        self.output = nn.Sequential(*fold_blocks(generator.finest), fold_plain(generator.output, "none"))

    @torch.no_grad()
    def draw_nothing(self) -> None:
        """Take every pixel from the references only; draw nothing."""
        last = self.output[-1]
        assert isinstance(last, FoldedConv)
        assert last.conv.bias is not None
        last.conv.weight[DRAWN_SHARE] = 0.0
        last.conv.bias[DRAWN_SHARE] = NO_SHARE

    def forward(self, mel: Tensor, faces: Tensor, references: Tensor | None = None) -> Tensor:
        """Run `WarpingGenerator.forward` for the rows from `first_row` on: (batch, 3, size - first_row, size).

        `references`, (batch, 3 * n_references, fine size, fine size), if given, are warped instead of those among
        `faces`, which then have no axis of frames; the output rows are as fine as they are.
        """
        return frame_by_frame(partial(self._generate, references=references), mel, faces)

    def _generate(self, mel: Tensor, faces: Tensor, references: Tensor | None) -> Tensor:
        faces = faces.contiguous(memory_format=torch.channels_last)
        if references is None:
            return self.walk(TorchOperations(), mel, faces)
        return self.mixed(self.steps(TorchOperations(), mel, faces), references)

    def mixed(self, steps: tuple[Tensor, Tensor], references: Tensor) -> Tensor:
        """Return the image made from references by flow and shares (see `steps`), from `first_row` on."""
        flow, drawn = steps
        picture = mixture(references.float(), flow.float(), drawn.float())
        size = self.dimensions.size
        return lowest_rows(picture, (size - self.first_row) * references.shape[-1] // size)

    def walk(self, do: Operations[Value], mel: Value, faces: Value) -> Value:
        """Run the forward pass, written once: computed by PyTorch or recorded as ONNX nodes, depending on `do`."""
        half, n_shown = self.dimensions.size // 2, self.dimensions.size - self.first_row
        picture = do.mixture(faces, *self.steps(do, mel, faces), self.dimensions)
        return picture if n_shown == half else do.lowest_rows(picture, n_shown)

    def steps(self, do: Operations[Value], mel: Value, faces: Value) -> tuple[Value, Value]:
        """Compute the last steps before the image: `flow` and `drawn` as `w2l.nets.warping.mixture` takes them."""
        features, skips = faces, []
        for block in self.encoder:
            features = do.convolve(block, features)
            skips.append(features)
        heard = do.convolve(self.audio_encoder, mel)
        half = self.dimensions.size // 2
        n_rows = self.dimensions.size >> n_halvings(self.dimensions.size)
        x = do.convolve(self.bottom, self._joined(do, 0, skips.pop(), heard))
        x = do.lowest_rows(x, n_rows // 2 + MARGIN)
        for level, block in enumerate(self.decoder, 1):
            n_rows *= 2
            kept = n_rows // 2 + MARGIN
            x = do.lowest_rows(do.repeat(x), kept)
            x = do.convolve(block, do.join(x, do.lowest_rows(skips.pop(), kept)))
            if level < len(self.sound):
                x = self._joined(do, level, x, heard)
        flow = do.convolve(self.flow, x)
        flow = do.blur(self.blur, flow) if self.blur.is_active else flow
        flow = do.lowest_rows(do.smooth(flow), half)
        drawn = do.lowest_rows(do.convolve(self.output, do.shuffle(do.convolve(self.to_pixels, x))), half)
        return flow, drawn

    def _joined(self, do: Operations[Value], level: int, x: Value, heard: Value) -> Value:
        join = self.sound[level]
        assert isinstance(join, FoldedJoin)
        return do.add_relu(do.convolve(join.features, x), do.convolve(join.sound, heard))


def _join(block: nn.Module, n_features: int) -> FoldedJoin:
    if not isinstance(block, ConvBlock):
        raise TypeError(f"a {type(block).__name__} cannot be folded")
    return FoldedJoin(block, n_features)
