"""Lock files that outlive no process, so that processes, or machines on a shared disk, can share one cache."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2l.core.errors import CacheError
from w2l.core.own_files import create, reopen

HEARTBEAT_S = 15.0
"""Seconds between two heartbeats."""
STALE_S = 120.0
"""Seconds without a heartbeat after which a lock of another machine may be taken over."""
UNSIGNED_S = 5.0
"""Seconds after which a lock that was created but not signed counts as that of a killed process."""
LONGEST = 4096
"""Bytes of a lock that are read; signatures are shorter."""


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Hold the lock file at `path`; yield False immediately if a running process holds it.

    A lock is taken over if its process on this machine is dead, or its heartbeat from another machine stopped.
    Raises CacheError if the lock cannot be created.
    """
    signature = _signature()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = _create(path, signature) or _take_over(path, signature)
    except OSError as error:
        reason = error.strerror or error
        raise CacheError(f"{path}: the lock cannot be created ({reason}); check space and permissions") from error
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
                is_ours = file.read(LONGEST) == signature.encode()  # a suspended process may have lost it
            if is_ours:
                path.unlink()


def is_held(path: Path) -> bool:
    """Whether a running process holds the lock file at `path`; the lock is not touched."""
    signature, silent_s = _read(path)
    return bool(signature) and not _is_stale(signature, silent_s)


def ask_to_end(path: Path) -> None:
    """Send SIGTERM to the running process of this machine that holds the lock file at `path`, if there is one."""
    signature, silent_s = _read(path)
    if not signature or _is_stale(signature, silent_s):
        return
    with contextlib.suppress(ProcessLookupError, ValueError, KeyError, TypeError):
        owner = json.loads(signature)
        if owner["machine"] == machine():
            os.kill(int(owner["pid"]), signal.SIGTERM)


def _read(path: Path) -> tuple[bytes, float]:
    """Return the signature of a lock file, empty if there is none, and the seconds since its last heartbeat."""
    try:
        with reopen(path, sole=True) as file:
            return file.read(LONGEST), time.time() - os.fstat(file.fileno()).st_mtime
    except OSError:
        return b"", 0.0


def is_alive(pid: int) -> bool:
    """Whether a process with this id is running on this machine; False for a zombie."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return _stat(pid)[:1] not in (["Z"], ["X"])


def machine() -> str:
    """Return an id shared by all processes that can identify each other by process id.

    It combines the host and its boot with the container: its process namespace and its root. Containers may share the
    first (a host name in the image) or the second (sandboxes number processes from 1).
    """
    root = os.stat("/")
    return " ".join((socket.gethostname(), _boot(), _namespace(), f"{root.st_dev}:{root.st_ino}"))


def _boot() -> str:
    """Return an id that changes with every boot of the system; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    """Return the process namespace of this process; empty if unknown."""
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
    """Sign a stale lock again; the system's own lock on the file lets one process at a time check and sign."""
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
    except (ValueError, KeyError, TypeError, RecursionError):  # killed between creating and signing the lock
        return silent_s > UNSIGNED_S
    if owner.get("machine") == machine():
        return not is_alive(pid) or _birth(pid) != owner.get("process")
    return silent_s > STALE_S


def _birth(pid: int) -> str:
    """Return the start time of the process if known: a reused process id belongs to another process."""
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    """Return the fields that Linux reports about a process, from its state on; empty on other systems."""
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
