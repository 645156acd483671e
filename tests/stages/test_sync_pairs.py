"""sync of a list of pairs: the paper's lists, outputs by line, what fails named by line, what is done kept."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.kept_models import keep_models
from tests.helpers.made_media import make_tracks
from tests.helpers.sync_runs import BOX, BOX_OPTION, Run, listing, one_line, pattern, pictures, voice
from w2l.cache.records import SIDECAR
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.media.audio import read_audio, write_wav
from w2l.models import registry as weights
from w2l.syncing.jobs import Job, check_apart, everywhere, jobs_of_files, jobs_of_pairs
from w2l.syncing.record import made_before
from w2l.syncing.run import run
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

SECONDS = {"one": 0.4, "two": 0.6, "three": 0.8}
"""How long the made clips are."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of LRS2: <root>/<speaker>/<clip>.mp4, each clip with its own sound and length."""
    folder = tmp_path_factory.mktemp("lrs")
    for name, seconds in SECONDS.items():
        (folder / name).mkdir()
        make_tracks(folder / name / "00001.mp4", pattern(round(25 * seconds)), [voice(seconds, 48000)[None]])
    return folder


@pytest.fixture
def root(clips: Path, tmp_path: Path) -> Path:
    """The clips, in the folder of the test."""
    return Path(shutil.copytree(clips, tmp_path / "lrs"))


@pytest.fixture
def pairs(w2l: Run, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`w2l sync --pairs` of the lines given, with a small model and a box by hand, into the folder `made`."""
    keep_models(monkeypatch)

    def run(lines: str, *extra: object, name: str = "list.txt", output: str = "made") -> Any:
        (tmp_path / name).write_text(lines)
        model = ("--model", media / "aligned.safetensors", "--box", BOX_OPTION)
        quick = ("--device", "cpu", "--crf", 0, "--preset", "ultrafast", "--mark", "record", "--on-covered", "redraw")
        return w2l("sync", "--pairs", name, *model, *quick, *(("-o", output) if output else ()), *extra)

    return run


def record(path: Path) -> dict[str, Any]:
    """The record beside an output."""
    return dict(json.loads(path.with_suffix(SIDECAR).read_text()))


def made_in(folder: Path, pattern: str = "*.*") -> list[str]:
    """What is in the folder of the outputs, below it."""
    return sorted(str(path.relative_to(folder / "made")) for path in (folder / "made").rglob(pattern))


LRS = "one/00001 two/00001\ntwo/00001 three/00001\n"


def test_an_lrs_list_is_read_audio_first_and_named_after_its_clips(pairs: Run, tmp_path: Path, root: Path) -> None:
    outcome = pairs(LRS, "--root", "lrs")
    assert outcome.status == 0, outcome.err
    made = [(tmp_path / "made" / video / "00001.mp4").resolve() for video in ("two", "three")]
    assert outcome.out.split() == list(map(str, made))
    for path, (speech, video) in zip(made, (("one", "two"), ("two", "three"))):
        assert len(pictures(path)) == pytest.approx(25 * SECONDS[speech], abs=1)  # AAC ends in whole blocks
        assert len(read_audio(path)) / 16000 == pytest.approx(SECONDS[speech], abs=0.05)
        kept = record(path)
        assert kept["video"] == str((root / video / "00001.mp4").resolve())
        assert kept["speech"] == str((root / speech / "00001.mp4").resolve())
        assert Path(kept["record"]).is_file()  # `score` finds it in the cache, too


def test_a_resynced_list_is_read_video_first(pairs: Run, tmp_path: Path, root: Path) -> None:
    write_wav(root / "said.wav", voice(0.3))
    assert pairs("three/00001.mp4 said.wav\n", "--root", root).status == 0
    kept = record(tmp_path / "made" / "three" / "00001.mp4")
    assert (Path(kept["video"]).parent.name, Path(kept["speech"]).name) == ("three", "said.wav")


def test_the_order_can_be_told(pairs: Run, tmp_path: Path, root: Path) -> None:
    assert pairs("one/00001 two/00001\n", "--root", root, "--pairs-order", "video-audio").status == 0
    assert Path(record(tmp_path / "made" / "one" / "00001.mp4")["video"]).parent.name == "one"


def test_the_list_names_the_outputs_if_it_wants(pairs: Run, tmp_path: Path, root: Path) -> None:
    assert pairs("video,audio,name\ntwo/00001,one/00001,ann/v1.5\n", "--root", root, name="list.csv").status == 0
    assert (tmp_path / "made" / "ann" / "v1.5.mp4").is_file()
    assert (tmp_path / "made" / "ann" / "v1.5.w2l.json").is_file()


@pytest.fixture
def broken(root: Path) -> str:
    """Three pairs, the second of a video that is none and the last of one that is not there."""
    (root / "junk.mp4").write_bytes(b"this is no video" * 100)
    return "one/00001 two/00001\none/00001 junk\none/00001 gone\ntwo/00001 one/00001\n"


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_pairs_are_named_by_line_and_the_others_made(
    pairs: Run, tmp_path: Path, root: Path, broken: str, jobs: int
) -> None:
    outcome = pairs(broken, "--root", root, "--jobs", jobs)
    assert outcome.status == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: 2 of 4 failed: list.txt, line 2: ")
    assert "junk.mp4" in last
    assert "; list.txt, line 3: " in last
    assert "gone.mp4" in last
    assert "Traceback" not in outcome.err
    assert made_in(tmp_path) == ["one/00001.mp4", "one/00001.w2l.json", "two/00001.mp4", "two/00001.w2l.json"]


class TestResume:
    def test_only_what_is_missing_is_made(self, pairs: Run, tmp_path: Path, root: Path, broken: str) -> None:
        assert pairs(broken, "--root", root).status == 1
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("*.*")}
        for name in ("junk", "gone"):
            (root / f"{name}.mp4").write_bytes((root / "two" / "00001.mp4").read_bytes())
        outcome = pairs(broken, "--root", root, "--resume", "--json")
        assert outcome.status == 0, outcome.err
        names = [str(Path(one["output"]).relative_to((tmp_path / "made").resolve())) for one in json.loads(outcome.out)]
        assert names == ["two/00001.mp4", "junk.mp4", "gone.mp4", "one/00001.mp4"]
        assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())

    def test_without_it_nothing_that_is_there_is_written_over(self, pairs: Run, root: Path) -> None:
        assert pairs(LRS, "--root", root).status == 0
        outcome = pairs(LRS, "--root", root)
        assert (outcome.status, outcome.out.strip()) == (1, "")
        assert "2 of 2 failed" in outcome.err
        assert "00001.mp4 exists" in outcome.err

    def test_other_settings_make_another_output_that_is_refused_or_overwritten(
        self, pairs: Run, tmp_path: Path, root: Path
    ) -> None:
        assert pairs(LRS, "--root", root).status == 0
        made = tmp_path / "made" / "two" / "00001.mp4"
        before = made.read_bytes()
        outcome = pairs(LRS, "--root", root, "--resume", "--silence", "model", "--blend", "hard")
        assert outcome.status == 1
        assert "00001.mp4 exists" in outcome.err
        assert made.read_bytes() == before
        assert pairs(LRS, "--root", root, "--resume", "-y", "--silence", "model", "--blend", "hard").status == 0
        assert made.read_bytes() != before
        written = made.stat().st_mtime_ns
        assert pairs(LRS, "--root", root, "--resume", "-y", "--silence", "model", "--blend", "hard").status == 0
        assert made.stat().st_mtime_ns == written

    def test_one_job_that_is_done_is_done(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4").status == 0
        before = listing(tmp_path)
        outcome = sync("-o", "out.mp4", "--resume")
        assert (outcome.status, outcome.out) == (0, "out.mp4\n")
        assert "out.mp4 is up to date" in outcome.err
        assert listing(tmp_path) == before

    @pytest.mark.parametrize("changed", ["output", "moved", "record", "mark", "video"])
    def test_what_is_not_as_its_record_tells_is_not_taken_for_done(
        self, media: Path, tmp_path: Path, changed: str
    ) -> None:
        video, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
        video.write_bytes((media / "clip.mp4").read_bytes())
        settings = SyncSettings(model=str(media / "aligned.safetensors"), box=BOX)
        tools = Tools(settings, Cache.open(tmp_path / "cache", create=True), "cpu")
        write_wav(tmp_path / "said.wav", voice(0.3))
        job = Job(video, tmp_path / "said.wav", output)
        first = run(tools, job)
        assert run(tools, replace(job, resume=True)) == first
        sidecar, mark = output.with_suffix(SIDECAR), first.mark
        if changed == "output":
            output.write_bytes(b"another")
            os.utime(output, ns=(0, sidecar.stat().st_mtime_ns + 1))
        elif changed == "moved":
            for path in (output, sidecar):
                path.rename(tmp_path / f"other{''.join(path.suffixes)}")
            output = tmp_path / "other.mp4"
        elif changed == "record":
            sidecar.write_text('{"mark": ')
        elif changed == "mark":
            mark = "another"
        else:
            video.write_bytes(video.read_bytes())
            os.utime(video, (1, 1))
            with pytest.raises(ConfigError, match="exists"):
                run(tools, replace(job, resume=True))
            return
        assert made_before(output, mark, settings) is None


def test_the_model_is_loaded_once_for_all(pairs: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    load = weights.load_by_name

    def counted(*given: Any) -> Any:
        loaded.append(given)
        return load(*given)

    monkeypatch.setattr(weights, "load_by_name", counted)
    assert pairs(LRS + "three/00001 one/00001\n", "--root", root).status == 0
    assert len(loaded) == 1


def test_a_model_that_cannot_be_used_is_told_once(w2l: Run, media: Path, tmp_path: Path, root: Path) -> None:
    (tmp_path / "list.txt").write_text(LRS)
    given = ("--root", root, "--model", media / "cut.safetensors", "--device", "cpu", "-o", "made")
    one_line(w2l("sync", "--pairs", "list.txt", *given), 1, "cut.safetensors", "damaged")
    assert made_in(tmp_path) == []


def test_a_dry_run_and_a_preview_of_pairs(pairs: Run, tmp_path: Path, root: Path) -> None:
    dry = pairs(LRS, "--root", root, "--dry-run", "--json")
    assert [Path(one["video"]).parent.name for one in json.loads(dry.out)] == ["two", "three"]
    assert not (tmp_path / "made").exists()
    assert pairs(LRS, "--root", root, "--preview", 0.2).status == 0
    assert made_in(tmp_path, "*.mp4") == ["three/00001-preview.mp4", "two/00001-preview.mp4"]


class TestUsage:
    @pytest.fixture(autouse=True)
    def _nothing_is_made(self, tmp_path: Path, root: Path) -> Iterator[None]:
        """After every test: what is in the folder is what was there, and the list."""
        before = listing(tmp_path)
        yield
        assert {name: content for name, content in listing(tmp_path).items() if name[:4] != "list"} == before

    def test_the_outputs_need_a_folder(self, pairs: Run) -> None:
        one_line(pairs(LRS, "--root", "lrs", output=""), 2, "list.txt", "folder", "-o")
        one_line(pairs(LRS, "--root", "lrs", output="made.mp4"), 2, "made.mp4", "folder")
        one_line(pairs(LRS, "--root", "lrs", output="list.txt"), 2, "not list.txt")

    def test_a_list_and_files_exclude_each_other(self, pairs: Run) -> None:
        one_line(pairs(LRS, "in.mp4", "speech.wav"), 2, "--pairs", "leave out in.mp4")

    @pytest.mark.parametrize("extra", [("--root", "lrs"), ("--pairs-order", "audio-video")])
    def test_how_a_list_is_read_needs_a_list(self, sync: Run, extra: tuple[str, str]) -> None:
        one_line(sync("-o", "out.mp4", *extra), 2, "--pairs")

    def test_no_input_is_written_over(self, pairs: Run, root: Path) -> None:
        given = "video,audio,name\none/00001,two/00001,00001\n"
        outcome = pairs(given, "--root", "lrs", "-y", name="list.csv", output="lrs/one")
        one_line(outcome, 2, "lrs/one/00001.mp4 is an input")

    def test_a_list_that_is_not_there(self, w2l: Run) -> None:
        one_line(w2l("sync", "--pairs", "gone.txt", "-o", "made"), 2, "gone.txt")

    def test_a_file_is_no_cluster(self, pairs: Run) -> None:
        one_line(pairs(LRS, "--root", "lrs", "--ray", "list.txt"), 2, "--ray list.txt", "--ray auto")


def test_two_results_of_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    jobs = [Job(Path("a.mp4"), Path("s.wav"), folder / "out.mp4") for folder in (tmp_path, tmp_path / "link")]
    with pytest.raises(ConfigError, match="two outputs"):
        check_apart(jobs)


def test_workers_elsewhere_are_given_absolute_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net.safetensors", "ann.png", "a.mp4", "s.wav"):
        (tmp_path / name).touch()
    sent = everywhere(SyncSettings(model="net.safetensors", face="ann.png", reference="auto"))
    assert (sent.model, sent.face, sent.reference) == (
        str(tmp_path / "net.safetensors"),
        str(tmp_path / "ann.png"),
        "auto",
    )
    assert everywhere(SyncSettings()) == SyncSettings()
    (job,) = jobs_of_files([Path("a.mp4"), Path("s.wav")], None)
    assert job.absolute() == Job(tmp_path / "a.mp4", tmp_path / "s.wav", tmp_path / "a-synced.mp4", "a.mp4")


def test_jobs_of_a_list_are_named_by_file_and_line(tmp_path: Path, root: Path) -> None:
    (tmp_path / "list.txt").write_text("# pairs\n\none/00001 two/00001\n")
    (job,) = jobs_of_pairs(tmp_path / "list.txt", root, "auto", tmp_path / "made")
    assert (job.name, job.output.name) == (f"{tmp_path / 'list.txt'}, line 3", "00001.mp4")


@pytest.mark.slow
def test_a_list_on_a_ray_cluster(pairs: Run, tmp_path: Path, root: Path, broken: str) -> None:
    pytest.importorskip("ray")
    outcome = pairs(broken, "--root", "lrs", "--ray", "local", "--jobs", 2)
    assert outcome.status == 1, outcome.err
    assert "2 of 4 failed" in outcome.err.splitlines()[-1]
    assert made_in(tmp_path, "*.mp4") == ["one/00001.mp4", "two/00001.mp4"]
