"""The pattern of a mark: a tile of band-limited noise that repeats over the picture.

A tile is a sum of waves whose phases the published key and the 64 bits decide: a fifth of the waves is the pilot, the
same in every mark, by which a reader finds scale and place; the others carry coded bits. Lengths are in units: 288 of
them along the shorter side of the picture, fewer where it has fewer pixels, so that a scaled picture keeps its mark.
Where the tile begins depends on the record, so that two marks in one picture do not hide each other.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.marks.code import N_CODED, Bits, bits_of, encoded

KEY = b"w2l imperceptible mark, version 3"
"""The detection key, published: everyone may look for marks."""
UNITS = 288
"""Units along the shorter side of a picture."""
MIN_SIDE = 144
"""Pixels along the shorter side below which a unit stays as large as there."""
TILE = 256
"""Side of a tile, units."""
BAND = (8.0, 24.0)
"""Waves per tile, lowest and highest: lengths of 32 to 10.7 units. Shorter waves do not survive low quality, and longer
ones are hidden by the shading of the picture."""
PILOT_SHARE = 0.2
"""Share of the waves that are the same in every mark."""
FINE = 2
"""Samples per unit of the tile that pictures are rendered from."""


@dataclass(frozen=True, eq=False)
class Carriers:
    """The waves of a tile, and what each carries."""

    waves: NDArray[np.int64]
    """(waves, 2) Waves per tile along x and y; of each opposite pair one."""
    pilot: NDArray[np.complex128]
    """(waves,) Phases of the pilot; 0 where coded bits are."""
    carried: NDArray[np.int64]
    """(payload waves,) Which waves carry bits."""
    coded: NDArray[np.int64]
    """(payload waves, 2) The coded bits in the real and the imaginary part of each of them."""
    signs: NDArray[np.float64]
    """(payload waves, 2) Their signs, -1 or 1."""

    def spectrum(self, bits: Bits) -> NDArray[np.complex128]:
        """Return the amplitudes (waves,) of the tile with these bits (64,), the tile's origin at 0."""
        parts = encoded(bits)[self.coded] * self.signs
        amplitudes = self.pilot.copy()
        amplitudes[self.carried] = (parts[:, 0] + 1j * parts[:, 1]) / np.sqrt(2)
        return amplitudes

    def soft_bits(self, seen: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Return soft values (192,) of the coded bits, from amplitudes (waves,) with the tile's origin at 0."""
        parts = np.stack([seen[self.carried].real, seen[self.carried].imag], axis=1) * self.signs
        return np.bincount(self.coded.ravel(), parts.ravel(), N_CODED).astype(np.float64)


@cache
def carriers() -> Carriers:
    """Return the waves of all tiles: what the published key decides."""
    side = np.arange(-int(BAND[1]), int(BAND[1]) + 1)
    x, y = (axis.ravel() for axis in np.meshgrid(side, side))
    radius = np.hypot(x, y)
    kept = (radius >= BAND[0]) & (radius <= BAND[1]) & ((y > 0) | ((y == 0) & (x > 0)))
    waves = np.stack([x[kept], y[kept]], axis=1)
    count = len(waves)
    n_pilot = round(PILOT_SHARE * count)
    random = _numbers(b"waves", 2 * count)
    order = random[:count].argsort(kind="stable")
    phases = np.exp(2j * np.pi * random[count:] / 2**32)
    pilot = np.zeros(count, dtype=np.complex128)
    pilot[order[:n_pilot]] = phases[order[:n_pilot]]
    n_parts = 2 * (count - n_pilot)
    shuffled = _numbers(b"bits", n_parts).argsort(kind="stable") % N_CODED
    signs = np.where(_numbers(b"signs", n_parts) % 2 == 1, -1.0, 1.0)
    return Carriers(waves, pilot, np.sort(order[n_pilot:]), shuffled.reshape(-1, 2), signs.reshape(-1, 2))


def units_per_pixel(width: int, height: int) -> float:
    """Return the length of a pixel of a picture of that size, in units."""
    return UNITS / max(MIN_SIDE, min(width, height))


def render(record: str, width: int, height: int) -> Floats:
    """Return the pattern of a record id over a whole picture, (height, width), mean square 1."""
    fine = _fine_tile(record)
    left, top = _numbers(record.encode(), 2) % (TILE * FINE)
    per_pixel = units_per_pixel(width, height) * FINE
    x, y = (((np.arange(length) + 0.5) * per_pixel + start - 0.5) for length, start in ((width, left), (height, top)))
    grid_x, grid_y = np.meshgrid((x % fine.shape[1]).astype(np.float32), (y % fine.shape[0]).astype(np.float32))
    moved = cv2.remap(fine, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(moved / np.sqrt((moved * moved).mean()), dtype=np.float32)


def _fine_tile(record: str) -> Floats:
    """Return one tile (512, 512), with two samples per unit."""
    side = TILE * FINE
    amplitudes = np.zeros((side, side), dtype=np.complex128)
    waves = carriers().waves
    amplitudes[waves[:, 1], waves[:, 0]] = carriers().spectrum(bits_of(record))
    return np.asarray(np.fft.ifft2(amplitudes).real * side, dtype=np.float32)


def _numbers(name: bytes, count: int) -> NDArray[np.int64]:
    """Return `count` numbers from 0 to 2**32 that follow from the key and a name."""
    drawn = hashlib.shake_256(KEY + b"/" + name).digest(4 * count)
    return np.frombuffer(drawn, dtype="<u4").astype(np.int64)
