"""The lip reader: predicts lip points and lip gap of an aligned face."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

EYE_DISTANCE = 0.34
"""Distance of the eyes in an aligned crop, in sides of the crop, see `w2l.features.crop.TEMPLATE`."""
REGION_ROWS, REGION_COLUMNS = (0.5, 1.0), (1 / 6, 5 / 6)
"""The part of an aligned crop that the network takes, in sides of the crop."""
GRID = (48, 64)
"""Rows and columns of that part at the network's input: one to one from a crop of 96 pixels."""
SIDE = 96
"""Side of the crop, in pixels of the grid."""
N_POINTS = 6
"""Left and right corner, upper rim of the upper lip, its lower rim, upper rim of the lower lip, its lower rim."""
HOME = (32.0, 17.0)
"""Column and row of the grid from which points are measured, about the mouth's position in an aligned face."""
N_EXTRAS = 3
"""Width of the mouth (in units of `POINT_UNIT`), and the logits of visible teeth and of covered lips."""
POINT_UNIT, GAP_UNIT = 10.0, 5.0
"""Grid pixels per unit of the last layer's output, for points and for the gap."""
CONTRAST_FLOOR = 0.02
"""Added to the contrast (of 1) before dividing by it, so that a flat image is not amplified to noise."""


@dataclass(frozen=True)
class LipDimensions:
    """Everything needed to rebuild a lip reader."""

    width: int = 4
    """Channels of the first layer are 3 times this; all others scale with it."""
    features: int = 64
    """Units of the layer before the last."""
    extras: int = 0
    """`N_EXTRAS` for one that also predicts width, teeth and cover, else 0."""


class Reading(NamedTuple):
    """All predictions of a lip reader with extras for a batch of mouths."""

    points: Tensor
    """(batch, 6, 2): x and y in sides of the crop."""
    gaps: Tensor
    """(batch,): gap between the lips, in eye distances."""
    widths: Tensor
    """(batch,): distance between the mouth corners, in eye distances."""
    teeth: Tensor
    """(batch,): probability that teeth are visible."""
    covered: Tensor
    """(batch,): probability that something covers the lips."""


class Lips(nn.Module):
    """Predicts lip points and gaps; colour casts, brightness and contrast are normalised first."""

    def __init__(self, dimensions: LipDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dimensions or LipDimensions()
        width, features = self.dimensions.width, self.dimensions.features
        channels = [3, 3 * width, 4 * width, 6 * width, 8 * width, 10 * width, 10 * width]
        layers: list[nn.Module] = []
        for number, (n_in, n_out) in enumerate(itertools.pairwise(channels)):
            stride = 2 if number % 2 == 0 else 1
            layers += [nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
        last = 4 * width
        self.trunk = nn.Sequential(*layers, nn.Conv2d(channels[-1], last, 1), nn.ReLU())
        n_cells = GRID[0] // 8 * (GRID[1] // 8)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(last * n_cells, features), nn.ReLU(),
            nn.Linear(features, 2 * N_POINTS + 1 + self.dimensions.extras),
        )  # fmt: skip

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (batch, 6, 2), x and y in sides of the crop, and lip gaps (batch,) in eye distances.

        `crops`: (batch, 3, side, side) RGB in 0..1, aligned faces of any size; only the region of the mouth is used.
        The gap is the mean over the middle third of the mouth; it may be slightly negative for a closed one.
        """
        return self.read(mouth_region(crops))

    def read(self, region: Tensor) -> tuple[Tensor, Tensor]:
        """Run `forward` on regions cut out by `mouth_region`."""
        return _placed(self.raw(region))

    def read_all(self, region: Tensor) -> Reading:
        """Return all predictions for regions; raise ValueError for a lip reader without extras."""
        if self.dimensions.extras != N_EXTRAS:
            raise ValueError("this lip reader predicts only points and gaps")
        found = self.everything(region)
        points, gaps = _placed(found[:, :-N_EXTRAS])
        width, teeth, covered = found[:, -N_EXTRAS:].unbind(dim=1)
        unit = POINT_UNIT / (SIDE * EYE_DISTANCE)
        return Reading(points, gaps, width * unit, teeth.sigmoid(), covered.sigmoid())

    def raw(self, region: Tensor) -> Tensor:
        """Return the raw output (batch, 13) for regions (batch, 3, 48, 64) in 0..1: points, then the gap."""
        return self.everything(region)[:, : 2 * N_POINTS + 1]

    def everything(self, region: Tensor) -> Tensor:
        """Return `raw` followed by the extras: (batch, 13 + extras)."""
        centred = region - region.mean(dim=(2, 3), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).add(1e-8).sqrt()
        out: Tensor = self.head(self.trunk(centred / (contrast + CONTRAST_FLOOR)))
        return out


def _placed(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Convert `Lips.raw` to points in sides of the crop and gaps in eye distances."""
    pixels = raw[:, :-1].reshape(-1, N_POINTS, 2) * POINT_UNIT + raw.new_tensor(HOME)
    corner = raw.new_tensor([REGION_COLUMNS[0], REGION_ROWS[0]])
    points = (pixels + 0.5) / SIDE + corner
    return points, raw[:, -1] * (GAP_UNIT / (SIDE * EYE_DISTANCE))


def mouth_region(crops: Tensor) -> Tensor:
    """Return the part (batch, 3, 48, 64) of aligned crops (batch, 3, side, side) that the lip reader takes."""
    return mouth_of_lower(crops[:, :, round(REGION_ROWS[0] * crops.shape[-1]) :])


def mouth_of_lower(lower: Tensor) -> Tensor:
    """Return `mouth_region` of the lower halves (batch, 3, side / 2, side) of crops."""
    side = lower.shape[-1]
    columns = slice(round(REGION_COLUMNS[0] * side), round(REGION_COLUMNS[1] * side))
    region = lower[..., columns]
    if tuple(region.shape[-2:]) == GRID:
        return region
    return F.interpolate(region, GRID, mode="bilinear", align_corners=False, antialias=True)
