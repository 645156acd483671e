"""Make clips of drawn talking faces, each with its own appearance and voice: a data set to try the commands on.

python examples/make_puppets.py FOLDER [COUNT]
"""

import sys
from pathlib import Path

import numpy as np

from w2l.data.puppets import Puppet, Rgb, babble, talk
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

SECONDS = 3.0


def main(folder: Path, count: int) -> None:
    """Write ``puppet000.mp4``, ``puppet001.mp4``, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        tone = rng.uniform(0.35, 1.0)
        skin = (int(235 * tone), int(190 * tone), int(160 * tone))
        hair, lips, wall = (_colour(rng, low, high) for low, high in ((10, 120), (60, 110), (20, 230)))
        look = Puppet(skin, hair, (lips[0] + 90, lips[1], lips[2]), wall)
        wave = babble(SECONDS, seed=1000 + number)
        speech = folder / f".puppet{number:03d}.wav"
        write_wav(speech, wave)
        with VideoWriter(Output(folder / f"puppet{number:03d}.mp4", 320, 240, 25.0, speech=speech)) as writer:
            for image in talk(wave, puppet=look):
                writer.write(image)
        speech.unlink()


def _colour(rng: np.random.Generator, low: int, high: int) -> Rgb:
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
