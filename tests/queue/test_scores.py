"""Jobs that score: they make the page and the table of their command."""

import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from stages import cli
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.timing import SAMPLE_RATE
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
from w2l.models.checkpoint import ModelCard, save_model
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.queue import looking, worker
from w2l.queue.request import REQUESTS, JobRequest, ScoreJob
from w2l.queue.store import Jobs


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of a face with sound, one of them without enough frames, and a small judge."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    for name, n_frames in (("a", 14), ("short", 4)):
        write_wav(folder / f"{name}.wav", rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32))
        with VideoWriter(Output(folder / f"{name}.mp4", 64, 64, 25, speech=folder / f"{name}.wav")) as writer:
            for _ in range(n_frames):
                writer.write(np.full((64, 64, 3), rng.integers(0, 256), np.uint8))
    torch.manual_seed(0)
    dimensions = {"size": 112, "width": 8}
    save_model(folder / "judge.safetensors", Judge(JudgeDimensions(**dimensions)), ModelCard("judge", dimensions))
    return folder


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Cache.open(tmp_path / "cache", create=True))


def asked(media: Path, *names: str, **settings: object) -> ScoreJob:
    """A quick request with a small judge."""
    quick = {"judge": str(media / "judge.safetensors"), "variant": "lrs"}
    outputs = tuple(str(media / name) for name in names)
    return ScoreJob(outputs, (str(media / "a.mp4"),), {**quick, **settings}, "cpu")


def test_a_job_makes_the_page_and_the_table_of_its_command(
    jobs: Jobs, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.add(asked(media, "a.mp4", "short.mp4", measures=["lse", "quality"]))
    assert worker.main([str(jobs.cache.root), str(job.folder)]) == 0
    assert job.outcome is not None
    found = job.outcome.result
    assert (job.kind, job.state, found["clips"], [*found["unscored"]]) == ("score", "done", 3, ["short"])
    assert [system["system"] for system in found["systems"]] == ["outputs", "real"]
    assert job.progress.stage == "score"
    monkeypatch.chdir(tmp_path)
    words = shlex.split(job.command(jobs.cache))
    assert words[:2] == ["w2l", "score"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*words[1:], "-q", "--force"])
    assert ended.value.code == 1
    assert job.title == "a-and-1-more-scores.html"
    for made in (job.output, job.output.with_suffix(".csv")):
        assert (tmp_path / made.name).read_bytes() == made.read_bytes()


def test_what_cannot_be_scored_is_refused_before_it_is_in_line(jobs: Jobs, media: Path) -> None:
    root = jobs.cache.root
    looking.check_score(root, asked(media, "a.mp4"))
    with pytest.raises(ConfigError, match="choose videos to score"):
        looking.check_score(root, ScoreJob())
    with pytest.raises(ConfigError, match=r"gone\.mp4 does not exist"):
        looking.check_score(root, asked(media, "gone.mp4"))
    with pytest.raises(ConfigError, match="did you mean judge"):
        looking.check_score(root, asked(media, "a.mp4", jugde="w2l"))
    with pytest.raises(ConfigError, match="nothing to measure"):
        looking.check_score(root, asked(media, "a.mp4", measures=[]))


def test_the_command_names_measures_by_their_flags(tmp_path: Path) -> None:
    request = ScoreJob(("/a b.mp4",), ("/r",), {"measures": ["lse", "fid"], "judge": "x"}, "cpu")
    words = shlex.split(request.command("p.html", tmp_path))
    assert words[:7] == ["w2l", "score", "/a b.mp4", "--reference", "/r", "--lse", "--fid"]
    assert words[7:13] == ["--set", 'judge="x"', "--report", "p.html", "--csv", "p.csv"]
    assert words[13:] == ["--cache", str(tmp_path), "--device", "cpu"]
    assert request.inputs == ["/a b.mp4", "/r"]


def test_requests_are_read_as_what_they_are(jobs: Jobs) -> None:
    score, sync = jobs.add(ScoreJob(("/a.mp4",))), jobs.add(JobRequest("/a.mp4"))
    assert (score.kind, sync.kind) == ("score", "sync")
    assert score.request == ScoreJob(("/a.mp4",))
    (sync.folder / "job.json").write_text('{"video": "/b.mp4"}')  # from before there were kinds
    assert sync.request == JobRequest("/b.mp4")
    (sync.folder / "job.json").write_text('{"video": "/b.mp4", "kind": ["score"]}')
    assert sync.kind == "sync"
    assert {kind: made().kind for kind, made in REQUESTS.items()} == {kind: kind for kind in REQUESTS}


def test_settings_of_scores_have_their_sentences() -> None:
    fields = {field.key: field for field in looking.score_fields()}
    assert fields["variant"].choices == ("face", "lrs", "real")
    assert all(field.text for field in fields.values())
