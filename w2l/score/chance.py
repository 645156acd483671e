"""What chance scores: the pictures of clips under the speech of others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from w2l.score.metrics.lse import lse_values
from w2l.score.results import REAL, SHUFFLED, ClipScore, Sample
from w2l.score.settings import ScoreSettings
from w2l.score.store import Slot

ONE_CLIP = "shuffled speech needs two clips: there is no row for chance"
OWN_CHANCE = f"{SHUFFLED}: the outputs' own pictures under each other's speech, as two real videos are not known"
PARTNERS = 5
"""Other sounds that each picture is judged with for the row of chance: one alone would be luck."""
Slots = Mapping[Sample, Slot]
"""Where each sample's numbers are kept; the samples as they were asked for."""


def shuffled_speech(clips: Sequence[ClipScore], slots: Slots, settings: ScoreSettings) -> list[ClipScore]:
    """Return what chance scores; empty where LSE is not asked for, or fewer than two clips were scored.

    The pictures are those of the real clips, or of the outputs where there are not two, each under another's sound.
    Every clip gets the next `PARTNERS` of a seeded shuffle, never itself, and the mean of what they score; the longer
    of two is cut. The offset is that of the first, as a mean of offsets would be nearer to 0 than chance is. Of one
    clip only one output takes part: the others, and the real video, say the same.
    """
    samples = _pictures(clips)
    if "lse" not in settings.measures or len(samples) < 2:
        return []
    return list(_shuffled(samples, slots, settings))


def chance_notes(chance: Sequence[ClipScore], samples: Sequence[Sample], settings: ScoreSettings) -> list[str]:
    """Say what the row of chance is made of where it is not of real videos, or why it is missing."""
    if "lse" not in settings.measures:
        return []
    if not chance:
        return [ONE_CLIP]
    return [OWN_CHANCE] if all(sample.system != REAL for sample in samples) else []


def _pictures(clips: Sequence[ClipScore]) -> list[Sample]:
    """Each real clip once; without two of them, one output of each clip."""
    kept = [clip.sample for clip in clips if clip.scored]
    real = list({sample.path: sample for sample in kept if sample.system == REAL}.values())
    outputs = {sample.name: sample for sample in reversed(kept) if sample.system != REAL}
    return real if len(real) > 1 else list(reversed(outputs.values()))


def _shuffled(samples: Sequence[Sample], slots: Slots, settings: ScoreSettings) -> Iterator[ClipScore]:
    order = np.random.default_rng(settings.seed).permutation(len(samples)).tolist()
    # Neighbours of the shuffle share their partners: each clip is read once, and few are held.
    load = lru_cache(PARTNERS + 1)(lambda idx: slots[samples[idx]].heard_and_seen())
    for place, mine in enumerate(order):
        others = [order[(place + step) % len(order)] for step in range(1, min(PARTNERS, len(order) - 1) + 1)]
        seen = load(mine)
        heard = [found for other in others if (found := load(other)) is not None]
        pairs = [(seen[0], sound) for _, sound in heard if seen is not None and min(len(seen[0]), len(sound)) > 1]
        if pairs:
            told = [lse_values(*pair, settings.max_shift) for pair in pairs]
            partner = samples[others[0]]
            sample = replace(samples[mine], system=SHUFFLED, speech=partner.speech or partner.path)
            names = [name for name in told[0].values if all(name in one.values for one in told)]
            values = {name: float(np.mean([one.values[name] for one in told])) for name in names}
            values |= {name: told[0].values[name] for name in names if name.startswith("offset")}
            curve = tuple(np.mean([one.curve for one in told], axis=0).round(6).tolist())
            yield ClipScore(sample, values, curve, *told[0][2:], windows=round(values["windows"]))
