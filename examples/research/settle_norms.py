"""Recompute the batch-norm statistics of an averaged expert on the training clips of a cache.

    python -m examples.research.settle_norms CACHE MODEL OUT [--batches 40] [--seed 5]

Activations with averaged weights are distributed differently from those of the averaged models, so the averaged running
means and variances are not valid (Izmailov et al., 2018, "Averaging Weights Leads to Wider Optima"). All people on the
list `train` are sampled equally often; pictures and sounds are not augmented.
"""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from w2l.cache.store import Cache
from w2l.data.batches.tracks import Tracks, crop_spec, open_splits
from w2l.models.checkpoint import load_model, marks_of, save_model
from w2l.training.expert.pairing import Pairing, pairing_of

BATCH = 128
"""Windows per batch."""


@torch.no_grad()
def settle(pairing: Pairing, tracks: Tracks, n_batches: int, rng: np.random.Generator) -> None:
    """Replace the running statistics of all batch norms by the means over `n_batches` batches of windows."""
    norms = [part for part in pairing.network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # of PyTorch: a plain mean over all batches
        norm.train()
    people = tracks.of_speakers
    for _ in range(n_batches):
        chosen = [int(rng.choice(people[int(rng.integers(len(people)))])) for _ in range(BATCH)]
        starts = [int(rng.integers(tracks.counts[track])) for track in chosen]
        faces = np.stack([tracks.seen(track, start) for track, start in zip(chosen, starts)])
        sounds = np.stack([tracks.heard(track, start) for track, start in zip(chosen, starts)])
        pairing.embed(torch.from_numpy(faces), torch.from_numpy(sounds))
    for norm, momentum in zip(norms, usual):
        norm.momentum = momentum
        norm.eval()


@click.command(help=__doc__)
@click.argument("root", metavar="CACHE", type=click.Path(path_type=Path, exists=True))
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--batches", default=40, show_default=True, help="Number of batches of 128 windows.")
@click.option("--seed", default=5, show_default=True)
def main(root: Path, model: Path, out: Path, batches: int, seed: int) -> None:
    """Recompute the statistics and write the model."""
    cache, loaded = Cache.open(root), load_model(model, None)
    train = open_splits(cache, crop_spec(cache))[0]
    settle(pairing_of(loaded.network), train, batches, np.random.default_rng(seed))
    save_model(out, loaded.network, replace(loaded.card, ancestors=marks_of(loaded)))


if __name__ == "__main__":
    main()
