"""The process of a job: it makes what the shown command makes, and goes on after its last finished part."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import cli
from tests.helpers.sync_runs import BOX, make_media
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, MediaError
from w2l.core.locks import claim
from w2l.queue import looking, worker
from w2l.queue.request import JobRequest
from w2l.queue.store import JobProgress, Jobs, QueuedJob
from w2l.syncing import draw

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_media(folder)
    return folder


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Cache.open(tmp_path / "cache", create=True))


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def asked(media: Path, video: str = "clip.mp4", **settings: object) -> JobRequest:
    """A quick request with a small model and a box."""
    quick = {"model": str(media / "aligned.safetensors"), "box": list(BOX), "encoding.preset": "ultrafast"}
    return JobRequest(str(media / video), str(media / "speech.wav"), {**quick, **settings}, device="cpu")


def work(jobs: Jobs, job: QueuedJob) -> int:
    """Run the job's process in this one."""
    return worker.main([str(jobs.cache.root), str(job.folder)])


def test_a_job_makes_the_file_of_its_command_byte_for_byte(
    jobs: Jobs, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = {"disclosure.mark": "record"}  # signatures differ from run to run
    job = jobs.add(asked(media, silence="model", fit="video", **exact))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "w2l.queue.worker", str(jobs.cache.root), str(job.folder)]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert job.state == "done"
    assert job.outcome is not None
    assert job.outcome.result["frames"] == 15
    assert job.progress == JobProgress("sync", 15, 15, job.progress.rate)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(job.command(jobs.cache))
    assert words[0] == "w2l"
    cli.main([*words[1:], "-q"])
    made = tmp_path / job.request.output_name
    assert made.read_bytes() == job.output.read_bytes()
    ours, theirs = (json.loads(path.with_suffix(".w2l.json").read_text()) for path in (job.output, made))
    assert ours["settings"] == theirs["settings"]
    assert ours["record_id"] == theirs["record_id"]


def test_a_cast_gets_its_speeches_mixed(jobs: Jobs, media: Path) -> None:
    request = asked(media, cast=[["left", str(media / "speech.wav")], ["right", "gone.wav"]])
    job = jobs.add(JobRequest(request.video, "", request.settings, device="cpu"))
    assert work(jobs, job) == 1
    assert job.outcome is not None
    assert "gone.wav" in job.outcome.error


@pytest.mark.parametrize(
    ("video", "settings", "sentence"),
    [
        ("junk.mp4", {}, "junk.mp4"),
        ("clip.mp4", {"silense": "close"}, "did you mean silence"),
        ("clip.mp4", {"detail": 9}, "detail 9 must be between"),
        ("gone.mp4", {}, "gone.mp4"),
    ],
)
def test_a_failed_job_has_the_sentence_of_the_command(
    jobs: Jobs, media: Path, capsys: pytest.CaptureFixture[str], video: str, settings: dict[str, object], sentence: str
) -> None:
    job = jobs.add(asked(media, video, **settings))
    status = work(jobs, job)
    outcome = job.outcome
    assert outcome is not None
    assert outcome.state == "failed"
    assert sentence in outcome.error
    with pytest.raises(SystemExit) as ended:
        cli.main(shlex.split(job.command(jobs.cache))[1:])
    assert ended.value.code == status
    assert f"error: {outcome.error}\n" in capsys.readouterr().err


def test_a_stopped_job_continues_after_its_last_part(
    jobs: Jobs, media: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(draw, "LONG_S", 0.1)
    monkeypatch.setattr(draw, "PART_S", 0.2)
    job = jobs.add(asked(media))

    def stop(self: QueuedJob, progress: JobProgress) -> None:
        if progress.done >= 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(QueuedJob, "report", stop)
        patched.setattr(worker, "EVERY_S", 0.0)
        assert work(jobs, job) == 128 + signal.SIGTERM
    assert job.state == "waiting"
    assert not job.output.exists()
    caplog.set_level("INFO", "w2l")
    assert work(jobs, job) == 0
    assert "2 of 5 parts are up to date" in caplog.text
    assert job.state == "done"


def test_a_job_that_another_process_works_on_is_left_alone(jobs: Jobs, media: Path) -> None:
    job = jobs.add(asked(media))
    with claim(job.lock):
        assert work(jobs, job) == 0
        assert job.outcome is None


def test_the_rate_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    seen: list[JobProgress] = []
    reporter = worker.Reporter(seen.append)
    for second in range(40):
        now[0] = float(second)
        reporter("sync", 100 * second if second < 20 else 2000 + second - 20, 5000)
    assert seen[5].rate == 100.0
    assert seen[-1].rate == 1.0
    assert len(seen) == 40
    now[0] += worker.EVERY_S / 2
    reporter("sync", 2021, 5000)
    assert len(seen) == 40


class TestLooks:
    def test_settings_come_with_sentence_and_choices(self) -> None:
        fields = {field.key: field for field in looking.sync_fields()}
        assert fields["silence"].choices == ("close", "source", "model")
        assert fields["keep_streams"].choices == (False, True)
        assert fields["fps"].choices == ()
        assert all(field.text for field in fields.values())

    def test_what_cannot_be_made_is_refused_before_it_is_in_line(self, jobs: Jobs, media: Path) -> None:
        root = jobs.cache.root
        looking.check_request(root, asked(media))
        with pytest.raises(ConfigError, match="choose a video"):
            looking.check_request(root, JobRequest())
        with pytest.raises(ConfigError, match="choose a speech"):
            looking.check_request(root, JobRequest(str(media / "clip.mp4")))
        with pytest.raises(MediaError, match=r"junk\.mp4"):
            looking.check_request(root, JobRequest(str(media / "junk.mp4"), str(media / "speech.wav")))
        with pytest.raises(ConfigError, match="did you mean"):
            looking.check_request(root, asked(media, silense="close"))
        with pytest.raises(ConfigError, match="ends in one of"):
            looking.check_request(root, JobRequest(str(media / "clip.mp4"), str(media / "speech.wav"), {}, ".exe"))

    def test_a_preview_is_a_second_beside_the_source(self, jobs: Jobs, media: Path, tmp_path: Path) -> None:
        made = looking.preview(jobs.cache.root, asked(media), 0.4, tmp_path / "told.json")
        assert made.starts_s == 0.0
        assert looking.length_s(made.path) == pytest.approx(1.0, abs=0.05)
        for shown in (made.path, made.source):
            assert jobs.root in Path(shown).parents
            assert not Path(shown).is_symlink()

    def test_old_pictures_and_uploads_are_removed_but_for_those_of_jobs(self, jobs: Jobs) -> None:
        kept, old, shown = (jobs.root / name for name in ("uploads/a/in.mp4", "uploads/b/in.mp4", "shown/x.jpg"))
        for path in (kept, old, shown):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        jobs.add(JobRequest(str(kept)))
        looking.clear_old(jobs)
        assert old.exists()
        looking.clear_old(jobs, old.stat().st_mtime + looking.KEPT_S + 1)
        assert kept.exists()
        assert not old.exists()
        assert not shown.exists()
