"""Speech in a stored voice: one for all windows of a draw, as often as asked for; without it nothing changes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_cache import ALIGNED, JUDGE, VOICES, add_voices, numbered_cache, talking_cache
from w2l.cache.store import Cache
from w2l.core.errors import TrainingError
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.expert import ExpertSampling, expert_batch, plan_expert_batch
from w2l.data.batches.generator import GeneratorSampling, generator_batch, load_generator_batch, plan_generator_batch
from w2l.data.batches.tracks import Tracks
from w2l.features.crop import CropSpec
from w2l.features.windows import SILENCE

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)


def tracks_of(cache: Cache, crop: CropSpec = ALIGNED) -> Tracks:
    return Tracks(cache, cache.tracks(), crop)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    return tracks_of(numbered_cache(tmp_path_factory.mktemp("plain") / "cache"))


@pytest.fixture(scope="module")
def voiced(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    cache = numbered_cache(tmp_path_factory.mktemp("voiced") / "cache")
    add_voices(cache)
    return tracks_of(cache)


def expert(share: float) -> ExpertSampling:
    return ExpertSampling(3, 4, augment=replace(OFF, shifted_voice=share))


def generator(share: float, swap: float = 0.0) -> GeneratorSampling:
    return GeneratorSampling(8, swap=swap, augment=replace(OFF, shifted_voice=share))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_all_windows_of_a_clip_have_one_voice(share: float, plain: Tracks, voiced: Tracks) -> None:
    """Also the partners of off-sync pairs, which a network could otherwise tell by the voice alone."""
    counts: Counter[float] = Counter()
    for step in range(20):
        plan = plan_expert_batch(voiced, expert(share), 1, step)
        batch = expert_batch(voiced, expert(share), 1, step)
        own = np.stack([plain.heard(int(plan.track[clip]), int(start))
                        for clip in range(3) for start in plan.start[clip]])  # fmt: skip
        shift = (batch.sounds - own).reshape(3, -1) * 100
        np.testing.assert_allclose(shift, [[sound.semitones] * shift.shape[1] for sound in plan.sounds], atol=1e-3)
        counts.update(sound.semitones for sound in plan.sounds)
    assert set(counts) == ({0.0} if not share else set(VOICES) if share == 1 else {0.0, *VOICES})
    if share == 0.5:
        assert 15 <= counts[0.0] <= 45


def test_without_it_batches_are_as_without_stored_voices(plain: Tracks, voiced: Tracks) -> None:
    strong = replace(AugmentSettings(voice=0.1, room=0.5, mask_bands=5), shifted_voice=0.0)
    for step in range(3):
        one, two = (expert_batch(tracks, ExpertSampling(3, 4, augment=strong), 0, step) for tracks in (plain, voiced))
        np.testing.assert_array_equal(one.sounds, two.sounds)
        np.testing.assert_array_equal(one.faces, two.faces)
        first, second = (
            generator_batch(tracks, GeneratorSampling(6, swap=0.3, augment=strong), 0, step)
            for tracks in (plain, voiced)
        )
        np.testing.assert_array_equal(first.mels, second.mels)
        np.testing.assert_array_equal(first.target, second.target)


def test_a_judge_hears_them_too(tmp_path: Path) -> None:
    cache = numbered_cache(tmp_path / "cache", crop=JUDGE)
    add_voices(cache)
    tracks = tracks_of(cache, JUDGE)
    plan, batch = (draw(tracks, expert(1.0), 0, 0) for draw in (plan_expert_batch, expert_batch))
    own = np.stack([tracks.heard(int(plan.track[clip]), int(start)) for clip in range(3) for start in plan.start[clip]])
    shift = (batch.sounds - own).reshape(3, -1) * 100
    np.testing.assert_allclose(shift, [[sound.semitones] * shift.shape[1] for sound in plan.sounds], atol=1e-3)


def test_generator_and_expert_take_the_voice_of_the_speech(plain: Tracks, voiced: Tracks) -> None:
    plan = plan_generator_batch(voiced, generator(1.0, swap=0.5), 0, 0)
    batch = generator_batch(voiced, generator(1.0, swap=0.5), 0, 0)
    unshifted = [replace(draw, sound=replace(draw.sound, semitones=0.0)) for draw in plan]
    own = load_generator_batch(plain, unshifted)
    assert not batch.own.all()
    for place, draw in enumerate(plan):
        assert draw.sound.semitones in VOICES
        for name in ("mels", "expert_mels"):
            before, after = (getattr(each, name)[place] for each in (own, batch))
            spoken = before > SILENCE  # after the end of a clip there is silence in every voice
            np.testing.assert_allclose((after - before)[spoken] * 100, draw.sound.semitones, atol=1e-3)
            np.testing.assert_array_equal(after[~spoken], SILENCE)


def test_parts_of_tracks_begin_at_the_same_place(voiced: Tracks) -> None:
    part = voiced.part([(1, 10, 40)])
    assert part.voices(0) == VOICES
    np.testing.assert_array_equal(part.heard(0, 3, 5.0), voiced.heard(1, 13, 5.0))


def test_tracks_without_voices_are_refused(plain: Tracks, voiced: Tracks, tmp_path: Path) -> None:
    voiced.check_voices(0.5, "augment.shifted_voice")
    plain.check_voices(0.0, "augment.shifted_voice")
    with pytest.raises(TrainingError) as refused:
        plain.check_voices(0.5, "augment.shifted_voice")
    assert str(refused.value) == (
        "augment.shifted_voice is 0.5, but 3 of 3 tracks to train on, such as clip000, have no other voice in the "
        "cache; run w2l preprocess on the same clips with --set voices.semitones=[-3,3], or set augment.shifted_voice=0"
    )
    cache = talking_cache(tmp_path / "cache", 3)
    add_voices(cache, only=1)
    with pytest.raises(TrainingError, match="2 of 3 tracks to train on, such as clip0, have"):
        tracks_of(cache).check_voices(1.0, "augment.shifted_voice")
