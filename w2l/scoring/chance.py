"""Chance level of the scores: the pictures of clips with the speech of others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from w2l.scoring.metrics.embed import Embeddings
from w2l.scoring.metrics.lse import lse_values
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, Sample
from w2l.scoring.settings import ScoreSettings
from w2l.scoring.store import Slot

ONE_CLIP = "shuffled speech requires two clips with different speech: the row for chance is missing"
OWN_CHANCE = f"{SHUFFLED}: the outputs' own pictures with each other's speech, as fewer than two real videos are known"
PARTNERS = 5
"""Number of other audio tracks that each picture is judged with for the row of chance: one alone could be luck."""
MOST_TRIED = 3 * PARTNERS
"""Number of clips tried as partners: few qualify if most say the same."""
SAME_SOUND = 0.2
"""Two audio tracks are the same if they are no further apart than this share of one's distance to itself elsewhere."""
COMPARED = ("lse_d", "lse_c")
"""Numbers of a picture's own audio compared with shuffled audio."""
Slots = Mapping[Sample, Slot]
"""Location of each sample's numbers; the samples as requested."""


@dataclass(frozen=True)
class ShuffledClip:
    """One picture with the audio of other clips."""

    sample: Sample
    """The clip that the picture is from."""
    score: ClipScore
    """Mean scores; the offset is that of the first audio track."""
    confidences: tuple[float, ...]
    """LSE-C with each of the audio tracks."""
    gains: dict[str, float]
    """By the names of `COMPARED`: how much better the picture scores with its own audio, on average. Own and other
    audio are cut to the same length, as a short clip has a higher LSE-C by chance."""

    @property
    def is_luck(self) -> bool:
        """Whether the first audio track fits no better than the others."""
        first, *others = self.confidences
        return not others or first <= float(np.mean(others))


def shuffled_speech(clips: Sequence[ClipScore], slots: Slots, settings: ScoreSettings) -> list[ShuffledClip]:
    """Return the chance scores; empty if LSE is not requested, or fewer than two clips were scored.

    The pictures are those of the real clips, or of the outputs if there are not two, each with another's audio.
    Every clip gets the next `PARTNERS` of a seeded shuffle, never itself, and the mean of the scores; the longer
    of two is cut. The offset is that of the first, as a mean of offsets would be closer to 0 than chance is. Of one
    clip only one output is used: the others, and the real video, say the same.
    """
    samples = _pictures(clips)
    if "lse" not in settings.measures or len(samples) < 2:
        return []
    return list(under_others(samples, slots, settings))


def chance_notes(chance: Sequence[ShuffledClip], samples: Sequence[Sample], settings: ScoreSettings) -> list[str]:
    """Return notes on what the row of chance consists of if not of real videos, or why it is missing."""
    if "lse" not in settings.measures:
        return []
    if not chance:
        return [ONE_CLIP]
    return [OWN_CHANCE] if all(sample.system != REAL for sample in samples) else []


def _pictures(clips: Sequence[ClipScore]) -> list[Sample]:
    """Return each real clip once; with fewer than two of them, one output of each clip."""
    kept = [clip.sample for clip in clips if clip.scored]
    real = list({sample.path: sample for sample in kept if sample.system == REAL}.values())
    outputs = {sample.name: sample for sample in reversed(kept) if sample.system != REAL}
    return real if len(real) > 1 else list(reversed(outputs.values()))


def under_others(samples: Sequence[Sample], slots: Slots, settings: ScoreSettings) -> Iterator[ShuffledClip]:
    """Yield each picture with up to `PARTNERS` other audio tracks; one without any is left out.

    Outputs that say the same are not partners.
    """
    order = np.random.default_rng(settings.seed).permutation(len(samples)).tolist()
    # Neighbours of the shuffle share their partners: each clip is read once, and few are held.
    load = lru_cache(PARTNERS + 1)(lambda idx: slots[samples[idx]].heard_and_seen())
    for place, mine in enumerate(order):
        own = load(mine)
        if own is None or min(map(len, own)) < 2:
            continue
        heard: dict[int, Embeddings] = {}
        for step in range(1, min(len(order), MOST_TRIED + 1)):
            other = order[(place + step) % len(order)]
            found = load(other)
            if found is not None and len(found[1]) > 1 and not _is_same_sound(own[1], found[1]):
                heard[other] = found[1]
            if len(heard) == PARTNERS:
                break
        if heard:
            partner = samples[next(iter(heard))]
            shuffled = replace(samples[mine], system=SHUFFLED, speech=partner.speech or partner.path)
            yield _score(samples[mine], shuffled, own, list(heard.values()), settings.max_shift)


def _is_same_sound(one: Embeddings, other: Embeddings) -> bool:
    """Whether two clips say the same at the same time: closer to each other than one is to itself half a clip away."""
    n = min(len(one), len(other))
    one, other = one[:n], other[:n]
    apart, away = (np.linalg.norm(one - than, axis=1).mean() for than in (other, np.roll(one, n // 2, axis=0)))
    return bool(apart <= SAME_SOUND * away)


def _score(
    sample: Sample, shuffled: Sample, own: tuple[Embeddings, Embeddings], heard: Sequence[Embeddings], max_shift: int
) -> ShuffledClip:
    """Score one picture with each audio track of `heard`, and with as much of its own."""
    lip, sound = own
    told = [lse_values(lip, other, max_shift) for other in heard]
    names = [name for name in told[0].values if all(name in one.values for one in told)]
    values = {name: float(np.mean([one.values[name] for one in told])) for name in names}
    values |= {name: told[0].values[name] for name in names if name.startswith("offset")}
    curve = tuple(np.mean([one.curve for one in told], axis=0).round(6).tolist())
    score = ClipScore(shuffled, values, curve, *told[0][2:], windows=round(values["windows"]))
    cut = lru_cache(None)(lambda length: lse_values(lip[:length], sound[:length], max_shift).values)
    pairs = [(cut(min(len(lip), len(other))), one.values) for other, one in zip(heard, told)]
    gains = {name: float(np.mean([mine[name] - other[name] for mine, other in pairs])) for name in COMPARED}
    return ShuffledClip(sample, score, tuple(one.values["lse_c"] for one in told), gains | {"lse_d": -gains["lse_d"]})
