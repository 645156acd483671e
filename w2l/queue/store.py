"""The jobs of a cache: one folder each, from whose files its state follows, whatever was killed.

jobs/<id>/job.json          what is asked for
jobs/<id>/lock              held by the process that works on it
jobs/<id>/progress.json     stage, units done, rate and time left
jobs/<id>/outcome.json      how it ended; a job without it, and without a holder of the lock, waits
jobs/<id>/log.txt           what the process logged
jobs/<id>/<output>          the result, with its record beside it
jobs/uploads/, jobs/shown/  files that a page received, and those that it shows

Every file is written under a temporary name and renamed, as everywhere in the cache.
"""

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from w2l.cache.store import Cache
from w2l.cache.typed_json import from_json
from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import read_json, write_json
from w2l.core.locks import is_held
from w2l.core.own_files import refuse_link, remove_folder
from w2l.queue.request import REQUESTS, AnyRequest, JobRequest

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
DAMAGED = "damaged job"
"""Title of a job whose request cannot be read."""
ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
"""An id: the second in UTC, its milliseconds and random digits. Ids sort in the order of their making."""


@dataclass(frozen=True)
class JobProgress:
    """How far a job is."""

    stage: str = ""
    """`faces`, `sync` or `score`; empty before the first."""
    done: int = 0
    total: int | None = None
    """Units of the stage, frames or clips; None if unknown."""
    rate: float = 0.0
    """Units per second over the last seconds; 0 if unknown."""

    @property
    def left_s(self) -> float | None:
        """Return the seconds until the stage is done, if known."""
        return (self.total - self.done) / self.rate if self.total and self.rate > 0 else None


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    state: State
    error: str = ""
    """The sentence that the command line would print."""
    result: dict[str, Any] = field(default_factory=dict)
    """The record of what was made."""


@dataclass(frozen=True)
class QueuedJob:
    """One job in its folder."""

    folder: Path

    @property
    def id(self) -> str:
        """Return the job's name."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """Return the lock that the working process holds."""
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        """Return the file of the process's messages."""
        return self.folder / "log.txt"

    @property
    def kind(self) -> str:
        """Return the command that does the same: `sync`, also if the request cannot be read, or `score`."""
        return _kind(_read(self.folder / "job.json"))

    @property
    def request(self) -> AnyRequest:
        """Return what is asked for; raise CacheError if the file is damaged."""
        content = read_json(self.folder / "job.json")
        return from_json(REQUESTS[_kind(content)], content)

    @property
    def title(self) -> str:
        """Return the name of the result, or that the request cannot be read."""
        try:
            return self.request.output_name
        except CacheError:
            return DAMAGED

    @property
    def output(self) -> Path:
        """Return the path of the result, which exists once the job is done."""
        return self.folder / self.request.output_name

    @property
    def outcome(self) -> Outcome | None:
        """Return how the job ended; None while it has not."""
        content = _read(self.folder / "outcome.json")
        if content.get("state") not in ENDED:
            return None
        return Outcome(content["state"], str(content.get("error", "")), dict(content.get("result") or {}))

    @property
    def progress(self) -> JobProgress:
        """Return how far the job is, as its process last said."""
        return read_progress(self.folder / "progress.json")

    @property
    def state(self) -> State:
        """Return the state that follows from the files."""
        if is_held(self.lock):
            return "running"
        outcome = self.outcome
        return outcome.state if outcome else "waiting"

    def end(self, state: State, error: str = "", result: dict[str, Any] | None = None) -> None:
        """Record how the job ended."""
        write_json(self.folder / "outcome.json", asdict(Outcome(state, error, result or {})))

    def report(self, progress: JobProgress) -> None:
        """Record how far the job is."""
        write_json(self.folder / "progress.json", asdict(progress))

    def wait_again(self) -> None:
        """Put an ended job back in line; its finished parts are kept."""
        (self.folder / "outcome.json").unlink(missing_ok=True)

    def command(self, cache: Cache) -> str:
        """Return the line for a shell that makes the same output, in the current folder."""
        request = self.request
        return request.command(request.output_name, cache.root)


@dataclass(frozen=True)
class Jobs:
    """All jobs of a cache."""

    cache: Cache

    @property
    def root(self) -> Path:
        """Return the folder of the jobs, the only one whose files a page shows."""
        return self.cache.root / "jobs"

    @property
    def uploads(self) -> Path:
        """Return the folder of files that a page received."""
        return self.root / "uploads"

    @property
    def shown(self) -> Path:
        """Return the folder of pictures, previews and copies that a page shows."""
        return self.root / "shown"

    def add(self, request: AnyRequest) -> QueuedJob:
        """Put a job in line; its request is complete on disk before it counts as a job."""
        now_ms = time.time_ns() // 1_000_000
        moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_ms // 1000))
        name = f"{moment}-{now_ms % 1000:03x}{secrets.token_hex(2)[:3]}"
        refuse_link(self.root)
        job = QueuedJob(self.root / name)
        write_json(job.folder / "job.json", asdict(request))
        return job

    def get(self, name: str) -> QueuedJob:
        """Return a job by its id; raise ConfigError if there is none."""
        job = QueuedJob(self.root / name)
        if not ID.fullmatch(name) or not (job.folder / "job.json").is_file():
            raise ConfigError(f"there is no job {name!r}; the list of jobs has their ids")
        return job

    def __iter__(self) -> Iterator[QueuedJob]:
        """Yield the jobs in the order of their ids, the oldest first."""
        for folder in sorted(self.root.glob("*-*-*")):
            if ID.fullmatch(folder.name) and (folder / "job.json").is_file() and not folder.is_symlink():
                yield QueuedJob(folder)

    def remove(self, job: QueuedJob) -> None:
        """Remove a job and its files; raise ConfigError while it runs."""
        if job.state == "running":
            raise ConfigError(f"job {job.id} is running; cancel it first")
        remove_folder(job.folder)


def read_progress(path: Path) -> JobProgress:
    """Return the progress in a file; that of nothing if it is missing or damaged."""
    return from_json(JobProgress, _read(path))


def _kind(content: dict[str, Any]) -> str:
    """Return the kind of a request's object; that of jobs from before there were others if it has none."""
    kind = content.get("kind")
    return kind if isinstance(kind, str) and kind in REQUESTS else JobRequest.kind


def _read(path: Path) -> dict[str, Any]:
    """Return the object of a file; empty if it is missing or damaged."""
    try:
        return read_json(path)
    except CacheError:
        return {}
