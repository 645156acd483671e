"""Lock files that outlive no process: how several processes, or machines on a shared disk, share one cache."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT_S = 15.0
"""Seconds between two signs of life."""
STALE_S = 120.0
"""A lock of another machine without a sign of life for so long may be taken over."""


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Holds the lock file at `path`; yields False, at once, when a living process holds it.

    A lock whose process on this machine is dead, or whose heartbeat from another machine stopped, is taken over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not _create(path):
        if not _is_stale(path):
            yield False
            return
        path.unlink(missing_ok=True)
        if not _create(path):  # another process was quicker
            yield False
            return
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    beat.start()
    try:
        yield True
    finally:
        stop.set()
        path.unlink(missing_ok=True)


def _create(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        json.dump({"host": socket.gethostname(), "pid": os.getpid(), "process": _birth(os.getpid())}, file)
    return True


def _is_stale(path: Path) -> bool:
    try:
        silent_s = time.time() - path.stat().st_mtime
        owner = json.loads(path.read_text())
    except FileNotFoundError:
        return True
    except ValueError:  # killed between creating the lock and signing it
        return silent_s > 2.0
    if owner.get("host") == socket.gethostname():
        pid = int(owner.get("pid", -1))
        return not _is_alive(pid) or _birth(pid) != owner.get("process")
    return silent_s > STALE_S


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _birth(pid: int) -> str:
    """When the process began, as far as the system tells: a number that was given out anew is another process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        try:
            os.utime(path)
        except FileNotFoundError:
            return
