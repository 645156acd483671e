r"""Label mouths with the face mesh: position of the lips, gap, width, and whether teeth show.

    python -m examples.research.mesh_labels OUT.npz --mesh face_landmark.tflite --portraits portraits/ \
        --grid grid/ --cache CACHE [--list train.txt] [--frames 12]

CACHE contains the detections of the clips in GRID (`w2l preprocess`). Of each clip at most --frames pictures are
labelled; of speakers with few clips, more. Every mouth is stored as an aligned crop of 96 px with a margin of 16 px, so
that training can move it, with its person, its six points and its gap as `w2l.nets.lips` defines them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from examples.research.mesh import INNER, Mesh, lips_of
from examples.research.teeth import teeth_state
from w2l.cache.store import Cache
from w2l.core.arrays import Floats, Image
from w2l.core.files import write_arrays
from w2l.data.prepare.samples import find_pieces
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.faces.scan import DetectSettings, scan_clip
from w2l.features.crop import alignment
from w2l.media.video import read_frames

SIDE, MARGIN = 96, 16
"""Side of an aligned crop, and the margin around it that is also stored, in pixels."""
SMOOTH_S, LONGEST_S = 0.12, 20.0
"""Settings of cropping, as in `w2l preprocess`."""
LEAST_FACE = 0.5
"""Least score of the mesh."""
MOST_YAW = 40.0
"""Yaw of the head in degrees beyond which a mouth is not labelled."""
FEW_CLIPS = 100
"""Speakers with fewer clips provide more pictures of each."""


@dataclass(frozen=True)
class Labelled:
    """One mouth with its labels by the mesh."""

    patch: Image
    """(128, 128, 3): the aligned crop with its margin."""
    points: Floats
    """(6, 2): x, y in pixels of the aligned crop."""
    gap: float
    """Gap between the lips, mean over the middle third of the mouth, in pixels of the aligned crop."""
    teeth: float
    """1 if teeth show, 0 if not, nan if uncertain."""
    person: str
    name: str


def label(mesh: Mesh, image: Image, box: Floats, points: Floats, person: str, name: str) -> Labelled | None:
    """Return the labelled mouth of the face with `box` and five `points`; None if the mesh is not confident."""
    found, score = mesh.place(image, box, points)
    if score < LEAST_FACE:
        return None
    matrix = alignment(points, SIDE)
    in_crop = found @ matrix[:, :2].T + matrix[:, 2]
    lips, gap = lips_of(in_crop)
    shifted = matrix.copy()
    shifted[:, 2] += MARGIN
    return Labelled(cut_patch(image, shifted), lips, gap, teeth_state(image, found[list(INNER)], found), person, name)


def cut_patch(image: Image, matrix: Floats) -> Image:
    """Return the crop (128, 128, 3) that `matrix` (2, 3) maps there, averaged if the picture is much finer."""
    side, scale = SIDE + 2 * MARGIN, float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.7:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.35 / scale), dtype=np.uint8)
    how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), **how), dtype=np.uint8)  # type: ignore[call-overload]


def portraits(mesh: Mesh, detector: Detector, folder: Path) -> Iterator[Labelled]:
    """Label the largest face of every portrait."""
    for path in sorted(folder.glob("*/*.jpg")):
        image = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
        faces = detector.detect([image])[0]
        if not faces:
            continue
        face = max(faces, key=lambda each: float(np.prod(each.box[2:] - each.box[:2])))
        person = f"{path.parent.name}/{path.stem.split('-')[0]}"
        done = label(mesh, image, face.box, face.points, person, f"{path.parent.name}/{path.stem}")
        if done is not None:
            yield done


def clips(
    mesh: Mesh, detector: Detector, folder: Path, cache: Cache, names: list[str], most: int
) -> Iterator[Labelled]:
    """Label evenly spread frames of clips, from the cached detections."""
    n_clips = Counter(name.split("/")[0] for name in names)
    for name in names:
        path, speaker = folder / f"{name}.mkv", name.split("/")[0]
        scan, _ = scan_clip(cache.clip(name), path, detector, DetectSettings())
        pieces, _ = find_pieces(scan, SMOOTH_S, LONGEST_S, scan.n_frames)
        if not pieces:
            continue
        piece = max(pieces, key=len)
        count = most if n_clips[speaker] > FEW_CLIPS else 5 * most
        wanted = {
            int(piece.source_idx[k]): k for k in np.linspace(0, len(piece) - 1, min(count, len(piece))).astype(int)
        }
        for idx, frame in enumerate(read_frames(path)):
            if idx in wanted:
                k = wanted[idx]
                done = label(mesh, frame.image, piece.boxes[k], piece.points[k], speaker, f"{name}/{idx}")
                if done is not None:
                    yield done


def save(path: Path, mouths: list[Labelled]) -> None:
    """Write all mouths as arrays."""
    columns = {key: np.array([getattr(mouth, key) for mouth in mouths]) for key in Labelled.__annotations__}
    write_arrays(path, columns)


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--mesh", "model", required=True, type=click.Path(path_type=Path), help="face_landmark.tflite")
@click.option("--portraits", "faces", type=click.Path(path_type=Path), help="Folder of folders of portraits.")
@click.option("--grid", type=click.Path(path_type=Path), help="Folder of the clips.")
@click.option("--cache", "root", type=click.Path(path_type=Path), help="Cache that contains their detections.")
@click.option("--list", "lists", multiple=True, type=click.Path(path_type=Path), help="Clips, one per line.")
@click.option("--frames", default=12, show_default=True, help="Most pictures per clip.")
def main(
    out: Path,
    model: Path,
    faces: Path | None,
    grid: Path | None,
    root: Path | None,
    lists: tuple[Path, ...],
    frames: int,
) -> None:
    """Label portraits and clips, and write the file."""
    cv2.setNumThreads(1)
    mesh, detector, mouths = Mesh(model), make_detector("mtcnn"), list[Labelled]()
    if faces:
        mouths += portraits(mesh, detector, faces)
        click.echo(f"{len(mouths)} portraits")
    if grid and root:
        names = [name for each in lists for name in each.read_text().split()]
        mouths += clips(mesh, detector, grid, Cache.open(root), names, frames)
    save(out, mouths)
    click.echo(f"{len(mouths)} mouths of {len({mouth.person for mouth in mouths})} people")


if __name__ == "__main__":
    main()
