"""Jobs on disk: the state follows from the files, whatever is missing or damaged."""

import os
from pathlib import Path

import pytest

from w2l.cache.store import Cache
from w2l.core.errors import CacheError, ConfigError
from w2l.core.locks import claim
from w2l.queue.looking import clear_old
from w2l.queue.request import JobRequest
from w2l.queue.store import DAMAGED, Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Cache.open(tmp_path / "cache", create=True))


def test_a_job_keeps_what_was_asked(jobs: Jobs) -> None:
    asked = JobRequest("/a/it's.mp4", "/a/b.wav", {"silence": "model", "encoding.crf": 3}, ".mkv", "cpu")
    job = jobs.add(asked)
    assert jobs.get(job.id).request == asked
    assert job.output == job.folder / "it's-synced.mkv"
    assert [one.id for one in jobs] == [job.id]


def test_the_state_follows_from_lock_and_outcome(jobs: Jobs) -> None:
    job = jobs.add(JobRequest("/a.mp4"))
    assert job.state == "waiting"
    with claim(job.lock):
        assert job.state == "running"
        with pytest.raises(ConfigError, match="is running; cancel it first"):
            jobs.remove(job)
    assert job.state == "waiting"
    job.end("failed", "no face")
    assert (job.state, job.outcome and job.outcome.error) == ("failed", "no face")
    job.wait_again()
    assert [one for one in jobs if one.state == "waiting"] == [job]
    jobs.remove(job)
    assert not list(jobs)
    assert not job.folder.exists()


def test_a_lock_of_a_dead_process_does_not_count(jobs: Jobs) -> None:
    job = jobs.add(JobRequest("/a.mp4"))
    child = os.fork()
    if child == 0:
        held = claim(job.lock)
        held.__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    assert job.lock.exists()
    assert job.state == "waiting"


@pytest.mark.parametrize("content", ['{"video": 3, "settings": [', "[]", "", '{"settings": {"cast": 3}}'])
def test_a_damaged_job_is_listed_and_can_be_removed_and_the_others_stay(jobs: Jobs, content: str) -> None:
    good, bad = jobs.add(JobRequest("/v.mp4", "/s.wav")), jobs.add(JobRequest("/w.mp4", "/s.wav"))
    (bad.folder / "job.json").write_text(content)
    clear_old(jobs)
    assert [job.title for job in jobs if job.id == good.id] == ["v-synced.mp4"]
    assert bad.title in (DAMAGED, "-synced.mp4")
    if bad.title == DAMAGED:
        with pytest.raises(CacheError):
            _ = bad.request
    jobs.remove(bad)
    assert list(jobs) == [good]
