"""How well an expert tells in sync from off sync."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.data.dataset import Tracks
from w2l.errors import TrainingError
from w2l.timing import WINDOW_FRAMES

PAIR_SEED = 20
"""Of the off-sync partners: the same in every validation."""
Starts = NDArray[np.int64]
Embed = Callable[[Tracks, int, Starts], tuple[Tensor, Tensor]]
"""(tracks, track, window starts) -> (audio, face) embeddings, each (windows, features)."""


@dataclass(frozen=True)
class Pairs:
    """Similarities of pairs from the same clip, and which windows are silent."""

    in_sync: NDArray[np.float64]
    """(windows,)"""
    off_sync: NDArray[np.float64]
    """(windows,): the face with a sound of the same clip at least the gap away."""
    silent: NDArray[np.bool_]
    """(windows,)"""
    offsets: NDArray[np.int64]
    """(tracks,): the offset in frames at which each whole clip fits best; see `best_offset`."""


def score_pairs(
    tracks: Tracks,
    embed: Embed,
    similarity: Callable[[Tensor, Tensor], Tensor],
    silent: Callable[[Tracks, int, NDArray[np.int64]], NDArray[np.bool_]],
    gap: int = WINDOW_FRAMES,
    max_shift: int = 15,
) -> Pairs:
    """All windows of all tracks, each once in sync and once off sync by at least `gap` frames.

    `similarity` gives (audio windows, face windows) from two sets of embeddings. Tracks too short for a pair are left
    out; TrainingError when all are.
    """
    rng = np.random.default_rng(PAIR_SEED)
    positive, negative, quiet, offsets = [], [], [], []
    for track in range(len(tracks)):
        starts = np.arange(tracks.counts[track])
        if len(starts) < gap + 1:
            continue
        audio, face = embed(tracks, track, starts)
        table = similarity(audio, face).double().cpu().numpy()
        far = [np.flatnonzero(np.abs(starts - start) >= gap) for start in starts]
        usable = np.array([len(others) > 0 for others in far])
        partners = np.array([rng.choice(others) if len(others) else 0 for others in far])
        positive.append(np.diagonal(table)[usable])
        negative.append(table[partners, starts][usable])
        quiet.append(silent(tracks, track, starts)[usable])
        offsets.append(best_offset(table, max_shift))
    if not offsets:
        raise TrainingError(
            f"none of {len(tracks)} validation tracks has two windows {gap} frames apart; validate on longer clips"
        )
    return Pairs(np.concatenate(positive), np.concatenate(negative), np.concatenate(quiet), np.array(offsets))


def best_offset(table: NDArray[np.float64], max_shift: int) -> int:
    """The offset, in frames, with the best mean similarity in ``table[sound, face]``.

    Positive when the sound runs ahead of the picture, as in `w2l.metrics.sync`: face i then fits sound i - offset.
    Offsets of more than half the clip are not tried.
    """
    reach = min(max_shift, len(table) // 2)
    return max(range(-reach, reach + 1), key=lambda offset: float(np.diagonal(table, offset).mean()))


def balanced_accuracy(pairs: Pairs, threshold: float) -> float:
    """Mean of the shares of in-sync pairs at or above the threshold and of off-sync pairs under it."""
    return float(((pairs.in_sync >= threshold).mean() + (pairs.off_sync < threshold).mean()) / 2)


def best_threshold(pairs: Pairs) -> float:
    """The threshold with the highest balanced accuracy."""
    values = np.unique(np.concatenate([pairs.in_sync, pairs.off_sync]))
    above = 1 - np.searchsorted(np.sort(pairs.in_sync), values, side="left") / len(pairs.in_sync)
    under = np.searchsorted(np.sort(pairs.off_sync), values, side="left") / len(pairs.off_sync)
    return float(values[int(np.argmax(above + under))])


def area_under_roc(pairs: Pairs) -> float:
    """Probability that an in-sync pair is more similar than an off-sync one."""
    ordered = np.sort(pairs.off_sync)
    below = np.searchsorted(ordered, pairs.in_sync, side="left") + np.searchsorted(ordered, pairs.in_sync, side="right")
    return float(below.mean() / 2 / len(ordered))


def calibrate(pairs: Pairs, rounds: int = 50) -> tuple[float, float]:
    """Scale and bias of the logistic curve from similarity to probability (Platt, 1999), by Newton steps."""
    x = np.concatenate([pairs.in_sync, pairs.off_sync])
    y = np.concatenate([np.ones(len(pairs.in_sync)), np.zeros(len(pairs.off_sync))])
    centre, spread = x.mean(), max(float(x.std()), 1e-9)
    design = np.stack([(x - centre) / spread, np.ones_like(x)], axis=1)
    weights = np.zeros(2)
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - y) + 1e-3 * weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
        weights = weights - np.linalg.solve(hessian, gradient)
    scale = float(weights[0] / spread)
    return scale, float(weights[1] - scale * centre)


def bce(pairs: Pairs, scale: float, bias: float) -> float:
    """Cross entropy of the calibrated probabilities, in sync and off sync in equal parts; ln 2 = 0.693 is chance."""
    in_sync, off_sync = scale * pairs.in_sync + bias, scale * pairs.off_sync + bias
    return float((np.logaddexp(0, -in_sync).mean() + np.logaddexp(0, off_sync).mean()) / 2)


def summary(pairs: Pairs, threshold: float, calibration: tuple[float, float]) -> dict[str, float]:
    """Scores by name: accuracies at `threshold` (`voiced`: without the silent windows, where others are), area under
    the curve, share of clips placed within one frame.

    `calibration`, (scale, bias) of the logistic curve, is handed on, with the cross entropy that it gives.
    """
    voiced = Pairs(
        pairs.in_sync[~pairs.silent], pairs.off_sync[~pairs.silent], pairs.silent[~pairs.silent], pairs.offsets
    )
    return {
        "accuracy": balanced_accuracy(pairs, threshold),
        "in_sync": float((pairs.in_sync >= threshold).mean()),
        "off_sync": float((pairs.off_sync < threshold).mean()),
        **({"voiced": balanced_accuracy(voiced, threshold)} if len(voiced.in_sync) else {}),
        "auc": area_under_roc(pairs),
        "offset_within_1": float((np.abs(pairs.offsets) <= 1).mean()),
        "threshold": threshold,
        "scale": calibration[0],
        "bias": calibration[1],
        "bce": bce(pairs, *calibration),
    }


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """The array as a tensor there."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
