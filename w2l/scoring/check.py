"""Check whether the judge can detect lip sync on these clips, before its numbers and offsets are trusted."""

import math
from collections.abc import Sequence
from dataclasses import replace

from w2l.core.text import some
from w2l.scoring.chance import COMPARED, ShuffledClip, Slots, under_others
from w2l.scoring.metrics.locking import joint_p, locking_p
from w2l.scoring.metrics.statistics import sign_flip_p
from w2l.scoring.results import REAL, ClipScore, JudgeCheck, Sample
from w2l.scoring.settings import ScoreSettings

SURE = 0.05
"""p-value below which a result is significant."""
FEW = 5
"""With fewer clips no flip of signs is rarer than `SURE`: each clip is tested alone."""


def check_judge(
    clips: Sequence[ClipScore], chance: Sequence[ShuffledClip], slots: Slots, settings: ScoreSettings
) -> JudgeCheck | None:
    """Return whether the judge distinguishes own from other audio; None without LSE or any scored clip.

    It is tested on the real videos; without any, on the outputs, one of each clip. Both LSE-D and LSE-C must be
    significant: the p-value is the larger of theirs, by one-sided sign flips of own less shuffled, clip by clip.
    """
    if "lse" not in settings.measures:
        return None
    scored = [clip.sample for clip in clips if clip.scored]
    reals = list({sample.path: sample for sample in scored if sample.system == REAL}.values())
    samples = reals or list({sample.name: sample for sample in reversed(scored)}.values())
    if not samples:
        return None
    real = bool(reals)
    if len(samples) >= FEW and len(chance) >= FEW:
        p_values = [sign_flip_p([one.gains[name] for one in chance], settings.seed, above=True) for name in COMPARED]
        return JudgeCheck(max(p_values) < SURE, max(p_values), len(chance), real, "shuffled")
    alone = [p for sample in samples[:FEW] if (p := _alone(sample, slots, settings)) is not None]
    if not alone:
        return None
    p_value = joint_p(alone)
    return JudgeCheck(p_value < SURE, p_value, len(alone), real, "alone")


def without_chance_offsets(
    clips: Sequence[ClipScore], chance: Sequence[ShuffledClip], slots: Slots, settings: ScoreSettings
) -> list[ClipScore]:
    """Return the clips, then those of `chance`, with nan for each offset at chance level, which also is not in sync.

    That is the first and the last offset tried, beyond which the true one may lie, and one whose confidence is not
    above chance: LSE-C with the clip's own audio is no larger than its mean with that of other clips of the system.
    With fewer than five of these it is one that does not stand out from its neighbours (`locking_p` of at least
    `SURE`). For further face tracks of a clip, whose embeddings are not stored, only the first test is made.
    """
    gains = _gains(clips, chance, slots, settings)
    found, asked = list[ClipScore](), set[Sample]()
    for clip in clips:
        if not clip.scored or "offset" not in clip.values:
            found.append(clip)
            continue
        lucky = False
        if clip.sample not in asked:
            gain = gains.get(clip.sample)
            lucky = gain <= 0 if gain is not None else not _stands_out(clip.sample, slots, settings)
        asked.add(clip.sample)
        found.append(_without_offset(clip, lucky, settings.max_shift))
    few = len(chance) < FEW
    return [*found, *(_without_offset(one.score, few or one.is_luck, settings.max_shift) for one in chance)]


def offset_notes(clips: Sequence[ClipScore], settings: ScoreSettings) -> list[str]:
    """Return notes on which clips have no offset, and why."""
    without = [clip.sample.name for clip in clips if clip.scored and math.isnan(clip.values.get("offset", 0.0))]
    if not without:
        return []
    return [
        f"offset: none if it is the first or last one tried (±{settings.max_shift}), or if the clip's own audio "
        f"fits no better than chance; counted as out of sync: {some(without)}"
    ]


def _gains(
    clips: Sequence[ClipScore], chance: Sequence[ShuffledClip], slots: Slots, settings: ScoreSettings
) -> dict[Sample, float]:
    """Return by how much LSE-C of clips exceeds that with other audio of their system, if it has five clips or more."""
    by_system: dict[str, dict[Sample, None]] = {}
    for clip in clips:
        if clip.scored and "offset" in clip.values:
            by_system.setdefault(clip.sample.system, {})[clip.sample] = None
    known = {one.sample: one.gains["lse_c"] for one in chance}
    gains: dict[Sample, float] = {}
    for samples in by_system.values():
        found = {sample: known[sample] for sample in samples if sample in known}
        if len(found) < len(samples) >= FEW:
            found = {one.sample: one.gains["lse_c"] for one in under_others(list(samples), slots, settings)}
        if len(found) >= FEW:
            gains |= found
    return gains


def _alone(sample: Sample, slots: Slots, settings: ScoreSettings) -> float | None:
    """Return the p-value of one clip alone; None if nothing is stored of it."""
    kept = slots[sample].heard_and_seen()
    return locking_p(*kept, settings.max_shift, settings.seed) if kept is not None else None


def _stands_out(sample: Sample, slots: Slots, settings: ScoreSettings) -> bool:
    """Whether a clip's offset is significant, tested on it alone."""
    p_value = _alone(sample, slots, settings)
    return p_value is not None and p_value < SURE


def _without_offset(clip: ClipScore, lucky: bool, max_shift: int) -> ClipScore:
    """Return the clip with nan for an offset that is at chance level, or the last one tried."""
    offsets = {
        name: math.nan
        for name in ("offset", "offset_corrected")
        if name in clip.values and (lucky or abs(clip.values[name]) >= max_shift)
    }
    near = {"near": 0.0} if "offset" in offsets and "near" in clip.values else {}
    return replace(clip, values=clip.values | offsets | near)
