"""Measure how often a judge prefers a clip's own sound to the sounds of other clips.

A clip's faces are scored with its own sound and with those of other clips of the same set, as in `w2l score`: the
published LSE at the best of all shifts (`w2l.scoring.metrics.lse`), the longer of the two cut. A clip counts as right
if its own score is better than the mean of the others; a pair, if it is better than that of the one other sound. Equal
scores count half, so that an untrained judge is right in 0.5 of all pairs. Voices and rooms alone can affect the scores
of other people's sounds: the LSE-D of an untrained judge was right for 0.93 of the clips of one person and for 0.09 of
those of another. Therefore the same is also counted against sounds of the same person only, if there are any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from w2l.core.arrays import Floats
from w2l.core.timing import MAX_SHIFT
from w2l.data.batches.tracks import Tracks
from w2l.scoring.metrics.lse import lse_values
from w2l.training.expert.evaluate import embed_windows
from w2l.training.expert.pairing import Pairing

SEED = 30
"""Seed for the choice of the other clips, the same for every model."""
HIGHER_IS_BETTER = {"LSE-C": ("lse_c", 1.0), "LSE-D": ("lse_d", -1.0)}


@dataclass(frozen=True)
class Scored:
    """One clip with its own sound and with others."""

    clip: str
    person: str
    own: Mapping[str, float]
    """`LSE-C` and `LSE-D`, the latter with a minus sign: higher is better."""
    others: Mapping[str, tuple[float, ...]]
    """The same with each of the other sounds."""
    same_person: tuple[bool, ...]
    """Whether each of the other sounds is of the same person."""


def score_own_and_others(tracks: Tracks, pairing: Pairing, device: torch.device, n_others: int) -> list[Scored]:
    """Score each track with its own sound, and with those of at most `n_others` tracks of other clips.

    The network should be in eval mode. The list is empty if there is only one clip.
    """
    rng = np.random.default_rng(SEED)
    pieces = [(track, 0, int(count)) for track, count in enumerate(tracks.counts)]
    both = [embed_windows(tracks, [piece], pairing, device) for piece in pieces]
    sounds, faces = ([part[side].float().cpu().numpy() for part in both] for side in (0, 1))
    found = []
    for track, (clip, person) in enumerate(zip(tracks.names, tracks.speakers)):
        possible = np.array([other for other, name in enumerate(tracks.names) if name != clip])
        if not len(possible):
            continue
        chosen = np.sort(rng.choice(possible, min(n_others, len(possible)), replace=False)).tolist()
        told = [lse_values(faces[track], sounds[other], MAX_SHIFT).values for other in [track, *chosen]]
        by_name = {name: sign * np.array([one[key] for one in told]) for name, (key, sign) in HIGHER_IS_BETTER.items()}
        own = {name: float(values[0]) for name, values in by_name.items()}
        others = {name: tuple(values[1:].tolist()) for name, values in by_name.items()}
        same = tuple(bool(person) and tracks.speakers[other] == person for other in chosen)
        found.append(Scored(clip, person, own, others, same))
    return found


def clips_right(clips: Sequence[Scored], score: str, within: bool = False) -> float:
    """Return the share of clips whose own score beats the mean of the others; see `pairs_right`."""
    both = [(clip.own[score], np.mean(others)) for clip in clips if (others := _others(clip, score, within))]
    return _share(*np.array(both).reshape(-1, 2).T)


def pairs_right(clips: Sequence[Scored], score: str, within: bool = False) -> float:
    """Return the share of right pairs of own and other sound, or of those `within` a person; nan without pairs."""
    both = [(clip.own[score], other) for clip in clips for other in _others(clip, score, within)]
    return _share(*np.array(both).reshape(-1, 2).T)


def _others(clip: Scored, score: str, within: bool) -> list[float]:
    return [other for other, same in zip(clip.others[score], clip.same_person) if same or not within]


def _share(own: Floats, other: Floats) -> float:
    return float((own > other).mean() + 0.5 * (own == other).mean()) if len(own) else float("nan")


def own_sound_table(split: str, model: str, clips: Sequence[Scored]) -> list[str]:
    """Return the Markdown rows of a model on a split: all clips, then each person; see `HEADER`."""
    people = sorted({clip.person for clip in clips})
    groups = {split: list(clips)}
    if len(people) > 1:
        groups |= {f"{split}: {person}": [clip for clip in clips if clip.person == person] for person in people}
    rows = [_row(name, model, group) for name, group in groups.items()]
    if len(people) > 1:
        worst = [min(clips_right(group, score) for group in list(groups.values())[1:]) for score in HIGHER_IS_BETTER]
        rows.append(f"| {split}: worst of {len(people)} people | {model} | | {_cells(worst)} | | | | | | |")
    return rows


def _row(name: str, model: str, clips: Sequence[Scored]) -> str:
    means = [
        value
        for score in HIGHER_IS_BETTER
        for value in (
            np.mean([abs(clip.own[score]) for clip in clips]),
            np.mean([np.abs(np.mean(clip.others[score])) for clip in clips]),
        )
    ]
    told = [clips_right(clips, score, within) for within in (False, True) for score in HIGHER_IS_BETTER]
    pairs = [pairs_right(clips, "LSE-C"), pairs_right(clips, "LSE-C", within=True)]
    shown = f"{means[0]:.3f} / {means[1]:.3f} | {means[2]:.3f} / {means[3]:.3f}"
    return f"| {name} | {model} | {len(clips)} | {_cells(told)} | {_cells(pairs)} | {shown} |"


def _cells(values: Sequence[float]) -> str:
    return " | ".join("" if np.isnan(value) else f"{value:.3f}" for value in values)


HEADER = [
    "| own sound over others | model | clips | clips right, LSE-C | LSE-D | within one person, LSE-C | LSE-D | "
    "pairs right, LSE-C | within one person | LSE-C, own / others | LSE-D, own / others |",
    "|---" * 11 + "|",
]
"""Header of the table whose rows `own_sound_table` returns."""
