"""Make a drawn talking face and a different speech, lip-sync the face to the speech and score the result.

python examples/quickstart.py [FOLDER]
"""

import sys
from pathlib import Path

import w2l
from w2l.data.puppets import babble, talk
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter


def main(folder: Path) -> None:
    """Write face.mp4, speech.wav and synced.mp4 to `folder` and print the score of synced.mp4."""
    folder.mkdir(parents=True, exist_ok=True)
    own, other = babble(4.0, seed=1), babble(4.0, seed=2)
    write_wav(folder / "own.wav", own)
    write_wav(folder / "speech.wav", other)
    with VideoWriter(Output(folder / "face.mp4", 320, 240, 25.0, speech=folder / "own.wav")) as writer:
        for image in talk(own):
            writer.write(image)
    cache = folder / "cache"
    w2l.sync(folder / "face.mp4", folder / "speech.wav", folder / "synced.mp4", overwrite=True, cache=cache)
    print(w2l.score(folder / "synced.mp4", cache=cache))
    print(
        "The judge was not trained on drawn faces, so this score means little: watch the video, and score real faces."
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out"))
