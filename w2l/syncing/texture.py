"""Skin texture under a patch: as much of the source's own as the patch lacks.

A patch that was moved from another frame has fewer pores and less stubble and grain than the source wherever that frame
was blurred by motion or smoother in another light. Textures of two frames are independent: their energies add up.
"""

import cv2
import numpy as np

from w2l.core.arrays import Floats
from w2l.syncing.colours import blurred

SPREAD = 0.03
"""Standard deviation, in sides of the crop, of the neighbourhood in which the strength of texture is measured."""
EDGE = 3.0
"""Strength of detail, relative to that usual for skin, that counts half as an edge: a fold, a jaw, a lip that moved."""
AROUND = 3
"""Width in grid cells of the neighbourhood of an edge."""
LEAST_DETAIL = 0.25
"""Mean square of detail, in squared grey levels, below which skin has no texture."""


def source_share(keep: Floats, present: Floats, wanted: Floats, skin: Floats) -> tuple[Floats, Floats]:
    """Return at which share the source's detail is added to ``1 - keep`` of the patch's, and where that is texture.

    Both are (rows, columns), 0..1. Where the second is 1, the sum is as strong as the source; where it is 0, `keep` is
    returned.

    Parameters
    ----------
    keep : (rows, columns)
        Share of the source where both agree, 0..1; the least share returned.
    present, wanted : (rows, columns)
        Mean squares of the detail of patch and source.
    skin : (rows, columns)
        1 where both show skin: elsewhere, detail is shape, and `keep` is returned.
    """
    sigma = SPREAD * keep.shape[1]
    nearby = blurred(wanted, 1.0)
    usual = float(np.median(nearby[skin > 0.5])) if (skin > 0.5).any() else 0.0
    rough = cv2.dilate(nearby, np.ones((AROUND, AROUND), np.uint8)) / (EDGE**2 * max(usual, LEAST_DETAIL))
    plain = np.asarray(skin * blurred(np.asarray(1 / (1 + rough * rough)), 1.0), dtype=np.float32)
    weight = plain + 1e-3
    ratio = blurred(present * weight, sigma) / np.maximum(blurred(wanted * weight, sigma), 1e-6)
    lack = 1 - (1 - keep) ** 2 * np.clip(ratio, 0, 1)
    return np.asarray(keep + plain * (np.sqrt(lack) - keep), dtype=np.float32), plain
