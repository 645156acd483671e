"""Whether the judge can tell, asked of real videos or outputs, of many clips or one; offsets that are luck."""

import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.scoring.chance import Slots, shuffled_speech
from w2l.scoring.check import FEW, check_judge, offset_notes, without_chance_offsets
from w2l.scoring.metrics.lse import lse_values
from w2l.scoring.results import REAL, ClipScore, JudgeCheck, Sample
from w2l.scoring.settings import ScoreSettings

SETTINGS = ScoreSettings()
Rows = NDArray[np.float32]


class Kept:
    """Stands for a slot: the embeddings that are kept of a clip."""

    def __init__(self, lip: Rows, audio: Rows) -> None:
        self._kept = lip, audio

    def heard_and_seen(self) -> tuple[Rows, Rows]:
        """Both, windows by features."""
        return self._kept


def windows(rng: np.random.Generator, count: int) -> Rows:
    noise = rng.normal(size=(count + 4, 24))
    return np.stack([noise[k : k + 5].mean(axis=0) for k in range(count)]).astype(np.float32) * 5**0.5


def made(
    n_clips: int, noise: float, system: str = REAL, offset: int = 0, lengths: tuple[int, ...] = (90,)
) -> tuple[list[ClipScore], Slots]:
    """Clips whose sound the judge hears as the picture with `noise` on it; a noise of inf leaves nothing of it."""
    rng, clips, slots = np.random.default_rng(7), [], {}
    for number in range(n_clips):
        lip = windows(rng, lengths[number % len(lengths)])
        share = 0.0 if math.isinf(noise) else 1.0
        audio = share * np.roll(lip, offset, axis=0) + (noise if share else 1.0) * windows(rng, len(lip))
        sample = Sample(Path(f"/{system}/{number}.mp4"), system, str(number))
        told = lse_values(lip, audio, SETTINGS.max_shift)
        clips.append(ClipScore(sample, told.values, *told[1:], windows=len(lip)))
        slots[sample] = Kept(lip, audio)
    return clips, cast(Slots, slots)


def checked(clips: list[ClipScore], slots: Slots, settings: ScoreSettings = SETTINGS) -> JudgeCheck | None:
    return check_judge(clips, shuffled_speech(clips, slots, settings), slots, settings)


@pytest.mark.parametrize("n_clips", [1, 2, 4, FEW, 9])
@pytest.mark.parametrize("system", [REAL, "ours"])
def test_a_judge_that_can_tell_and_one_that_cannot(n_clips: int, system: str) -> None:
    able, unable = (checked(*made(n_clips, noise, system)) for noise in (0.5, math.inf))
    assert able is not None
    assert unable is not None
    assert able.can_tell
    assert able.p_value < 0.05
    assert not unable.can_tell
    assert unable.p_value >= 0.05
    for check in (able, unable):
        assert check.clips == n_clips
        assert check.real == (system == REAL)
        assert check.how == ("shuffled" if n_clips >= FEW else "alone")


def test_real_videos_are_asked_before_outputs() -> None:
    """One real video behind many outputs that are in sync: what counts is the real one."""
    real, slots = made(1, math.inf)
    outputs, more = made(8, 0.2, "ours")
    check = checked([*outputs, *real], {**slots, **more})
    assert check is not None
    assert (check.real, check.clips, check.how, check.can_tell) == (True, 1, "alone", False)


def test_nothing_is_checked_where_there_is_nothing_to_check() -> None:
    clips, slots = made(3, 0.5)
    assert checked(clips, slots, ScoreSettings(measures=("mouth",))) is None
    assert checked([ClipScore(clip.sample, reason="no face") for clip in clips], slots) is None


def test_own_sound_is_compared_over_the_length_of_the_other() -> None:
    """LSE-C of a short clip is high by chance: without equal lengths, long pictures would lose to short sounds."""
    clips, slots = made(12, math.inf, lengths=(300, 30))
    chance = shuffled_speech(clips, slots, SETTINGS)
    own = {clip.sample: clip.values["lse_c"] for clip in clips}
    long = [one for one in chance if int(one.sample.name) % 2 == 0]
    naive = [own[one.sample] - one.score.values["lse_c"] for one in long]
    assert np.mean(naive) < -0.1
    assert abs(np.mean([one.gains["lse_c"] for one in long])) < 0.08


def test_outputs_that_say_the_same_are_no_chance_for_each_other() -> None:
    """Ten videos with one speech: each is asked alone, and found in sync."""
    clips, slots = made(10, 0.5, "ours")
    sound = windows(np.random.default_rng(11), 90)
    rng = np.random.default_rng(12)
    kept = {clip.sample: Kept(sound + 0.5 * windows(rng, 90), sound) for clip in clips}
    same = cast(Slots, kept)
    told = [lse_values(*slot.heard_and_seen()) for slot in kept.values()]
    clips = [replace(clip, values=one.values) for clip, one in zip(clips, told)]
    assert shuffled_speech(clips, same, SETTINGS) == []
    check = checked(clips, same)
    assert check is not None
    assert check.can_tell
    assert check.how == "alone"
    assert all(clip.values["offset"] == 0.0 for clip in offsets(clips, same))
    assert len(shuffled_speech(clips, slots, SETTINGS)) == 10


def offsets(clips: list[ClipScore], slots: Slots) -> list[ClipScore]:
    return without_chance_offsets(clips, shuffled_speech(clips, slots, SETTINGS), slots, SETTINGS)


@pytest.mark.parametrize("n_clips", [1, 3, 8])
def test_offsets_that_are_no_luck_stay(n_clips: int) -> None:
    clips, slots = made(n_clips, 0.5, offset=3)
    for before, after in zip(clips, offsets(clips, slots)):
        assert after == before
        assert after.values["offset"] == -3 or after.values["offset"] == 3


@pytest.mark.parametrize(("n_clips", "least"), [(1, 1.0), (3, 0.6), (40, 0.4)])
def test_offsets_that_are_luck_are_none_and_not_in_sync(n_clips: int, least: float) -> None:
    """Alone nineteen of twenty are; of many half are, as half of all are below the mean of others."""
    clips, slots = made(n_clips, math.inf)
    clips = [replace(clip, values={**clip.values, "offset": 0.0, "near": 1.0}) for clip in clips]
    found = offsets(clips, slots)
    shuffled = found[n_clips:]
    lucky = [clip for clip in found[:n_clips] if math.isnan(clip.values["offset"])]
    assert len(lucky) >= least * n_clips
    assert all(clip.values["near"] == 0.0 and math.isnan(clip.values["offset_corrected"]) for clip in lucky)
    assert all(math.isfinite(clip.values["lse_c"]) for clip in found)
    assert len(shuffled) == (n_clips if n_clips > 1 else 0)
    assert np.mean([math.isnan(clip.values["offset"]) for clip in shuffled] or [1.0]) >= least


def test_each_system_has_its_own_chance() -> None:
    """Outputs whose confidence is below that of real pictures under other sounds, but above their own chance."""
    real, slots = made(8, 0.3)
    weak, more = made(8, 1.3, "ours")
    found = without_chance_offsets([*real, *weak], shuffled_speech([*real, *weak], {**slots, **more}, SETTINGS),
                         {**slots, **more}, SETTINGS)  # fmt: skip
    assert sum(clip.values["offset"] == 0.0 for clip in found if clip.sample.system == "ours") >= 7


@pytest.mark.parametrize("n_clips", [1, 8])
def test_the_last_offset_tried_is_none(n_clips: int) -> None:
    """Sync that is real, but at the edge: where it truly is cannot be known."""
    clips, slots = made(n_clips, 0.3, offset=SETTINGS.max_shift)
    found = offsets(clips, slots)[:n_clips]
    assert all(abs(clip.values["offset"]) == SETTINGS.max_shift for clip in clips)
    assert all(math.isnan(clip.values["offset"]) and clip.values["near"] == 0.0 for clip in found)


def test_what_is_dropped_or_without_lse_is_left_alone() -> None:
    clips, slots = made(2, 0.5)
    odd: list[ClipScore] = [ClipScore(clips[0].sample, reason="no face"), ClipScore(clips[1].sample, {"psnr": 30.0})]
    assert without_chance_offsets(odd, [], slots, SETTINGS) == odd


def test_a_note_names_the_clips_without_an_offset_and_why() -> None:
    clips, slots = made(1, math.inf)
    (note,) = offset_notes(offsets(clips, slots), SETTINGS)
    assert "±15" in note
    assert note.endswith(": 0")
    assert offset_notes(made(2, 0.3)[0], SETTINGS) == []
