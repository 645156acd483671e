"""Fit scale and bias of an expert or a judge on people left out of training, and write them into its card.

    python -m examples.research.calibrate_expert MODEL OUT --fold FOLD_A MODEL_A --fold FOLD_C MODEL_C
        [--data TEXT] [--licence TEXT]

Each FOLD is a cache whose validation people (`leave_people_out.py`) are not in the training data of its MODEL_. The
pairs of all folds are pooled, every person with the same weight. With one fold and MODEL itself this calibrates MODEL;
with several folds, whose models were averaged into MODEL, it calibrates their mean.
"""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch

from w2l.cache.store import Cache
from w2l.data.batches.tracks import crop_spec, open_splits
from w2l.models.checkpoint import load_model, marks_of, save_model
from w2l.training import scores
from w2l.training.expert.evaluate import score_pairs
from w2l.training.expert.pairing import pairing_of
from w2l.training.scores import ScoredPairs

PER_PERSON = 1000
"""Windows sampled per person, with replacement, so that all have the same weight."""


def pairs_of(fold: Path, model: Path) -> ScoredPairs:
    """Return the pairs of the validation people of a fold."""
    cache = Cache.open(fold)
    network = load_model(model, None).network
    val = open_splits(cache, crop_spec(cache))[1]
    return score_pairs(val, pairing_of(network), torch.device("cpu"))


def alike(pairs: ScoredPairs, rng: np.random.Generator) -> list[ScoredPairs]:
    """Return the same number of windows for each person."""
    names = np.array(pairs.speakers)[pairs.track]
    return [pairs.chosen(rng.choice(np.flatnonzero(names == name), PER_PERSON)) for name in np.unique(names)]


def merge_pairs(parts: list[ScoredPairs]) -> ScoredPairs:
    """Return all windows as one set; offsets are those of the first."""
    in_sync, off_sync = (np.concatenate([getattr(part, side) for part in parts]) for side in ("in_sync", "off_sync"))
    return replace(parts[0], in_sync=in_sync, off_sync=off_sync)


@click.command(help=__doc__)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--fold", "folds", multiple=True, required=True, type=(click.Path(path_type=Path), click.Path(path_type=Path))
)
@click.option("--data", default="", help="Description of the data for the card.")
@click.option("--licence", default="", help="Licence of the weights for the card.")
def main(model: Path, out: Path, folds: tuple[tuple[Path, Path], ...], data: str, licence: str) -> None:
    """Fit the calibration and write the model with it."""
    rng, parts = np.random.default_rng(0), list[ScoredPairs]()
    for fold, own in folds:
        people = alike(pairs_of(fold, own), rng)
        parts += people
        click.echo(f"{fold.name}: {len(people)} people, AUC {scores.area_under_roc(merge_pairs(people)):.3f}")
    all_pairs = merge_pairs(parts)
    scale, bias = scores.calibrate(all_pairs)
    found = {
        "left_out_auc": scores.area_under_roc(all_pairs),
        "left_out_half": scores.accuracy_at_half(all_pairs, scale, bias),
        "left_out_ece": scores.calibration_error(all_pairs, scale, bias),
    }
    click.echo(f"scale {scale:.3f}, bias {bias:.3f}, threshold {-bias / scale:.3f}; {found}")
    loaded = load_model(model, None)
    card = replace(
        loaded.card, calibrated=True, scale=scale, bias=bias, scores=found, data=data or loaded.card.data,
        licence=licence or loaded.card.licence, ancestors=marks_of(loaded),
    )  # fmt: skip
    save_model(out, loaded.network, card)


if __name__ == "__main__":
    main()
