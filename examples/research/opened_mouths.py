"""Real closed mouths, warped open by a known gap: training data for the lip reader with real skin and lips."""

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.research.drawn_mouths import COLUMNS, ROWS, Floats, Mouth, Picture, cavity, drawn_gap

CLOSED = 0.4
"""Share of mouths that stay closed."""
SEARCH = 3.0
"""Pixels above and below the found points that are searched for the line of the lips."""


def open_mouth(rng: np.random.Generator, region: NDArray[np.uint8], found: Floats) -> Mouth:
    """Open the closed mouth of `region` (48, 64, 3); `found` (6, 2): its points as predicted by a lip reader."""
    image = region.astype(np.float32)
    (left, right), centre = found[:2, 0], float(found[:2, 0].mean())
    place = np.clip((np.arange(COLUMNS) - centre) / max((right - left) / 2, 4), -1, 1)
    line = _line(image, found)
    middle = float(np.interp(centre, np.arange(COLUMNS), line))
    gap, share = drawn_gap(rng, CLOSED), rng.uniform(0, 0.35)
    arch = (1 - np.abs(place) ** rng.uniform(1.6, 3)) ** rng.uniform(0.6, 1.2)
    up, down = share * gap * arch, (1 - share) * gap * arch
    if gap > 0:
        moved = _warp(rng, image, line, (up, down), centre)
        y, x = (np.asarray(axis, np.float32)[..., None] for axis in np.mgrid[0:ROWS, 0:COLUMNS])
        rims = middle - float(up.max()), middle + float(down.max())
        skin = np.median(image.reshape(-1, 3), axis=0)
        lip = image[min(int(middle) + 3, ROWS - 1), int(centre)]
        between = np.asarray(np.broadcast_to(place[None, :, None], x.shape), np.float32)
        inside = cavity(rng, y, between, max((right - left) / 2, 4), rims, skin, lip)
        hole = np.clip(y - (line - up)[None, :, None] + 0.5, 0, 1) * np.clip(
            (line + down)[None, :, None] - y + 0.5, 0, 1
        )
        hole = hole * np.clip(up + down, 0, 1)[None, :, None]
        soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), rng.uniform(0.3, 0.7))[..., None]
        image = moved + soft * (inside - moved)
    upper, lower = max(0.8, found[3, 1] - found[2, 1]), max(1.0, found[5, 1] - found[4, 1])
    column = round(centre)
    rims = middle - up[column], middle + down[column]
    heights = (rims[0] - upper, rims[0], rims[1], rims[1] + lower)
    points = np.array([*found[:2], *((centre, height) for height in heights)])
    zoom = rng.uniform(0.85, 1.2)
    turn = cv2.getRotationMatrix2D((32, 17), rng.normal(0, 3), zoom)
    turn[:, 2] += rng.normal(0, 2, 2)
    turned = cv2.warpAffine(image, turn, (COLUMNS, ROWS), borderMode=cv2.BORDER_REPLICATE)
    mean_gap = gap * float(arch[np.abs(place) < 1 / 3].mean()) * zoom
    return Mouth(np.asarray(turned, np.float32), points @ turn[:, :2].T + turn[:, 2], mean_gap)


def _line(image: Picture, found: Floats) -> Floats:
    """Return the row (columns,) of the line of closed lips: the darkest near the points, smooth across columns."""
    (left, first), (right, last) = found[:2]
    x = np.arange(COLUMNS)
    guess = np.interp(x, [left, (left + right) / 2, right], [first, found[3:5, 1].mean(), last])
    grey = cv2.GaussianBlur(image, (0, 0), 0.7).mean(axis=-1)
    offsets = np.arange(-SEARCH, SEARCH + 0.1, 0.5)
    rows = np.clip(np.round(guess + offsets[:, None]), 0, ROWS - 1).astype(int)
    cost = (grey[rows, x] + 0.6 * np.abs(offsets)[:, None]).astype(np.float32)
    best = offsets[cv2.GaussianBlur(cost, (0, 0), sigmaX=2, sigmaY=0.5).argmin(axis=0)]
    best = np.where((x > left) & (x < right), best, 0)
    return np.asarray(guess + cv2.GaussianBlur(best[None].astype(np.float32), (0, 0), 2.0)[0])


def _warp(
    rng: np.random.Generator, image: Picture, line: Floats, apart: tuple[Floats, Floats], centre: float
) -> Picture:
    """Move the upper lip up, and the lower lip and the chin down, most near the mouth."""
    up, down = apart
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    above = y + up * np.clip(1 - (line - up - y) / rng.uniform(4, 12), 0, 1)
    far = np.clip((y - line - down) / rng.uniform(5, 14), 0, 1)
    jaw = down.max() * rng.uniform(0.5, 1.1) * np.exp(-((x - centre) ** 2) / (2 * 22.0**2))
    below = np.maximum(y - down * (1 - far) - jaw * far, line)
    source = np.where(y < line - up, above, np.where(y > line + down, below, line))
    moved = cv2.remap(image, x, source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
