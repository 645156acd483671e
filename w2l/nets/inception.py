"""The Inception network that defines FID: Inception v3 as published by TensorFlow on 2015-12-05.

Szegedy et al., "Rethinking the Inception Architecture", 2016; Heusel et al. (FID), 2017. Tensors are named as in the
file ``pt_inception-2015-12-05``. This is not torchvision's network: average pools exclude the padding, the last block
takes a maximum, and the classifier (`fc`, unused by FID) is left out.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from w2l.nets.blocks import IntPair

SIZE = 299
"""Rows and columns of the input images, in pixels."""
FEATURES = 2048
"""Length of a feature."""
TAPS = {"maxpool1": 64, "maxpool2": 192, "Mixed_6e": 768, "Mixed_7c": 2048}
"""Layers from which features can be taken, and their lengths; published FID takes the last."""
BN_EPSILON = 1e-3
"""Epsilon of every batch norm, as in TensorFlow; PyTorch's default is 1e-5."""


class Conv(nn.Module):
    """Convolution without a bias, batch norm, ReLU."""

    def __init__(self, n_in: int, n_out: int, kernel: IntPair = 1, stride: int = 1, padding: IntPair = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(n_out, eps=BN_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows', columns')."""
        return F.relu_(self.bn(self.conv(x)))


class BlockA(nn.Module):
    """Mixed_5b to 5d: branches of 1 x 1, 5 x 5, two 3 x 3 and a pool, at 35 x 35."""

    def __init__(self, n_in: int, n_pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(n_in, 64)
        self.branch5x5_1 = Conv(n_in, 48)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(n_in, 64)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(n_in, n_pooled)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, 224 + n_pooled, rows, columns)."""
        wide = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), wide, double, self.branch_pool(_average(x))], dim=1)


class BlockB(nn.Module):
    """Mixed_6a: 35 x 35 -> 17 x 17."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(n_in, 384, 3, stride=2)
        self.branch3x3dbl_1 = Conv(n_in, 64)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, 35, 35) to (batch, 480 + n_in, 17, 17)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], dim=1)


class BlockC(nn.Module):
    """Mixed_6b to 6e: 1 x 7 and 7 x 1 convolutions, at 17 x 17."""

    def __init__(self, width: int) -> None:
        super().__init__()
        along, down = ((1, 7), (0, 3)), ((7, 1), (3, 0))
        self.branch1x1 = Conv(768, 192)
        self.branch7x7_1 = Conv(768, width)
        self.branch7x7_2 = Conv(width, width, along[0], padding=along[1])
        self.branch7x7_3 = Conv(width, 192, down[0], padding=down[1])
        self.branch7x7dbl_1 = Conv(768, width)
        self.branch7x7dbl_2 = Conv(width, width, down[0], padding=down[1])
        self.branch7x7dbl_3 = Conv(width, width, along[0], padding=along[1])
        self.branch7x7dbl_4 = Conv(width, width, down[0], padding=down[1])
        self.branch7x7dbl_5 = Conv(width, 192, along[0], padding=along[1])
        self.branch_pool = Conv(768, 192)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 768, 17, 17) to the same shape."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_average(x))], dim=1)


class BlockD(nn.Module):
    """Mixed_7a: 17 x 17 -> 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(768, 192)
        self.branch3x3_2 = Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Conv(768, 192)
        self.branch7x7x3_2 = Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 768, 17, 17) to (batch, 1280, 8, 8)."""
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([small, large, F.max_pool2d(x, 3, 2)], dim=1)


class BlockE(nn.Module):
    """Mixed_7b and 7c: branches that fork into 1 x 3 and 3 x 1 convolutions, at 8 x 8."""

    def __init__(self, n_in: int, *, takes_maximum: bool) -> None:
        super().__init__()
        self.takes_maximum = takes_maximum
        self.branch1x1 = Conv(n_in, 320)
        self.branch3x3_1 = Conv(n_in, 384)
        self.branch3x3_2a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Conv(n_in, 448)
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Conv(n_in, 192)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, 8, 8) to (batch, 2048, 8, 8)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.takes_maximum else _average(x)
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        ]
        return torch.cat(branches, dim=1)


class Inception(nn.Module):
    """Encodes images as features."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = Conv(64, 80)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(128)
        self.Mixed_6c = BlockC(160)
        self.Mixed_6d = BlockC(160)
        self.Mixed_6e = BlockC(192)
        self.Mixed_7a = BlockD()
        self.Mixed_7b = BlockE(1280, takes_maximum=False)
        self.Mixed_7c = BlockE(2048, takes_maximum=True)

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode images (batch, 3, 299, 299), RGB in [-1, 1] (see `fitted`), as (batch, 2048)."""
        x = pictures
        for stage in self.children():
            x = stage(x)
        return x.mean(dim=(2, 3))

    def maps(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the maps (batch, channels, rows, columns) after each stage, by name; see `TAPS`."""
        found = {}
        x = pictures
        for name, stage in self.named_children():
            found[name] = x = stage(x)
        return found


def fitted(pictures: Tensor) -> Tensor:
    """Convert images (batch, rows, columns, 3) of 0..255 to the network's input: (batch, 3, 299, 299) in [-1, 1].

    As published: bilinear with half-pixel centres, aspect ratio ignored, no averaging even when shrinking.
    """
    unit = pictures.permute(0, 3, 1, 2).float() / 255
    return 2 * F.interpolate(unit, (SIZE, SIZE), mode="bilinear", align_corners=False) - 1


def fold_inception(network: Inception) -> Inception:
    """Return a copy, in evaluation mode, that computes the same features faster.

    Batch norms are merged into the convolutions, and weights are stored channels last. The result equals that of
    `network` up to rounding.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for unit in folded.modules():
        if isinstance(unit, Conv) and isinstance(unit.bn, nn.BatchNorm2d):
            unit.conv = fuse_conv_bn_eval(unit.conv.double(), unit.bn.double()).float()
            unit.conv.weight.data = unit.conv.weight.data.contiguous(memory_format=torch.channels_last)
            unit.bn = nn.Identity()
    return folded


def _average(x: Tensor) -> Tensor:
    """Average the 3 x 3 pixels around each pixel, excluding the padding."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
