"""Lock files that outlive no process: how several processes, or machines on a shared disk, share one cache."""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2l.core.errors import CacheError
from w2l.core.own_files import create, reopen

HEARTBEAT_S = 15.0
"""Seconds between two signs of life."""
STALE_S = 120.0
"""A lock of another machine without a sign of life for so long may be taken over."""
UNSIGNED_S = 5.0
"""A lock that its maker has not signed after so long is that of a killed process."""
LONGEST = 4096
"""Bytes of a lock that are read; a signature has fewer."""


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Holds the lock file at `path`; yields False, at once, when a living process holds it.

    A lock whose process on this machine is dead, or whose heartbeat from another machine stopped, is taken over.
    Raises CacheError where no lock can be made.
    """
    signature = _signature()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = _create(path, signature) or _take_over(path, signature)
    except OSError as error:
        reason = error.strerror or error
        raise CacheError(f"{path}: no lock can be made ({reason}); check space and permissions") from error
    if not mine:
        yield False
        return
    stop = threading.Event()
    threading.Thread(target=_beat, args=(path, stop), daemon=True).start()
    try:
        yield True
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            with reopen(path, sole=True) as file:
                is_ours = file.read(LONGEST) == signature.encode()  # a process that slept too long may have lost it
            if is_ours:
                path.unlink()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has that number; one that has ended but was not yet waited for has not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return _stat(pid)[:1] not in (["Z"], ["X"])


def machine() -> str:
    """Return what processes share that know each other by number.

    That is the host with the start of its system, and on it the container: its namespace of process numbers and its
    root. Containers may share the first (a host's name in the image) or the second (sandboxes number it anew).
    """
    root = os.stat("/")
    return " ".join((socket.gethostname(), _boot(), _namespace(), f"{root.st_dev}:{root.st_ino}"))


def _boot() -> str:
    """What changes with every start of the system; empty where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    """Which processes this one sees; empty where the system does not tell."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _signature() -> str:
    pid = os.getpid()
    return json.dumps({"machine": machine(), "pid": pid, "process": _birth(pid), "time": time.time_ns()})


def _create(path: Path, signature: str) -> bool:
    try:
        file = create(path)
    except FileExistsError:
        return False
    try:
        with file:
            file.write(signature.encode())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _take_over(path: Path, signature: str) -> bool:
    """Signs a stale lock anew; the system's own lock on the file lets one process at a time look and sign."""
    try:
        file = reopen(path, sole=True)
    except FileNotFoundError:
        return _create(path, signature)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(file.fileno())
            if not os.path.samestat(status, path.lstat()):
                return False
        except (BlockingIOError, FileNotFoundError):
            return False
        if not _is_stale(file.read(LONGEST), time.time() - status.st_mtime):
            return False
        file.seek(0)
        file.truncate()
        file.write(signature.encode())
    return True


def _is_stale(signature: bytes, silent_s: float) -> bool:
    try:
        owner = json.loads(signature)
        pid = int(owner["pid"])
    except (ValueError, KeyError, TypeError, RecursionError):  # killed between creating the lock and signing it
        return silent_s > UNSIGNED_S
    if owner.get("machine") == machine():
        return not is_alive(pid) or _birth(pid) != owner.get("process")
    return silent_s > STALE_S


def _birth(pid: int) -> str:
    """When the process began, as far as the system tells: a number that was given out anew is another process."""
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on; empty elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        try:
            os.utime(path, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError:
            continue
