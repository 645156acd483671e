"""A discriminator that judges every patch of a lower half face, at several scales: sharpness, not identity.

The patches are those of Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017; the
scales and the features for matching those of Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation
with Conditional GANs", 2018; the norm is that of Miyato et al., "Spectral Normalization for GANs", 2018.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_ROWS = 8
"""The finest scale is halved while at least this many rows of logits remain."""
MOST_HALVINGS = 3
"""The finest patch is then 54 pixels wide; larger structures are covered by coarser scales."""
WIDEST = 4
"""Largest number of channels of a layer, in widths."""
SLOPE = 0.2
"""Slope of the leaky ReLUs, as in the papers."""
FIRST_ITERATIONS = 15
"""Power iterations for random weights, whose singular vectors are still unknown."""


@dataclass(frozen=True)
class PatchDimensions:
    """Everything needed to rebuild a patch discriminator."""

    size: int = 96
    """Rows and columns of a whole face, in pixels; the lower half of the rows is judged."""
    width: int = 32
    """Channels of the first layer; all others scale with it."""
    n_frames: int = 5
    """Frames judged together, stacked on the channels."""
    n_scales: int = 2
    """Networks of the same shape: the first takes the image, each further one half as many rows and columns."""

    def __post_init__(self) -> None:
        if min(self.width, self.n_frames, self.n_scales) < 1:
            raise ValueError(
                f"width, n_frames and n_scales must be at least 1, got {self.width}, {self.n_frames}, {self.n_scales}"
            )
        if self.size < 32 or self.size % 2:
            raise ValueError(f"size must be even and at least 32, got {self.size}")
        if self.size >> self.n_scales < 8:
            raise ValueError(f"n_scales leaves the coarsest scale under 8 rows of {self.size} px; set fewer scales")

    @property
    def n_halvings(self) -> int:
        """Number of times each scale halves its image."""
        n, rows = 1, self.size // 4
        while rows // 2 >= SMALLEST_ROWS and n < MOST_HALVINGS:
            n, rows = n + 1, rows // 2
        return n


class Patches(nn.Module):
    """Several equal networks of strided convolutions, each returning a map of logits."""

    def __init__(self, dimensions: PatchDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dimensions or PatchDimensions()
        self.scales = nn.ModuleList(_scale(self.dimensions) for _ in range(self.dimensions.n_scales))
        self.steady(FIRST_ITERATIONS)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Return one map of logits per scale, (batch, 1, rows, columns), the finest first.

        `faces`: (batch, 3 * n_frames, size / 2, size) in [0, 1].
        """
        return self.look(faces)[0]

    def features(self, faces: Tensor) -> list[list[Tensor]]:
        """Return the outputs of every layer before the logits, by scale and layer, for the same input as `forward`."""
        return self.look(faces)[1]

    def look(self, faces: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return the logits of `forward` and the `features` from one pass."""
        logits, features = [], []
        x = 2 * faces - 1
        for number, scale in enumerate(self.scales):
            if number:
                x = F.avg_pool2d(x, 2)
            found = [x]
            for layer in scale:  # type: ignore[attr-defined]
                found.append(layer(found[-1]))
            logits.append(found[-1])
            features.append(found[1:-1])
        return logits, features

    def steady(self, n_iterations: int = 1) -> None:
        """Update the singular vectors by `n_iterations` power iterations; call once before each weight update."""
        for module in self.modules():
            if isinstance(module, SteadyConv):
                module.steady(n_iterations)


class SteadyConv(nn.Conv2d):
    """A convolution whose weights are divided by their largest singular value, as a matrix of filters.

    Spectral norm needs no batch statistics, so a batch of one is judged like a large one, and an image's colours and
    contrast, which an instance norm removes, are preserved. Unlike PyTorch's own, `forward` does not change any
    state: passes may be repeated, left out or compiled, and a saved state resumes bit for bit.
    """

    along: Tensor

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__(n_in, n_out, kernel, stride, padding)
        self.register_buffer("along", F.normalize(torch.randn(n_out), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, rows, columns) to (batch, n_out, rows', columns')."""
        with torch.autocast(x.device.type, enabled=False):
            matrix, along = self.weight.flatten(1), self.along.clone()  # a later `steady` must not change this graph
            with torch.no_grad():
                across = F.normalize(matrix.mT @ along, dim=0, eps=1e-12)
            weight = self.weight / torch.dot(along, matrix @ across).clamp_min(1e-12)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)

    @torch.no_grad()
    def steady(self, n_iterations: int = 1) -> None:
        """Move `along`, (n_out,), towards the left singular vector of the largest singular value."""
        matrix = self.weight.flatten(1)
        for _ in range(n_iterations):
            across = F.normalize(matrix.mT @ self.along, dim=0, eps=1e-12)
            self.along.copy_(F.normalize(matrix @ across, dim=0, eps=1e-12))


def _scale(dims: PatchDimensions) -> nn.ModuleList:
    """Return halvings, one layer at the coarsest grid and the logits.

    The kernels of the halvings are twice their stride: every pixel contributes to equally many patches, so the gradient
    that reaches the generator has no checkerboard pattern.
    """
    layers: list[nn.Module] = []
    n_in = 3 * dims.n_frames
    for level in range(dims.n_halvings):
        n_out = dims.width * min(2**level, WIDEST)
        layers.append(nn.Sequential(SteadyConv(n_in, n_out, 4, 2, 1), nn.LeakyReLU(SLOPE)))
        n_in = n_out
    n_out = dims.width * min(2**dims.n_halvings, WIDEST)
    layers.append(nn.Sequential(SteadyConv(n_in, n_out, 3, 1, 1), nn.LeakyReLU(SLOPE)))
    return nn.ModuleList([*layers, SteadyConv(n_out, 1, 3, 1, 1)])
