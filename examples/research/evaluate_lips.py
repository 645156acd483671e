r"""Measure lip readers on people who are not in their training data, against the face mesh.

    python -m examples.research.evaluate_lips LIPS.npz ... --portraits PORTRAITS.npz --clips UNSEEN.npz \
        --words words.tsv

PORTRAITS and UNSEEN are outputs of `mesh_labels.py`; of the portraits only those of people left out count. UNSEEN has
every frame of its clips. Points: distance from the mesh's in percent of the eye distance, over all points of all
mouths. Bilabials: how well the gap distinguishes the narrowest frame at the onset of a word that starts with b or p
from the widest one in the middle half of a word with an open vowel (area under the curve). Cover: things drawn over the
mouths (`covers.py`), and the mouths as they are.
"""

from pathlib import Path

import click
import numpy as np
import torch

from examples.research.covers import KINDS, covered_share, draw_cover, lay
from examples.research.drawn_mouths import Floats, Mouth, spoil
from examples.research.mesh_mouths import HIDDEN, Labels, Region, is_left_out, region_of
from w2l.core.timing import FPS
from w2l.features.aperture import ONSET_S
from w2l.models.lip_reader import load_lips
from w2l.nets.lips import EYE_DISTANCE, GAP_UNIT, HOME, N_EXTRAS, N_POINTS, POINT_UNIT, SIDE, Lips

OPEN = ("nine", "now", "white", "five", "i", "r", "a", "lay")
"""Words of GRID in whose middle the mouth is open."""
EYES_PX = EYE_DISTANCE * SIDE
LEAST_EVENTS = 5
COVERS = 200
"""Number of covers drawn of each kind."""


def read(network: Lips, regions: Region) -> Floats:
    """Return the output of the last layer for regions (mouths, 48, 64, 3)."""
    found = []
    with torch.inference_mode():
        for first in range(0, len(regions), 256):
            batch = torch.from_numpy(regions[first : first + 256]).permute(0, 3, 1, 2).float() / 255
            found.append(network.everything(batch).double().numpy())
    return np.concatenate(found)


def regions_of(labels: Labels) -> tuple[Region, Floats]:
    """Return the regions of labelled mouths as they are, and the points in them."""
    pairs = [region_of(patch, points, np.eye(2, 3)) for patch, points in zip(labels.patch, labels.points)]
    return np.stack([np.round(image).astype(np.uint8) for image, _ in pairs]), np.stack([places for _, places in pairs])


def auc(high: Floats, low: Floats) -> float:
    """Return the probability that one of `high` is above one of `low`."""
    return float((high[:, None] > low[None]).mean() + 0.5 * (high[:, None] == low[None]).mean())


def distances(raw: Floats, points: Floats) -> Floats:
    """Return (mouths, 6): distance of the points from the mesh's, in percent of the eye distance."""
    found = raw[:, : 2 * N_POINTS].reshape(-1, N_POINTS, 2) * POINT_UNIT + HOME
    return np.asarray(100 * np.linalg.norm(found - points, axis=-1) / EYES_PX)


def events(gaps: Floats, names: list[str], words: Path) -> dict[str, tuple[Floats, Floats]]:
    """Return speaker -> gaps in the closures and in the open vowels of clips whose words are known."""
    of_clip: dict[str, dict[int, float]] = {}
    for name, gap in zip(names, gaps.tolist()):
        clip, frame = name.rsplit("/", 1)
        of_clip.setdefault(clip, {})[int(frame)] = gap
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in words.read_text().splitlines()[1:]:
        clip, start_s, end_s, word = line.split("\t")
        if clip not in of_clip:
            continue
        start, end = float(start_s), float(end_s)
        closed, opened = found.setdefault(clip.split("/")[0], ([], []))
        if word[0] in "bp" and word != "sp":
            closed += _extreme(of_clip[clip], start - ONSET_S[0], start + ONSET_S[1], min)
        elif word in OPEN:
            quarter = (end - start) / 4
            opened += _extreme(of_clip[clip], start + quarter, end - quarter, max)
    return {person: (np.array(closed), np.array(opened)) for person, (closed, opened) in found.items()}


def _extreme(gaps: dict[int, float], start_s: float, end_s: float, which: object) -> list[float]:
    values = [gaps[frame] for frame in range(round(start_s * FPS), round(end_s * FPS) + 1) if frame in gaps]
    return [which(values)] if values else []  # type: ignore[operator]


def print_closures(name: str, gaps: Floats, names: list[str], words: Path) -> None:
    """Print the area under the curve for each person, and for all together."""
    found = {who: pair for who, pair in events(gaps, names, words).items() if min(map(len, pair)) >= LEAST_EVENTS}
    parts = [
        f"{who} {auc(opened, closed):.3f} ({len(closed)}, {len(opened)})" for who, (closed, opened) in found.items()
    ]
    closed, opened = (np.concatenate([pair[side] for pair in found.values()]) for side in (0, 1))
    print(f"{name}: bilabials from open vowels, AUC {auc(opened, closed):.3f}; {'; '.join(parts)}")


def print_cover(name: str, network: Lips, regions: Region, points: Floats, clean: Floats) -> None:
    """Print how many covered mouths are found, by kind, and how many clean ones are classified as covered."""
    rng = np.random.default_rng(77)
    shares, missed = [], np.zeros(0)
    for kind in KINDS:
        covered: list[Region] = []
        while len(covered) < COVERS:
            number = int(rng.integers(len(regions)))
            cover = draw_cover(rng, regions[number], points[number], kind)
            if covered_share(cover, points[number]) >= HIDDEN:
                image = lay(regions[number].astype(np.float32), cover)
                covered.append(spoil(rng, Mouth(image, points[number], 0.0))[0])
        logits = read(network, np.stack(covered))[:, -1]
        missed = np.concatenate([missed, logits])
        shares.append(f"{kind} {(logits > 0).mean():.3f}")
    at_one = float(np.quantile(clean, 0.99))
    print(
        f"{name}: covered found {(missed > 0).mean():.4f} ({', '.join(shares)}); clean called covered "
        f"{(clean > 0).mean():.4f} of {len(clean)}; found at 1 % false alarms {(missed > at_one).mean():.4f} "
        f"(logit {at_one:.2f})"
    )


@click.command(help=__doc__)
@click.argument("readers", nargs=-1, type=click.Path(path_type=Path))
@click.option("--portraits", required=True, type=click.Path(path_type=Path))
@click.option("--clips", required=True, type=click.Path(path_type=Path))
@click.option("--words", required=True, type=click.Path(path_type=Path))
def main(readers: tuple[Path, ...], portraits: Path, clips: Path, words: Path) -> None:
    """Evaluate each lip reader and print its scores."""
    faces, frames = Labels.read(portraits), Labels.read(clips)
    faces = faces.select(np.array([is_left_out(person) for person in faces.person.tolist()], dtype=np.bool_))
    sets = {"portraits left out": faces, "clips left out": frames}
    print_closures("mesh", frames.gap, frames.name.tolist(), words)
    cut = {which: regions_of(labels) for which, labels in sets.items()}
    for path in readers:
        network = load_lips(path)
        clean = []
        for which, labels in sets.items():
            regions, points = cut[which]
            raw = read(network, regions)
            off = distances(raw, points)
            people = [float(off[labels.person == who].mean()) for who in np.unique(labels.person)]
            print(
                f"{path.name}: {which}: {len(labels)} mouths of {len(people)} people, points off by "
                f"{off.mean():.2f} % (95th percentile {np.percentile(off, 95):.2f}, of a mouth's mean "
                f"{np.percentile(off.mean(1), 95):.2f}, worst person {max(people):.2f}); by point "
                f"{np.round(off.mean(0), 2).tolist()}"
            )
            if network.dimensions.extras == N_EXTRAS:
                known = ~np.isnan(labels.teeth)
                shown = labels.teeth[known] > 0.5
                logits = raw[known, -2]
                width = np.hypot(*(points[:, 1] - points[:, 0]).T)
                print(
                    f"{path.name}: {which}: teeth right {((logits > 0) == shown).mean():.3f} of {known.sum()} "
                    f"({shown.mean():.2f} show), AUC {auc(logits[shown], logits[~shown]):.3f}; width off by "
                    f"{100 * np.abs(raw[:, -3] * POINT_UNIT - width).mean() / EYES_PX:.2f} %"
                )
                clean.append(raw[:, -1])
            if labels is frames:
                print_closures(path.name, raw[:, 2 * N_POINTS] * GAP_UNIT, labels.name.tolist(), words)
        if clean:
            regions, points = (np.concatenate([cut[which][part] for which in sets]) for part in (0, 1))
            print_cover(path.name, network, regions, points, np.concatenate(clean))


if __name__ == "__main__":
    main()
