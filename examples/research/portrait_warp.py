"""Animate a portrait: move its face mesh, warp the picture accordingly, draw teeth and shade between the lips."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from examples.research.lip_motion import STABLE
from examples.research.mesh import INNER, LOWER, UPPER
from examples.research.portrait_faces import SIDE, Portrait, to_lab, to_rgb
from examples.research.portrait_teeth import Row, is_grey
from w2l.core.arrays import Floats, Image

UPPER_RINGS = (
    (185, 40, 39, 37, 0, 267, 269, 270, 409), (184, 74, 73, 72, 11, 302, 303, 304, 408),
    (183, 42, 41, 38, 12, 268, 271, 272, 407), UPPER[1:-1],
)  # fmt: skip
LOWER_RINGS = (
    (146, 91, 181, 84, 17, 314, 405, 321, 375), (77, 90, 180, 85, 16, 315, 404, 320, 307),
    (96, 89, 179, 86, 15, 316, 403, 319, 325), LOWER[1:-1],
)  # fmt: skip
"""Points of each lip in rings from its outer outline to its inner one, each from left to right."""
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face."""
EVERY = 9
"""Interval of the points inside the face that control the warp, besides lips and outline."""
STEP = 10
"""Pixels between the grid points at which the warp is computed."""
ROUND = 1.2
"""Standard deviation in pixels of the Gaussian that smooths the outlines between their points."""
INSET = 0.02
"""Distance beyond the found outlines within which teeth count as such, in eye distances, so that lips move none."""
MEET = 0.35
"""Share of the way from the upper to the lower lip of an open smile at which both meet: the lower one moves more."""
FARTHEST = 0.05
"""Distance beyond the found outlines that is searched for teeth, in eye distances."""
LINE = 0.35
"""Share by which the line darkens the picture where the lips of an open smile have met."""
SEARCH = 0.035
"""Distance from the found outlines that is searched for the line of closed lips, in eye distances."""
SKULL = (*STABLE, 5, 4, 2, 94, 1, 98, 327)
"""Points that the upper teeth move with: those that do not move in speech, and the nose."""
CELLS = -(-SIDE // STEP)
"""Number of cells of `STEP` pixels in each direction."""
PLACES = np.dstack(np.meshgrid(*2 * [STEP * (np.arange(CELLS, dtype=np.float32) + 0.5) - 0.5]))
"""(CELLS, CELLS, 2): their centres, at which the warp is computed."""
PIXELS = np.dstack(np.meshgrid(*2 * [np.arange(SIDE, dtype=np.float32)]))
"""(SIDE, SIDE, 2): coordinates of all pixels."""
LIPS_OUT = frozenset(point for rings in (UPPER_RINGS, LOWER_RINGS) for ring in rings for point in ring)


@dataclass(frozen=True)
class Inside:
    """The inside of a mouth."""

    teeth: Row
    tongue: float
    """Share of the opening, from below, that the tongue fills."""
    light: float
    """Brightness of the tongue relative to the lips."""


@dataclass(frozen=True)
class Pose:
    """Pose of the head relative to the portrait."""

    angles: tuple[float, float, float]
    """Turn to the side, nod and tilt, in degrees."""
    shift: tuple[float, float]
    """Right and down, in eye distances."""
    scale: float


class TalkingPortrait:
    """A portrait prepared for animation."""

    def __init__(self, portrait: Portrait, inside: Inside, unsmile: Floats | None = None) -> None:
        """Take a portrait with closed lips, or an open smile with `unsmile` (468, 2), which moves it towards rest."""
        self.portrait = portrait
        """The unchanged portrait."""
        self._inside = inside
        self._source = portrait.mesh[:, :2].copy()
        self._rest = self._source.copy()
        if unsmile is None:
            _press(self._source, _dark_line(portrait, self._source))
            self._rest = self._source.copy()
        else:
            self._rest += unsmile * portrait.eyes
            _press(self._rest, (1 - MEET) * self._rest[list(UPPER)] + MEET * self._rest[list(LOWER)])
            _widen(self._source, portrait, inside.teeth.colour)
        self._was_open = unsmile is not None
        inner = [point for point in range(0, 468, EVERY) if point not in LIPS_OUT and point not in OVAL]
        upper, lower = (np.concatenate(rings).tolist() for rings in (UPPER_RINGS, LOWER_RINGS))
        shared = sorted({*inner, *OVAL[::2], 61, 291, 78, 308, 76, 306, 62, 292})
        self._sides = [shared + upper, shared + lower]
        self._around = _around(self._source[list(OVAL)])

    def draw(self, moves: Floats, pose: Pose) -> Image:
        """Return the picture (SIDE, SIDE, 3) with the mesh moved by `moves` (468, 2), in eye distances."""
        eyes = self.portrait.eyes
        target = self._rest + moves * eyes
        _keep_apart(target)
        flat = _turned(np.column_stack([target, self.portrait.mesh[:, 2]]), pose, eyes)
        ring, held = self._around
        anchors = _turned(np.column_stack([ring, np.zeros(len(ring))]), pose, eyes)
        fixed_from, fixed_to = np.concatenate([ring, held]), np.concatenate([anchors, held])
        maps = [
            _warp_map(np.concatenate([flat[side], fixed_to]), np.concatenate([self._source[side], fixed_from]))
            for side in self._sides
        ]
        image = self.portrait.image
        upper, lower, beyond = _rims(flat, np.arange(SIDE, dtype=np.float64), eyes)
        y = np.arange(SIDE, dtype=np.float64)[:, None]
        below = np.clip((y - (upper + lower) / 2) / (1 + 0.6 * beyond) + 0.5, 0, 1)[..., None].astype(np.float32)
        place = maps[0] + below * (maps[1] - maps[0])
        drawn = cv2.remap(image, place, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        low, high = flat[list(INNER)].min(axis=0) - 6, flat[list(INNER)].max(axis=0) + 7
        (left, top), (right, bottom) = np.clip(np.array([low, high]), 0, SIDE).astype(int)
        rows, columns = slice(top, bottom), slice(left, right)
        rims = upper[columns], lower[columns], beyond[columns]
        drawn[rows, columns] = self._filled(drawn[rows, columns].astype(np.float32), flat, rims, (top, left))
        return np.asarray(drawn, np.uint8)

    def _filled(
        self, skin: Floats, flat: Floats, rims: tuple[Floats, Floats, Floats], corner: tuple[int, int]
    ) -> Image:
        """Return the region of the mouth with the inside drawn; `corner`: row and column of the region."""
        upper, lower, beyond = rims
        y = corner[0] + np.arange(len(skin), dtype=np.float64)[:, None]
        hole = np.clip(y - upper + 0.5, 0, 1) * np.clip(lower - y + 0.5, 0, 1) * np.clip(lower - upper, 0, 1)
        hole = cv2.GaussianBlur(hole * (beyond == 0), (0, 0), 0.6)[..., None]
        if self._was_open:
            meeting = np.exp(-(((y - (upper + lower) / 2) / 0.9) ** 2)) * np.clip(1.5 - (lower - upper), 0, 1)
            skin = skin * (1 - LINE * meeting * (beyond == 0))[..., None]
        if hole.max() > 0:
            skin = skin + hole * (self._between(flat, y, (upper, lower), corner) - skin)
        return np.asarray(np.clip(np.round(skin), 0, 255), np.uint8)

    def _between(self, flat: Floats, y: Floats, rims: tuple[Floats, Floats], corner: tuple[int, int]) -> Floats:
        """Return the inside of the mouth: dark, tongue and teeth, in the shade of the upper lip."""
        upper, lower = rims
        eyes, lip, gap = self.portrait.eyes, self.portrait.lip, np.maximum(lower - upper, 1e-3)
        reds = 0.0 if is_grey(self.portrait) else 1.0
        colours = [
            [0.16 * self.portrait.skin[0], 9 * reds, 5 * reds],
            [self._inside.light * lip[0], (0.9 * lip[1] + 4) * reds, 0.8 * lip[2] * reds],
        ]
        dark, tongue = to_rgb(np.array([colours]))[0]
        rise = np.clip((self._inside.tongue - (lower - y) / gap) / 0.35, 0, 1) * np.clip((gap - 2) / 6, 0, 1)
        filled = dark + rise[..., None] * (tongue - dark)
        skull = np.column_stack([flat[list(SKULL)], np.ones(len(SKULL))])
        matrix = np.linalg.lstsq(skull, self.portrait.mesh[list(SKULL), :2], rcond=None)[0].T
        matrix[:, 2] += matrix[:, :2] @ np.array([corner[1], corner[0]])
        how = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
        teeth, share = (cv2.warpAffine(each, matrix, (len(upper), len(y)), **how)
                        for each in (self._inside.teeth.image, self._inside.teeth.share))  # fmt: skip
        lit = np.clip(0.62 + 0.38 * (gap - 1.5) / (0.06 * eyes), 0.62, 1.0)
        filled = filled + share[..., None] * (teeth * lit[:, None] - filled)
        shade = 1 - 0.4 * np.exp(-np.clip(y - upper, 0, None) / (0.018 * eyes))
        return np.asarray(filled * shade[..., None])


def _press(mesh: Floats, line: Floats) -> None:
    """Move both lips of a mesh together at `line` (11, 2) without changing their shapes."""
    for rings, rim in ((UPPER_RINGS, UPPER), (LOWER_RINGS, LOWER)):
        moved = line[1:-1] - mesh[list(rim[1:-1])]
        for ring, share in zip(rings, (0.85, 0.93, 1.0, 1.0)):
            mesh[list(ring)] += share * moved


def _widen(mesh: Floats, portrait: Portrait, teeth: Floats) -> None:
    """Move the inner outlines of an open mouth past everything lighter than the lips, so that they move no teeth."""
    light = cv2.GaussianBlur(to_lab(portrait.image)[..., 0], (0, 0), 0.6)
    limit = portrait.lip[0] + 0.2 * max(5.0, float(teeth[0] - portrait.lip[0]))
    steps = np.arange(0, FARTHEST * portrait.eyes, 0.5)
    for rim, sign in ((UPPER, -1), (LOWER, 1)):
        places = mesh[list(rim)][:, None] + sign * steps[:, None] * np.array([0.0, 1.0])
        seen = cv2.remap(light, places.astype(np.float32), None, cv2.INTER_LINEAR)
        is_lip = seen < limit
        past = np.where(is_lip.any(axis=1), steps[is_lip.argmax(axis=1)], steps[-1])
        past = np.maximum.reduce([past, np.r_[past[1:], 0], np.r_[0, past[:-1]]])
        past = np.convolve(np.pad(past, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
        mesh[list(rim[1:-1]), 1] += sign * (past[1:-1] + INSET * portrait.eyes)


def _keep_apart(mesh: Floats) -> None:
    """Move lips that would cross to their middle."""
    upper, lower = mesh[list(UPPER[1:-1])], mesh[list(LOWER[1:-1])]
    crossed = np.clip(upper[:, 1] - lower[:, 1], 0, None) / 2
    for ring in UPPER_RINGS:
        mesh[list(ring), 1] -= crossed
    for ring in LOWER_RINGS:
        mesh[list(ring), 1] += crossed


def _dark_line(portrait: Portrait, mesh: Floats) -> Floats:
    """Return the line (11, 2) where closed lips meet, the darkest near the found outlines, smooth across columns."""
    guess = (mesh[list(UPPER)] + mesh[list(LOWER)]) / 2
    x = np.arange(np.ceil(guess[0, 0]), np.floor(guess[-1, 0]) + 1)
    grey = cv2.GaussianBlur(portrait.image, (0, 0), 0.8).mean(axis=-1).astype(np.float32)
    reach = SEARCH * portrait.eyes
    offsets = np.arange(-reach, reach + 0.1, 0.5)
    rows = np.interp(x, *guess.T) + offsets[:, None]
    columns = np.broadcast_to(x, rows.shape)
    cost = cv2.remap(grey, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
    cost = cv2.GaussianBlur(cost + 2.0 * np.abs(offsets)[:, None].astype(np.float32), (0, 0), sigmaX=3, sigmaY=0.6)
    best = offsets[cost.argmin(axis=0)]
    best = cv2.GaussianBlur(best[None].astype(np.float32), (0, 0), 3.0)[0]
    line = guess.copy()
    fade = np.array([0.3, 0.8, 1, 1, 1, 1, 1, 1, 1, 0.8, 0.3])
    line[:, 1] += fade * np.interp(guess[:, 0], x, best)
    return line


def _rims(mesh: Floats, x: Floats, eyes: float) -> tuple[Floats, Floats, Floats]:
    """Return for columns `x` the rows of the inner outlines, and the distance in pixels beyond the corners."""
    (left, left_y), (right, right_y) = mesh[UPPER[0]], mesh[UPPER[-1]]
    within = np.clip(x, left, right)
    beyond = np.abs(x - within)
    line = np.interp(x, [left, right], [left_y, right_y])
    far = np.clip(beyond / (0.15 * eyes), 0, 1)
    upper, lower = (
        gaussian_filter1d(np.interp(within, np.maximum.accumulate(rim[:, 0]), rim[:, 1]), ROUND)
        for rim in (mesh[list(UPPER)], mesh[list(LOWER)])
    )
    return upper + far * (line - upper), np.maximum(lower + far * (line - lower), upper), beyond


def _around(oval: Floats) -> tuple[Floats, Floats]:
    """Return points around a face that move with the head, and fixed points at the edge of the picture."""
    middle = oval.mean(axis=0)
    ring = middle + 1.3 * (oval[::3] - middle)
    ring = ring[(ring > 8).all(axis=1) & (ring < SIDE - 8).all(axis=1) & (ring[:, 1] < middle[1] + 20)]
    at = np.linspace(0, SIDE - 1, 5)
    edge = [(x, y) for x in at for y in at if x in (0, SIDE - 1) or y in (0, SIDE - 1)]
    return ring, np.array(edge)


def _turned(points: Floats, pose: Pose, eyes: float) -> Floats:
    """Return the projection (n, 2) of points (n, 3) of a head in `pose`."""
    yaw, pitch, roll = np.radians(pose.angles)
    pivot = np.array([MIDDLE_OF_HEAD[0] * SIDE, MIDDLE_OF_HEAD[1] * SIDE, 0.6 * eyes])
    across = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    down = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    flat = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    seen = (points - pivot) @ (pose.scale * flat @ down @ across).T + pivot
    return np.asarray(seen[:, :2] + np.array(pose.shift) * eyes)


MIDDLE_OF_HEAD = (0.5, 0.5)
"""Centre of rotation of a framed head, relative to the side."""


def _warp_map(target: Floats, source: Floats) -> Floats:
    """Return the map (SIDE, SIDE, 2) from each pixel to its source: a thin plate spline through the points."""
    count, scale = len(target), float(SIDE)
    nodes = (target / scale).astype(np.float32)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(np.square(nodes[:, None] - nodes).sum(axis=-1)) + 1e-5 * np.eye(count)
    system[:count, count:] = np.column_stack([np.ones(count), nodes])
    system[count:, :count] = system[:count, count:].T
    weights = np.linalg.solve(system, np.concatenate([source - target, np.zeros((3, 2))]))
    places = PLACES.reshape(-1, 2) / np.float32(scale)
    far = np.square(places).sum(axis=1)[:, None] + np.square(nodes).sum(axis=1) - 2 * places @ nodes.T
    moved = _kernel(far) @ weights[:count].astype(np.float32)
    moved += (weights[count] + places @ weights[count + 1 :]).astype(np.float32)
    size = (CELLS * STEP, CELLS * STEP)
    spread = cv2.resize(moved.reshape(PLACES.shape), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(spread[:SIDE, :SIDE] + PIXELS)


def _kernel(squares: Floats) -> Floats:
    """Return r^2 log r^2 of squared distances r^2."""
    safe = np.maximum(squares, 1e-9)
    return np.asarray(safe * np.log(safe))
