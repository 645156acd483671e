"""Draw things over mouths: hands, microphones, subtitles, masks, and patches of the same skin.

A picture here is a region (48, 64, 3), 0..255, the input of `w2l.nets.lips`; a cover is its colours and its opacity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Picture = NDArray[np.float32]

ROWS, COLUMNS = 48, 64
FINE = 2
"""Pixels of the drawing per pixel of the region, in each direction."""
LETTERS = list("ABCDEFGHIKLMNOPRSTUVWaeioudnrstlm   ")
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)


@dataclass(frozen=True)
class Cover:
    """Something in front of a face."""

    colour: Picture
    """(48, 64, 3)"""
    opacity: Picture
    """(48, 64), 0..1."""


def lip_mask(points: Floats) -> Picture:
    """Return (48, 64), 0 or 1: an ellipse over both lips, from the six points (6, 2) in pixels of the region."""
    centre = np.array([points[:2, 0].mean(), (points[2, 1] + points[5, 1]) / 2])
    along = points[1] - points[0]
    half = max(float(np.hypot(*along)) / 2, 2.0), max(float(points[5, 1] - points[2, 1]) / 2, 1.5)
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    cv2.ellipse(mask, (tuple(centre.tolist()), (2 * half[0], 2 * half[1]), angle), 1, -1)
    return mask.astype(np.float32)


def covered_share(cover: Cover, points: Floats) -> float:
    """Return the share of the lips, 0..1, that a cover hides."""
    mask = lip_mask(points)
    return float((mask * cover.opacity).sum() / max(float(mask.sum()), 1.0))


def lay(image: Picture, cover: Cover) -> Picture:
    """Return the picture with the cover in front of it."""
    return np.asarray(image + cover.opacity[..., None] * (cover.colour - image), dtype=np.float32)


def skin_of(rng: np.random.Generator, image: Picture, points: Floats) -> Floats:
    """Sample a colour, (3,), of the skin around a mouth."""
    away = 1 - cv2.dilate(lip_mask(points), np.ones((7, 7), np.uint8))
    away[:4], away[-8:] = 0, 0
    spots = image[away > 0]
    return np.asarray(np.percentile(spots, rng.uniform(40, 80), axis=0) if len(spots) else image.mean(axis=(0, 1)))


def _noise(rng: np.random.Generator, grain: float) -> Picture:
    """Return smooth noise (rows, columns, 1) of the drawing with spots of `grain` pixels of the region."""
    spots = rng.standard_normal((max(2, int(ROWS / grain)), max(2, int(COLUMNS / grain)))).astype(np.float32)
    return np.asarray(cv2.resize(spots, (COLUMNS * FINE, ROWS * FINE), interpolation=cv2.INTER_CUBIC)[..., None])


def _canvas(colour: Floats) -> tuple[Picture, Picture]:
    shape = ROWS * FINE, COLUMNS * FINE
    return np.ones((*shape, 3), np.float32) * colour.astype(np.float32), np.zeros(shape, np.float32)


def _done(rng: np.random.Generator, colour: Picture, opacity: Picture, soft: float = 0.5) -> Cover:
    """Scale a drawing to the region, with an edge `soft` pixels wide."""
    opacity = cv2.GaussianBlur(opacity, (0, 0), max(0.3, soft * rng.uniform(0.5, 1.5)) * FINE)
    size = (COLUMNS, ROWS)
    small = cv2.resize(np.clip(colour, 0, 255), size, interpolation=cv2.INTER_AREA)
    return Cover(
        np.asarray(small, np.float32), np.asarray(cv2.resize(opacity, size, interpolation=cv2.INTER_AREA), np.float32)
    )


def _hand(rng: np.random.Generator, image: Picture, points: Floats, centre: Floats) -> Cover:
    """Draw fingers side by side, or a fist, in about the colour of the face."""
    tone = skin_of(rng, image, points) * rng.uniform(0.75, 1.15) * rng.uniform(0.95, 1.05, 3)
    colour, opacity = _canvas(tone)
    y, x = np.mgrid[0 : ROWS * FINE, 0 : COLUMNS * FINE].astype(np.float32) / FINE
    angle, wide = rng.uniform(0, np.pi), rng.uniform(4, 8.5)
    along = np.cos(angle) * (x - centre[0]) + np.sin(angle) * (y - centre[1])
    across = -np.sin(angle) * (x - centre[0]) + np.cos(angle) * (y - centre[1])
    n_fingers = int(rng.integers(1, 5))
    for finger in range(n_fingers):
        place = (finger - (n_fingers - 1) / 2) * 2 * wide * rng.uniform(0.9, 1.02)
        end, bow = rng.uniform(-4, 22), rng.normal(0, 0.004)
        side = (across - place - bow * along**2) / wide
        tip = np.clip((along - end) / wide, 0, None)
        inside = np.hypot(side, tip) < 1
        shade = (0.55 + 0.45 * np.sqrt(np.clip(1 - side**2, 0, 1))) * (1 - 0.04 * np.cos(along * rng.uniform(0.4, 0.9)))
        light = 1 + rng.uniform(-0.15, 0.15) * side
        colour = np.where(inside[..., None], tone * (shade * light)[..., None], colour).astype(np.float32)
        opacity[inside] = 1
        nail = (np.hypot(side / 0.6, (along - end + 0.2 * wide) / (0.7 * wide)) < 1) & inside
        if rng.random() < 0.3:
            colour[nail] = np.clip(tone * rng.uniform(1.0, 1.25) + rng.uniform(0, 25, 3), 0, 255)
    return _done(rng, colour * (1 + 0.03 * _noise(rng, 2)), opacity)


def _microphone(rng: np.random.Generator, image: Picture, points: Floats, centre: Floats) -> Cover:
    """Draw a ball of foam or of wire on a stick, from any side."""
    grey = rng.uniform(5, 90) if rng.random() < 0.7 else rng.uniform(90, 210)
    base = np.full(3, grey) if rng.random() < 0.75 else rng.uniform(10, 230, 3)
    colour, opacity = _canvas(base)
    colour *= 1 + rng.uniform(0.02, 0.25) * _noise(rng, rng.uniform(0.5, 1.5))
    y, x = np.mgrid[0 : ROWS * FINE, 0 : COLUMNS * FINE].astype(np.float32) / FINE
    wide = rng.uniform(8, 20)
    high = wide * rng.uniform(0.75, 1.3)
    angle = rng.uniform(-0.6, 0.6) + (0 if rng.random() < 0.8 else np.pi / 2)
    right, down = x - centre[0], y - centre[1]
    across, along = np.cos(angle) * right + np.sin(angle) * down, -np.sin(angle) * right + np.cos(angle) * down
    ball = np.hypot(across / wide, along / high)
    if rng.random() < 0.4:
        pitch = rng.uniform(1.2, 3)
        colour *= (1 + 0.35 * np.sign(np.cos(across * 2 * np.pi / pitch) * np.cos(along * 2 * np.pi / pitch)))[
            ..., None
        ]
    colour *= np.clip(1.25 - 0.5 * ball - 0.25 * right / wide, 0.3, 1.6)[..., None]
    opacity[ball < 1] = 1
    stick = (np.abs(across) < wide * rng.uniform(0.3, 0.75)) & (along > 0)
    colour[stick & (ball >= 1)] = rng.uniform(5, 120)
    opacity[stick] = 1
    return _done(rng, colour, opacity)


def _subtitle(rng: np.random.Generator, image: Picture, points: Floats, centre: Floats) -> Cover:
    """Draw one to three lines of text, on a bar or with an outline."""
    ink = np.array([255, 255, 255]) if rng.random() < 0.6 else np.array([250, 230, 40]) * rng.uniform(0.7, 1)
    has_bar = rng.random() < 0.5
    colour, opacity = _canvas(rng.uniform(0, 40, 3) if has_bar else np.zeros(3))
    size, font = rng.uniform(0.45, 1.0), FONTS[int(rng.integers(len(FONTS)))]
    step = int(30 * size) + 2
    n_lines = int(rng.integers(1, 4))
    first = int(centre[1] * FINE) - (n_lines - 1) * step // 2
    for line in range(n_lines):
        text = "".join(rng.choice(LETTERS, int(rng.integers(6, 22))))
        row = first + line * step
        at = (int(rng.integers(-40, 10)), row + int(11 * size))
        if has_bar:
            opacity[max(0, row - step // 2) : row + step // 2 + 1] = rng.uniform(0.6, 1)
        ink_mask, rim = np.zeros_like(opacity), np.zeros_like(opacity)
        cv2.putText(rim, text, at, font, size, 1.0, int(rng.integers(3, 7)), cv2.LINE_AA)
        cv2.putText(ink_mask, text, at, font, size, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA)
        opacity = np.maximum(opacity, np.maximum(ink_mask, 0 if has_bar else rim))
        colour += ink_mask[..., None] * (ink.astype(np.float32) - colour)
    size_small = (COLUMNS, ROWS)
    small = cv2.resize(colour, size_small, interpolation=cv2.INTER_AREA)
    thin = cv2.resize(opacity, size_small, interpolation=cv2.INTER_AREA)
    return Cover(np.asarray(small, np.float32), np.asarray(thin, np.float32))


def _blob(rng: np.random.Generator, centre: Floats, wide: float, high: float) -> Picture:
    """Return an uneven round mask (rows, columns) of the drawing, 0 or 1."""
    y, x = np.mgrid[0 : ROWS * FINE, 0 : COLUMNS * FINE].astype(np.float32) / FINE
    right, down = x - centre[0], y - centre[1]
    turn = rng.uniform(0, np.pi)
    across, along = np.cos(turn) * right + np.sin(turn) * down, -np.sin(turn) * right + np.cos(turn) * down
    round_ness = rng.uniform(2, 6)
    inside = np.abs(across / wide) ** round_ness + np.abs(along / high) ** round_ness
    return np.asarray(inside * (1 + 0.25 * _noise(rng, 10)[..., 0]) < 1, dtype=np.float32)


def _skin(rng: np.random.Generator, image: Picture, points: Floats, centre: Floats) -> Cover:
    """Draw a patch of the skin of the same face, with its grain and without lips."""
    tone = skin_of(rng, image, points) * rng.uniform(0.8, 1.15)
    colour, _ = _canvas(tone)
    colour *= 1 + rng.uniform(0, 0.1) * _noise(rng, 12) + rng.uniform(0, 0.05) * _noise(rng, 3) + 0.02 * _noise(rng, 1)
    if rng.random() < 0.4:  # the picture itself, from beside the mouth or below it
        away = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(20, 26), rng.uniform(-4, 4)])
        away = away if rng.random() < 0.7 else np.array([rng.uniform(-3, 3), rng.uniform(10, 16)])
        moved = np.array([[1, 0, -away[0]], [0, 1, -away[1]]])
        seen = cv2.warpAffine(image, moved, (COLUMNS, ROWS), borderMode=cv2.BORDER_REFLECT_101)
        colour = np.asarray(cv2.resize(seen, (COLUMNS * FINE, ROWS * FINE)), np.float32)
    mask = _blob(rng, centre, rng.uniform(13, 30), rng.uniform(9, 20))
    return _done(rng, colour, mask, rng.uniform(0.4, 3))


def _mask(rng: np.random.Generator, image: Picture, points: Floats, centre: Floats) -> Cover:
    """Draw a face mask or a scarf: everything below a line."""
    base = rng.uniform(20, 250) * rng.uniform(0.8, 1.1, 3)
    base = np.array([150, 195, 220]) * rng.uniform(0.6, 1.1) if rng.random() < 0.3 else base
    colour, opacity = _canvas(base)
    y, x = np.mgrid[0 : ROWS * FINE, 0 : COLUMNS * FINE].astype(np.float32) / FINE
    edge = centre[1] - rng.uniform(8, 20) + rng.uniform(-0.01, 0.01) * (x - 32) ** 2 + rng.normal(0, 0.1) * (x - 32)
    opacity[y > edge] = 1
    colour *= 1 + rng.uniform(0, 0.25) * _noise(rng, 12) + rng.uniform(0, 0.08) * _noise(rng, 2)
    folds = 1 + rng.uniform(0, 0.2) * np.cos((y + 0.1 * x) * 2 * np.pi / rng.uniform(4, 12))
    return _done(rng, colour * folds[..., None], opacity)


def _thing(rng: np.random.Generator, image: Picture, points: Floats, centre: Floats) -> Cover:
    """Draw some object: a cup, a sheet, a phone."""
    colour, _ = _canvas(rng.uniform(0, 255, 3))
    colour += rng.uniform(0, 60) * _noise(rng, rng.uniform(3, 15)) + rng.uniform(0, 20) * _noise(rng, 1)
    colour += rng.uniform(-2, 2) * np.arange(COLUMNS * FINE, dtype=np.float32)[None, :, None] / FINE
    mask = _blob(rng, centre, rng.uniform(10, 30), rng.uniform(8, 24))
    return _done(rng, colour, mask, rng.uniform(0.3, 1))


Draw = Callable[[np.random.Generator, Picture, Floats, Floats], Cover]
KINDS: Mapping[str, Draw] = {
    "hand": _hand, "microphone": _microphone, "subtitle": _subtitle, "skin": _skin, "mask": _mask, "thing": _thing
}  # fmt: skip
"""Kinds of covers."""


def draw_cover(rng: np.random.Generator, image: Picture, points: Floats, kind: str = "", far: bool = False) -> Cover:
    """Return something before the face of `image` (48, 64, 3), whose lips are at `points` (6, 2).

    Without `kind`, the kind is random; it is near the lips, or `far` from them: below, above or beside.
    """
    middle = np.array([points[:2, 0].mean(), (points[2, 1] + points[5, 1]) / 2])
    if far:
        turn = rng.uniform(0, 2 * np.pi)
        middle = middle + rng.uniform(18, 34) * np.array([1.3 * np.cos(turn), np.sin(turn)])
    else:
        middle = middle + rng.normal(0, 3, 2)
    return KINDS[kind or str(rng.choice(list(KINDS)))](rng, np.asarray(image, np.float32), points, middle)
