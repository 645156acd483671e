"""Drawn talking faces with synthetic speech: media with known ground truth for tests and examples."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.core.timing import FPS, SAMPLE_RATE

Rgb = tuple[int, int, int]
POINTS = np.array([[-0.4, -0.28], [0.4, -0.28], [0.0, 0.2], [-0.36, 0.62], [0.36, 0.62]])
"""Five points relative to the centre of the face, in half widths."""
FORMANTS_HZ = ((730, 1090), (530, 1840), (270, 2290), (570, 840), (300, 870))
"""First two formants of five vowels of a male voice (Peterson & Barney, 1952)."""


@dataclass(frozen=True)
class Puppet:
    """Appearance of a drawn face."""

    skin: Rgb = (215, 170, 145)
    hair: Rgb = (55, 38, 28)
    lips: Rgb = (175, 80, 80)
    wall: Rgb = (70, 110, 140)


def draw_face(
    image: Image, x: float, y: float, half_width: float, mouth: float = 0.0, puppet: Puppet | None = None
) -> NDArray[np.float64]:
    """Draw a face into `image` around (x, y), `mouth` open from 0 to 1; return its five points (5, 2) in pixels."""
    look = puppet or Puppet()

    def ellipse(dx: float, dy: float, a: float, b: float, colour: Rgb) -> None:
        centre = (round(x + dx * half_width), round(y + dy * half_width))
        axes = (max(1, round(a * half_width)), max(1, round(b * half_width)))
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    shade: Rgb = (look.skin[0] - 25, look.skin[1] - 25, look.skin[2] - 25)
    ellipse(0, -0.35, 1.08, 1.25, look.hair)
    ellipse(0, 0.05 * mouth, 0.95, 1.3 + 0.05 * mouth, look.skin)
    ellipse(0, -0.95, 0.85, 0.35, look.hair)
    for side in (-1, 1):
        ellipse(side * 0.4, -0.52, 0.24, 0.045, look.hair)
        ellipse(side * 0.4, -0.28, 0.2, 0.09, (240, 240, 240))
        ellipse(side * 0.4, -0.28, 0.09, 0.09, (40, 30, 25))
        ellipse(side * 0.4, -0.38, 0.2, 0.03, shade)
        ellipse(side * 0.12, 0.28, 0.06, 0.04, shade)
    ellipse(0.09, 0.05, 0.04, 0.25, shade)
    ellipse(0, 0.62 + 0.08 * mouth, 0.36 - 0.06 * mouth, 0.1 + 0.16 * mouth, look.lips)
    ellipse(0, 0.62 + 0.08 * mouth, 0.3 - 0.06 * mouth, 0.02 + 0.17 * mouth, (80, 30, 30))
    cv2.GaussianBlur(image, (0, 0), half_width / 40, dst=image)
    return np.array([x, y]) + POINTS * half_width


def babble(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Return speech-like audio: syllables of two formants at 4 per second, with pauses; mono float32 at 16 kHz."""
    rng = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE)
    time_s = np.arange(count) / SAMPLE_RATE
    wave = np.zeros(count)
    pitch = 2 * np.pi * np.cumsum(110 + 15 * np.sin(2 * np.pi * 0.7 * time_s)) / SAMPLE_RATE
    start_s = 0.3
    while start_s < seconds - 0.3:
        length_s = rng.uniform(0.14, 0.3)
        first, second = FORMANTS_HZ[rng.integers(len(FORMANTS_HZ))]
        inside = (time_s >= start_s) & (time_s < start_s + length_s)
        envelope = np.sin(np.pi * (time_s[inside] - start_s) / length_s) ** 2
        for harmonic in range(1, 30):
            hertz = 110 * harmonic
            gain = np.exp(-(((hertz - first) / 120) ** 2)) + 0.5 * np.exp(-(((hertz - second) / 160) ** 2)) + 0.03
            wave[inside] += 0.2 * gain * envelope * np.sin(harmonic * pitch[inside])
        start_s += length_s + (rng.uniform(0.35, 0.6) if rng.random() < 0.2 else rng.uniform(0.02, 0.08))
    noise = 0.001 * rng.standard_normal(count)
    return np.clip(wave + noise, -1, 1).astype(np.float32)


def openness(wave: NDArray[np.float32], fps: float = FPS) -> NDArray[np.float64]:
    """Return the opening of the mouth at each frame (frames,), 0..1: the loudness around the middle of the frame."""
    count = max(1, round(len(wave) / SAMPLE_RATE * fps))
    half = SAMPLE_RATE / fps / 2
    middles = (np.arange(count) + 0.5) * 2 * half
    squares = np.concatenate([[0.0], np.cumsum(wave.astype(np.float64) ** 2)])
    low = np.clip(middles - half, 0, len(wave)).astype(int)
    high = np.clip(middles + half, 1, len(wave)).astype(int)
    level = np.sqrt((squares[high] - squares[low]) / np.maximum(high - low, 1))
    return np.asarray(np.clip(level / max(float(np.percentile(level, 95)), 1e-6), 0, 1))


def talk(
    wave: NDArray[np.float32], fps: float = FPS, width: int = 320, height: int = 240, puppet: Puppet | None = None
) -> Iterator[Image]:
    """Yield frames (height, width, 3) of a face that moves its head a little and opens its mouth with the audio."""
    look = puppet or Puppet()
    for number, mouth in enumerate(openness(wave, fps)):
        image = np.full((height, width, 3), look.wall, dtype=np.uint8)
        sway = np.sin(2 * np.pi * 0.3 * number / fps)
        draw_face(image, width * (0.5 + 0.01 * sway), height * 0.5, height * 0.24, float(mouth), look)
        yield image
