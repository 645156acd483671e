"""Jobs on disk: the state follows from the files, whatever is missing or damaged."""

import os
import shlex
from pathlib import Path

import pytest

from w2l.cache.store import Cache
from w2l.core.errors import CacheError, ConfigError
from w2l.core.locks import claim
from w2l.media.unfinished import MUXERS
from w2l.queue.looking import clear_old
from w2l.queue.request import SUFFIXES, JobRequest
from w2l.queue.store import DAMAGED, JobProgress, Jobs


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


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": "alive"}', b'{"state": 3}', b"\xff\xfe"])
def test_damaged_files_count_as_missing(jobs: Jobs, content: bytes) -> None:
    job = jobs.add(JobRequest("/a.mp4"))
    for name in ("outcome.json", "progress.json"):
        (job.folder / name).write_bytes(content)
    assert job.state == "waiting"
    assert job.progress == JobProgress()


@pytest.mark.parametrize("name", ["", ".", "..", "../..", "/etc", "uploads", "20260101-000000-abcdef", "a/b", "\0"])
def test_only_ids_of_jobs_are_found(jobs: Jobs, name: str) -> None:
    jobs.add(JobRequest("/a.mp4"))
    with pytest.raises(ConfigError, match="there is no job"):
        jobs.get(name)


def test_a_link_is_not_a_job(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.add(JobRequest("/a.mp4"))
    job.folder.rename(tmp_path / "elsewhere")
    job.folder.symlink_to(tmp_path / "elsewhere")
    assert list(jobs) == []


def test_time_left_follows_from_the_rate() -> None:
    assert JobProgress("sync", 25, 100, 5.0).left_s == 15.0
    assert JobProgress("sync", 25, None, 5.0).left_s is None
    assert JobProgress("sync", 0, 100).left_s is None


def test_the_command_names_every_setting(tmp_path: Path) -> None:
    request = JobRequest("/a b.mp4", "/s.wav", {"silence": "model", "face": "1", "mouths": ["/m.mp4"]}, device="cpu")
    words = shlex.split(request.command("o.mp4", tmp_path))
    assert words[:4] == ["w2l", "sync", "/a b.mp4", "/s.wav"]
    assert words[4:10] == ["--set", 'silence="model"', "--set", 'face="1"', "--set", 'mouths=["/m.mp4"]']
    assert words[10:] == ["-o", "o.mp4", "--cache", str(tmp_path), "--device", "cpu"]
    several = JobRequest("/a.mp4", settings={"cast": [["0", "/x.wav"], ["1", "/y.wav"]]})
    assert "--face 0 --speech /x.wav --face 1 --speech /y.wav" in several.command("o.mp4", tmp_path)
    assert several.inputs == ["/a.mp4", "/x.wav", "/y.wav"]


def test_a_job_offers_the_endings_that_sync_writes() -> None:
    assert set(SUFFIXES) == set(MUXERS)


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
