"""Videos made on the spot in any codec and pixel format, whose frames say which one they are."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from w2l.core.arrays import Image

SIZE = (96, 128)
"""(height, width) of the pictures, pixels."""
N_BITS = 10
TICK = Fraction(1, 1000)


def numbered_image(idx: int, size: tuple[int, int] = SIZE) -> Image:
    """A coloured picture (height, width, 3) with `idx` in binary as ten bars, and something that moves."""
    image = np.empty((*size, 3), np.uint8)
    image[:] = (60, 80, 110)
    for bit in range(N_BITS):
        if idx >> bit & 1:
            image[20:60, 8 + 11 * bit : 16 + 11 * bit] = (250, 200, 240)
    left = idx * 3 % 100
    image[70:90, left : left + 20] = (20, 180, 60)
    return image


def number_of(image: Image) -> int:
    """The index that a picture of `numbered_image` shows."""
    return sum(int(image[25:55, 10 + 11 * bit : 14 + 11 * bit].mean() > 150) << bit for bit in range(N_BITS))


def make_coded(
    path: Path,
    n_frames: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    *,
    size: tuple[int, int] = SIZE,
    times_s: Sequence[float] | None = None,
    fps: int = 25,
    colour: tuple[int, int, int, int] | None = None,
    pixel_aspect: Fraction | None = None,
    container_format: str | None = None,
) -> Path:
    """Write numbered pictures; `colour` holds the code points of primaries, transfer, matrix and range."""
    with av.open(str(path), "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        (stream.height, stream.width), stream.pix_fmt = size, pix_fmt
        context = stream.codec_context
        if times_s is not None:
            context.time_base = TICK
        if "interlaced" in str(options):
            context.flags |= av.codec.context.Flags.interlaced_dct
        if colour is not None:
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = colour
        if pixel_aspect is not None:
            context.sample_aspect_ratio = pixel_aspect
        for idx in range(n_frames):
            frame = av.VideoFrame.from_ndarray(numbered_image(idx, size), format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(times_s[idx] / TICK), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
