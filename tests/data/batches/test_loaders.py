"""Batches by this process and by workers are the same; a worker that dies or hangs is an error, not a wait."""

import functools
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.helpers.tiny_cache import ALIGNED, talking_cache
from w2l.cache.store import Cache
from w2l.core.errors import CacheError, TrainingError
from w2l.data.batches.expert import ExpertSampling
from w2l.data.batches.expert_loaders import ExpertDrawing
from w2l.data.batches.loaders import OwnLoader, WorkerLoader
from w2l.data.batches.tracks import Tracks, open_splits

CPU = torch.device("cpu")
SMALL = ExpertSampling(n_clips=3, per_clip=3, gap=4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("loaders") / "cache", 5)


def train_tracks(root: Path) -> Tracks:
    """Runs in the workers."""
    torch.set_num_threads(1)
    return open_splits(Cache.open(root), ALIGNED)[0]


def no_tracks() -> Tracks:
    """Runs in the workers."""
    raise CacheError("the cache is gone")


def never() -> Tracks:
    """Runs in the workers."""
    time.sleep(600)
    raise CacheError("woken")


def test_workers_load_the_same(cache: Cache) -> None:
    drawing = ExpertDrawing(SMALL, 4)
    own = OwnLoader(train_tracks(cache.root), drawing, CPU)
    workers = WorkerLoader(functools.partial(train_tracks, cache.root), drawing, CPU, 2)
    try:
        for step in (5, 6, 7, 2):  # in a row, and back
            one, other = own.batch(step), workers.batch(step)
            for name in ("faces", "sounds", "partner", "in_sync", "silent"):
                assert torch.equal(getattr(one, name), getattr(other, name)), (step, name)
    finally:
        workers.close()


def test_an_error_of_a_worker_arrives_as_it_is() -> None:
    workers = WorkerLoader(no_tracks, ExpertDrawing(SMALL, 0), CPU, 1)
    with pytest.raises(CacheError, match=r"^the cache is gone$"):
        workers.batch(0)
    workers.close()


def test_a_killed_worker_is_an_error(cache: Cache) -> None:
    workers = WorkerLoader(functools.partial(train_tracks, cache.root), ExpertDrawing(SMALL, 0), CPU, 1)
    workers.batch(0)
    (process,) = workers.batches._workers  # type: ignore[attr-defined]
    os.kill(process.pid, signal.SIGKILL)

    def go_on() -> None:
        for step in range(1, 20):  # what it had ready still comes
            workers.batch(step)

    with pytest.raises(TrainingError, match="has ended or does not respond at step"):
        go_on()
    workers.close()


def test_a_worker_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.5)  # how long PyTorch waits for its end
    workers = WorkerLoader(never, ExpertDrawing(SMALL, 0), CPU, 1, patience_s=2)
    began = time.monotonic()
    with pytest.raises(TrainingError, match="does not respond at step 0"):
        workers.batch(0)
    workers.close()
    assert time.monotonic() - began < 60
