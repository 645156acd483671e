"""What the handlers of the page share: the jobs, the line that works on them, and the warm processes."""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from w2l.core.errors import ConfigError
from w2l.core.reading import real_path
from w2l.queue.helper import Helper, answer
from w2l.queue.line import Line
from w2l.queue.store import JobProgress, Jobs, read_progress
from w2l.ui import texts

R = TypeVar("R")
LOOK_S = 0.25
"""Seconds between two looks at a call's progress."""


@dataclass(frozen=True)
class Desk:
    """The server's side of the page."""

    jobs: Jobs
    line: Line
    looker: Helper
    """Finds faces, makes previews, verifies."""
    is_local: bool
    """Whether only this machine reaches the page, so that its paths may be named."""

    @property
    def root(self) -> Path:
        """Return the folder of the cache."""
        return self.jobs.cache.root

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
