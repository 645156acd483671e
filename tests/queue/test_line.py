"""The line of jobs: one at a time, in order; cancelled, killed and restarted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from w2l.cache.store import Cache
from w2l.queue import line as lines
from w2l.queue.line import Line
from w2l.queue.request import JobRequest
from w2l.queue.store import Jobs, QueuedJob

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(lines, "WORKER", "tests.helpers.fake_worker")
    monkeypatch.setattr(lines, "LOOK_S", 0.05)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Jobs(Cache.open(tmp_path / "cache", create=True))


@pytest.fixture
def line(jobs: Jobs) -> Iterator[Line]:
    made = Line(jobs)
    made.start()
    yield made
    made.stop()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def starts(job: QueuedJob) -> int:
    """How often a process of the job has begun."""
    path = job.folder / "starts"
    return len(path.read_text()) if path.exists() else 0


def add(jobs: Jobs, *done: str) -> QueuedJob:
    """A job whose process ends as the files say."""
    job = jobs.add(JobRequest("/a.mp4"))
    for name in done:
        (job.folder / name).touch()
    return job


def test_jobs_run_one_after_the_other(jobs: Jobs, line: Line) -> None:
    first = add(jobs)
    until(lambda: first.state == "running" and starts(first))
    second = add(jobs, "finish")
    time.sleep(0.3)
    assert second.state == "waiting"
    (first.folder / "finish").touch()
    until(lambda: second.state == "done")
    assert first.state == "done"
    assert first.outcome is not None
    assert first.outcome.result == {"frames": 10}


def test_a_cancelled_job_leaves_the_line_and_can_continue(jobs: Jobs, line: Line) -> None:
    running = add(jobs)
    time.sleep(0.002)  # ids of one millisecond sort by chance
    waiting = add(jobs, "finish")
    until(lambda: starts(running))
    line.cancel(running)
    until(lambda: waiting.state == "done")
    assert running.state == "cancelled"
    (running.folder / "finish").touch()
    line.go_on(running)
    until(lambda: running.state == "done")
    assert starts(running) == 2


def test_a_process_that_dies_without_a_word_is_started_again_a_few_times(jobs: Jobs, line: Line) -> None:
    job = add(jobs, "die")
    until(lambda: job.state == "failed")
    assert starts(job) == lines.MOST_DEATHS
    assert job.outcome is not None
    assert "status 9" in job.outcome.error
    (job.folder / "die").unlink()
    (job.folder / "finish").touch()
    line.go_on(job)
    until(lambda: job.state == "done")


def test_a_server_that_ends_leaves_the_job_waiting(jobs: Jobs) -> None:
    first = Line(jobs)
    first.start()
    job = add(jobs)
    until(lambda: starts(job))
    first.stop()
    assert job.state == "waiting"
    (job.folder / "finish").touch()
    second = Line(jobs)
    second.start()
    until(lambda: job.state == "done")
    second.stop()


def test_a_killed_server_ends_no_job(jobs: Jobs, tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom w2l.cache.store import Cache\nfrom w2l.queue import line\n"
        "from w2l.queue.store import Jobs\nline.WORKER = 'tests.helpers.fake_worker'\n"
        "line.Line(Jobs(Cache.open(Path(sys.argv[1])))).start()\ntime.sleep(60)\n"
    )
    job = add(jobs)
    server = subprocess.Popen([sys.executable, "-c", code, str(jobs.cache.root)])
    until(lambda: starts(job))
    server.send_signal(signal.SIGKILL)
    server.wait()
    assert job.state == "running"
    other = Line(jobs)
    other.start()
    time.sleep(0.3)
    assert starts(job) == 1  # the next server waits for the process that is there
    other.cancel(job)
    until(lambda: job.state == "cancelled")
    other.stop()


def test_a_second_server_of_a_cache_waits_for_its_turn(jobs: Jobs, line: Line) -> None:
    job = add(jobs)
    until(lambda: starts(job))
    second = Line(jobs)
    second.start()
    add(jobs, "finish")
    time.sleep(0.3)
    assert sum(one.state == "running" for one in jobs) == 1
    second.stop()
    assert job.state == "running"
    assert os.path.exists(jobs.root / ".line-lock")
