"""LPIPS on AlexNet (Zhang, Isola, Efros, Shechtman and Wang, CVPR 2018): perceptual distance of two images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 192, 384, 256, 256)
"""Channels of AlexNet's five convolutions (Krizhevsky, 2014, "One weird trick")."""
MIN_SIDE = 31
"""Smallest number of rows and columns, in pixels, for which the deepest layer has an output."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of RGB in 0..1 that AlexNet was trained with."""
TINY = 1e-10


class Lpips(nn.Module):
    """Distance of two images in the features of five layers.

    Features are normalised to length 1 at each position; the squared differences are weighted per channel, averaged
    over positions and summed over layers. Names of the weights: ``features.*`` as torchvision's AlexNet, ``lin0`` to
    ``lin4`` (1, channels, 1, 1), none of them negative.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        n1, n2, n3, n4, n5 = WIDTHS
        self.features = nn.ModuleDict(
            {
                "0": nn.Conv2d(3, n1, 11, stride=4, padding=2),
                "3": nn.Conv2d(n1, n2, 5, padding=2),
                "6": nn.Conv2d(n2, n3, 3, padding=1),
                "8": nn.Conv2d(n3, n4, 3, padding=1),
                "10": nn.Conv2d(n4, n5, 3, padding=1),
            }
        )
        for number, width in enumerate(WIDTHS):
            self.register_parameter(f"lin{number}", nn.Parameter(torch.full((1, width, 1, 1), 1 / width)))
        # For inputs in -1..1: twice the mean less one, twice the deviation.
        self.register_buffer("shift", 2 * torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) - 1, persistent=False)
        self.register_buffer("scale", 2 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance (batch,) of two images (batch, 3, rows, columns), RGB in -1..1; 0 for equal images."""
        both = self._layers((torch.cat([first, second]) - self.shift) / self.scale)
        distance = first.new_zeros(len(first))
        for number, features in enumerate(both):
            one, other = (features / (features.square().sum(dim=1, keepdim=True).sqrt() + TINY)).chunk(2)
            weighted = (one - other).square() * self.get_parameter(f"lin{number}")
            distance = distance + weighted.sum(dim=1).mean(dim=(1, 2))
        return distance

    def _layers(self, x: Tensor) -> list[Tensor]:
        """Return the features after each ReLU."""
        found = []
        for name, conv in self.features.items():
            if name in ("3", "6"):
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(conv(x))
            found.append(x)
        return found
