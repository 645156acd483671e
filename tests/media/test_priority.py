"""No encoder makes this process a real-time one."""

import os
from pathlib import Path

import numpy as np
import pytest

from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.priority import THREADS, ordinary_threads
from w2l.media.writer import VideoWriter

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler") or not THREADS.is_dir(), reason="needs Linux' list of threads"
)


def policies() -> set[int]:
    return {os.sched_getscheduler(int(thread.name)) for thread in THREADS.iterdir()}


@pytest.mark.parametrize("codec", ["av1", "h264"])
def test_encoding_leaves_all_threads_ordinary(codec: str, tmp_path: Path) -> None:
    with VideoWriter(Output(tmp_path / "out.mp4", 128, 96, 25.0, encoding=Encoding(codec=codec))) as writer:  # type: ignore[arg-type]
        for _ in range(3):
            writer.write(np.zeros((96, 128, 3), np.uint8))
        assert policies() == {os.SCHED_OTHER}
    assert policies() == {os.SCHED_OTHER}


def test_a_thread_that_became_real_time_is_put_back() -> None:
    try:
        with ordinary_threads():
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may ask for real time")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
