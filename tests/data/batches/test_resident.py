"""Crops that are all on the device give the same batches as loaded ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.tiny_cache import ALIGNED, JUDGE, numbered_cache, talking_cache
from w2l.cache.store import Cache
from w2l.data.batches.augment import AugmentSettings, augment_frames, draw_look
from w2l.data.batches.expert import ExpertSampling
from w2l.data.batches.expert_loaders import (
    ExpertDrawing,
    ExpertTensors,
    ResidentExpertLoader,
    choose_expert_loader,
    crop_bytes,
)
from w2l.data.batches.loaders import OwnLoader, WorkerLoader
from w2l.data.batches.resident import Resident, vary
from w2l.data.batches.tracks import Tracks, open_splits

CPU = torch.device("cpu")
STILL = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
MOVING = AugmentSettings(
    shift=0.05, scale=0.1, turn=8, stretch=0.05, slant=0.05, bend=0.03, hue=60, light=0.3, contrast=0.3, gamma=0.3,
    grey=0.5, paint=0.4, mouth=0.2, mask_bands=9,
)  # fmt: skip
SMALL = ExpertSampling(n_clips=3, per_clip=3, gap=4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("resident") / "cache", 5)


@pytest.fixture(scope="module")
def tracks(cache: Cache) -> Tracks:
    return open_splits(cache, ALIGNED)[0]


def assert_same(one: ExpertTensors, other: ExpertTensors, grey_levels: float = 0.0) -> None:
    assert one.first == other.first
    for name in ("sounds", "partner", "in_sync", "silent"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.faces.shape == other.faces.shape
    assert float((one.faces.float() - other.faces.float()).abs().mean()) <= grey_levels


class TestSameBatches:
    @pytest.mark.parametrize(
        ("augment", "grey_levels"),
        [(STILL, 0.0), (AugmentSettings(), 0.0), (replace(STILL, grey=1.0), 0.5), (replace(STILL, blur=2.0), 0.5),
         (MOVING, 1.0)],
        ids=["still", "usual", "grey", "blur", "moving"],
    )  # fmt: skip
    def test_as_loaded(self, augment: AugmentSettings, grey_levels: float, tracks: Tracks) -> None:
        drawing = ExpertDrawing(replace(SMALL, augment=augment), 3)
        loaded, kept = OwnLoader(tracks, drawing, CPU), ResidentExpertLoader(tracks, drawing, CPU)
        for step in (0, 7):
            assert_same(kept.batch(step), loaded.batch(step), grey_levels)

    def test_a_rank_has_its_share(self, tracks: Tracks) -> None:
        whole = ResidentExpertLoader(tracks, ExpertDrawing(SMALL, 0), CPU).batch(1)
        parts = [ResidentExpertLoader(tracks, ExpertDrawing(SMALL, 0, rank, 2), CPU).batch(1) for rank in (0, 1)]
        assert [part.first for part in parts] == [0, len(parts[0].faces)]
        assert torch.equal(torch.cat([part.faces for part in parts]), whole.faces)
        assert torch.equal(torch.cat([part.sounds for part in parts]), whole.sounds)

    def test_a_judge_sees_whole_faces(self, tmp_path: Path) -> None:
        tracks = open_splits(talking_cache(tmp_path / "cache", 4, crop=JUDGE), JUDGE)[0]
        drawing = ExpertDrawing(SMALL, 0)
        kept = ResidentExpertLoader(tracks, drawing, CPU).batch(0)
        assert_same(kept, OwnLoader(tracks, drawing, CPU).batch(0))
        assert kept.faces.shape[2:4] == (JUDGE.size, JUDGE.size)

    def test_other_window_lengths(self, tmp_path: Path) -> None:
        cache = numbered_cache(tmp_path / "cache")
        tracks = Tracks(cache, cache.tracks(), ALIGNED, 16)
        drawing = ExpertDrawing(replace(SMALL, per_clip=2, augment=STILL), 0)
        kept = ResidentExpertLoader(tracks, drawing, CPU).batch(0)
        assert_same(kept, OwnLoader(tracks, drawing, CPU).batch(0))
        assert torch.equal(kept.faces[:, 1:, 0, 0, 0], kept.faces[:, :-1, 0, 0, 0] + 1)

    def test_only_what_can_be_seen_is_kept(self, tracks: Tracks) -> None:
        seen = ResidentExpertLoader(tracks, ExpertDrawing(replace(SMALL, augment=STILL), 0), CPU)
        whole = ResidentExpertLoader(tracks, ExpertDrawing(replace(SMALL, augment=MOVING), 0), CPU)
        assert seen.crops.frames.shape[1] == ALIGNED.size // 2
        assert whole.crops.frames.shape[1] == ALIGNED.size
        assert seen.crops.frames.numel() == crop_bytes(tracks, STILL)
        assert whole.crops.frames.numel() == crop_bytes(tracks, MOVING)


@pytest.mark.parametrize("first_row", [0, 24])
def test_moved_as_one_by_one(first_row: int) -> None:
    """On a smooth picture, where the two roundings of bilinear weights hardly differ."""
    y, x = np.mgrid[:48, :48]
    picture = np.stack([128 + 100 * np.sin(x / 9), 128 + 100 * np.cos(y / 7), 2.0 * (x + y)], axis=-1).astype(np.uint8)
    rng = np.random.default_rng(0)
    looks = [draw_look(rng, replace(MOVING, blur=1.5)) for _ in range(6)]
    together = vary(torch.from_numpy(np.stack([picture[None]] * 6)), looks, first_row).numpy()
    for one, look in zip(together, looks):
        alone = augment_frames(picture[None], look, first_row)
        assert np.abs(one.astype(float) - alone).mean() < 1.0
        assert np.abs(one.astype(float) - alone).max() <= 10


class TestChoice:
    def test_memory_of_the_device_decides(self, tracks: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
        drawing = ExpertDrawing(SMALL, 0)

        def chosen(resident: Resident, n_workers: int = 0) -> type:
            return type(choose_expert_loader(tracks, lambda: tracks, drawing, CPU, n_workers, resident))

        size = crop_bytes(tracks, SMALL.augment)
        assert (chosen("auto"), chosen("always"), chosen("never")) == (OwnLoader, ResidentExpertLoader, OwnLoader)
        assert chosen("auto", 2) is WorkerLoader
        monkeypatch.setattr("w2l.data.batches.resident.free_memory", lambda device: 2 * size)
        kept = ResidentExpertLoader
        assert (chosen("auto"), chosen("never"), chosen("auto", 2)) == (kept, OwnLoader, kept)
        monkeypatch.setattr("w2l.data.batches.resident.free_memory", lambda device: size)
        assert chosen("auto") is OwnLoader
