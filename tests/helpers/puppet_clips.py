"""Clips of talking puppets for the tests of preprocess at scale, and the ways in which the files of a dataset break."""

import shutil
from pathlib import Path

import numpy as np

from w2l.data.puppets import Puppet, babble, talk
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

FPS = 25
WIDTH, HEIGHT = 200, 160
N_FRAMES = 35
"""Frames of a whole clip."""
ODD_NAME = 'it\'s a "good"\none; $x'
PUPPETS = (Puppet(), Puppet(skin=(140, 96, 72), hair=(20, 16, 14), lips=(120, 50, 60), wall=(120, 120, 90)))


def make_clip(
    path: Path, seed: int = 0, seconds: float = N_FRAMES / FPS, sound: bool = True, face: bool = True
) -> Path:
    """A clip of a puppet that talks; without a sound stream, or of the wall alone, where asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = babble(seconds, seed)
    puppet = PUPPETS[seed % len(PUPPETS)]
    speech = path.with_name(f".{seed}.wav")
    write_wav(speech, wave)
    with VideoWriter(Output(path, WIDTH, HEIGHT, FPS, speech=speech if sound else None)) as writer:
        for image in talk(wave, FPS, WIDTH, HEIGHT, puppet):
            writer.write(image if face else np.full_like(image, puppet.wall))
    speech.unlink()
    return path


def make_dataset(folder: Path, n_clips: int, seed: int = 0) -> dict[str, str]:
    """A folder of `n_clips` clips, of which some are broken: name -> what is wrong with it, "" for a good one.

    Of the clips 10 % are cut short anywhere, 5 % have no sound, 5 % no face, 2 % no bytes, and at least one is each of
    it; one is a text, one has a name with quotes and a line break and is good, and one has such a name and is broken.
    """
    rng = np.random.default_rng(seed)
    good = [make_clip(folder.parent / "made" / f"{number}.mp4", number) for number in range(2)]
    mute = make_clip(folder.parent / "made" / "mute.mp4", 2, sound=False)
    wall = make_clip(folder.parent / "made" / "wall.mp4", 3, face=False)
    folder.mkdir()
    shares = {"cut": 0.1, "mute": 0.05, "wall": 0.05, "zero": 0.02}
    kinds = [kind for kind, share in shares.items() for _ in range(max(1, round(share * n_clips)))]
    kinds += ["text", "odd", "odd zero"]
    kinds += ["good"] * (n_clips - len(kinds))
    wrong = {}
    for number, kind in enumerate(rng.permutation(kinds)):
        stem = f"{ODD_NAME} {kind}" if kind.startswith("odd") else f"{number:03d}-{kind}"
        path = folder / f"{stem}.mp4"
        whole = good[number % len(good)].read_bytes()
        if kind in ("good", "odd"):
            path.write_bytes(whole)
        elif kind == "cut":
            path.write_bytes(whole[: int(rng.uniform(0.02, 0.98) * len(whole))])
        elif kind == "text":
            path.write_text("no video\n" * 200)
        elif kind.endswith("zero"):
            path.write_bytes(b"")
        else:
            shutil.copy(mute if kind == "mute" else wall, path)
        wrong[stem] = "" if kind in ("good", "odd") else kind.removeprefix("odd ")
    return wrong
