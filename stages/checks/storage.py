"""Checks of the cache and its disk."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from stages.checks.finding import FAILURES, Finding, gigabytes, reason

LEAST_FREE = 2_000_000_000
"""Bytes of free disk below which a warning is given: about one hour of crops."""
SIZING_S = 2.0
"""Seconds spent on summing the cache's files; a larger cache is stated as "at least"."""
ELSEWHERE = "choose another folder with --cache or $W2L_CACHE"


def check_cache(root: Path | None) -> Iterator[Finding]:
    """Yield the cache with its size, and the free space of its disk."""
    from w2l.cache.place import default_root

    root = (root or default_root()).absolute()
    parent = next((folder for folder in (root, *root.parents) if folder.is_dir()), root)
    try:
        yield _cache_at(root)
    except FAILURES as error:
        yield Finding("cache", "cache", "broken", reason(error), ELSEWHERE)
    if not os.access(parent, os.W_OK):
        detail = f"{parent} cannot be written"
        yield Finding("cache", "access", "warning", detail, ELSEWHERE)
    free = shutil.disk_usage(parent).free
    low = free < LEAST_FREE
    advice = "free some space, or put the cache on another disk with --cache or $W2L_CACHE" if low else ""
    yield Finding("cache", "disk", "warning" if low else "ok", f"{gigabytes(free)} free", advice, {"free": free})


def _cache_at(root: Path) -> Finding:
    """Return the finding about `root`; raise CacheError or OSError if it cannot be used."""
    from w2l.cache.store import Cache

    if not root.exists():
        return Finding("cache", "cache", "ok", f"{root} does not exist yet", facts={"path": str(root), "bytes": 0})
    if not (root / "cache.json").exists() and (not root.is_dir() or any(root.iterdir())):
        return Finding("cache", "cache", "warning", f"{root} is in use and is not a cache", ELSEWHERE)
    if (root / "cache.json").exists():
        Cache.open(root)
    size, is_whole = disk_size(root)
    clips, runs = (_n_folders(root / name) for name in ("clips", "checkpoints"))
    facts = {"path": str(root), "bytes": size, "is_whole": is_whole, "clips": clips, "runs": runs}
    at_least = "" if is_whole else "at least "
    detail = f"{root}: {at_least}{gigabytes(size)}, {clips} clip folders, {runs} training runs"
    return Finding("cache", "cache", "ok", detail, facts=facts)


def _n_folders(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(entry.is_dir() for entry in entries)
    except OSError:
        return 0


def disk_size(folder: Path, limit_s: float = SIZING_S) -> tuple[int, bool]:
    """Return the total size of all files in a folder, and whether all were counted within `limit_s` seconds."""
    total, waiting, until = 0, [str(folder)], time.monotonic() + limit_s
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
                    if time.monotonic() > until:
                        return total, False
        except OSError:  # removed meanwhile, or not readable
            continue
    return total, True
