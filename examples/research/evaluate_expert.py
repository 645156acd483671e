"""Measure experts or judges on the splits of a cache: accuracies, also by gap, and offsets, next to random weights.

    python -m examples.research.evaluate_expert CACHE expert --beside old.safetensors --puppets 20 --out results/

The threshold of each model is chosen on the validation clips and kept for all other splits; so is its calibration,
unless its card contains one, such as that on people left out of training (`calibrate_expert.py`). The command prints
Markdown tables; the folder of --out gets them as scores.md, scores.json with the accuracy of each speaker, and PNG
plots. Unseen puppets are drawn and preprocessed in a temporary cache; their appearance and voices are in no data set.
`--others N` also scores each clip with the audio of N other clips, see `own_sound.py`; this is the default for a judge.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch

from examples.research.own_sound import HEADER, Scored, own_sound_table, score_own_and_others
from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, W2LError
from w2l.core.files import write_json, write_text
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks, crop_spec, open_splits
from w2l.data.prepare.clip import PrepareSettings
from w2l.data.prepare.run import run
from w2l.data.puppets import Puppet, babble, talk
from w2l.data.sources.listing import find_videos
from w2l.features.crop import CropSpec
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
from w2l.models import registry as weights
from w2l.models.checkpoint import Kind, Model, build_network
from w2l.training import scores
from w2l.training.expert.evaluate import score_pairs
from w2l.training.expert.pairing import pairing_of
from w2l.training.report.curves_png import draw_gap_comparison, draw_similarities
from w2l.training.scores import GAPS, ScoredPairs

RANDOM = "random weights"
VALIDATION = "val"
PUPPETS = "unseen puppets"
FIRST_PUPPET = 1_000_000
"""Seed of the first unseen puppet; `make_puppets.py` counts from 0."""
PUPPET_S = 3.0
OTHERS = 10
"""Number of other clips whose audio a judge also scores with each clip."""
COLUMNS = {
    "accuracy": "balanced accuracy", "in_sync": "in sync", "off_sync": "off sync", "half": "at p = 0.5",
    "voiced": "voiced", "auc": "AUC", "offset_5": "offset, 5 windows", "offset_10": "10", "offset_20": "20",
    "offset_within_1": "whole clip", "speaker_median": "speakers, median", "speaker_worst": "worst", "bce": "bce",
    "ece": "ECE",
}  # fmt: skip
"""Scores in the table, in order -> headings."""
Open = Callable[[int], Tracks]
"""Opens the tracks of a split, given the number of frames per window."""


@dataclass(frozen=True)
class Row:
    """One model on one split."""

    split: str
    model: str
    n_clips: int
    found: dict[str, float]
    by_gap: dict[int, float]
    by_speaker: dict[str, float]
    people: dict[str, tuple[int, float, float, float]]
    """Speaker -> clips, balanced accuracy at a calibrated half, AUC, share of clips placed within one frame."""
    own_sound: list[Scored]
    """Each clip with its own audio and that of others; empty if not requested."""


def of_people(pairs: ScoredPairs, calibration: tuple[float, float]) -> dict[str, tuple[int, float, float, float]]:
    """Return `Row.people`; a clip is a track."""
    names = np.array(pairs.speakers, dtype=np.str_)
    tracks = np.unique(pairs.track)  # one offset each, in this order: clips of GRID are in one piece
    found = {}
    for name in np.unique(names[tracks]).tolist():
        own = pairs.chosen(names[pairs.track] == name)
        offsets = pairs.offsets[names[tracks] == name] if len(pairs.offsets) == len(tracks) else np.zeros(0, np.int64)
        placed = scores.within_one(offsets) if len(offsets) else float("nan")
        half = scores.accuracy_at_half(own, *calibration)
        found[name] = (int((names[tracks] == name).sum()), half, scores.area_under_roc(own), placed)
    return found


def interval(values: list[float], rounds: int = 2000) -> tuple[float, float]:
    """Return the 95 % interval of the mean over people, by the bootstrap."""
    drawn = np.random.default_rng(0).choice(np.array(values), (rounds, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def measure(
    name: str, model: Model, splits: Mapping[str, Open], device: torch.device, n_others: int
) -> Iterator[tuple[Row, ScoredPairs]]:
    """Yield the rows of one model, first validation, on which the threshold and a missing calibration are fitted."""
    pairing = pairing_of(model.network)
    n_frames = int(model.card.dimensions.get("n_frames", WINDOW_FRAMES))
    threshold, calibration = 0.0, (1.0, 0.0)
    for split, open_split in splits.items():
        tracks = open_split(n_frames)
        pairs = score_pairs(tracks, pairing, device)
        if split == VALIDATION:
            threshold = scores.best_threshold(pairs)
            own = model.card.calibrated and name != RANDOM
            calibration = (model.card.scale, model.card.bias) if own else scores.calibrate(pairs)
        found = scores.score_summary(pairs, threshold, calibration)
        gaps, speakers = scores.by_gap(pairs, threshold), scores.by_speaker(pairs, threshold)
        people = of_people(pairs, calibration)
        own = score_own_and_others(tracks, pairing, device, n_others) if n_others else []
        yield Row(split, name, len(set(tracks.names)), found, gaps, speakers, people, own), pairs


def untrained(model: Model, device: torch.device) -> Model:
    """Return an untrained network of the same dimensions."""
    torch.manual_seed(0)
    return Model(build_network(model.card).to(device).eval(), model.card, Path(RANDOM))


def splits_of(cache: Cache, names: tuple[str, ...], crop: CropSpec) -> dict[str, Open]:
    """Return the validation clips, then those of the named splits that the cache has."""
    rows = cache.tracks()

    def named(split: str) -> Open:
        return lambda n_frames: Tracks(cache, rows.select(rows.has("split", split)), crop, n_frames)

    missing = [name for name in names if not rows.has("split", name).any()]
    if missing:
        click.echo(f"not in the cache: {', '.join(missing)}", err=True)
    there = [name for name in names if name not in (VALIDATION, *missing)]
    return {VALIDATION: lambda n: open_splits(cache, crop, n)[1], **{name: named(name) for name in there}}


@contextmanager
def puppets(count: int, crop: CropSpec) -> Iterator[Open]:
    """Provide the tracks of `count` drawn faces with different appearances and voices, in a temporary cache."""
    with tempfile.TemporaryDirectory(prefix="w2l-puppets-") as folder:
        videos = Path(folder) / "videos"
        for number in range(count):
            _write_puppet(videos / f"p{number:04d}.mp4", FIRST_PUPPET + number)
        cache = Cache.open(Path(folder) / "cache", create=True)
        run(PrepareSettings(crop=crop), find_videos(videos), cache)
        rows = cache.tracks()
        yield lambda n_frames: Tracks(cache, rows, crop, n_frames)


def _write_puppet(path: Path, seed: int) -> None:
    """Make a video of 320x240; faces vary as in `make_puppets.py`."""
    rng = np.random.default_rng(seed)
    tone = rng.uniform(0.35, 1.0)
    skin = (int(235 * tone), int(190 * tone), int(160 * tone))
    hair, lips, wall = (rng.integers(low, high, 3).tolist() for low, high in ((10, 120), (60, 110), (20, 230)))
    look = Puppet(skin, tuple(hair), (lips[0] + 90, lips[1], lips[2]), tuple(wall))
    wave, speech = babble(PUPPET_S, seed=seed), path.with_suffix(".wav")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(speech, wave)
    with VideoWriter(Output(path, 320, 240, 25.0, speech=speech)) as writer:
        for image in talk(wave, puppet=look):
            writer.write(image)
    speech.unlink()


def table(rows: list[Row]) -> str:
    """Return Markdown tables of the scores of each row, then of its accuracy by gap."""
    lines = [f"| split | model | clips | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 3) + "|"]
    for row in rows:
        values = [f"{row.found[key]:.3f}" if key in row.found else "" for key in COLUMNS]
        lines.append(f"| {row.split} | {row.model} | {row.n_clips} | {' | '.join(values)} |")
    lines += ["", f"| balanced accuracy by gap, frames | model | {' | '.join(map(str, GAPS))} |"]
    lines.append("|---" * (len(GAPS) + 2) + "|")
    for row in rows:
        values = [f"{row.by_gap[gap]:.3f}" if gap in row.by_gap else "" for gap in GAPS]
        lines.append(f"| {row.split} | {row.model} | {' | '.join(values)} |")
    lines += people_table(rows)
    if any(row.own_sound for row in rows):
        lines += ["", *HEADER]
        lines += [
            line for row in rows if row.own_sound for line in own_sound_table(row.split, row.model, row.own_sound)
        ]
    return "\n".join(lines)


def people_table(rows: list[Row]) -> list[str]:
    """Return the lines of a Markdown table with a row per person, and the mean over people with its 95 % interval."""
    lines = ["", "| person | model | clips | balanced accuracy at p = 0.5 | AUC | whole clip |", "|---" * 6 + "|"]
    for row in rows:
        if row.model == RANDOM or row.split == PUPPETS or len(row.people) < 2:
            continue
        for person, (n_clips, *numbers) in row.people.items():
            cells = " | ".join(f"{value:.3f}" for value in numbers)
            lines.append(f"| {row.split}: {person} | {row.model} | {n_clips} | {cells} |")
        means = []
        for column in (1, 2, 3):
            of_column = [float(person[column]) for person in row.people.values()]
            low, high = interval(of_column)
            means.append(f"{np.mean(of_column):.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"| {row.split}: mean of {len(row.people)} people | {row.model} | | {' | '.join(means)} |")
    return lines


def save(folder: Path, rows: list[Row], drawn: dict[str, ScoredPairs]) -> None:
    """Write scores.md, scores.json and the plots."""
    write_text(folder / "scores.md", table(rows) + "\n")
    write_json(folder / "scores.json", {"rows": [asdict(row) for row in rows]})
    for split in dict.fromkeys(row.split for row in rows):
        gaps = {row.model: row.by_gap for row in rows if row.split == split}
        word = split.replace(" ", "-")
        draw_gap_comparison(gaps, folder / f"gaps-{word}.png", f"{split}: balanced accuracy by gap")
        threshold = next(row.found["threshold"] for row in rows if row.split == split)
        draw_similarities(drawn[split].in_sync, drawn[split].off_sync, threshold, folder / f"similarities-{word}.png")


def evaluate(
    cache: Cache,
    names: list[str],
    kind: Kind,
    split_names: tuple[str, ...],
    n_puppets: int,
    device: torch.device,
    n_others: int = 0,
) -> tuple[list[Row], dict[str, ScoredPairs]]:
    """Return the rows of all models on all splits, and the pairs of the first model by split."""
    crop = crop_spec(cache)
    models = {name: weights.load_by_name(name, kind, cache, device) for name in names}
    for name, model in models.items():
        size = model.card.dimensions.get("size", crop.size)
        if (model.card.crop.kind, size) != (crop.kind, crop.size):
            raise ConfigError(
                f"{name} takes {model.card.crop.kind} crops of {size} px, the cache contains {crop.kind} crops of "
                f"{crop.size} px; pass a matching model or cache"
            )
    models[RANDOM] = untrained(models[names[0]], device)
    splits = splits_of(cache, split_names, crop)
    rows: list[Row] = []
    drawn: dict[str, ScoredPairs] = {}
    with puppets(n_puppets, crop) if n_puppets else _nothing() as drawn_faces:
        if drawn_faces:
            splits[PUPPETS] = drawn_faces
        for name, model in models.items():
            for row, pairs in measure(name, model, splits, device, n_others):
                rows.append(row)
                drawn.setdefault(row.split, pairs)
    order = list(splits)
    return sorted(rows, key=lambda row: order.index(row.split)), drawn


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@click.command(help=__doc__)
@click.argument("root", metavar="CACHE", type=click.Path(path_type=Path))
@click.argument("model", default="expert")
@click.option("--beside", multiple=True, help="Another model to compare with; repeatable.")
@click.option("--kind", type=click.Choice(["expert", "judge"]), default="expert", show_default=True)
@click.option("--split", "splits", multiple=True, default=("test", "unseen"), show_default=True)
@click.option("--puppets", "n_puppets", default=0, metavar="N", help="Also score N puppets that are in no data set.")
@click.option("--others", type=click.IntRange(0), help="Score each clip with N other sounds, too  [10 for a judge]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for scores.md, scores.json and plots.")
@click.option("--device", default="auto", show_default=True)
def main(
    root: Path, model: str, beside: tuple[str, ...], kind: Kind, splits: tuple[str, ...], n_puppets: int,
    others: int | None, out: Path | None, device: str,
) -> None:  # fmt: skip
    """Evaluate the models and print the tables."""
    set_up_logging(0)
    n_others = (OTHERS if kind == "judge" else 0) if others is None else others
    try:
        rows, drawn = evaluate(
            Cache.open(root), [model, *beside], kind, splits, n_puppets, choose_device(device), n_others
        )
        click.echo(table(rows))
        if out:
            save(out, rows, drawn)
    except W2LError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
