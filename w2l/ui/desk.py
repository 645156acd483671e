"""What the handlers of the page share: the jobs, the line that works on them, and the warm processes."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from w2l.core.errors import ConfigError
from w2l.core.reading import real_path
from w2l.queue import looking
from w2l.queue.helper import Helper, answer
from w2l.queue.line import Line
from w2l.queue.request import CAST
from w2l.queue.store import JobProgress, Jobs, read_progress
from w2l.ui import texts

R = TypeVar("R")
LOOK_S = 0.25
"""Seconds between two looks at a call's progress."""


DISCLOSURE = "disclosure."
"""Beginning of the settings whose texts are words for people, not names of files."""


@dataclass(frozen=True)
class Desk:
    """The server's side of the page."""

    jobs: Jobs
    line: Line
    looker: Helper
    """Finds faces, makes previews, verifies."""
    loader: Helper
    """Downloads models, which may take long."""
    is_local: bool
    """Whether only this machine reaches the page, so that its paths may be named."""

    @property
    def root(self) -> Path:
        """Return the folder of the cache."""
        return self.jobs.cache.root

    def warm_up(self) -> None:
        """Let the process that looks at videos load what it needs, once the page is shown."""
        self.looker.submit(looking.warm_up)

    def path(self, upload: str | None, typed: str | None) -> str:
        """Return the file that is given: an upload, or a path that was typed; empty if neither is.

        Over the network a typed path must be that of an upload; else this raises ConfigError.
        """
        text = upload or (typed or "").strip()
        if not text:
            return ""
        path = Path(text).expanduser().absolute()
        if not self.is_local and real_path(self.jobs.uploads) not in real_path(path).parents:
            raise ConfigError(texts.OUTSIDE)
        return str(path)

    def paths(self, uploads: Sequence[str] | None, typed: str | None) -> tuple[str, ...]:
        """Return the files that are given: uploads, then paths that were typed, one per line; see `path`."""
        lines = [line.strip() for line in (typed or "").splitlines()]
        return (*(self.path(one, None) for one in uploads or ()), *(self.path(None, line) for line in lines if line))

    def allowed(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings; over the network raise ConfigError if one names a path of this machine.

        The speeches of a cast are checked by `path`.
        """
        others = (DISCLOSURE, CAST)
        files = {key: value for key, value in settings.items() if not key.startswith(others)}
        if not self.is_local and any("/" in text for text in _texts(files)):
            raise ConfigError(texts.OUTSIDE)
        return settings

    def watch(self, helper: Helper, function: Callable[..., R], *given: Any) -> Iterator[JobProgress | R]:
        """Call a function with `given` and a file for its progress; yield the progress, at last the result."""
        told = self.jobs.shown / f"{secrets.token_hex(8)}.json"
        future: Future[R] = helper.submit(function, *given, told)
        try:
            while not future.done():
                yield read_progress(told)
                time.sleep(LOOK_S)
            yield answer(future)
        finally:
            future.cancel()
            told.unlink(missing_ok=True)


def _texts(value: object) -> Iterator[str]:
    """Yield every text in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
