"""A generator's crops that are all on the device give the same batches as loaded ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.tiny_cache import ALIGNED, talking_cache
from w2l.cache.store import Cache
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.generator import GeneratorSampling, generator_batch
from w2l.data.batches.generator_loaders import (
    GeneratorDrawing,
    GeneratorTensors,
    ResidentGeneratorLoader,
    choose_generator_loader,
    generator_tensors,
)
from w2l.data.batches.loaders import OwnLoader
from w2l.data.batches.tracks import Tracks, open_splits

CPU = torch.device("cpu")
STILL = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
MOVING = AugmentSettings(
    shift=0.05, scale=0.1, turn=8, stretch=0.05, slant=0.05, bend=0.03, hue=60, light=0.3, contrast=0.3, gamma=0.3,
    grey=0.5,
)  # fmt: skip
SAMPLING = GeneratorSampling(batch_size=7, n_references=2, distance=5, swap=0.3, silence=0.2, augment=STILL)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    cache = talking_cache(tmp_path_factory.mktemp("loading") / "cache", 5)
    return open_splits(Cache.open(Path(cache.root)), ALIGNED)[0]


def assert_same(one: GeneratorTensors, other: GeneratorTensors, grey_levels: float = 0.0) -> None:
    assert one.clips == other.clips
    for name, mine in one.tensors().items():
        theirs = getattr(other, name)
        assert mine.dtype == theirs.dtype, name
        if name in ("target", "reference"):
            assert mine.shape == theirs.shape, name
            assert float((mine.float() - theirs.float()).abs().mean()) <= grey_levels
        else:
            assert torch.equal(mine, theirs), name


@pytest.mark.parametrize("references", ["still", "consecutive"])
@pytest.mark.parametrize(
    ("augment", "grey_levels"),
    [(STILL, 0.0), (AugmentSettings(), 0.0), (replace(STILL, grey=1.0), 0.5), (replace(STILL, blur=2.0), 0.5),
     (MOVING, 1.0)],
    ids=["still", "usual", "grey", "blur", "moving"],
)  # fmt: skip
def test_as_loaded(augment: AugmentSettings, grey_levels: float, references: str, tracks: Tracks) -> None:
    sampling = replace(SAMPLING, augment=augment, references=references, apart=1.0)
    drawing = GeneratorDrawing(sampling, 3)
    loaded, kept = OwnLoader(tracks, drawing, CPU), ResidentGeneratorLoader(tracks, drawing, CPU)
    for step in (0, 7):
        batch = loaded.batch(step)
        assert_same(kept.batch(step), batch, grey_levels)
        assert not torch.equal(batch.target, batch.reference[..., :3])  # so that the two cannot have been exchanged
        assert_same(batch, generator_tensors(generator_batch(tracks, sampling, 3, step)))
    assert not torch.equal(loaded.batch(0).target, loaded.batch(7).target)


@pytest.mark.parametrize("kind", [OwnLoader, ResidentGeneratorLoader])
def test_ranks_share_the_joint_batch(kind: type[OwnLoader[GeneratorTensors]], tracks: Tracks) -> None:
    whole = kind(tracks, GeneratorDrawing(SAMPLING, 0), CPU).batch(1)
    shares = [kind(tracks, GeneratorDrawing(SAMPLING, 0, rank=rank, n_ranks=3), CPU).batch(1) for rank in range(3)]
    assert sorted(len(share) for share in shares) == [2, 2, 3]
    for name, tensor in whole.tensors().items():
        assert torch.equal(torch.cat([getattr(share, name) for share in shares]), tensor), name
    assert sum((share.clips for share in shares), ()) == whole.clips


def test_parts_are_the_shares_of_ranks(tracks: Tracks) -> None:
    whole = OwnLoader(tracks, GeneratorDrawing(SAMPLING, 0), CPU).batch(1)
    parts = whole.parts(2)
    for rank, part in enumerate(parts):
        assert_same(part, OwnLoader(tracks, GeneratorDrawing(SAMPLING, 0, rank=rank, n_ranks=2), CPU).batch(1))
    assert [len(part) for part in whole.parts(100)] == [1] * 7


def test_what_is_kept(tracks: Tracks) -> None:
    drawing = GeneratorDrawing(SAMPLING, 0)
    kinds = {how: type(choose_generator_loader(tracks, drawing, CPU, how)) for how in ("auto", "always", "never")}
    assert kinds == {"auto": OwnLoader, "always": ResidentGeneratorLoader, "never": OwnLoader}


def test_tensors_of_an_array_share_its_memory(tracks: Tracks) -> None:
    batch = generator_batch(tracks, SAMPLING, 0, 0)
    assert np.shares_memory(generator_tensors(batch).target.numpy(), batch.target)
