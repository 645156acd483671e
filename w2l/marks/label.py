"""The visible label: a short text on a dark plate in a corner of the picture."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from w2l.core.arrays import Canvas, Floats
from w2l.core.errors import ConfigError
from w2l.marks.settings import Place

HEIGHT = 0.045
"""Height of the plate, as a share of the picture's shorter side."""
LEAST_HEIGHT = 14
"""Pixels below which letters cannot be read."""
WIDEST = 0.9
"""Most of the picture's width that the plate takes."""
PLATE = 0.65
"""How much of the picture the plate hides."""
FONT_SIZE = 0.62
"""Size of the letters as a share of the plate's height."""


@dataclass(frozen=True, eq=False)
class Label:
    """A label as it is painted into every picture."""

    rows: slice
    columns: slice
    patch: Floats
    """(rows, columns, 3) RGB 0..255: white letters on black."""
    weight: Floats
    """(rows, columns) How much of the patch shows."""

    def painted(self, picture: Canvas) -> Canvas:
        """Return a copy of a picture with the label."""
        return picture.painted(self.rows, self.columns, self.patch, self.weight)


def make_label(text: str, place: Place, width: int, height: int) -> Label:
    """Return the label for pictures of that size; ConfigError for characters that the font does not have."""
    letters: Floats = _letters(text, max(LEAST_HEIGHT, round(HEIGHT * min(width, height))))
    most = max(1, int(WIDEST * width))
    if letters.shape[1] > most:
        size = (most, max(1, round(letters.shape[0] * most / letters.shape[1])))
        letters = np.asarray(cv2.resize(letters, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    letters = letters[:height]
    rows, columns = letters.shape
    gap = min(rows // 2, height - rows, width - columns)
    top = gap if place.startswith("top") else height - rows - gap
    left = gap if place.endswith("left") else width - columns - gap
    patch = np.repeat(letters[..., None] * 255, 3, axis=2).astype(np.float32)
    weight = np.maximum(letters, PLATE).astype(np.float32)
    return Label(slice(top, top + rows), slice(left, left + columns), patch, weight)


def _letters(text: str, height: int) -> Floats:
    """Return how much of each pixel of a plate is covered by letters, (height, columns), 0..1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = FontProperties(family="DejaVu Sans")
    missing = [letter for letter in text if not get_font(findfont(font)).get_char_index(ord(letter))]
    if missing:
        raise ConfigError(f"--label has characters that the font does not have: {' '.join(missing)}; use others")
    dpi = 72
    figure = Figure(figsize=(max(1, len(text)) * height / dpi, height / dpi), dpi=dpi, facecolor="black")
    canvas: Any = FigureCanvasAgg(figure)
    figure.text(0, 0.5, text, color="white", fontsize=FONT_SIZE * height, font=font, va="center_baseline",
                parse_math=False)  # fmt: skip
    canvas.draw()
    seen = np.asarray(canvas.buffer_rgba())[..., 0].astype(np.float32) / 255
    used = np.flatnonzero(seen.any(axis=0))
    inner = seen[:, : int(used[-1]) + 1 if len(used) else 1]
    return np.pad(inner, ((0, 0), (height // 3, height // 3)))
