"""Scores of an expert, from the similarities of pairs in sync and off sync; pure on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAPS = (1, 2, 3, 5, 10, 15)
"""Frames between a face and its off-sync audio for which the accuracy is reported by gap."""
SPANS = (5, 10, 20)
"""Consecutive windows over which similarities are averaged to find an offset."""


@dataclass(frozen=True)
class ScoredPairs:
    """Similarities of pairs from the same clip, with properties of their windows."""

    in_sync: NDArray[np.float64]
    """(windows,)"""
    off_sync: NDArray[np.float64]
    """(windows,): the face with audio of the same clip at least the gap away."""
    voiced: NDArray[np.bool_]
    """(windows,): whether there is speech."""
    at_gap: NDArray[np.float64]
    """(windows, gaps): the face with the audio exactly each of `GAPS` away; nan if the clip has none."""
    track: NDArray[np.int64]
    """(windows,): track of each window."""
    speakers: Sequence[str]
    """(tracks,): the speaker, "" if unknown."""
    offsets: NDArray[np.int64]
    """(clips,): the best offset of each whole clip, in frames."""
    span_offsets: dict[int, NDArray[np.int64]]
    """For each of `SPANS`, (spans,): the best offset of that many consecutive windows; may be empty."""

    def chosen(self, windows: NDArray[np.bool_]) -> "ScoredPairs":
        """Return the pairs of these windows, (windows,), with the offsets of all."""
        return ScoredPairs(
            self.in_sync[windows],
            self.off_sync[windows],
            self.voiced[windows],
            self.at_gap[windows],
            self.track[windows],
            self.speakers,
            self.offsets,
            self.span_offsets,
        )


def balanced_accuracy(pairs: ScoredPairs, threshold: float) -> float:
    """Return the mean of the shares of in-sync pairs at or above the threshold and of off-sync pairs under it."""
    return _balanced(pairs.in_sync, pairs.off_sync, threshold)


def _balanced(in_sync: NDArray[np.float64], off_sync: NDArray[np.float64], threshold: float) -> float:
    return float(((in_sync >= threshold).mean() + (off_sync < threshold).mean()) / 2)


def best_threshold(pairs: ScoredPairs) -> float:
    """Return the threshold with the highest balanced accuracy."""
    values = np.unique(np.concatenate([pairs.in_sync, pairs.off_sync]))
    above = 1 - np.searchsorted(np.sort(pairs.in_sync), values, side="left") / len(pairs.in_sync)
    under = np.searchsorted(np.sort(pairs.off_sync), values, side="left") / len(pairs.off_sync)
    return float(values[int(np.argmax(above + under))])


def area_under_roc(pairs: ScoredPairs) -> float:
    """Return the probability that an in-sync pair is more similar than an off-sync one."""
    ordered = np.sort(pairs.off_sync)
    below = np.searchsorted(ordered, pairs.in_sync, side="left") + np.searchsorted(ordered, pairs.in_sync, side="right")
    return float(below.mean() / 2 / len(ordered))


def by_gap(pairs: ScoredPairs, threshold: float) -> dict[int, float]:
    """Return the balanced accuracy for each of `GAPS` with off-sync audio exactly that far away, if any."""
    found = {}
    for column, gap in enumerate(GAPS):
        there = ~np.isnan(pairs.at_gap[:, column])
        if there.any():
            found[gap] = _balanced(pairs.in_sync[there], pairs.at_gap[there, column], threshold)
    return found


def by_speaker(pairs: ScoredPairs, threshold: float) -> dict[str, float]:
    """Return the balanced accuracy of each speaker that is known by name, sorted by name."""
    names = np.array(pairs.speakers, dtype=np.str_)[pairs.track]
    known = [name for name in np.unique(names).tolist() if name]
    return {name: balanced_accuracy(pairs.chosen(names == name), threshold) for name in known}


def within_one(offsets: NDArray[np.int64]) -> float:
    """Return the share of offsets of clips in sync that were found within one frame; 3 of 31 is chance."""
    return float((np.abs(offsets) <= 1).mean())


def calibrate(pairs: ScoredPairs, rounds: int = 50) -> tuple[float, float]:
    """Fit scale and bias of the logistic curve from similarity to probability (Platt, 1999), by Newton steps.

    The scale is never below 0: if own audio is not more similar than other audio the curve is flat at one half, (0, 0),
    as a decreasing one would train a generator to be off sync.
    """
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
    bias = float(weights[1] - scale * centre)
    return (scale, bias) if scale > 0 and bce(pairs, scale, bias) < np.log(2) else (0.0, 0.0)


def bce(pairs: ScoredPairs, scale: float, bias: float) -> float:
    """Return the cross entropy of calibrated probabilities, equally weighted in and off sync; chance is ln 2."""
    in_sync, off_sync = scale * pairs.in_sync + bias, scale * pairs.off_sync + bias
    return float((np.logaddexp(0, -in_sync).mean() + np.logaddexp(0, off_sync).mean()) / 2)


def calibration_error(pairs: ScoredPairs, scale: float, bias: float, n_bins: int = 10) -> float:
    """Return the expected calibration error: the mean distance of probabilities from the observed shares.

    Over `n_bins` bins of equal width (Guo et al., 2017), with in sync and off sync in equal parts.
    """
    parts = []
    for similarity, true in ((pairs.in_sync, 1.0), (pairs.off_sync, 0.0)):
        chance = 1 / (1 + np.exp(-np.clip(scale * similarity + bias, -30, 30)))
        weight = np.full(len(chance), 0.5 / max(1, len(chance)))
        parts.append(np.stack([chance, np.full(len(chance), true), weight]))
    chance, true, weight = np.concatenate(parts, axis=1)
    place = np.minimum((chance * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(place, weight * (true - chance), n_bins)
    return float(np.abs(gaps).sum())


def accuracy_at_half(pairs: ScoredPairs, scale: float, bias: float) -> float:
    """Return the balanced accuracy at a calibrated probability of one half."""
    believed, wrong = scale * pairs.in_sync + bias >= 0, scale * pairs.off_sync + bias >= 0
    return float((believed.mean() + 1 - wrong.mean()) / 2)


def score_summary(pairs: ScoredPairs, threshold: float, calibration: tuple[float, float]) -> dict[str, float]:
    """Return scores by name, those that the pairs allow.

    Balanced accuracies at `threshold`: `accuracy`, `voiced` (of voiced windows, with any other sound), `gap_5`
    (off-sync sounds exactly 5 frames away) and so on, `speaker_median`, `speaker_worst`; `in_sync` and `off_sync` are
    the two shares that `accuracy` is the mean of, `half` the balanced accuracy at a calibrated probability of one
    half. `auc` and
    `auc_voiced`: area under the curve. `offset_within_1`: share of whole clips that are placed within one frame,
    `offset_5`: of 5 windows in a row, and so on. `calibration`, (scale, bias) of the logistic curve, is handed on, with
    the cross entropy and the calibration error (`ece`) that it gives.
    """
    voiced = pairs.chosen(pairs.voiced)
    speakers = list(by_speaker(pairs, threshold).values())
    return {
        "accuracy": balanced_accuracy(pairs, threshold),
        "in_sync": float((pairs.in_sync >= threshold).mean()),
        "off_sync": float((pairs.off_sync < threshold).mean()),
        **({"voiced": balanced_accuracy(voiced, threshold)} if len(voiced.in_sync) else {}),
        "half": accuracy_at_half(pairs, *calibration),
        "auc": area_under_roc(pairs),
        **({"auc_voiced": area_under_roc(voiced)} if len(voiced.in_sync) else {}),
        **{f"gap_{gap}": accuracy for gap, accuracy in by_gap(pairs, threshold).items()},
        "offset_within_1": within_one(pairs.offsets),
        **{f"offset_{length}": within_one(found) for length, found in pairs.span_offsets.items() if len(found)},
        **({"speaker_median": float(np.median(speakers)), "speaker_worst": min(speakers)} if len(speakers) > 1 else {}),
        "threshold": threshold,
        "scale": calibration[0],
        "bias": calibration[1],
        "bce": bce(pairs, *calibration),
        "ece": calibration_error(pairs, *calibration),
    }
