"""Prevent encoders from giving this process real-time priority."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

THREADS = Path("/proc/self/task")
"""Where Linux lists the threads of a process."""


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """Reset real-time threads started within the context to normal priority; only on Linux.

    SVT-AV1, when root runs it, gives the thread that opens it and its own threads the highest real-time priority: all
    other processes, such as the workers that this one waits for, then starve on its cores.
    """
    if not hasattr(os, "sched_getscheduler") or not THREADS.is_dir():
        yield
        return
    before = os.sched_getscheduler(0)
    try:
        yield
    finally:
        if before == os.SCHED_OTHER:
            for thread in sorted(int(entry.name) for entry in THREADS.iterdir()):
                with suppress(OSError):  # it has ended
                    if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
