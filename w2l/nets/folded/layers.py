"""Layers of folded networks: batch norms merged into convolutions, and the operations between them."""

import copy
from typing import Literal, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.nets.blocks import ConvBlock, UpBlock
from w2l.nets.folded.winograd import Winograd, can_replace, is_suited
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import FlowBlur, lowest_rows, mixture

Value = TypeVar("Value")
Activation = Literal["relu", "sigmoid", "none"]
Foldable = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


class FoldedConv(nn.Module):
    """Convolution or transposed convolution with a bias, followed by a residual addition, ReLU or sigmoid."""

    def __init__(
        self, conv: nn.Conv2d | nn.ConvTranspose2d, *, residual: bool = False, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.conv = conv
        self.residual = residual
        self.activation = activation
        self._can_be_faster = can_replace(conv)
        self._faster: Winograd | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows', columns')."""
        out = self._convolved(x)
        if self.residual:
            out = out.add_(x)
        if self.activation == "relu":
            return F.relu_(out)
        return out.sigmoid_() if self.activation == "sigmoid" else out

    def _convolved(self, x: Tensor) -> Tensor:
        if self._can_be_faster and isinstance(self.conv, nn.Conv2d) and is_suited(x):
            self._faster = self._faster or Winograd(self.conv)
            return self._faster(x)
        convolved: Tensor = self.conv(x)
        return convolved


class FoldedJoin(nn.Module):
    """A 1 x 1 block over features joined with one audio embedding, with separate weights for the two.

    The contribution of the audio is then computed once and not at every position.
    """

    def __init__(self, block: ConvBlock, n_features: int) -> None:
        super().__init__()
        conv = _fold_convolution(*block.conv_block)
        if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or block.residual:
            raise TypeError("only a plain 1 x 1 convolution can be split")
        features = nn.Conv2d(n_features, conv.out_channels, 1)
        sound = nn.Conv2d(conv.in_channels - n_features, conv.out_channels, 1, bias=False)
        assert features.bias is not None
        assert conv.bias is not None
        features.weight.data, sound.weight.data = conv.weight[:, :n_features].data, conv.weight[:, n_features:].data
        features.bias.data = conv.bias.data
        self.features = nn.Sequential(FoldedConv(features, activation="none"))
        self.sound = nn.Sequential(FoldedConv(sound, activation="none"))


class Operations(Protocol[Value]):
    """The operations that the forward pass of a folded generator needs."""

    def convolve(self, blocks: nn.Module, x: Value) -> Value:
        """Apply folded convolutions one after the other."""

    def join(self, x: Value, y: Value) -> Value:
        """Concatenate the channels of `x` and `y`."""

    def lowest_rows(self, x: Value, n_rows: int) -> Value:
        """Return the last `n_rows` rows; there are more."""

    def add_relu(self, x: Value, y: Value) -> Value:
        """Return the ReLU of the sum; `y` has one position, which is added to all of `x`."""

    def repeat(self, x: Value) -> Value:
        """Repeat each pixel as two by two."""

    def smooth(self, x: Value) -> Value:
        """Double the rows and columns by bilinear interpolation."""

    def blur(self, blur: FlowBlur, flow: Value) -> Value:
        """Smooth a flow."""

    def shuffle(self, x: Value) -> Value:
        """Rearrange four channels as two by two pixels of one."""

    def mixture(self, faces: Value, flow: Value, drawn: Value, dimensions: GeneratorDimensions) -> Value:
        """Apply `w2l.nets.warping.mixture` to the references among `faces`."""


class TorchOperations:
    """The operations, computed by PyTorch."""

    def convolve(self, blocks: nn.Module, x: Tensor) -> Tensor:
        """Apply folded convolutions one after the other."""
        result: Tensor = blocks(x)
        return result

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Concatenate the channels of `x` and `y`."""
        return torch.cat([x, y], dim=1)

    def lowest_rows(self, x: Tensor, n_rows: int) -> Tensor:
        """Return the last `n_rows` rows."""
        return lowest_rows(x, n_rows)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the ReLU of the sum."""
        return F.relu_(x.add_(y))

    def repeat(self, x: Tensor) -> Tensor:
        """Repeat each pixel as two by two."""
        return F.interpolate(x, scale_factor=2.0, mode="nearest")

    def smooth(self, x: Tensor) -> Tensor:
        """Double the rows and columns by bilinear interpolation, in float32, which a flow needs."""
        return F.interpolate(x.float(), scale_factor=2.0, mode="bilinear", align_corners=False)

    def blur(self, blur: FlowBlur, flow: Tensor) -> Tensor:
        """Smooth a flow, in float32."""
        result: Tensor = blur(flow.float())
        return result

    def shuffle(self, x: Tensor) -> Tensor:
        """Rearrange four channels as two by two pixels of one."""
        return F.pixel_shuffle(x, 2)

    def mixture(self, faces: Tensor, flow: Tensor, drawn: Tensor, dimensions: GeneratorDimensions) -> Tensor:
        """Mix warped references and drawn colours by their shares, in float32."""
        return mixture(faces[:, 3:].float(), flow, drawn.float())


def fold_blocks(blocks: nn.Module) -> nn.Sequential:
    """Fold each block of a sequence."""
    return nn.Sequential(*(fold_block(block) for block in blocks.children()))


def fold_block(block: nn.Module) -> FoldedConv:
    """Fold the norm of a block into its convolution."""
    if isinstance(block, ConvBlock):
        conv = _fold_convolution(*block.conv_block)
        return FoldedConv(conv, residual=block.residual, activation="relu" if block.activation else "none")
    if isinstance(block, UpBlock):
        return FoldedConv(_fold_convolution(*block.conv_block))
    raise TypeError(f"a {type(block).__name__} cannot be folded")


def _fold_convolution(conv: nn.Module, norm: nn.Module) -> nn.Conv2d | nn.ConvTranspose2d:
    folded = fold_norm(conv, norm)
    if isinstance(folded, nn.Linear):
        raise TypeError("the generator's blocks must not contain linear layers")
    return folded


def fold_norm(layer: nn.Module, norm: nn.Module) -> Foldable:
    """Return a 2-D convolution or linear layer that computes `layer` followed by `norm`.

    Raises TypeError for other layers and for norms that are not batch norms with running statistics.
    """
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) or not isinstance(norm, norms):
        raise TypeError(f"{type(layer).__name__} and {type(norm).__name__} cannot be folded")
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("a batch norm without running statistics cannot be folded")
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    along_outputs = [1] * layer.weight.dim()
    along_outputs[1 if isinstance(layer, nn.ConvTranspose2d) else 0] = -1
    bias = 0.0 if layer.bias is None else layer.bias.double()
    folded = copy.deepcopy(layer)
    folded.weight = nn.Parameter((layer.weight.double() * scale.reshape(along_outputs)).to(layer.weight.dtype))
    shifted = (bias - norm.running_mean.double()) * scale + norm.bias.double()
    folded.bias = nn.Parameter(shifted.to(layer.weight.dtype))
    return folded


def fold_plain(conv: nn.Module, activation: Activation) -> FoldedConv:
    """Return a convolution that is not followed by a norm."""
    if not isinstance(conv, nn.Conv2d):
        raise TypeError(f"a {type(conv).__name__} cannot be folded")
    return FoldedConv(copy.deepcopy(conv), activation=activation)
