"""Measure how much detail outputs of `w2l sync` show on lips and chin, relative to the videos that they are made from.

    python -m examples.research.detail results/made/default --cache results/cache

Takes outputs with their records, as `strangers.py` and `resync_grid.py` make them, and prints a Markdown table. Detail
is the standard deviation of brightness in two bands, finer than one pixel of a crop as large as the face, and from one
to `COARSE` pixels, over all frames of an output and of its video; 1 is as much as in the video. Mouths differ, so that
only means over many frames can be compared.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from examples.research.outputs import face_finder, outputs_below, takes_outputs, video_of
from stages.log import set_up_logging
from w2l.core.errors import MediaError
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec, FineCrop, cut, side_in_frame
from w2l.media.video import read_frames
from w2l.scoring.faces import MeasuredFace

FINE, COARSE = 1.0, 2.5
"""Standard deviations, in pixels of the crop, of the Gaussians that separate the bands."""
MOST_SIDE = 480
"""Largest crop in pixels; larger faces are averaged down, and their finest detail does not count."""
PARTS = {"lips": ((0.5, 0.70), (0.17, 0.09)), "chin": ((0.5, 0.86), (0.2, 0.06))}
"""Centre and half-axes of an ellipse, in sides of the aligned crop."""


def bands_of(crop: NDArray[np.uint8]) -> list[float]:
    """Return the mean squares of both bands on lips, then on the chin, of an aligned crop (size, size, 3)."""
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth, smoother = (cv2.GaussianBlur(luma, (0, 0), sigma) for sigma in (FINE, COARSE))
    y, x = (np.mgrid[: len(crop), : len(crop)] + 0.5) / len(crop)
    inside = [((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1 for (cx, cy), (rx, ry) in PARTS.values()]
    return [float((band[part] ** 2).mean()) for part in inside for band in (luma - smooth, smooth - smoother)]


def detail_of(path: Path, scan: Scan) -> NDArray[np.float64]:
    """Return the detail of a video whose face is where `scan` has it: (4,), grey levels; see `bands_of`.

    Raise MediaError if no frame shows the face.
    """
    face = MeasuredFace(scan)
    found = []
    for frame in read_frames(path):
        if (place := face.at(frame.idx)) is not None:
            side = side_in_frame(place[0][None], place[1][None], CropSpec())[0]
            side = int(side / math.ceil(side / MOST_SIDE))
            found.append(bands_of(cut(frame.image, *place, FineCrop("aligned", max(32, side // 2 * 2)))))
    if not found:
        raise MediaError(f"{path} shows no face")
    return np.sqrt(np.mean(found, axis=0))


def measured(outputs: Sequence[Path], scan_of: Callable[[Path], Scan]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the video and the detail, relative to the video's, of each output."""
    for output in outputs:
        video = video_of(output)
        scan = scan_of(video)
        yield f"{video.parent.name}/{video.stem}", detail_of(output, scan) / detail_of(video, scan)


def table(rows: Sequence[tuple[str, NDArray[np.float64]]]) -> str:
    """Return a Markdown table of all rows and their mean."""
    names = [f"{part}, {band}" for part in PARTS for band in ("finest", "coarser")]
    rows = [*rows, ("mean", np.mean([row for _, row in rows], axis=0))]
    head = [f"| video | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    return "\n".join([*head, *(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |" for name, row in rows)])


@click.command(help=__doc__)
@takes_outputs
def main(folders: tuple[Path, ...], cache_root: Path, device: str) -> None:
    """Measure all outputs below the folders and print the table."""
    set_up_logging(0)
    click.echo(table(list(measured(outputs_below(folders), face_finder(cache_root, device)))))


if __name__ == "__main__":
    main()
