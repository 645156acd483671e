"""Compare the mouths of outputs with the mouths that really spoke their speech.

    python -m examples.research.speech_mouths results/generator-*/shuffled --cache results/cache

For outputs whose speech is the sound of a video, as `resync_grid.py` makes them. Needs no judge: prints the correlation
of the lip aperture, frame by frame, between the output and the video of the speech, beside that of the source video,
which is chance for these sentences. Pairs of one person and of two are separate rows; people are folders.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from examples.research.outputs import RECORD, face_finder, outputs_below, takes_outputs
from stages.log import set_up_logging
from w2l.core.arrays import Floats
from w2l.core.errors import MediaError
from w2l.core.timing import FPS
from w2l.faces.tracker import Scan
from w2l.features.aperture import correlation
from w2l.media.video import read_frames
from w2l.scoring.faces import MeasuredFace
from w2l.scoring.metrics.mouth import LipTracker


@dataclass(frozen=True)
class Pair:
    """One output, and correlations of apertures with the video of its speech; None where there is none."""

    output: Path
    is_one_person: bool
    made: float | None
    source: float | None


def apertures(path: Path, scan: Scan) -> dict[int, float]:
    """Return the aperture, in eye distances, by frame of the video at `path`, whose face is where `scan` has it."""
    face, lips, frames = MeasuredFace(scan), LipTracker(), []
    for frame in read_frames(path):
        if (place := face.at(frame.idx)) is not None:
            lips.add(frame.image, *place)
            frames.append(frame.idx)
    return dict(zip(frames, lips.finish()[0].tolist()))


def agreement(one: dict[int, float], other: dict[int, float]) -> float | None:
    """Return the correlation of two apertures over the frames that both have."""
    common = sorted(one.keys() & other.keys())
    return correlation(*(np.array([values[idx] for idx in common]) for values in (one, other)))


def pairs(outputs: list[Path], scan_of: Callable[[Path], Scan]) -> Iterator[Pair]:
    """Measure the outputs; raises MediaError if one has no record, or if its videos are not at 25 fps."""
    real: dict[Path, dict[int, float]] = {}
    for output in outputs:
        record = output.with_suffix(RECORD)
        if not record.is_file():
            raise MediaError(f"{output} does not have a record {record.name}; give outputs of `w2l sync`")
        video, speech = (Path(json.loads(record.read_text(encoding="utf-8"))[key]) for key in ("video", "speech"))
        for path in (video, speech):
            if path not in real:
                scan = scan_of(path)
                if abs(scan.fps - FPS) > 0.01:
                    raise MediaError(f"{path} has {scan.fps:g} fps; frames are compared one by one at {FPS:g} fps")
                real[path] = apertures(path, scan)
        made = apertures(output, scan_of(video))
        yield Pair(
            output, video.parent == speech.parent, agreement(made, real[speech]), agreement(real[video], real[speech])
        )


def table(found: list[Pair]) -> str:
    """Return the means as Markdown, with half of the 95 % interval."""

    def cell(values: list[float | None]) -> str:
        known: Floats = np.array([value for value in values if value is not None])
        if len(known) < 2:
            return "-"
        return f"{known.mean():.2f} ±{1.96 * known.std(ddof=1) / np.sqrt(len(known)):.2f}"

    lines = ["| video and speech of | outputs | aperture r, output | aperture r, source video |", "|---|---|---|---|"]
    for name, is_one in (("one person", True), ("two people", False)):
        rows = [pair for pair in found if pair.is_one_person == is_one]
        made, source = cell([pair.made for pair in rows]), cell([pair.source for pair in rows])
        lines.append(f"| {name} | {len(rows)} | {made} | {source} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@takes_outputs
def main(folders: tuple[Path, ...], cache_root: Path, device: str) -> None:
    """Measure all outputs below the folders; print the table, and every pair of two people."""
    set_up_logging(0)
    found = list(pairs(outputs_below(folders), face_finder(cache_root, device)))
    click.echo(table(found))
    for pair in found:
        if not pair.is_one_person:
            click.echo(
                f"{pair.output.parent.name}/{pair.output.stem}: {pair.made:.2f}, source {pair.source:.2f}", err=True
            )


if __name__ == "__main__":
    main()
