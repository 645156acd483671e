"""Measures an expert or a judge on a split of a cache, with the threshold chosen on the validation clips.

python examples/evaluate_expert.py CACHE MODEL [expert|judge] [SPLIT ...]
"""

import sys
from pathlib import Path

import torch

from w2l.cache import Cache
from w2l.data.dataset import Tracks, crop_spec, open_splits
from w2l.training import evaluate
from w2l.training.expert_task import embed_windows, pairing_of, silent_windows
from w2l.weights import load


def main(root: Path, name: str, kind: str, splits: list[str]) -> None:
    """Prints one markdown row a split."""
    cache = Cache.open(root)
    model = load(name, "judge" if kind == "judge" else "expert", cache)
    pairing, crop = pairing_of(model.network), crop_spec(cache)
    rows = cache.tracks()
    tracks = {split: Tracks(cache, [row for row in rows if row.split == split], crop) for split in splits}
    tracks = {"val": open_splits(cache, crop)[1], **tracks}

    def embed(of: Tracks, track: int, starts: evaluate.Starts) -> tuple[torch.Tensor, torch.Tensor]:
        return embed_windows(pairing, of, track, starts, torch.device("cpu"))

    print("| split | clips | balanced accuracy | in sync | off sync | voiced | AUC | offset within 1 | bce |")
    print("|---|---|---|---|---|---|---|---|---|")
    threshold, calibration = 0.0, (1.0, 0.0)
    for split, chosen in tracks.items():
        pairs = evaluate.score_pairs(chosen, embed, pairing.similarity, silent_windows)
        if split == "val":
            threshold, calibration = evaluate.best_threshold(pairs), evaluate.calibrate(pairs)
        found = evaluate.summary(pairs, threshold, calibration)
        shown = ("accuracy", "in_sync", "off_sync", "voiced", "auc", "offset_within_1", "bce")
        print(
            f"| {split} | {len(chosen)} | " + " | ".join(f"{found.get(key, float('nan')):.3f}" for key in shown) + " |",
            flush=True,
        )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]), given[1], given[2] if len(given) > 2 else "expert", given[3:] or ["test", "unseen"])
