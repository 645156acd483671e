"""Choose portraits of people on whom no model was trained, equally many of each complexion, and list them by group.

    python -m examples.research.complexions portraits/ face_landmark.tflite OUT --each 4
    python -m examples.research.strangers results/ OUT/portraits.txt --groups OUT/groups.tsv --speech speech.flac

Complexion is the individual typology angle of cheeks and forehead, atan((L - 50) / b) in degrees of CIELAB, in the
classes of Chardon, Cretois and Hourseau, "Skin colour typology and suntanning pathways" (1991). It describes the
picture, including light and camera, not the person. OUT gets ``portraits.txt`` and ``groups.tsv``.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from examples.research.mesh import Mesh
from examples.research.portrait_faces import Portrait, is_left_out, read_portraits
from w2l.core.arrays import Floats
from w2l.core.files import write_text
from w2l.faces.detectors.factory import make_detector

CLASSES = {"light": 41.0, "intermediate": 28.0, "tan": 10.0, "brown": -30.0, "dark": -90.0}
"""Least angle of each class, degrees; very light and light are one class."""
COLOURED = 4.0
"""Chroma of skin, CIELAB, below which a picture counts as grey and is not used."""
MOST_YAW = 0.15
"""Largest yaw in `portraits.tsv` of a portrait that is used: nearly frontal."""


def typology_angle(lab: Floats) -> float:
    """Return the individual typology angle, degrees, of a colour (L, a, b)."""
    return float(np.degrees(np.arctan2(lab[0] - 50.0, lab[2])))


def class_of(angle: float) -> str:
    """Return the class of an angle in degrees."""
    return next(name for name, least in CLASSES.items() if angle >= least)


def picked(portraits: Sequence[Portrait], each: int) -> dict[str, list[Portrait]]:
    """Return up to `each` coloured portraits of every class, those nearest to its middle first."""
    classes: dict[str, list[tuple[float, Portrait]]] = {name: [] for name in CLASSES}
    for portrait in portraits:
        if np.hypot(*portrait.skin[1:]) >= COLOURED:
            angle = typology_angle(portrait.skin)
            classes[class_of(angle)].append((angle, portrait))
    found: dict[str, list[Portrait]] = {}
    for name, some in classes.items():
        middle = float(np.median([angle for angle, _ in some])) if some else 0.0
        found[name] = [portrait for _, portrait in sorted(some, key=lambda pair: abs(pair[0] - middle))[:each]]
    return found


@click.command(help=__doc__)
@click.argument("portraits", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("mesh_file", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--each", default=4, show_default=True, help="Portraits of each class.")
def main(portraits: Path, mesh_file: Path, out: Path, each: int) -> None:
    """Choose portraits and write their lists."""
    detector = make_detector("mtcnn")
    left_out = list(read_portraits(portraits, Mesh(mesh_file), detector, MOST_YAW, is_left_out))
    groups = picked(left_out, each)
    chosen = [(name, one) for name, some in groups.items() for one in some]
    files = [next((portraits / one.name).parent.glob(f"{Path(one.name).name}.*")) for _, one in chosen]
    write_text(out / "portraits.txt", "".join(f"{file.resolve()}\n" for file in files))
    write_text(out / "groups.tsv", "".join(f"{file.stem}\t{name}\n" for file, (name, _) in zip(files, chosen)))
    for name, some in groups.items():
        click.echo(f"{name}: {len(some)} of {len(left_out)} portraits of people left out")


if __name__ == "__main__":
    main()
