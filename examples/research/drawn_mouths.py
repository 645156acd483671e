"""Mouths with known lips, training data for the lip reader: drawn ones and puppets.

A mouth is the region (48, 64) of an aligned 96 px crop, the input of `w2l.nets.lips`. Its ground truth: six points
(6, 2), x and y in pixels of the region, in the order of `w2l.nets.lips.N_POINTS`, and the gap between the lips in
pixels, mean over the middle third of the mouth.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.data.puppets import Puppet, draw_face
from w2l.features.crop import CropSpec, alignment, cut

Picture = NDArray[np.float32]

ROWS, COLUMNS = 48, 64
FINE = 2
"""Pixels of the drawing per pixel of the region, in each direction."""
SUBPIXEL = 4
"""Bits of OpenCV's fractional coordinates."""
PUPPETS = 0.12
"""Share of puppets among the drawn mouths."""
CLOSED = 0.3
"""Share of closed mouths."""


@dataclass(frozen=True)
class Mouth:
    """A picture (48, 64, 3), 0..255, and its ground truth."""

    image: Picture
    points: Floats
    gap: float


def drawn_gap(rng: np.random.Generator, closed: float = CLOSED) -> float:
    """Sample a gap in pixels: 0, or mostly small."""
    return 0.0 if rng.random() < closed else float(min(rng.gamma(1.6, 2.6), 20))


def _sigmoid(values: Floats | Picture) -> Picture:
    return np.asarray(1 / (1 + np.exp(np.clip(-values, -30, 30))), dtype=np.float32)


def _clouds(rng: np.random.Generator, grain: float) -> Picture:
    """Return smooth noise (rows, columns, 1) of the drawing with spots of `grain` pixels of the region."""
    rows, columns = ROWS * FINE, COLUMNS * FINE
    spots = rng.standard_normal((max(2, int(ROWS / grain)), max(2, int(COLUMNS / grain)))).astype(np.float32)
    return np.asarray(cv2.resize(spots, (columns, rows), interpolation=cv2.INTER_CUBIC)[..., None])


def _between(upper: Floats, lower: Floats, across: Floats, soft: float) -> Picture:
    """Return a mask (rows, columns, 1) of the area between two curves over `across`, its edge `soft` pixels wide."""
    outline = np.concatenate([np.stack([across, upper], 1), np.stack([across[::-1], lower[::-1]], 1)])
    mask = np.zeros((ROWS * FINE, COLUMNS * FINE), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * FINE * 2**SUBPIXEL).astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), soft * FINE)[..., None])


class Drawing:
    """A mouth being drawn: skin first, then lips, then the inside of the mouth."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        down, right = np.mgrid[0 : ROWS * FINE, 0 : COLUMNS * FINE].astype(np.float32) / FINE
        self.x, self.y = right[..., None], down[..., None]
        self.tone = rng.uniform(0.35, 1.08)
        self.skin = np.clip(np.array([225, 178, 150]) * self.tone * rng.uniform(0.88, 1.12, 3), 10, 255)
        self.gap = drawn_gap(rng)
        self._shape()
        self.image = np.ones((ROWS * FINE, COLUMNS * FINE, 3), np.float32) * self.skin.astype(np.float32)

    def _shape(self) -> None:
        """Set the outlines of the lips: curves over `across`."""
        rng = self.rng
        self.centre = 32 + rng.normal(0, 2.2)
        height = 17 + rng.normal(0, 2.5)
        self.half = rng.uniform(8.5, 17.5) * (1 - 0.015 * self.gap * rng.uniform(0, 1))
        if rng.random() < 0.15:
            self.half *= rng.uniform(0.6, 0.9)  # rounded lips
        place = np.linspace(-1, 1, 41)
        self.across = self.centre + place * self.half
        middle = height + rng.normal(0, 1.3) * (1 - place**2) + rng.normal(0, 0.4) * place
        middle += rng.normal(0, 0.3) * np.cos(3 * place) + rng.normal(0, 0.15) * self.gap
        arch = (1 - np.abs(place) ** rng.uniform(1.6, 3)) ** rng.uniform(0.6, 1.3)
        share = rng.uniform(0.05, 0.4)
        self.middle = middle
        self.inner_upper = middle - share * self.gap * arch
        self.inner_lower = middle + (1 - share) * self.gap * arch
        upper, self.lower_lip = rng.uniform(0.6, 5.0), rng.uniform(1.2, 6.5)
        if self.gap == 0 and rng.random() < 0.3:  # pressed together
            upper, self.lower_lip = 0.4 * upper, 0.6 * self.lower_lip
        bow = (1 - np.abs(place) ** rng.uniform(1.3, 2.5)) ** rng.uniform(0.6, 1.1)
        self.outer_upper = self.inner_upper - upper * bow * (1 - rng.uniform(0, 0.45) * np.exp(-((place / 0.18) ** 2)))
        full = (1 - np.abs(place) ** rng.uniform(1.6, 3)) ** rng.uniform(0.6, 1)
        self.outer_lower = self.inner_lower + self.lower_lip * full
        self.mean_gap = self.gap * float(arch[np.abs(place) <= 1 / 3].mean())

    def paint(self, mask: Picture, colour: Floats | Picture) -> None:
        """Paint a colour over the picture where the mask is 1."""
        self.image += mask * (np.asarray(colour, dtype=np.float32) - self.image)

    def darken(self, mask: Picture | Floats) -> None:
        """Darken by the share `mask`."""
        self.image *= 1 - np.asarray(mask, dtype=np.float32)

    def spot(self, x: float, y: float, wide: float, high: float) -> Picture:
        """Draw a soft ellipse."""
        return np.asarray(np.exp(-(((self.x - x) / wide) ** 2 + ((self.y - y) / high) ** 2)), dtype=np.float32)

    def face(self) -> None:
        """Draw light, nostrils, folds and beard."""
        rng = self.rng
        slope = rng.normal(0, 1, 2)
        light = rng.uniform(0, 0.22) * (slope[0] * (self.x - 32) / 32 + slope[1] * (self.y - 24) / 24)
        self.image *= 1 + light + rng.uniform(0, 0.06) * _clouds(rng, 8) + rng.uniform(0, 0.03) * _clouds(rng, 2)
        nose = rng.uniform(-6, 6)
        if rng.random() < 0.8:
            shade = self.skin * rng.uniform(0.3, 0.85)
            for side in (-1, 1):
                x = self.centre + side * rng.uniform(3, 6)
                nostril = self.spot(x, nose, rng.uniform(1.2, 3.2), rng.uniform(0.8, 2.5))
                self.paint(nostril * rng.uniform(0.4, 1), shade)
        if rng.random() < 0.6:
            along = (self.y - nose) / 24
            for side in (-1, 1):
                run = rng.uniform(6, 10) + (self.half + rng.uniform(-2, 5) - 7) * np.clip(along, 0, 1.3)
                fold = np.exp(-(((self.x - self.centre - side * run) / rng.uniform(0.7, 2.5)) ** 2))
                self.darken(rng.uniform(0, 0.3) * fold * (along > 0) * (along < 1.3))
        if rng.random() < 0.25:
            here = _sigmoid((self.y - self.middle[20] - rng.uniform(-8, 14)) / 2)
            hair = here * (rng.uniform(0.2, 0.8) + 0.3 * _clouds(rng, rng.uniform(0.7, 2)))
            self.paint(np.clip(hair, 0, 1), self.skin * rng.uniform(0.15, 0.8))

    def lips(self) -> None:
        """Draw both lips, the shadow under them, their line and corners."""
        rng, centre, middle = self.rng, self.centre, len(self.across) // 2
        under = self.outer_lower[middle] + rng.uniform(1, 3)
        self.darken(
            rng.uniform(0, 0.35) * self.spot(centre, under, self.half * rng.uniform(0.5, 0.9), rng.uniform(1, 2.5))
        )
        red = rng.uniform(0, 1)
        tint = np.array([0.95, 0.62, 0.68]) * red + np.array([0.97, 0.9, 0.9]) * (1 - red)
        self.lip = np.clip(self.skin * tint * rng.uniform(0.7, 1.05) + rng.normal(0, 8, 3), 5, 255)
        if rng.random() < 0.06:
            self.lip = rng.uniform(20, 220, 3)
        soft = rng.uniform(0.2, 1.2)
        grain = 1 + rng.uniform(0, 0.05) * _clouds(rng, 1.5)
        lower = _between(self.inner_lower, self.outer_lower, self.across, soft)
        upper = _between(self.outer_upper, self.inner_upper, self.across, soft)
        self.paint(upper, self.lip * rng.uniform(0.72, 1.03) * grain)
        self.paint(lower, self.lip * grain)
        height = (self.inner_lower[middle] + self.outer_lower[middle]) / 2 + rng.normal(0, 0.6)
        shine = self.spot(centre + rng.normal(0, 2), height, 0.4 * self.half, max(0.6, 0.3 * self.lower_lip))
        self.image += shine * lower * np.float32(rng.uniform(0, 60))
        self._line()
        for end in (0, -1):
            self.darken(rng.uniform(0, 0.4) * self.spot(self.across[end], self.middle[end], 1.6, 1.3))

    def _line(self) -> None:
        """Draw the dark line where the lips meet; along the upper lip of an open mouth."""
        rng = self.rng
        if self.gap < 0.8:
            reach = rng.uniform(0.6, 1.2)
            run = np.stack([self.centre + (self.across - self.centre) * reach, self.inner_upper], 1)
        else:
            run = np.stack([self.across, self.inner_upper], 1)
        line = np.zeros((ROWS * FINE, COLUMNS * FINE), np.uint8)
        nodes = np.round(run * FINE * 2**SUBPIXEL).astype(np.int32)
        cv2.polylines(line, [nodes], False, 255, int(rng.integers(1, 2 + FINE)), cv2.LINE_AA, SUBPIXEL)
        strength = (rng.uniform(0.25, 1) if self.gap < 0.8 else rng.uniform(0, 0.6)) * rng.uniform(0.3, 1)
        soft = cv2.GaussianBlur(line.astype(np.float32) / 255, (0, 0), rng.uniform(0.3, 0.8) * FINE)
        self.darken(strength * soft[..., None])

    def inside(self) -> None:
        """Draw the interior of an open mouth: darkness, tongue, teeth."""
        if self.gap == 0:
            return
        middle = len(self.across) // 2
        rims = float(self.inner_upper[middle]), float(self.inner_lower[middle])
        place = (self.x - self.centre) / self.half
        filling = cavity(self.rng, self.y, place, self.half, rims, self.skin, self.lip)
        hole = _between(self.inner_upper, self.inner_lower, self.across, self.rng.uniform(0.15, 0.6))
        self.paint(hole, filling)

    def chin(self) -> None:
        """Draw the outline of the chin, and the background."""
        rng = self.rng
        if rng.random() < 0.2:
            return
        bottom = self.outer_lower[len(self.across) // 2] + rng.uniform(7, 22)
        below = np.clip(self.y - (bottom - 26), 0, None) / 26
        radius = np.hypot((self.x - self.centre) / rng.uniform(24, 42), below)
        behind = self.skin * rng.uniform(0.4, 0.95) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
        self.paint(_sigmoid((radius - 1) * rng.uniform(8, 60)), behind * (1 + 0.1 * _clouds(rng, 6)))

    def done(self) -> Mouth:
        """Return the image at the region's size, slightly rotated."""
        middle = len(self.across) // 2
        rims = (self.outer_upper, self.inner_upper, self.inner_lower, self.outer_lower)
        ends = [(self.across[end], self.middle[end]) for end in (0, -1)]
        points = np.array(ends + [(self.centre, rim[middle]) for rim in rims])
        turn = cv2.getRotationMatrix2D((COLUMNS / 2, ROWS / 2), self.rng.normal(0, 4), 1)
        points = points @ turn[:, :2].T + turn[:, 2] - 0.5
        turn[:, 2] *= FINE
        whole = np.clip(self.image, 0, 255)
        turned = cv2.warpAffine(whole, turn, (COLUMNS * FINE, ROWS * FINE), borderMode=cv2.BORDER_REPLICATE)
        small = cv2.resize(turned, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
        return Mouth(np.asarray(small, dtype=np.float32), points, self.mean_gap)


def cavity(
    rng: np.random.Generator,
    y: Picture,
    place: Picture,
    half: float,
    rims: tuple[float, float],
    skin: Floats,
    lip: Floats,
) -> Picture:
    """Draw what shows between the lips; `y`, `place` (-1..1 between corners): (rows, columns, 1); `rims`: y."""
    gap = rims[1] - rims[0]
    x = place * half
    filling = np.zeros((*np.broadcast(x, y).shape[:2], 3), np.float32)
    filling += (skin * np.array([1, 0.75, 0.75]) * rng.uniform(0.08, 0.55)).astype(np.float32)
    if rng.random() < 0.6:
        tongue = _sigmoid((y - (rims[1] - rng.uniform(-1, 0.7) * gap) - 0.02 * x**2) / 0.5)
        filling += tongue * (np.asarray(lip * rng.uniform(0.4, 1.05), np.float32) - filling)
    white = np.array([235, 225, 205]) * rng.uniform(0.35, 1.0) * np.clip(0.5 + 0.5 * skin.mean() / 185, 0.5, 1.1)
    for rim, sign, chance in ((rims[0], 1, 0.75), (rims[1], -1, 0.35)):
        if rng.random() >= chance:
            continue
        height = rng.uniform(0.5, 6) if rng.random() < 0.7 else gap * rng.uniform(0.5, 1.5)
        height *= 1 if sign > 0 else 0.6
        row = _sigmoid(-sign * (y - (rim + sign * height) + sign * 0.004 * x**2) / 0.35)
        row = row * np.exp(-((place / rng.uniform(0.6, 1.1)) ** 4))
        seams = 1 - rng.uniform(0, 0.35) * (np.cos(x * 2 * np.pi / rng.uniform(2.5, 4.5)) > 0.8)
        filling += row * (np.asarray(white * seams, np.float32) - filling)
    shadow = rng.uniform(0.1, 0.7) * np.exp(-(((y - rims[0]) / rng.uniform(0.6, 2)) ** 2))
    return np.asarray(filling * (1 - shadow), dtype=np.float32)


def draw_mouth(rng: np.random.Generator) -> Mouth:
    """Draw a mouth of a random face."""
    drawing = Drawing(rng)
    drawing.face()
    drawing.lips()
    drawing.inside()
    drawing.chin()
    return drawing.done()


def draw_puppet(rng: np.random.Generator) -> Mouth:
    """Draw the mouth of a random puppet, its crop slightly off like a detector's."""
    tone = rng.uniform(0.3, 1)
    hair, lips, wall = ([int(v) for v in rng.integers(low, high, 3)] for low, high in ((10, 120), (60, 110), (20, 230)))
    skin = (int(235 * tone), int(190 * tone), int(160 * tone))
    look = Puppet(skin, (hair[0], hair[1], hair[2]), (lips[0] + 90, lips[1], lips[2]), (wall[0], wall[1], wall[2]))
    half_width = rng.uniform(40, 80)
    image = np.full((240, 320, 3), look.wall, np.uint8)
    opened = 0.0 if rng.random() < CLOSED else rng.uniform(0, 1)
    five = draw_face(image, 160 + rng.uniform(-4, 4), 118 + rng.uniform(-4, 4), half_width, opened, look)
    x, y = float(five[2, 0]), float(five[2, 1]) + (0.42 + 0.08 * opened) * half_width
    seen = five + rng.normal(0, 0.015 * half_width, (5, 2))
    wide, high, gap = (part * half_width for part in (0.36 - 0.06 * opened, 0.1 + 0.16 * opened, 0.17 * opened))
    points = np.array([[x - wide, y], [x + wide, y], [x, y - high], [x, y - gap], [x, y + gap], [x, y + high]])
    matrix = alignment(seen, 96)
    points = points @ matrix[:, :2].T + matrix[:, 2] - np.array([16, 48])
    crop = cut(image, np.zeros(4), seen, CropSpec("aligned", 96))
    arch = float(np.sqrt(1 - np.linspace(-1 / 3, 1 / 3, 15) ** 2).mean())
    return Mouth(crop[48:, 16:80].astype(np.float32), points, 2 * gap * float(np.hypot(*matrix[:, 0])) * arch)


def spoil(rng: np.random.Generator, mouth: Mouth) -> tuple[NDArray[np.uint8], Floats, float]:
    """Degrade a mouth like a camera, a codec or a soft generator; mirror it at random."""
    image, points = mouth.image, mouth.points
    if rng.random() < 0.5:
        sigma = rng.uniform(0.3, 2) if rng.random() < 0.8 else rng.uniform(2, 3)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))
    if rng.random() < 0.2:
        share = rng.uniform(0.35, 0.9)
        small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC))
    levels = 255 * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.8, 1.25)
    levels = np.clip(levels * rng.uniform(0.65, 1.3) * rng.uniform(0.85, 1.15, 3) + rng.normal(0, 8, 3), 0, 255)
    if rng.random() < 0.5:
        levels = levels + rng.normal(0, rng.uniform(0, 6), levels.shape)
    found = np.clip(levels, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        coded = cv2.imencode(".jpg", found, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])[1]
        found = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    if rng.random() < 0.5:
        found = found[:, ::-1]
        points = points[[1, 0, 2, 3, 4, 5]] * [-1, 1] + [COLUMNS - 1, 0]
    return np.ascontiguousarray(found), points, mouth.gap
