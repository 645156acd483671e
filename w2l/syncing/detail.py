"""How finely faces are cut for generators that move pixels."""

import math
from dataclasses import replace

import numpy as np

from w2l.core.errors import ConfigError
from w2l.faces.follow import Faces
from w2l.features.crop import CropSpec, side_in_frame
from w2l.models.checkpoint import ModelCard
from w2l.syncing.settings import MAX_DETAIL

SPARE_DETAIL = 0.2
"""Faces that are larger than a crop by no more than this share of it are not cut any finer."""
LARGE = 0.9
"""Of all faces in all frames, the share that is smaller than a large one: finer than needed costs time alone."""


def finer_spec(spec: CropSpec, faces: Faces, card: ModelCard, detail: int = 0) -> CropSpec:
    """Return how faces are cut for a generator that moves pixels: like `spec`, but as fine as they are in the video.

    `detail` times as fine, where that is not 0. All faces of an output are cut alike: as fine as the large ones are.
    Every other generator gets `spec`.
    """
    if not moves_pixels(card):
        return spec
    sides = side_in_frame(faces.boxes, faces.points, spec)
    found = math.ceil(float(np.quantile(sides, LARGE)) / spec.size - SPARE_DETAIL) if len(sides) else 1
    return replace(spec, size=spec.size * (detail or min(max(found, 1), MAX_DETAIL)))


def check_detail(detail: int, card: ModelCard) -> None:
    """Raise ConfigError where looks are to be moved more finely by a generator that draws all its pixels."""
    if detail > 1 and not moves_pixels(card):
        raise ConfigError(f"detail {detail} needs a generator that moves pixels; this one draws them: leave it out")


def moves_pixels(card: ModelCard) -> bool:
    """Return whether a generator moves pixels of its references, which may then be as fine as one likes."""
    return card.dimensions.get("layout") == "warping"
