"""Find the video and audio encoders that work on this machine."""

from dataclasses import replace
from fractions import Fraction
from typing import get_args

import av

from w2l.media.encoders import CHROMAS, HARDWARE, SOFTWARE, VideoShape, opens, rgb_colour
from w2l.media.encoding import Codec, Encoding
from w2l.media.soundtrack import BIT_RATES

TRIED = VideoShape(640, 360, Fraction(25), Fraction(1, 25))
"""Shape of the pictures for trying encoders; hardware rejects much smaller ones."""


def working_encoders() -> dict[Codec, tuple[str, ...]]:
    """Return codec -> encoders that open, hardware first. No picture is encoded."""
    found: dict[Codec, tuple[str, ...]] = {}
    for codec in get_args(Codec):
        encoding, colour = Encoding(codec), replace(rgb_colour(TRIED.height), chroma=CHROMAS[codec][0])
        names = [*(f"{codec}_{kind}" for kind in HARDWARE), SOFTWARE[codec]]
        found[codec] = tuple(name for name in names if opens(name, encoding, TRIED, colour))
    return found


def sound_encoders() -> dict[str, bool]:
    """Return audio encoder -> whether this build of PyAV includes it."""
    return {name: name in av.codecs_available for name in BIT_RATES}
