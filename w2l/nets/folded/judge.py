"""A trained judge optimised for inference: folded batch norms, five frames as channels, channels last."""

import copy

import torch
from torch import Tensor, nn

from w2l.nets.folded.layers import fold_norm
from w2l.nets.judge import Judge

STEM_WINDOWS = 4
"""Windows that pass the first lip layer together on a CPU, so that its output (4.6 MB each) stays in the caches.

Measured on two AVX-512 cores, lips, published dimensions, against the eager network: 1.5 times as fast with all windows
of a batch, 1.6 times with 1 to 4.
"""


GREY = 128
"""Subtracted from images in half precision and added by the first bias: else large sums would be rounded and cancel."""


class FoldedJudge(nn.Module):
    """Result of `fold_judge`: the embeddings of `Judge`, from frames stacked on the channels."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.dimensions = judge.dimensions
        lips = _convolutions(judge.netcnnlip)
        self.stem, self.lips = lips[:3], lips[3:]  # the first convolution, its pool and its ReLU
        self.lips_head = _embedding_layers(judge.netfclip)
        self.sound = _convolutions(judge.netcnnaud)
        self.sound_head = _embedding_layers(judge.netfcaud)
        self.is_half = False

    def halve_lips(self) -> None:
        """Switch the lip encoder to half precision; the audio encoder, a seventh of the work, stays in float32."""
        if self.is_half:
            return
        self.is_half = True
        weight, bias = self.stem.parameters()
        bias.data.add_(GREY * weight.double().sum(dim=(1, 2, 3)))
        for part in (self.stem, self.lips, self.lips_head):
            part.half()

    def forward(self, mfcc: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings (audio, lips) of matching batches."""
        return self.forward_aud(mfcc), self.forward_lip(frames)

    def forward_aud(self, mfcc: Tensor) -> Tensor:
        """Encode MFCC windows (batch, 1, 13, 20) as (batch, embedding)."""
        features = self.sound(mfcc.contiguous(memory_format=torch.channels_last))
        embedding: Tensor = self.sound_head(features.flatten(1))
        return embedding

    def forward_lip(self, frames: Tensor) -> Tensor:
        """Encode windows of faces (batch, 15, size, size) as (batch, embedding).

        The channels are three of the first frame, then three of the second, ..., in the judge's channel order and in
        0..255, of any dtype; channels-last memory avoids a copy.
        """
        embedding: Tensor = self.lips_head(self.forward_lipfeat(frames))
        return embedding.float()

    def forward_lipfeat(self, frames: Tensor) -> Tensor:
        """Return the features before the last lip layers, for windows as in `forward_lip`: (batch, features)."""
        frames = frames.to(next(self.stem.parameters()).dtype).contiguous(memory_format=torch.channels_last)
        frames = frames - GREY if self.is_half else frames
        together = STEM_WINDOWS if frames.device.type == "cpu" else len(frames)
        features: Tensor = self.lips(torch.cat([self.stem(part) for part in torch.split(frames, together)]))
        return features.flatten(1)


def fold_judge(judge: Judge) -> FoldedJudge:
    """Return a copy of `judge` that computes the same embeddings faster, up to rounding.

    Parameters
    ----------
    judge : Judge
        In eval mode, of any dimensions; it is not changed.
    """
    if any(module.training for module in judge.modules()):
        raise ValueError("only a judge in evaluation mode can be folded; call judge.eval() first")
    folded = FoldedJudge(judge).eval().requires_grad_(False)
    for weight in folded.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return folded


def _convolutions(layers: nn.Module) -> nn.Sequential:
    """Return the layers (convolution, norm, ReLU, pool or none) in two dimensions, each pool before its ReLU.

    The swap does not change the result, but after the pool the ReLU has less to compute.
    """
    made: list[nn.Module] = []
    conv: nn.Module | None = None
    for layer in layers.children():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            conv = _in_two_dimensions(layer)
        elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)) and conv is not None:
            made.append(fold_norm(conv, layer))
        elif isinstance(layer, nn.ReLU):
            made.append(nn.ReLU(inplace=True))
        elif isinstance(layer, (nn.MaxPool2d, nn.MaxPool3d)):
            kernel, stride, padding = (_last_two(value) for value in (layer.kernel_size, layer.stride, layer.padding))
            made.insert(-1, nn.MaxPool2d(kernel, stride, padding))
        elif not isinstance(layer, nn.Identity):
            raise TypeError(f"a {type(layer).__name__} cannot be folded")
    return nn.Sequential(*made)


def _in_two_dimensions(conv: nn.Conv2d | nn.Conv3d) -> nn.Conv2d:
    """Return a convolution over all its frames as a 2-D one whose channels are those of one frame after the other."""
    if isinstance(conv, nn.Conv2d):
        return conv
    n_out, n_in, n_frames = conv.weight.shape[:3]
    kernel, stride, padding = (_last_two(value) for value in (conv.kernel_size, conv.stride, conv.padding))
    with torch.device("meta"):  # initialising random weights would take as long as the rest
        flat = nn.Conv2d(n_in * n_frames, n_out, kernel, stride, padding)
    flat.weight = nn.Parameter(conv.weight.detach().transpose(1, 2).flatten(1, 2))
    flat.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone())
    return flat


def _last_two(value: int | str | tuple[int, ...] | None) -> tuple[int, int]:
    """Return the extent of a kernel, stride or padding along rows and columns."""
    if isinstance(value, int):
        return value, value
    if not isinstance(value, tuple):
        raise TypeError(f"kernel, stride and padding must be numbers, got {value!r}")
    return value[-2], value[-1]


def _embedding_layers(layers: nn.Module) -> nn.Sequential:
    first, norm, relu, last = layers.children()
    return nn.Sequential(fold_norm(first, norm), copy.deepcopy(relu), copy.deepcopy(last))
