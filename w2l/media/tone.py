"""Convert high dynamic range to the standard range that networks take, and back, by inverse curves.

Brightness up to `KNEE` of reference white is kept; everything above it is compressed below white.
"""

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Curve = Literal["pq", "hlg"]

CURVES: dict[int, Curve] = {16: "pq", 18: "hlg"}
"""H.273 transfer characteristics of high dynamic range -> curve (SMPTE ST 2084, ARIB STD-B67)."""
WHITE_NITS = 203.0
"""Reference white, cd/m2 (ITU-R BT.2408): the brightest paper or skin, not lamps."""
PQ_NITS, HLG_NITS = 10_000.0, 1000.0
"""Peak luminance of each curve, cd/m2, on the usual screen."""
HLG_GAMMA = 1.2
"""System gamma of a screen of 1000 cd/m2; applied to each channel."""
GAMMA = 2.4
"""Gamma of a screen of standard range (ITU-R BT.1886)."""
KNEE = 0.7
"""Brightness relative to white from which highlights are compressed."""
BRIGHTEST = 0.9995
"""Largest value of standard range that is inverted; the inverse grows without bound towards 1."""
TO_709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
"""Matrix from linear RGB with BT.2020 primaries to BT.709 (ITU-R BT.2087)."""
TO_2020 = np.linalg.inv(TO_709)
STEPS = 4096
"""Number of entries of the lookup tables."""


def rendered(rgb: Floats, curve: Curve) -> Floats:
    """Convert RGB (rows, columns, 3) of high dynamic range, 0..1, to standard range, 0..255, not rounded.

    Both are nonlinear: the input has the primaries of BT.2020, the result those of BT.709.
    """
    light, shades = _tables(curve)
    codes = np.clip(np.rint(rgb * (STEPS - 1)), 0, STEPS - 1).astype(np.intp)
    linear = np.maximum(cv2.transform(light[codes], TO_709), 0.0)
    places = np.sqrt(linear / (1 + linear)) * (STEPS - 1)
    shown: Floats = shades[np.rint(places).astype(np.intp)]
    return shown


def restored(rgb: Floats, curve: Curve) -> Floats:
    """Return the inverse of `rendered`: (rows, columns, 3), 0..255 of standard range -> 0..1 of high dynamic range."""
    bright = np.clip(np.asarray(rgb, np.float64) / 255, 0.0, BRIGHTEST) ** GAMMA
    bent = KNEE - (1 - KNEE) * np.log((1 - np.maximum(bright, KNEE)) / (1 - KNEE))
    linear = np.where(bright > KNEE, bent, bright)
    return np.asarray(_from_light(np.maximum(cv2.transform(linear, TO_2020), 0.0), curve), np.float32)


@lru_cache(maxsize=2)
def _tables(curve: Curve) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two tables: light relative to white for each code, and standard range for each step of light."""
    light = _to_light(np.arange(STEPS) / (STEPS - 1), curve)
    places = np.arange(STEPS) / (STEPS - 1)
    linear = places**2 / np.maximum(1 - places**2, 1e-9)
    bent = 1 - (1 - KNEE) * np.exp(-(np.maximum(linear, KNEE) - KNEE) / (1 - KNEE))
    shades = 255 * np.where(linear > KNEE, bent, linear) ** (1 / GAMMA)
    return light.astype(np.float32), shades.astype(np.float32)


def _to_light(code: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    """Return light relative to white of codes in 0..1."""
    if curve == "pq":
        root = code ** (32 / 2523)
        nits = PQ_NITS * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
    else:
        a, b, c = _HLG
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = HLG_NITS * scene**HLG_GAMMA
    return np.asarray(nits / WHITE_NITS)


def _from_light(light: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    """Return codes in 0..1 of light relative to white."""
    nits = light * WHITE_NITS
    if curve == "pq":
        power = np.clip(nits / PQ_NITS, 0, 1) ** (1305 / 8192)
        return np.asarray(((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))
    a, b, c = _HLG
    scene = np.clip(nits / HLG_NITS, 0, 1) ** (1 / HLG_GAMMA)
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


_HLG = (0.17883277, 0.28466892, 0.55991073)
