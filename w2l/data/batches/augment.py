"""Augmentation of images that preserves sync; the same for all frames of a window and all windows of a clip."""

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import ConfigError
from w2l.features.crop import TEMPLATE

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""
BEND_POINTS = 4
"""Grid points in each direction that a bend moves; between them it is interpolated with a cosine."""
PAINT_POINTS = 7
"""Grid points in each direction that paint colours on its own: enough to separate lips from the skin under the nose."""
MOUTH_REACH = (0.22, 0.16)
"""Half extent, across and down, of the region widened around the mouth of an aligned face, in sides of the crop."""
MOST_MOUTH = 0.4
"""Larger values could fold the image."""


@dataclass(frozen=True)
class AugmentSettings:
    """Strength of image and audio augmentation; zeros disable it."""

    flip: float = 0.5
    """Probability of a mirrored face."""
    colour: float = 0.2
    """Largest relative change of brightness, and half as much of each channel."""
    contrast: float = 0.0
    """Largest relative change of contrast around middle grey, both ways."""
    gamma: float = 0.0
    """Largest change of the logarithm (to base 2) of gamma, both ways: 1 is from 0.5 to 2."""
    grey: float = 0.0
    """Largest reduction of saturation: 1 goes down to grey."""
    hue: float = 0.0
    """Largest rotation of all hues about grey, in degrees, both ways: 120 makes red green."""
    light: float = 0.0
    """Largest relative change of brightness at the sides relative to the middle: light from one side."""
    paint: float = 0.0
    """Largest relative change of each colour at each of a few points of the face, moving with it: make-up, shadows,
    lips that hardly differ from the skin. Each draw scales it by a random share."""
    blur: float = 0.0
    """Largest standard deviation of a Gaussian blur, in pixels of a crop of 96."""
    shift: float = 0.0
    """Largest shift of the face, across and down, as a share of the crop's side: 0.02 is 2 pixels of 96."""
    scale: float = 0.0
    """Largest relative change of the face's size, both ways."""
    turn: float = 0.0
    """Largest turn in the picture plane, in degrees, both ways."""
    stretch: float = 0.0
    """Largest relative change of the face's height only, both ways: a nodding head, or another face."""
    slant: float = 0.0
    """Largest shift across per pixel down from the middle, both ways: a turning head with its eyes fixed."""
    bend: float = 0.0
    """Largest shift of each of a few points of the face, across and down, as a share of the crop's side; what lies
    between is bent: other features, or a turning head."""
    mouth: float = 0.0
    """Largest relative change of the mouth's width and height, both ways, relative to the rest of an aligned face: wide
    or narrow mouths, full or thin lips."""
    gain_db: float = 10.0
    """Largest change of loudness, both ways."""
    tilt_db: float = 6.0
    """Largest change between the lowest and the highest band, both ways."""
    noise: float = 0.5
    """Probability of a noise floor added to the audio."""
    muffle: float = 0.0
    """Probability of audio that loses its upper bands, as through a wall or a telephone."""
    voice: float = 0.0
    """Largest relative change of all frequencies, both ways: a longer or shorter vocal tract, another voice."""
    shifted_voice: float = 0.0
    """Share of draws in which the speech has another pitch and vocal tract, as computed by librosa: one of those that
    `w2l preprocess --set voices.semitones=[-3,3]` stores."""
    room: float = 0.0
    """Probability of room reverberation."""
    mask_bands: int = 0
    """Most neighbouring bands, of 80, that are silenced (SpecAugment, Park et al., 2019)."""
    mask_columns: int = 0
    """Most neighbouring columns of a window, of 16, that are silenced, at the same place in all windows of a clip."""

    def __post_init__(self) -> None:
        """Reject mouth changes that would fold the image."""
        if not 0 <= self.mouth <= MOST_MOUTH:
            raise ConfigError(f"augment.mouth must lie between 0 and {MOST_MOUTH:g}, got {self.mouth:g}")

    @property
    def moves(self) -> bool:
        """Whether augmentation may move pixels other than by mirroring."""
        return any((self.shift, self.scale, self.turn, self.stretch, self.slant, self.bend, self.mouth))


@dataclass(frozen=True)
class Look:
    """One random draw of image augmentation."""

    mirrored: bool
    gains: NDArray[np.float32]
    """(3,): gain per channel."""
    contrast: float = 1.0
    gamma: float = 1.0
    grey: float = 0.0
    blur: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    turn: float = 0.0
    stretch: float = 1.0
    slant: float = 0.0
    bend: NDArray[np.float32] | None = None
    """(BEND_POINTS, BEND_POINTS, 2): shifts across and down, in sides of the face, of grid points."""
    hue: float = 0.0
    light: tuple[float, float] = (0.0, 0.0)
    """Relative change of brightness at the right and the lower side; negated at the left and the upper."""
    paint: NDArray[np.float32] | None = None
    """(PAINT_POINTS, PAINT_POINTS, 3): colour gains at grid points down and across the face."""
    mouth: tuple[float, float] = (1.0, 1.0)
    """Factors of the mouth's width and height."""

    @property
    def moves(self) -> bool:
        """Whether pixels are moved other than by mirroring."""
        changed = self.scale != 1 or self.stretch != 1 or self.turn != 0 or self.slant != 0
        return changed or self.shift != (0.0, 0.0) or self.bend is not None or self.mouth != (1.0, 1.0)

    def turned(self) -> NDArray[np.float64]:
        """Return the linear map (2, 2) of offsets from the middle: rotation, stretch, slant and scale."""
        cosine, sine = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        shaped = np.array([[1.0, self.slant], [0.0, self.stretch]])
        return np.asarray(self.scale * np.array([[cosine, sine], [-sine, cosine]]) @ shaped)

    def beside(self, rng: np.random.Generator, settings: AugmentSettings, share: float) -> "Look":
        """Return the same colours and mirror with the geometry changed by a draw of `share` of the settings' ranges."""
        s = settings
        across, down, scale, turn, stretch, slant = (share * rng.uniform(-1, 1, 6)).tolist()
        shift = (self.shift[0] + s.shift * across, self.shift[1] + s.shift * down)
        bend = _draw_bend(rng, share * s.bend)
        if bend is not None and self.bend is not None:
            bend += self.bend
        return replace(
            self, shift=shift, scale=self.scale * (1 + s.scale * scale), turn=self.turn + s.turn * turn,
            stretch=self.stretch * (1 + s.stretch * stretch), slant=self.slant + s.slant * slant,
            bend=self.bend if bend is None else bend,
        )  # fmt: skip

    def colours(self) -> NDArray[np.float64]:
        """Return (3, 3): the map of a pixel's colour to the one with rotated hue and reduced saturation."""
        angle, axis = math.radians(self.hue), np.full(3, 1 / math.sqrt(3))  # Rodrigues' rotation about grey
        across = np.cross(np.eye(3), axis)
        turned = math.cos(angle) * np.eye(3) + math.sin(angle) * across + (1 - math.cos(angle)) * np.outer(axis, axis)
        return np.asarray(((1 - self.grey) * np.eye(3) + self.grey * np.array([LUMA] * 3)) @ turned)

    def source_of(self, height: int, width: int) -> NDArray[np.float64]:
        """Return (2, 3): the map of a place (x, y, 1) of the moved image, without its bend, to the original."""
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        inverse = np.linalg.inv(self.turned())
        beside = middle - inverse @ (middle + np.array(self.shift) * (width, height))
        place = np.concatenate([inverse, beside[:, None]], axis=1)
        if self.mirrored:  # the image was mirrored before it was moved
            place[0] = [-place[0, 0], -place[0, 1], width - 1 - place[0, 2]]
        return place

    def bent_by(self, height: int, width: int) -> NDArray[np.float32]:
        """Return (height, width, 2): additional displacement of each pixel's source, in pixels, without the mouth."""
        if self.bend is None:
            return np.zeros((height, width, 2), np.float32)
        return _between(self.bend * width, height, width)

    def painted(self, rows: int, width: int) -> NDArray[np.float32]:
        """Return (rows, width, 3): the colour gains of the lowest `rows` of a square face."""
        if self.paint is None:
            return np.ones((rows, width, 3), np.float32)
        return _between(self.paint, width, width)[width - rows :]

    def brightness(self, rows: int, width: int) -> NDArray[np.float32]:
        """Return (rows, width): the brightness gains of the lowest `rows` of a square face."""
        x = np.linspace(-1, 1, width, dtype=np.float32)
        return np.asarray(1 + self.light[0] * x + self.light[1] * x[width - rows :, None], dtype=np.float32)


def draw_look(rng: np.random.Generator, settings: AugmentSettings) -> Look:
    """Draw image augmentation for a clip."""
    s = settings
    brightness = 1 + s.colour * rng.uniform(-1, 1)
    gains = brightness * (1 + s.colour / 2 * rng.uniform(-1, 1, 3))
    mirrored = bool(rng.random() < s.flip)
    contrast, gamma, across, down, scale, turn = rng.uniform(-1, 1, 6).tolist()
    stretch, slant = rng.uniform(-1, 1, 2).tolist() if s.stretch or s.slant else (0.0, 0.0)
    hue, right, below = rng.uniform(-1, 1, 3).tolist() if s.hue or s.light else (0.0, 0.0, 0.0)
    bend = _draw_bend(rng, s.bend)
    paint = _draw_paint(rng, s.paint)
    wide, high = rng.uniform(-1, 1, 2).tolist() if s.mouth else (0.0, 0.0)
    grey, blur = rng.random(2).tolist()
    return Look(
        mirrored, gains.astype(np.float32), 1 + s.contrast * contrast, 2 ** (s.gamma * gamma), s.grey * grey,
        s.blur * blur, (s.shift * across, s.shift * down), 1 + s.scale * scale, s.turn * turn,
        1 + s.stretch * stretch, s.slant * slant, bend, s.hue * hue, (s.light * right, s.light * below), paint,
        (1 + s.mouth * wide, 1 + s.mouth * high),
    )  # fmt: skip


def _draw_bend(rng: np.random.Generator, most: float) -> NDArray[np.float32] | None:
    shape = (BEND_POINTS, BEND_POINTS, 2)
    return (most * rng.uniform(-1, 1, shape)).astype(np.float32) if most else None


def _draw_paint(rng: np.random.Generator, most: float) -> NDArray[np.float32] | None:
    shape = (PAINT_POINTS, PAINT_POINTS, 3)
    return (1 + most * rng.random() * rng.uniform(-1, 1, shape)).astype(np.float32) if most else None


def _between(points: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float32]:
    """Interpolate values at (points, points, channels) down and across a face to (height, width, channels)."""
    down, across = _fading(height, len(points)), _fading(width, len(points))
    return np.asarray(np.einsum("yi,xj,ijc->yxc", down, across, points, optimize=True), dtype=np.float32)


def _fading(n: int, n_points: int) -> NDArray[np.float64]:
    """Return (n, n_points): the weight of each point at each of `n` places from the first to the last."""
    away = np.linspace(0, n_points - 1, n)[:, None] - np.arange(n_points)
    return np.asarray(np.where(np.abs(away) < 1, 0.5 + 0.5 * np.cos(math.pi * away), 0.0))


def widened(places: Any, mouth: Any, side: int) -> Any:
    """Return the sources of pixels if the mouth is made wider and higher.

    Parameters
    ----------
    places : (..., 2)
        Across and down, in pixels of the original face; NumPy's or PyTorch's.
    mouth : (..., 2)
        Factors of width and height.
    side : int
        Side of the crop, in pixels.
    """
    middle = TEMPLATE[3] * side - 0.5
    x, y = places[..., 0] - middle[0], places[..., 1] - middle[1]
    hill = math.e ** -((x / (MOUTH_REACH[0] * side)) ** 2 + (y / (MOUTH_REACH[1] * side)) ** 2)
    moved = places * 1
    moved[..., 0] += hill * x * (1 / mouth[..., 0] - 1)
    moved[..., 1] += hill * y * (1 / mouth[..., 1] - 1)
    return moved


def augment_frames(frames: NDArray[np.uint8], look: Look, first_row: int = 0) -> NDArray[np.uint8]:
    """Return the frames (frames, height, width, 3) with another look, from row `first_row` on."""
    if look.paint is not None:
        gains = look.painted(*frames.shape[1:3])
        frames = np.clip(np.rint(frames * gains), 0, 255).astype(np.uint8)
    if look.moves:
        frames = _moved(frames, look, first_row)
    else:
        frames = frames[:, first_row:]
    shape = frames.shape
    flat: NDArray[Any] = np.ascontiguousarray(frames).reshape(-1, *shape[2:])  # one tall image
    if look.mirrored and not look.moves:
        flat = cv2.flip(flat, 1)
    if look.grey or look.hue:
        flat = cv2.transform(flat, look.colours())
    if look.light != (0.0, 0.0):
        gain = look.brightness(*shape[1:3])[None, ..., None]
        flat = np.clip(np.rint(flat.reshape(shape) * gain), 0, 255).astype(np.uint8).reshape(flat.shape)
    if np.any(look.gains != 1) or look.contrast != 1 or look.gamma != 1:
        flat = cv2.LUT(flat, _tables(look)[None])
    changed: NDArray[np.uint8] = flat.reshape(shape)
    return _blurred(changed, look.blur * shape[2] / 96) if look.blur else changed


def _tables(look: Look) -> NDArray[np.uint8]:
    """Return (256, 3): the new value for each value of each channel."""
    values: NDArray[Any] = np.arange(256)[:, None] * look.gains
    if look.contrast != 1:
        values = (values - 127.5) * look.contrast + 127.5
    if look.gamma != 1:
        values = 255 * (np.clip(values, 0, 255) / 255) ** look.gamma
    return np.asarray(np.clip(values + 0.5, 0, 255), dtype=np.uint8)


def _blurred(frames: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """Blur each frame with a Gaussian of `sigma` pixels, truncated at two sigmas."""
    side = 2 * math.ceil(2 * sigma) + 1
    return np.stack([cv2.GaussianBlur(frame, (side, side), sigma) for frame in frames], dtype=np.uint8)


def _moved(frames: NDArray[np.uint8], look: Look, first_row: int) -> NDArray[np.uint8]:
    """Mirror, rotate about the middle (see `Look.turned`), shift and bend the frames; the border is repeated."""
    height, width = frames.shape[1:3]
    matrix = look.source_of(height, width)
    moved = np.empty((len(frames), height - first_row, width, 3), np.uint8)
    if look.bend is None and look.mouth == (1.0, 1.0):
        matrix[:, 2] += matrix[:, 1] * first_row
        flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (width, height - first_row)
        for frame, out in zip(frames, moved):
            cv2.warpAffine(frame, matrix, size, dst=out, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return moved
    y, x = np.mgrid[:height, :width]
    places = (np.stack([x, y, np.ones_like(x)], axis=-1) @ matrix.T + look.bent_by(height, width))[first_row:]
    if look.mouth != (1.0, 1.0):
        places = widened(places, np.array(look.mouth), width)
    across, down = (np.ascontiguousarray(places[..., axis], dtype=np.float32) for axis in (0, 1))
    for frame, out in zip(frames, moved):
        cv2.remap(frame, across, down, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)
    return moved
