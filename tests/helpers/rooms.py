"""Made films of rooms with faces, and a detector that knows them, for tests of preprocess."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.data.puppets import Puppet, babble, draw_face, openness
from w2l.faces.detectors.base import Detection
from w2l.features.crop import CropSpec
from w2l.media.audio import write_wav
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

Face = tuple[float, float, float]
"""Middle of a face, x and y, and its half width, in pixels."""
TWO: tuple[Face, ...] = ((80.0, 90.0, 44.0), (240.0, 90.0, 44.0))
ONE: tuple[Face, ...] = ((160.0, 90.0, 48.0),)
ROOMS = {150: TWO, 60: ONE}
"""Brightness of the wall -> who is in the room."""
SPEC = CropSpec(smooth_s=0.0)


class Usher:
    """Knows who is in which room by the wall in the picture's corner, and counts the pictures."""

    name = fingerprint = "usher"

    def __init__(self) -> None:
        self.n_shown = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.n_shown += len(images)
        return [[self._face(*face) for face in self._room(image)] for image in images]

    @staticmethod
    def _room(image: Image) -> tuple[Face, ...]:
        wall = float(image[:8, :8].mean())
        return next((faces for level, faces in ROOMS.items() if abs(wall - level) < 20), ())

    @staticmethod
    def _face(x: float, y: float, half: float) -> Detection:
        points = draw_face(np.zeros((4, 4, 3), np.uint8), x, y, half)
        return Detection(np.array([x - 0.8 * half, y - 0.9 * half, x + 0.8 * half, y + 1.1 * half]), 0.99, points)


def make_film(path: Path, rooms: Sequence[tuple[int, int]], fps: float = 25.0) -> NDArray[np.float32]:
    """A video of rooms (wall, frames); the first face in each talks, others keep still. Gives the sound."""
    n_frames = sum(count for _, count in rooms)
    wave = babble(n_frames / fps, seed=1)
    write_wav(path.with_suffix(".wav"), wave)
    mouths = openness(wave, fps).tolist()
    speech = path.with_suffix(".wav")
    with VideoWriter(Output(path, 320, 180, fps, speech=speech, encoding=Encoding(crf=10))) as writer:
        idx = 0
        for wall, count in rooms:
            for _ in range(count):
                image = np.full((180, 320, 3), wall, np.uint8)
                for place, (x, y, half) in enumerate(ROOMS.get(wall, ())):
                    puppet = Puppet(wall=(wall,) * 3, skin=(215 - 40 * place, 170, 145))
                    draw_face(image, x, y, half, mouths[min(idx, len(mouths) - 1)] if place == 0 else 0.2, puppet)
                writer.write(image)
                idx += 1
    speech.unlink()
    return wave
