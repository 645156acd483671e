"""Rows of upper teeth, cut out of portraits, and their transfer to other portraits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from examples.research.lip_motion import STABLE
from examples.research.mesh import LOWER, UPPER
from examples.research.portrait_faces import Portrait, to_lab, to_rgb
from w2l.core.arrays import Floats

GREY = 3.0
"""Chroma of skin up to which a picture counts as grey."""
MOST_GAP = 0.3
"""Gap over the width of the mouth up to which teeth are cut out: wider mouths also show the lower ones."""
LEAST_TEETH = 0.04
"""Area of teeth over the square of the mouth's width from which other people may get them."""
MOST_ROUGH = 0.7
"""Largest mean distance in pixels of the lower edge of clear teeth from a parabola."""
EVEN = 0.45
"""The same for teeth that other people may get."""
SHOWN = (0.005, 0.05)
"""Range by which another person's teeth reach below the upper lip at rest, in distances of the outer eye corners."""


@dataclass(frozen=True)
class Row:
    """Upper teeth in the pixels of a framed portrait; they move with the skull."""

    image: Floats
    """(SIDE, SIDE, 3): RGB, 0..255; parts covered by lips are extrapolated."""
    share: Floats
    """(SIDE, SIDE): mask of the teeth, 0..1."""
    edge: Floats
    """(2,): middle of the lower edge of the row."""
    colour: Floats
    """(3,): mean colour (L, a, b) of the visible teeth."""
    eyes: float
    """Distance of the outer eye corners."""
    rough: float
    """Mean distance in pixels of the lower edge from a parabola; large if something else was taken for teeth."""
    width: float
    """Width in pixels."""

    def is_clear(self, skin: Floats) -> bool:
        """Return whether this is certainly a row of teeth, in a face whose skin has the colour `skin` (L, a, b)."""
        return self.rough < MOST_ROUGH and self.width > 0.25 * self.eyes and self.colour[0] > max(50, 0.85 * skin[0])


def row_of(portrait: Portrait) -> Row | None:
    """Return the row of teeth that a portrait shows; None if too little of it is visible."""
    if not portrait.is_open or portrait.gap > MOST_GAP:
        return None
    lab, mesh = to_lab(portrait.image), portrait.mesh
    left, right = int(np.ceil(mesh[78, 0])) + 1, int(np.floor(mesh[308, 0])) - 1
    if right - left < 12:
        return None
    x = np.arange(left, right + 1)
    upper, lower = (np.interp(x, *mesh[list(rim), :2].T) for rim in (UPPER, LOWER))
    rows = np.arange(portrait.image.shape[0])[:, None]
    inside = (rows >= upper - 1) & (rows <= lower + 1)
    light, red = lab[:, x, 0], lab[:, x, 1]
    pale = 0.5 * portrait.lip[1] + 0.5 * min(portrait.skin[1], portrait.lip[1]) + 1.5
    is_tooth = inside & (light > max(portrait.lip[0] + 2, 0.62 * portrait.skin[0]))
    if portrait.lip[1] > GREY:
        is_tooth &= red < pale
    has = is_tooth.sum(axis=0) >= 2
    if has.sum() < 10:
        return None
    top = np.interp(x, x[has], is_tooth.argmax(axis=0)[has])
    bottom = np.interp(x, x[has], (len(rows) - 1 - is_tooth[::-1].argmax(axis=0))[has])
    top = gaussian_filter1d(median_filter(top, 5), 1.0) + 1.0
    bottom = np.maximum(gaussian_filter1d(median_filter(bottom, 5), 0.8), top + 1.0)
    return _continued(portrait, x, (top, bottom), x[has])


def _continued(portrait: Portrait, x: Floats, ends: tuple[Floats, Floats], shown: Floats) -> Row:
    """Return a row visible between rows `ends` of the columns `x`, extrapolated upwards and to both sides."""
    side = portrait.image.shape[0]
    across, down = np.meshgrid(np.arange(side, dtype=np.float64), np.arange(side, dtype=np.float64))
    top, bottom = (np.interp(across[0], x, end) for end in ends)
    source_x = np.clip(across, shown.min() + 1, shown.max() - 1)
    source_y = np.clip(down, top, np.maximum(bottom - 0.7, top))
    image = cv2.remap(
        portrait.image.astype(np.float32), source_x.astype(np.float32), source_y.astype(np.float32), cv2.INTER_LINEAR
    )
    over = np.clip(top - down, 0, 20) / (0.1 * portrait.eyes)
    image = image * (1 - 0.25 * np.clip(over, 0, 1))[..., None].astype(np.float32)
    half = 0.05 * portrait.eyes
    sides = np.clip((across - shown.min()) / half + 0.6, 0, 1) * np.clip((shown.max() - across) / half + 0.6, 0, 1)
    share = np.clip(bottom - down + 0.5, 0, 1) * sides
    seen = (share > 0.9) & (down >= top) & (sides == 1)
    colour = to_lab(image)[seen].mean(axis=0) if seen.any() else np.array([70.0, 2.0, 10.0])
    middle = float((shown.min() + shown.max()) / 2)
    low = float(np.interp(middle, x, ends[1]))
    within = (x >= shown.min()) & (x <= shown.max())
    bend = np.polynomial.Polynomial.fit(x[within], ends[1][within], 2)
    rough = float(np.abs(ends[1][within] - bend(x[within])).mean())
    soft = cv2.GaussianBlur(share, (0, 0), 0.5).astype(np.float32)
    edge, width = np.array([middle, low]), float(np.ptp(shown))
    return Row(image.astype(np.float32), soft, edge, colour, portrait.eyes, rough, width)


def carried(row: Row, matrix: Floats, colour: Floats | None = None) -> Row:
    """Return a row moved by a similarity (2, 3), optionally with another mean colour (L, a, b)."""
    size = (row.image.shape[1], row.image.shape[0])
    image, share = (cv2.warpAffine(each.astype(np.float32), matrix, size, borderMode=cv2.BORDER_REPLICATE)
                    for each in (row.image, row.share))  # fmt: skip
    if colour is not None:
        lab = to_lab(image)
        spread = lab - row.colour
        if abs(colour[1:]).max() < GREY / 2:
            spread[..., 1:] = 0
        image = to_rgb(colour + spread * np.array([min(1.0, colour[0] / row.colour[0]), 1, 1]))
    edge = matrix[:, :2] @ row.edge + matrix[:, 2]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    colour = row.colour if colour is None else colour
    return replace(row, image=image, share=share, edge=edge, colour=colour, eyes=row.eyes * scale)


def of_same_person(row: Row, source: Portrait, target: Portrait) -> Row:
    """Return the teeth of one picture of a person in the pixels of another, aligned by points that do not move."""
    places = np.column_stack([source.mesh[list(STABLE), :2], np.ones(len(STABLE))])
    matrix = np.linalg.lstsq(places, target.mesh[list(STABLE), :2], rcond=None)[0].T
    return carried(row, matrix)


def lent(row: Row, target: Portrait, colour: Floats, rng: np.random.Generator) -> Row:
    """Return the teeth of another person, adapted to `target` in size, position and colour (L, a, b)."""
    scale = target.eyes / row.eyes * rng.uniform(0.95, 1.05)
    rims = target.mesh[[13, 14], :2].mean(axis=0)
    to = rims + np.array([0, rng.uniform(*SHOWN) * target.eyes])
    shift = to - scale * row.edge
    return carried(row, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), colour)


class TeethColour:
    """Predictor of the colour of teeth in a portrait from the light on the face."""

    def __init__(self, portraits: Sequence[Portrait], rows: Sequence[Row]) -> None:
        """Fit the colours of `rows` to their portraits, grey and coloured ones separately."""
        self._fits = {}
        for grey in (False, True):
            which = [k for k, each in enumerate(portraits) if is_grey(each) == grey]
            if len(which) < 20:
                continue
            facts = np.array([_light(portraits[k]) for k in which])
            colours = np.array([rows[k].colour for k in which])
            ridge = 3.0 * np.eye(facts.shape[1])
            self._fits[grey] = np.linalg.solve(facts.T @ facts + ridge, facts.T @ colours)

    def __call__(self, portrait: Portrait) -> Floats:
        """Return the predicted colour (3,): L, a, b."""
        colour = np.asarray(_light(portrait) @ self._fits[is_grey(portrait)])
        return colour * np.array([1, 0, 0]) if is_grey(portrait) else colour


def is_grey(portrait: Portrait) -> bool:
    """Return whether a portrait is grey."""
    return float(np.hypot(*portrait.skin[1:])) < GREY


def _light(portrait: Portrait) -> Floats:
    low, high = portrait.mesh[:, :2].min(axis=0).astype(int), portrait.mesh[:, :2].max(axis=0).astype(int)
    face = to_lab(portrait.image[max(0, low[1]) : high[1], max(0, low[0]) : high[0]]).reshape(-1, 3)
    bright = face[face[:, 0] >= np.percentile(face[:, 0], 92)].mean(axis=0)
    return np.array([1.0, *portrait.skin / 50, *bright / 50])
