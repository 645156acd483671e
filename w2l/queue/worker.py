"""The process of one job: ``python -m w2l.queue.worker CACHE JOB`` does what the job's command would do.

It holds the job's lock before it imports anything large, outlives the server that started it, and ends like a command
at SIGTERM: finished parts stay for the next try.
"""

import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from w2l.core.config import plain
from w2l.core.errors import W2LError
from w2l.core.locks import claim
from w2l.core.text import one_line
from w2l.queue.request import AnyRequest, JobRequest, ScoreJob
from w2l.queue.store import JobProgress, QueuedJob

EVERY_S = 0.4
"""Seconds between two reports of progress."""
WINDOW_S = 10.0
"""Seconds that the rate is measured over."""
CANNOT = "the job's files cannot be written or read ({}); check space and permissions, then continue the job"


def main(arguments: list[str]) -> int:
    """Run the job of a folder; return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    cache, job = Path(arguments[0]), QueuedJob(Path(arguments[1]))
    with claim(job.lock) as is_mine:
        if not is_mine:
            return 0
        try:
            job.end("done", result=_make(job, job.request, cache))
        except KeyboardInterrupt:
            return 128 + signal.SIGTERM
        except W2LError as error:
            job.end("failed", one_line(error))
            return error.exit_status
        except OSError as error:
            job.end("failed", CANNOT.format(one_line(error)))
            return 1
    return 0


def _make(job: QueuedJob, request: AnyRequest, cache: Path) -> dict[str, object]:
    """Make the output, and return its record as plain values."""
    return _score(job, request, cache) if isinstance(request, ScoreJob) else _sync(job, request, cache)


def _sync(job: QueuedJob, request: JobRequest, cache: Path) -> dict[str, object]:
    """Make the video, and return its record."""
    from w2l.api.given import open_cache
    from w2l.api.sync import sync
    from w2l.syncing.cast import mixed_speech

    speech = request.speech or mixed_speech(request.cast, open_cache(cache, create=True))
    made = sync(
        request.video,
        speech,
        job.output,
        resume=True,
        overwrite=True,
        cache=cache,
        device=request.device,
        settings=request.settings,
        progress=Reporter(job.report),
    )
    return plain(made)


def _score(job: QueuedJob, request: ScoreJob, cache: Path) -> dict[str, object]:
    """Write the page and the table of scores, and return the means of the systems."""
    from w2l.api.score import score

    made = score(
        request.outputs,
        reference=request.references,
        csv=job.output.with_suffix(".csv"),
        report=job.output,
        overwrite=True,
        cache=cache,
        device=request.device,
        settings=request.settings,
        progress=Reporter(job.report),
    )
    unscored = {clip.sample.name: clip.reason for clip in made.report.clips if not clip.scored}
    return {"clips": len(made), "unscored": unscored, "can_tell": made.can_tell, "systems": made.systems}


class Reporter:
    """Hands on progress, not more often than `EVERY_S`, with the rate over the last seconds."""

    def __init__(self, write: Callable[[JobProgress], object]) -> None:
        self._write = write
        self._stage = ""
        self._seen: deque[tuple[float, int]] = deque()
        self._written_s = -EVERY_S

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take the units that are done of a stage."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._written_s = stage, -EVERY_S
            self._seen.clear()
        if now - self._written_s < EVERY_S and done != total:
            return
        self._written_s = now
        self._seen.append((now, done))
        while self._seen[0][0] < now - WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        rate = (last - first) / (ended - began) if ended > began else 0.0
        self._write(JobProgress(stage, done, total, round(rate, 2)))


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("w2l").setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
