"""High dynamic range and the standard range that networks know: each pixel there and back, by curves that are inverse.

The rendering keeps all up to `KNEE` of reference white as bright as it is and bends the rest below white.
"""

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Curve = Literal["pq", "hlg"]

CURVES: dict[int, Curve] = {16: "pq", 18: "hlg"}
"""H.273 transfer characteristics of high dynamic range -> the curve they stand for (SMPTE ST 2084, ARIB STD-B67)."""
WHITE_NITS = 203.0
"""What counts as white, cd/m2 (ITU-R BT.2408): the brightest of paper and skin, not of lamps."""
PQ_NITS, HLG_NITS = 10_000.0, 1000.0
"""The brightest that the curves say, on the usual screen."""
HLG_GAMMA = 1.2
"""Of a screen that shows 1000 cd/m2; applied to each channel."""
GAMMA = 2.4
"""Of a screen of standard range (ITU-R BT.1886)."""
KNEE = 0.7
"""Brightness, white being 1, from which highlights are bent."""
BRIGHTEST = 0.9995
"""What counts as the brightest rendered: beyond it the inverse would have no end."""
TO_709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
"""Linear RGB of the primaries of BT.2020 -> of BT.709 (ITU-R BT.2087)."""
TO_2020 = np.linalg.inv(TO_709)
STEPS = 4096
"""Places of the tables with which whole pictures are rendered."""


def rendered(rgb: Floats, curve: Curve) -> Floats:
    """Return the standard range of high dynamic range: (rows, columns, 3) RGB in 0..1 -> 0..255, not rounded.

    Both are as a screen takes them: the first with the primaries of BT.2020, the second with those of BT.709.
    """
    light, shades = _tables(curve)
    codes = np.clip(np.rint(rgb * (STEPS - 1)), 0, STEPS - 1).astype(np.intp)
    linear = np.maximum(cv2.transform(light[codes], TO_709), 0.0)
    places = np.sqrt(linear / (1 + linear)) * (STEPS - 1)
    shown: Floats = shades[np.rint(places).astype(np.intp)]
    return shown


def restored(rgb: Floats, curve: Curve) -> Floats:
    """Return what `rendered` gives `rgb` of: (rows, columns, 3) 0..255 -> 0..1 of high dynamic range."""
    bright = np.clip(np.asarray(rgb, np.float64) / 255, 0.0, BRIGHTEST) ** GAMMA
    bent = KNEE - (1 - KNEE) * np.log((1 - np.maximum(bright, KNEE)) / (1 - KNEE))
    linear = np.where(bright > KNEE, bent, bright)
    return np.asarray(_from_light(np.maximum(cv2.transform(linear, TO_2020), 0.0), curve), np.float32)


@lru_cache(maxsize=2)
def _tables(curve: Curve) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Light, white being 1, for each code of the curve; the rendering for each place of a scale of light."""
    light = _to_light(np.arange(STEPS) / (STEPS - 1), curve)
    places = np.arange(STEPS) / (STEPS - 1)
    linear = places**2 / np.maximum(1 - places**2, 1e-9)
    bent = 1 - (1 - KNEE) * np.exp(-(np.maximum(linear, KNEE) - KNEE) / (1 - KNEE))
    shades = 255 * np.where(linear > KNEE, bent, linear) ** (1 / GAMMA)
    return light.astype(np.float32), shades.astype(np.float32)


def _to_light(code: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    """Light, white being 1, of codes in 0..1."""
    if curve == "pq":
        root = code ** (32 / 2523)
        nits = PQ_NITS * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
    else:
        a, b, c = _HLG
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = HLG_NITS * scene**HLG_GAMMA
    return np.asarray(nits / WHITE_NITS)


def _from_light(light: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    """Codes in 0..1 of light, white being 1."""
    nits = light * WHITE_NITS
    if curve == "pq":
        power = np.clip(nits / PQ_NITS, 0, 1) ** (1305 / 8192)
        return np.asarray(((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))
    a, b, c = _HLG
    scene = np.clip(nits / HLG_NITS, 0, 1) ** (1 / HLG_GAMMA)
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


_HLG = (0.17883277, 0.28466892, 0.55991073)
