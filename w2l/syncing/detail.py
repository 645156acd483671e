"""Resolution of the crops for generators that move pixels."""

import math

import numpy as np

from w2l.core.errors import ConfigError
from w2l.faces.follow import Faces
from w2l.features.crop import CropSpec, FineCrop, side_in_frame
from w2l.models.checkpoint import ModelCard
from w2l.syncing.settings import MAX_DETAIL

LEAST = 0.8
"""Least side of a crop in sides of the face: a crop as large as the face loses 5 % of the finest contrast on the way
there and back, one of 0.8 sides 10 %, at two thirds of the cost."""
SMALL = 2 / 3
"""Side of a face, in sides of the generator's own crop, from which a higher resolution than this is used: that crop is
interpolated linearly, as in training."""
LARGE = 0.9
"""Quantile of the face sizes that sets the resolution; a higher resolution than needed only costs time."""


def finer_spec(spec: CropSpec, faces: Faces, card: ModelCard, detail: int = 0) -> CropSpec:
    """Return the crop specification for a generator that moves pixels: `spec` at the resolution of the video.

    A `detail` other than 0 sets the resolution as a multiple of that of `spec`. All faces of an output have the same
    resolution, that of the large ones. For other generators, `spec` is returned.
    """
    if not moves_pixels(card):
        return spec
    sides = side_in_frame(faces.boxes, faces.points, spec)
    side = float(np.quantile(sides, LARGE)) / spec.size if len(sides) else 0.0
    times = detail or min(max(math.ceil(LEAST * side), 2 if side > SMALL else 1), MAX_DETAIL)
    return spec if times == 1 else FineCrop(**vars(spec) | {"size": spec.size * times})


def check_detail(detail: int, card: ModelCard) -> None:
    """Raise ConfigError if a higher resolution is requested for a generator that draws all its pixels."""
    if detail > 1 and not moves_pixels(card):
        raise ConfigError(f"detail {detail} requires a generator that moves pixels, and this one draws them; remove it")


def moves_pixels(card: ModelCard) -> bool:
    """Return whether a generator moves pixels of its references, which may then have any resolution."""
    return card.dimensions.get("layout") == "warping"
