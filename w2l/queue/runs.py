"""Training runs of a cache as a page shows them; nothing is written.

What draws is imported when it runs, in the process of `w2l.queue.helper`; the list needs no networks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.locks import is_held
from w2l.core.reading import Unreadable, parse_json

if TYPE_CHECKING:
    from w2l.training.report.live import RunFigures

LOG = "log.jsonl"
LOCK = ".lock"
"""Held by the process that trains the run."""
LAST_BYTES = 65536
"""Bytes at the end of a log in which its last step is looked for."""


@dataclass(frozen=True)
class SeenRun:
    """One run in the list."""

    name: str
    step: int
    """The last step in its log; 0 if none is found."""
    changed_s: float
    """When the log was written last, seconds since 1970."""
    is_training: bool
    """Whether a process trains it."""
    mark: str
    """Text that changes with the log and the sheets."""


def list_runs(cache: Cache) -> list[SeenRun]:
    """Return the runs of a cache that have a log, the last changed first."""
    logs = [path for path in cache.checkpoints.glob(f"[!.]*/{LOG}") if path.is_file()]
    return sorted(map(_seen, logs), key=lambda run: (-run.changed_s, run.name))


def run_figures(root: Path, name: str) -> "RunFigures":
    """Return curves, sheets and findings of a run."""
    from w2l.training.report.live import run_figures as figures

    return figures(_folder(root, name))


def run_page(root: Path, name: str) -> str:
    """Return the page of a run, as its report.html shows it."""
    from w2l.training.report.page import run_page as page

    return page(_folder(root, name))


def _folder(root: Path, name: str) -> Path:
    folder = Cache.open(root).run_folder(name)
    if not (folder / LOG).is_file():
        raise ConfigError(f"there is no run {name!r} with a log; choose one of the list")
    return folder


def _seen(log: Path) -> SeenRun:
    folder, stat = log.parent, log.stat()
    samples = folder / "samples"
    sheets = samples.stat().st_mtime_ns if samples.is_dir() else 0
    mark = f"{folder.name}-{stat.st_size}-{stat.st_mtime_ns}-{sheets}"
    return SeenRun(folder.name, _last_step(log), stat.st_mtime, is_held(folder / LOCK), mark)


def _last_step(log: Path) -> int:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - LAST_BYTES))
        lines = file.read(LAST_BYTES).decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        try:
            entry = parse_json(line)
        except Unreadable:
            continue
        step = entry.get("step") if isinstance(entry, dict) else None
        if isinstance(step, (int, float)) and not isinstance(step, bool) and step == step:
            return int(min(step, 1e15))
    return 0
