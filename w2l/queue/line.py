"""The line: one job after the other, each in a process of its own that a killed server does not end."""

import logging
import subprocess
import sys
import threading
from collections import Counter

from w2l.core.errors import CacheError
from w2l.core.locks import ask_to_end, claim
from w2l.queue.store import Jobs, QueuedJob

logger = logging.getLogger(__name__)
WORKER = "w2l.queue.worker"
"""The module that a job's process runs."""
LOOK_S = 0.5
"""Seconds between two looks for waiting jobs and ended processes."""
MOST_DEATHS = 3
"""Deaths of a job's process without a word after which the job counts as failed."""
PATIENCE_S = 20.0
"""Seconds that a process has to end by itself after SIGTERM."""
DIED = (
    "the job's process died {} times without a word (status {}; out of memory?); its log.txt may say why, and "
    "continue starts after the last finished part"
)


class Line:
    """A thread that runs the jobs of a cache from `start` on; several servers of one cache take turns."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._deaths: Counter[str] = Counter()
        self._process: subprocess.Popen[bytes] | None = None
        self._current = ""
        self._guard = threading.Lock()

    def start(self) -> None:
        """Begin to work in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the running job's process, which keeps its finished parts, and the thread."""
        self._stopping.set()
        self._end_process()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)

    def cancel(self, job: QueuedJob) -> None:
        """Take a job out of the line, and end its process if it runs; finished parts are kept."""
        if job.outcome is None:
            job.end("cancelled")
        with self._guard:
            is_ours = self._current == job.id
        if is_ours:
            self._end_process()
        else:
            ask_to_end(job.lock)

    def go_on(self, job: QueuedJob) -> None:
        """Put an ended job back in line."""
        self._deaths.pop(job.id, None)
        job.wait_again()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with claim(self._jobs.root / ".line-lock") as is_ours:
                    while is_ours and not self._stopping.is_set():
                        self._step()
            except (CacheError, OSError) as error:
                logger.warning("the line of jobs waits: %s", error)
            self._stopping.wait(LOOK_S)

    def _step(self) -> None:
        """Run the next job to its end, or wait a moment; a process that an earlier server left is waited for."""
        states = [(job, job.state) for job in self._jobs]
        waiting = [job for job, state in states if state == "waiting"]
        if not waiting or any(state == "running" for _, state in states):
            self._stopping.wait(LOOK_S)
            return
        self._run(waiting[0])

    def _run(self, job: QueuedJob) -> None:
        command = [sys.executable, "-m", WORKER, str(self._jobs.cache.root), str(job.folder)]
        with job.log.open("ab") as log, self._guard:
            if self._stopping.is_set() or job.outcome is not None:
                return
            self._current = job.id
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        status = self._process.wait()
        with self._guard:
            self._process, self._current = None, ""
        if job.outcome is None and not self._stopping.is_set():
            self._deaths[job.id] += 1
            if self._deaths[job.id] >= MOST_DEATHS:
                job.end("failed", DIED.format(MOST_DEATHS, status))

    def _end_process(self) -> None:
        with self._guard:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
