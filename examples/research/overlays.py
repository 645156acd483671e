"""Measure what becomes of things in front of a face: how many frames pass, and what is copied from one to the other.

    python -m examples.research.overlays VIDEO SPEECH FOLDER --seconds 3

Things are drawn over chin or mouth into a part of the video (or into all of it, `--part 1`), and it is synced with each
`--reference`. Copied: pixels of an output, in frames that the thing is not in, that have its colour and are not like
the output of the video without it. Touched: share of the thing's own pixels that the output changes by more than
`TOUCHED` grey levels, in the frames that it is in. Frames are written to FOLDER to be looked at.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import click
import cv2
import numpy as np

import w2l
from w2l.cache.store import Cache
from w2l.core.arrays import Floats, Image
from w2l.faces.detectors.factory import make_detector
from w2l.media.video import read_frames

COLOURS = {
    "subtitle": (250, 230, 40), "lower third": (30, 60, 190), "hand": (40, 120, 215), "cup": (40, 170, 70),
    "mask": (150, 195, 220),
}  # fmt: skip
"""What is drawn, and its colour: none is that of a face. The hand wears a glove."""
ALIKE = 45
"""Grey levels within which a pixel has the colour of the thing, in each channel."""
UNLIKE = 60
"""Grey levels by which it must differ from the output of the clean video, in one channel at least."""
TOUCHED = 24
SHOWN_FRAMES = 3
"""Frames of each output that are written, spread evenly."""


def draw(image: Image, kind: str, mouth: Floats, eyes_px: float) -> Image:
    """Return a frame with the thing over the chin or mouth at `mouth` (x, y), of a face with eyes so far apart."""
    made, colour = image.copy(), COLOURS[kind]

    def at(right: float, down: float) -> tuple[int, int]:
        return round(mouth[0] + right * eyes_px), round(mouth[1] + down * eyes_px)

    if kind == "subtitle":
        size = eyes_px / 75
        for ink, thick in (((0, 0, 0), 6), (colour, 3)):
            width = max(1, round(thick * size))
            cv2.putText(made, "what I said then", at(-2, 0.75), cv2.FONT_HERSHEY_SIMPLEX, size, ink, width, cv2.LINE_AA)
    elif kind == "lower third":
        made[at(0, 0.45)[1] : at(0, 1.15)[1]] = colour
    elif kind == "hand":
        for finger in range(4):
            for radius in ((0.19, 0.6), (0.16, 0.56)):
                shade = tuple(round(level * (0.7 if radius[0] > 0.18 else 1)) for level in colour)
                axes = (round(radius[0] * eyes_px), round(radius[1] * eyes_px))
                cv2.ellipse(made, at(-0.6 + 0.34 * finger, 0.25 - 0.06 * finger), axes, 20, 0, 360, shade, -1)
    elif kind == "cup":
        cv2.rectangle(made, at(-0.4, -0.25), at(0.4, 1.3), colour, -1)
    else:
        outline = [at(-1.1, -0.6), at(0, -0.75), at(1.1, -0.6), at(0.9, 0.7), at(0, 1.2), at(-0.9, 0.7)]
        cv2.fillPoly(made, [np.array(outline)], colour)
    return made


def write(path: Path, images: Sequence[Image], fps: float) -> None:
    """Write frames as a video, nearly without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(fps), options={"crf": "8"})
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def has_colour(images: Image, kind: str) -> Image:
    """Return where pictures (frames, height, width, 3) have the colour of a thing."""
    return np.asarray(np.abs(images.astype(np.int16) - COLOURS[kind]).max(axis=-1) < ALIKE)


def measure(kind: str, hidden: range, shown: Image, made: Image, clean: Image) -> tuple[int, float]:
    """Return the pixels copied, and the share of the thing's own pixels that were touched.

    `shown`, `made`, `clean`: (frames, height, width, 3): with the thing, synced, and synced without it.
    """
    others = np.setdiff1d(np.arange(len(made)), hidden)
    unlike = np.abs(made[others].astype(np.int16) - clean[others]).max(axis=-1) > UNLIKE
    own = has_colour(shown[hidden.start : hidden.stop], kind)
    away = np.abs(made[hidden.start : hidden.stop].astype(np.int16) - shown[hidden.start : hidden.stop]).max(axis=-1)
    return int((has_colour(made[others], kind) & unlike).sum()), float((away[own] > TOUCHED).mean())


def pictures(path: Path, most: int) -> Image:
    """Return the first frames of a video, (frames, height, width, 3)."""
    return np.stack([frame.image for frame, _ in zip(read_frames(path), range(most))])


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.argument("speech", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seconds", default=3.0)
@click.option("--part", default=0.25, help="Share of the frames with the thing in them.")
@click.option("--reference", "references", multiple=True, default=("memory", "closed", "same", "0.2"))
@click.option("--model", default="w2l")
def main(
    video: Path, speech: Path, folder: Path, seconds: float, part: float, references: Sequence[str], model: str
) -> None:
    """Print a line for each thing and reference."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = [frame for frame in read_frames(video) if frame.time_s < seconds]
    fps, images = (len(frames) - 1) / (frames[-1].time_s - frames[0].time_s), [frame.image for frame in frames]
    detector = make_detector("auto", "cpu", 40, Cache.open(folder / "cache", create=True).models)
    face = max((found for found in detector.detect([images[0]])[0]), key=lambda found: float(np.ptp(found.box)))
    mouth, eyes_px = face.points[3:].mean(axis=0), float(np.hypot(*(face.points[1] - face.points[0])))
    first = len(images) // 5 if part < 1 else 0
    hidden = range(first, first + round(part * len(images)))

    def synced(name: str, reference: str) -> tuple[Image, dict[str, int]]:
        output = folder / f"{name}-{reference}-made.mp4"
        done = w2l.sync(
            folder / f"{name}.mp4", speech, output, model=model, reference=reference, fit="video", crf=8,
            mark="off", i_disclose_otherwise=True, cache=folder / "cache", overwrite=True,
        )  # fmt: skip
        return pictures(output, len(images)), done.frames_passed_through

    write(folder / "clean.mp4", images, fps)
    clean = {reference: synced("clean", reference) for reference in references}
    click.echo(f"{len(images)} frames, the thing in {len(hidden)} of them; clean: {[clean[one][1] for one in clean]}")
    for kind in COLOURS:
        covered = [draw(image, kind, mouth, eyes_px) if k in hidden else image for k, image in enumerate(images)]
        write(folder / f"{kind}.mp4", covered, fps)
        shown = pictures(folder / f"{kind}.mp4", len(images))
        for reference in references:
            made, passed = synced(kind, reference)
            n_copied, touched = measure(kind, hidden, shown, made, clean[reference][0])
            click.echo(f"{kind:12s} {reference:7s} copied {n_copied:6d} px, touched {touched:6.2%}, passed {passed}")
            for k in np.linspace(hidden.start, len(images) - 1, SHOWN_FRAMES).astype(int):
                side_by_side = np.hstack([shown[k], made[k]])[..., ::-1]
                cv2.imwrite(str(folder / f"{kind}-{reference}-{k}.png"), side_by_side)


if __name__ == "__main__":
    main()
