"""References near to the window: the lips and poses most like its own, but not its own."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.helpers.tiny_cache import ALIGNED, JUDGE, add_track, numbered_cache
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.timing import mel_columns
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.generator import NEAREST, GeneratorSampling, generator_batch, plan_generator_batch
from w2l.data.batches.generator_loaders import GeneratorDrawing, GeneratorTensors, ResidentGeneratorLoader
from w2l.data.batches.loaders import Loader, OwnLoader
from w2l.data.batches.near import N_LIPS, borrowed, nearest, resting, track_likeness
from w2l.data.batches.tracks import Tracks
from w2l.data.puppets import draw_face
from w2l.features.crop import CropSpec, cut

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
NEAR = GeneratorSampling(batch_size=16, distance=5, near=1.0, augment=OFF)
SPEC = CropSpec("aligned", 96)
CPU = torch.device("cpu")


@functools.cache
def puppet(opened: float, aside: float = 0.0) -> NDArray[np.uint8]:
    """The aligned crop of a drawn face, its mouth `opened` 0..1, seen `aside` pixels off."""
    image = np.full((240, 320, 3), 90, np.uint8)
    points = draw_face(image, 160, 118, 60, opened)
    return cut(image, np.zeros(4), points + np.array([aside, 0.0]), SPEC)


def talking(n_frames: int, period: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Crops of a face whose mouth opens and closes every `period` frames, and how far it is open."""
    opened = np.round(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_frames) / period), 2)
    return np.stack([puppet(float(each)) for each in opened]), opened


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    cache = Cache.open(tmp_path_factory.mktemp("near") / "cache", create=True)
    for number, period in enumerate((16, 23)):
        mel = np.zeros((80, mel_columns(70 * 640)), np.float32)
        add_track(cache, f"clip{number}", talking(70, period)[0], {"mel": mel}, SPEC)
    return cache


def opened(cache: Cache) -> Tracks:
    return Tracks(cache, cache.tracks(), SPEC)


def test_the_most_alike_come_first() -> None:
    crops, gaps = talking(70, 23)
    own = track_likeness(crops)
    found = nearest(own, own[12:17], np.r_[0:7, 22:70], 1, 5)
    assert np.abs(gaps[found] - gaps[12:17].mean()).max() < 0.25
    runs = nearest(own, own[2:7], np.arange(12, 66), 5, 2)
    assert sorted(runs.tolist()) == [25, 48]  # the same movement, one and two periods later


def test_a_pose_counts_beside_the_lips() -> None:
    crops = np.stack([puppet(0.4)] * 5 + [puppet(0.4, aside=6.0), puppet(0.4), puppet(0.4, aside=3.0)])
    own = track_likeness(crops)
    assert nearest(own, own[:5], np.array([5, 6, 7]), 1, 3).tolist() == [6, 7, 5]


def test_other_sound_asks_for_other_lips() -> None:
    """Of the lips that go with the sound, as far from usual; of the window's own pose; in silence of closed lips."""
    (crops, gaps), (other_crops, other_gaps) = talking(70, 23), talking(70, 16)
    own, other = track_likeness(crops), track_likeness(other_crops)
    window = borrowed(own, 0, other, 6)  # the own mouth is closed, the other one wide open
    np.testing.assert_array_equal(window[:, N_LIPS:], own[:5, N_LIPS:])
    assert np.abs(gaps[nearest(own, window, np.arange(70), 1, 4)] - other_gaps[6:11].mean()).max() < 0.25
    closed = resting(own, 11)
    np.testing.assert_array_equal(closed[:, N_LIPS:], own[11:16, N_LIPS:])
    assert gaps[nearest(own, closed, np.arange(70), 1, 4)].max() < 0.1


def test_references_are_alike_and_not_the_windows_own(talker: Cache) -> None:
    tracks = opened(talker)
    of_period = {track: talking(70, period)[1] for track, period in enumerate((16, 23))}
    moving, differences, at_random = [], [], []
    for step in range(6):
        for draw in plan_generator_batch(tracks, NEAR, 0, step):
            frames, gaps = np.array(draw.references[0]), of_period[draw.track]
            window = np.arange(draw.start, draw.start + 5)
            assert np.abs(frames[:, None] - window).min() >= 5
            moving.append(len(set(frames.tolist())) == 5)
            differences.append(np.abs(gaps[frames] - gaps[window]).mean())
        for draw in plan_generator_batch(tracks, replace(NEAR, near=0.0), 0, step):
            gaps = of_period[draw.track]
            at_random.append(np.abs(gaps[list(draw.references[0])] - gaps[draw.start : draw.start + 5]).mean())
    assert 0.3 < np.mean(moving) < 0.7
    assert np.mean(differences) < 0.5 * np.mean(at_random)


def test_the_rank_is_drawn(talker: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Always the best one would teach that references fit."""
    tracks = opened(talker)
    monkeypatch.setattr("w2l.data.batches.generator._start", lambda *_: 30)
    plans = [plan_generator_batch(tracks, NEAR, 0, step) for step in range(20)]
    chosen = {draw.references[0] for plan in plans for draw in plan if draw.track == 0}
    assert len(chosen) == 2 * NEAREST  # runs, and single frames


@pytest.mark.parametrize("near", [1.0, 0.4])
def test_the_share_and_the_batches_depend_on_seed_and_step_alone(near: float, talker: Cache) -> None:
    sampling = replace(NEAR, near=near, swap=0.3, silence=0.2, resting=0.3 * (near < 1), batch_size=12, n_references=2)
    fresh, used = opened(talker), opened(talker)
    for step in (3, 0, 1):
        generator_batch(used, sampling, 0, step)
    one, other = (generator_batch(tracks, sampling, 0, 1) for tracks in (fresh, used))
    np.testing.assert_array_equal(one.reference, other.reference)
    np.testing.assert_array_equal(one.target, other.target)


def test_kept_crops_show_the_same(talker: Cache) -> None:
    drawing = GeneratorDrawing(replace(NEAR, near=0.6), 3)
    loaders: list[Loader[GeneratorTensors]]
    loaders = [OwnLoader(opened(talker), drawing, CPU), ResidentGeneratorLoader(opened(talker), drawing, CPU)]
    for step in (0, 1):
        loaded, kept = (loader.batch(step) for loader in loaders)
        assert torch.equal(loaded.reference, kept.reference)
        assert torch.equal(loaded.target, kept.target)


def test_short_tracks_give_what_is_farthest(tmp_path: Path) -> None:
    cache = numbered_cache(tmp_path / "cache", (7,))
    for draw in plan_generator_batch(Tracks(cache, cache.tracks(), ALIGNED), NEAR, 0, 0):
        assert set(draw.references[0]) <= set(range(7))


def test_other_crops_are_refused(tmp_path: Path) -> None:
    cache = numbered_cache(tmp_path / "cache", crop=JUDGE)
    with pytest.raises(ConfigError, match="near needs aligned crops"):
        plan_generator_batch(Tracks(cache, cache.tracks(), JUDGE), NEAR, 0, 0)
