"""detect: find the faces of one video, store them in the cache and draw them on request."""

from dataclasses import asdict
from pathlib import Path

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.api.detect import detect
from w2l.core.text import counted
from w2l.faces.detect import STAGE, DetectResult


@click.command(STAGE)
@click.argument("video", type=FILE)
@click.option("--preview", type=FILE, help="Draw the faces: .png (a contact sheet) or .mp4.")
@click.option("-y", "--overwrite", is_flag=True, help="Replace an existing preview.")
@click.option("--fps", type=click.FloatRange(1, 1000), help="Rate of a sequence of pictures.  [25]")
@click.option("--force", is_flag=True, help="Detect again, ignoring the cache.")
@common_options
def command(video: Path, preview: Path | None, overwrite: bool, fps: float | None, force: bool, common: Common) -> None:
    """Detect the faces in VIDEO and store their boxes in the cache, where sync reads them.

    VIDEO may be pictures: seq/f%04d.png, 'seq/*.png' (quoted) or their folder.
    Prints one line per face and shot; its number is the N of `w2l sync --face N`.

    \b
    w2l detect in.mp4 --preview faces.png
    w2l detect in.mp4 --set min_face=20 --set detector=yunet:yunet.onnx
    """
    result = detect(video, preview=preview, overwrite=overwrite, force=force, fps=fps, **common.given())
    common.show(asdict(result), _summary(result))


def _summary(result: DetectResult) -> str:
    known = "" if result.fresh else " (cached)"
    lines = [
        f"{result.video}: {counted(result.tracks, 'face track')} in {result.frames_with_face} of "
        f"{counted(result.frames, 'frame')}, {counted(len(result.cuts), 'cut')}{known}",
        *(f"face {number}: {seen.words}, score {seen.score:.2f}" for number, seen in enumerate(result.seen)),
        f"boxes: {result.faces}",
    ]
    return "\n".join(lines + ([f"preview: {result.preview}"] if result.preview else []))
