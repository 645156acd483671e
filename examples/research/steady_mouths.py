"""Measure mouths that stay still for long and mouths that twitch, in outputs and in the videos that they are made from.

    python -m examples.research.steady_mouths results/made/default --cache results/cache

Takes outputs of `w2l sync` with their records, as `strangers.py` and `resync_grid.py` make them, and prints a Markdown
table: the share of frames in which the lips stay where they are for `HELD_S` or longer, the longest such time, and the
number of frames per second that differ from both neighbours more than these differ from each other, by the points of
the lips and by the picture of the mouth, and how fast the lips open and close: the distance between the inner lips
changes from frame to frame by at most that much in all but one of a hundred frames, percent of a side. Motion of the
head does not count. The real video shows what is natural.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from examples.research.outputs import face_finder, outputs_below, takes_outputs, video_of
from stages.log import set_up_logging
from w2l.core.arrays import Floats, Image
from w2l.core.errors import MediaError
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec, cut
from w2l.media.video import read_frames
from w2l.scoring.faces import MeasuredFace
from w2l.scoring.metrics.mouth import LipTracker

HELD_S = 0.3
"""Shortest time, in seconds, for which lips that do not move count as held."""
HELD = 0.4
"""Largest mean distance of their points from where they began, in percent of the side of the aligned crop."""
TWITCH_LIPS, TWITCH_PICTURE = 0.3, 0.5
"""Excess of a frame's distance from both neighbours over theirs from each other: percent of a side, grey levels."""
CROP, CELLS = CropSpec("aligned", 128), 4
"""Crop of the face, and pixels each way that are averaged."""
UPPER, LOWER = 3, 4
"""Points of the inner lips among the six of the lip reader."""
FAST = 99
"""Percentile of the changes of the gap that counts as fast."""
MOUTH = (slice(72, 120), slice(32, 96))
"""Rows and columns of the mouth in that crop."""


@dataclass(frozen=True)
class Traced:
    """The mouth of one video, frame by frame."""

    frame_idx: NDArray[np.int64]
    """(frames,): increasing."""
    points: Floats
    """(frames, points, 2): lips, in percent of the side of the crop."""
    pictures: Floats
    """(frames, rows, columns): brightness of the mouth."""
    fps: float


def held_times(traced: Traced) -> list[tuple[int, int]]:
    """Return the stretches (first, stop) during which the lips stay where they are, longest from each first frame."""
    found, first = [], 0
    while first < len(traced.points):
        stop = first + 1
        while stop < len(traced.points) and traced.frame_idx[stop] == traced.frame_idx[stop - 1] + 1:
            if np.linalg.norm(traced.points[stop] - traced.points[first], axis=-1).mean() > HELD:
                break
            stop += 1
        if (stop - first) / traced.fps >= HELD_S:
            found.append((first, stop))
            first = stop
        else:
            first += 1
    return found


def twitches(traced: Traced, values: Floats, least: float) -> int:
    """Return in how many frames `values` (frames, ...) differ from both neighbours by `least` more than these do."""

    def apart(one: Floats, other: Floats) -> Floats:
        away = np.linalg.norm(one - other, axis=-1) if values.shape[-1] == 2 else np.abs(one - other)
        return np.asarray(away.reshape(len(away), -1).mean(axis=1))

    if len(values) < 3:
        return 0
    before, here, after = values[:-2], values[1:-1], values[2:]
    excess = np.minimum(apart(here, before), apart(here, after)) - apart(before, after)
    return int((excess[traced.frame_idx[2:] - traced.frame_idx[:-2] == 2] > least).sum())


def gap_steps(traced: Traced) -> Floats:
    """Return by how much the gap between the lips changes from each frame to the next, percent of a side."""
    gaps = traced.points[:, LOWER, 1] - traced.points[:, UPPER, 1]
    return np.asarray(np.diff(gaps)[np.diff(traced.frame_idx) == 1])


def row_of(traced: Traced) -> dict[str, float]:
    """Return the columns of one video."""
    length_s = len(traced.frame_idx) / traced.fps
    steps = gap_steps(traced)
    held = [stop - first for first, stop in held_times(traced)]
    return {
        "held, share of frames": sum(held) / len(traced.frame_idx),
        "longest, s": max(held, default=0) / traced.fps,
        "twitches of lips per s": twitches(traced, traced.points, TWITCH_LIPS) / length_s,
        "twitches of picture per s": twitches(traced, traced.pictures, TWITCH_PICTURE) / length_s,
        "fast opening, %": float(np.percentile(steps, FAST)) if len(steps) else 0.0,
        "fast closing, %": -float(np.percentile(steps, 100 - FAST)) if len(steps) else 0.0,
    }


def trace(path: Path, scan: Scan) -> Traced:
    """Return the mouth in a video whose face is where `scan` has it; raise MediaError if no frame shows it."""
    face, lips = MeasuredFace(scan), LipTracker()
    frames: list[int] = []
    pictures: list[Image | Floats] = []
    for frame in read_frames(path):
        if (place := face.at(frame.idx)) is not None:
            lips.add(frame.image, *place)
            grey = cut(frame.image, *place, CROP).astype(np.float32).mean(axis=-1)[MOUTH]
            pictures.append(cv2.resize(grey, None, fx=1 / CELLS, fy=1 / CELLS, interpolation=cv2.INTER_AREA))
            frames.append(frame.idx)
    if not frames:
        raise MediaError(f"{path} shows no face")
    points = 100 * lips.finish()[1]
    return Traced(np.array(frames, dtype=np.int64), points, np.stack(pictures).astype(np.float64), scan.fps)


def measured(outputs: Sequence[Path], scan_of: Callable[[Path], Scan]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield video, system and columns of each output and of its real video."""
    for output in outputs:
        video = video_of(output)
        scan = scan_of(video)
        for name, path in (("output", output), ("real", video)):
            yield f"{video.parent.name}/{video.stem}", name, row_of(trace(path, scan))


def table(rows: Sequence[tuple[str, str, dict[str, float]]]) -> str:
    """Return a Markdown table of all rows, and the means of outputs and real videos."""
    names = list(rows[0][2])
    lines = [f"| video | | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    lines += [f"| {video} | {kind} | {' | '.join(f'{row[name]:.2f}' for name in names)} |" for video, kind, row in rows]
    for kind in ("output", "real"):
        means = (float(np.mean([row[name] for _, each, row in rows if each == kind])) for name in names)
        lines.append(f"| mean | {kind} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@takes_outputs
def main(folders: tuple[Path, ...], cache_root: Path, device: str) -> None:
    """Measure all outputs below the folders and print the table."""
    set_up_logging(0)
    click.echo(table(list(measured(outputs_below(folders), face_finder(cache_root, device)))))


if __name__ == "__main__":
    main()
