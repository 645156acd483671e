"""preprocess through the command line: what it keeps of a clip, what it sets aside, what it need not do again."""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import stages.preprocess
import w2l.core.jobs.tasks
from stages import cli
from w2l.cache.store import Cache
from w2l.core.arrays import Image
from w2l.core.timing import SAMPLE_RATE, mel_columns
from w2l.data.prepare import run as prepare_run
from w2l.data.prepare.clip import PrepareSettings
from w2l.data.sources.listing import Listing, Source
from w2l.faces.detectors.base import Detection
from w2l.features.windows import nearest_frames
from w2l.media.audio import write_wav
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter

Run = Callable[..., tuple[int, str, str]]
DrawFace = Callable[[Image, float, float, float], NDArray[np.float64]]
HEIGHT, WIDTH = 80, 96
TEXTURE = np.random.default_rng(0).integers(0, 160, (HEIGHT // 4, WIDTH // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
"""A picture with edges, as a plain one counts as blurred."""


def noise(duration_s: float) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(-0.3, 0.3, round(duration_s * SAMPLE_RATE)).astype(np.float32)


def make_clip(
    path: Path,
    picture_s: float = 1.2,
    sound_s: float | None = 1.2,
    fps: float = 30,
    sound_starts_s: float = 0.0,
    image: Image | None = None,
) -> Path:
    """A clip whose pictures grow brighter frame by frame, so that each of them can be told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    speech = None
    if sound_s is not None:
        speech = path.with_name("speech.wav")
        write_wav(speech, noise(sound_s))
    still = TEXTURE if image is None else image
    height, width = still.shape[:2]
    n_frames = round(picture_s * fps)
    origin_s = -sound_starts_s if sound_starts_s else None
    sharp = Encoding(crf=8)
    output = Output(path, width, height, fps, speech=speech, speech_origin_s=origin_s, encoding=sharp)
    with VideoWriter(output) as writer:
        for idx in range(n_frames):
            writer.write(np.clip(still.astype(int) + 60 * idx // n_frames, 0, 255).astype(np.uint8))
    if speech is not None:
        speech.unlink()
    return path


class OneFace:
    """Sees a face at one place in the first `n_seen` pictures it is shown, and counts them."""

    name = fingerprint = "one face"

    def __init__(self, n_seen: int = 1 << 30) -> None:
        self.n_seen = n_seen
        self.n_shown = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.n_shown += len(images)
        points = np.array([[38.0, 28], [58, 28], [48, 40], [40, 52], [56, 52]])
        face = Detection(np.array([24.0, 8, 72, 70]), 0.99, points)
        return [[face] if self.n_shown <= self.n_seen else [] for _ in images]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> OneFace:
    """The detector that `preprocess` uses here."""
    one_face = OneFace()
    monkeypatch.setattr(prepare_run, "make_detector", lambda *_: one_face)
    return one_face


@pytest.fixture
def preprocess(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `w2l preprocess` in an empty folder; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(w2l.core.jobs.tasks, "BUSY_S", 0.02)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            cli.main(["preprocess", *map(str, arguments), "--device", "cpu"])
        except SystemExit as stop:
            status = int(stop.code or 0)
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return run


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """The cache that `preprocess` uses here."""
    return Cache.open(tmp_path / "cache", create=True)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_crops_come_at_25_fps_from_a_drawn_face_at_30(
    preprocess: Run, cache: Cache, tmp_path: Path, draw_face: DrawFace
) -> None:
    image = np.full((160, 200, 3), (40, 70, 90), np.uint8)
    points = draw_face(image, 100, 85, 50)
    video = make_clip(tmp_path / "in" / "s1" / "talk.mp4", 1.2, 1.2, image=image)
    status, out, _ = preprocess("in")
    assert (status, out) == (0, f"1 clip prepared, 0 already finished; 1 track in {cache.root}\n")
    row = cache.tracks()[0]
    assert (row.clip, row.n_frames, row.n_columns) == ("s1/talk", 30, mel_columns(30 * 640))
    crops, mel = cache.load_track(row)
    assert crops.shape == (30, 96, 96, 3)
    assert mel.shape == (80, row.n_columns)
    times, looks = zip(*((frame.time_s, float(frame.image[60:120, 70:130].mean())) for frame in read_frames(video)))
    inner = [float(crop[30:70, 30:70].mean()) for crop in crops[0 : len(crops)]]
    slope, offset = np.polyfit(inner, [looks[idx] for idx in nearest_frames(np.array(times), 25)], 1)
    found = [int(np.abs(np.array(looks) - (slope * value + offset)).argmin()) for value in inner]
    assert np.abs(np.array(found) - nearest_frames(np.array(times), 25)).max() <= 1
    record = cache.clip("s1/talk").record()
    assert record.source == str(video)
    assert record.size == (200, 160)
    assert record.fps == pytest.approx(30)
    with np.load(cache.clip("s1/talk").faces) as faces:
        assert np.abs(faces["points"] - points).max() < 6


def test_the_second_run_does_nothing_and_says_so(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace
) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    make_clip(tmp_path / "in" / "b.mkv")
    assert preprocess("in")[0] == 0
    before, n_shown = contents(cache.root), detector.n_shown
    stamps = {path: path.stat().st_mtime_ns for path in cache.root.rglob("*")}
    status, out, err = preprocess("in")
    assert (status, err) == (0, "in: layout folder, 2 videos (2 no split)\n")
    assert "0 clips prepared, 2 already finished; nothing to do; 2 tracks" in out
    assert detector.n_shown == n_shown
    assert contents(cache.root) == before
    assert {path: path.stat().st_mtime_ns for path in cache.root.rglob("*")} == stamps
    status, out, _ = preprocess("in", "--force", "--json")
    assert (status, json.loads(out)["done"]) == (0, 2)
    assert detector.n_shown == 2 * n_shown
    assert contents(cache.root) == before


def test_a_changed_source_is_done_again(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    preprocess("in")
    make_clip(tmp_path / "in" / "a.mp4", 0.8, fps=25)
    assert "1 clip prepared, 0 already finished" in preprocess("in", "--set", "gates.min_track_s=0.5")[1]
    assert cache.tracks()[0].n_frames == 20


def test_other_crops_need_no_other_detections(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    preprocess("in")
    n_shown = detector.n_shown
    faces = cache.clip("a").faces.read_bytes()
    assert "1 clip prepared" in preprocess("in", "--set", "crop.size=64", "--set", "crop.kind=judge")[1]
    row = cache.tracks()[0]
    assert cache.load_track(row)[0].shape[1:] == (64, 64, 3)
    assert cache.load_mfcc(row).shape[0] == 13
    assert detector.n_shown == n_shown
    assert cache.clip("a").faces.read_bytes() == faces
    assert "1 clip prepared" in preprocess("in", "--set", "detect.stride=3")[1]
    assert detector.n_shown > n_shown
    assert not (cache.clip("a").folder / "tracks" / "0" / "mfcc.npy").exists()


def test_bad_clips_are_set_aside_and_the_others_go_on(
    preprocess: Run, cache: Cache, tmp_path: Path, draw_face: DrawFace
) -> None:
    image = np.full((160, 200, 3), (40, 70, 90), np.uint8)
    draw_face(image, 100, 85, 50)
    folder = tmp_path / "in"
    good = make_clip(folder / "d good.mp4", image=image)
    make_clip(folder / "a-silent.mp4", 0.4, None, image=image)
    make_clip(folder / "b-empty-room.mp4", image=np.full((HEIGHT, WIDTH, 3), 20, np.uint8))
    make_clip(folder / "c-short-sound.mp4", 1.2, 0.1, image=image)
    (folder / "e-cut.mp4").write_bytes(good.read_bytes()[:600])
    (folder / "f-empty.mp4").write_bytes(b"")
    (folder / "g-text.mkv").write_text("no video\n" * 50)
    write_wav(folder / "sound.wav", noise(0.5))
    (folder / "sound.wav").rename(folder / "h-sound.avi")
    shutil.copy(good, folder / "i-good.mp4")
    expected = {
        "a-silent": "has no audio stream", "b-empty-room": "no face is visible for one window",
        "c-short-sound": "no face is visible for 5 consecutive frames that have audio (0.1", "e-cut": "e-cut.mp4",
        "f-empty": "the file is empty",
        "g-text": "not a readable video", "h-sound": "holds no video",
    }  # fmt: skip
    status, out, err = preprocess("in", "--json")
    found = json.loads(out)
    assert (status, found["done"], found["tracks"]) == (1, 9, 2)
    assert found["set_aside"].keys() == expected.keys()
    for clip_id, reason in expected.items():
        assert reason in found["set_aside"][clip_id]
        assert "\n" not in found["set_aside"][clip_id]
        assert f"set aside {clip_id}: " in err
        assert not (cache.clip(clip_id).folder / "tracks").exists()
    assert len({row.clip for row in cache.tracks()}) == 2
    before = contents(cache.root)
    status, out, _ = preprocess("in")
    assert status == 1
    assert "0 clips prepared, 9 already finished; nothing to do; 2 tracks" in out
    assert out.count("set aside ") == 7
    assert contents(cache.root) == before


def test_when_nothing_can_be_used(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "a.mp4", 0.4, None)
    for done in (1, 0):
        status, out, _ = preprocess("in")
        assert status == 1
        assert f"{done} clip" in out
        assert "0 tracks" in out
    shutil.rmtree(tmp_path / "in")
    make_clip(tmp_path / "in" / "a.mp4")
    assert preprocess("in")[0] == 0
    assert cache.clip("a").record().preprocess.reason is None


@pytest.mark.parametrize(("sound", "n_frames", "silent_s"), [
    ({"sound_s": 1.2}, 30, 0.0),
    ({"sound_s": 3.0}, 30, 0.0),
    ({"sound_s": 0.7}, 17, 0.0),
    ({"sound_s": 1.2, "sound_starts_s": 0.5}, 30, 0.5),
    ({"sound_s": 0.4, "sound_starts_s": 0.5}, 22, 0.5),
], ids=["alike", "longer", "shorter", "later", "later and shorter"])  # fmt: skip
def test_sound_of_another_length_or_start(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace, sound: dict[str, float], n_frames: int,
    silent_s: float,
) -> None:  # fmt: skip
    make_clip(tmp_path / "in" / "a.mkv", **sound)  # type: ignore[arg-type]
    assert preprocess("in", "--set", "gates.min_track_s=0.5")[0] == 0
    row = cache.tracks()[0]
    assert abs(row.n_frames - n_frames) <= 1
    crops, mel = cache.load_track(row)
    assert len(crops) == row.n_frames
    assert mel.shape[1] == row.n_columns == mel_columns(row.n_frames * 640)
    loud = mel.mean(axis=0) > -2
    n_silent = round(silent_s * 80)
    assert not loud[: max(0, n_silent - 5)].any()
    assert loud[n_silent + 5 : -8].all()


def test_a_face_must_be_seen_long_enough(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "a.mp4", 2.4, 2.4, fps=25)
    detector.n_seen = 4  # frames 0, 5, 10 and 15
    status, _, err = preprocess("in")
    assert status == 1
    said = r"set aside a: .*/a.mp4: too short: from 0.0 s on it is visible with audio for 0.\d+ s, less than 1 s"
    assert re.search(said, err)
    assert preprocess("in", "--set", "gates.min_track_s=0.5")[0] == 0
    assert cache.tracks()[0].n_frames in range(16, 22)


def test_lists_with_missing_lines(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    for name in ("a", "b", "c"):
        make_clip(tmp_path / "in" / f"{name}.mp4")
    (tmp_path / "train.txt").write_text("a\nnone/here\nb.mp4\n")
    (tmp_path / "val.txt").write_text("c\n")
    status, out, _ = preprocess("in", "--filelist", "train.txt")
    assert status == 1
    assert "2 clips prepared" in out
    assert "not found: none/here\n" in out
    status, out, _ = preprocess("in", "--filelist", "val.txt")
    assert status == 0
    assert [(row.clip, row.split) for row in cache.tracks()] == [("a", "train"), ("b", "train"), ("c", "val")]
    n_shown = detector.n_shown
    assert "nothing to do" in preprocess("in")[1]
    assert [row.split for row in cache.tracks()] == ["train", "train", "val"]
    (tmp_path / "test.txt").write_text("c\n")
    assert "1 clip prepared" in preprocess("in", "--filelist", "test.txt")[1]
    assert [row.split for row in cache.tracks()] == ["train", "train", "test"]
    assert detector.n_shown == n_shown


def test_odd_names(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    names = ['it\'s "one"; $x.mp4', "näme 名前.mp4", "-o.mp4", "a:b c.mp4"]
    first = make_clip(tmp_path / "in" / "x y" / names[0])
    for name in names[1:]:
        shutil.copy(first, first.with_name(name))
    raw = os.fsencode(first.parent) + b"/bad\xff.mp4"
    with open(raw, "wb") as file:
        file.write(b"no video")
    status, out, _ = preprocess("in")
    assert status == 1
    assert "5 clips prepared" in out
    assert len(cache.tracks()) == 4
    assert "nothing to do" in preprocess("in")[1]


@pytest.mark.parametrize(("arguments", "status", "said"), [
    (("none",), 1, "none is not a folder"),
    (("empty",), 1, "no videos in empty"),
    (("in/a.mp4",), 1, "is not a folder"),
    (("in", "--filelist", "none.txt"), 2, "none.txt cannot be read"),
    (("in", "--filelist", "wrong.txt"), 1, "none of the 1 listed lines names a video"),
    (("in", "--set", "detect.detektor=mtcnn"), 2, "did you mean detector?"),
    (("in", "--set", "detect.detector=nobody"), 2, "detector 'nobody' is unknown"),
    (("in", "--cache", "in"), 1, "contains other files"),
    (("in", "--cache", "in/a.mp4"), 1, "cannot be written"),
    (("in", "--cache", "damaged"), 1, "cache.json is damaged"),
])  # fmt: skip
def test_bad_input_is_one_line(
    preprocess: Run, tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    make_clip(tmp_path / "in" / "a.mp4", 0.2, None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "cache.json").write_text("{")
    (tmp_path / "wrong.txt").write_text("b\n")
    ended, out, err = preprocess(*arguments)
    said_of_layout, _, complaint = err.rpartition("error: ")
    assert (ended, out) == (status, "")
    assert complaint.count("\n") == 1
    assert said in complaint
    assert said_of_layout in ("", "in: layout folder, 1 videos (1 no split)\n")


def test_a_damaged_record_is_named_and_the_others_go_on(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace
) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    preprocess("in")
    make_clip(tmp_path / "in" / "b.mp4")
    (cache.clip("a").folder / "clip.json").write_text("{")
    status, _, err = preprocess("in", "--json")
    assert (status, err.count("Traceback")) == (1, 0)
    assert "delete it" in err
    assert "nothing to do" not in preprocess("in")[1]
    (cache.clip("a").folder / "clip.json").unlink()
    cache.clip("a").faces.write_bytes(b"PK\x03\x04")
    assert "1 clip prepared" in preprocess("in")[1]


def test_a_clip_that_vanishes_is_set_aside(
    preprocess: Run, tmp_path: Path, detector: OneFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    sources = tuple(Source(name, tmp_path / "in" / f"{name}.mp4") for name in ("a", "gone"))
    monkeypatch.setattr("w2l.api.preprocess.find_videos", lambda *_: Listing(sources))
    status, out, _ = preprocess("in")
    assert status == 1
    assert "1 track in" in out
    assert "set aside gone: " in out


@pytest.mark.parametrize("force", [False, True])
def test_clips_of_another_process_are_waited_for(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace, force: bool
) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    make_clip(tmp_path / "in" / "b.mp4")
    clip = cache.clip("a")
    claim = clip.claim()
    assert claim.__enter__()

    def let_go() -> None:
        while cache.clip("b").record().preprocess.is_empty or cache.clip("b").lock.exists():
            time.sleep(0.005)
        assert clip.record().preprocess.is_empty
        claim.__exit__(None, None, None)

    other = threading.Thread(target=let_go)
    other.start()
    status, out, _ = preprocess("in", *(["--force"] if force else []))
    other.join()
    assert status == 0
    assert "2 clips prepared" in out
    assert not list(cache.root.rglob(".lock"))


def test_a_mistyped_folder_makes_no_cache(preprocess: Run, tmp_path: Path) -> None:
    for arguments in (("clpis",), ("clpis", "--jobs", "2"), ("--report",), ()):
        status, out, err = preprocess(*arguments)
        assert status in (1, 2)
        assert (out, err.count("\n")) == ("", 1)
    assert not (tmp_path / "cache").exists()


def test_strict_stops_at_the_first_clip_that_cannot_be_used(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace
) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "b.mp4").write_bytes(b"")
    make_clip(tmp_path / "in" / "c.mp4")
    status, out, err = preprocess("in", "--strict")
    assert (status, out) == (1, "")
    assert "error: b cannot be used: " in err
    assert "the file is empty" in err
    assert [clip.id for clip in cache.clips()] == ["a", "b"]
    assert preprocess("in", "--strict")[0] == 1  # known by now, and still no clip to be used
    (tmp_path / "list.txt").write_text("a\nnowhere\n")
    status, _, err = preprocess("in", "--strict", "--filelist", "list.txt")
    assert status == 1
    assert "nowhere is missing" in err
    assert preprocess("in")[0] == 1
    assert cache.clip("c").record().preprocess.outcome == "done"


def test_the_summary_counts_reasons_and_names_some(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages.preprocess, "MOST_NAMED", 2)
    for name in "abcd":
        (tmp_path / "in" / f"{name}.mp4").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.mp4").write_bytes(b"")
    make_clip(tmp_path / "in" / "mute.mp4", 0.4, None)
    make_clip(tmp_path / "in" / "short.mp4", 0.6, 0.6)
    make_clip(tmp_path / "in" / "z.mp4")
    status, out, _ = preprocess("in")
    assert status == 1
    assert "6 clips cannot be used: 1 no sound, 1 too short, 4 unreadable\n" in out
    assert "1 face track rejected: 1 too short" in out
    assert out.count("set aside ") == 4
    assert "... and 2 more: unreadable; --json lists all" in out
    found = json.loads(preprocess("in", "--json")[1])
    assert found["reasons"] == {"no sound": ["mute"], "too short": ["short"], "unreadable": list("abcd")}
    assert (found["rejected"], len(found["set_aside"]), found["tracks"]) == ({"too short": 1}, 6, 1)


def test_a_gate_alone_needs_no_new_detections_and_the_record_says_why(
    preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace
) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    preprocess("in")
    n_shown = detector.n_shown
    status, out, _ = preprocess("in", "--set", "gates.min_face_px=200")
    assert (status, detector.n_shown) == (1, n_shown)
    assert "1 clip cannot be used: 1 small face" in out
    outcome = cache.clip("a").record().preprocess
    assert (outcome.gate, outcome.rejected[0].gate, outcome.tracks) == ("small face", "small face", ())
    assert len(cache.all_tracks()) == 0
    assert preprocess("in")[0] == 0
    assert (detector.n_shown, len(cache.all_tracks())) == (n_shown, 1)


def test_compressed_crops(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    preprocess("in")
    raw, mel = cache.load_track(cache.tracks()[0])
    raw = np.asarray(raw[0 : len(raw)])
    assert "1 clip prepared" in preprocess("in", "--set", "store=jpeg")[1]
    crops, same_mel = cache.load_track(cache.tracks()[0])
    assert np.abs(np.asarray(crops[0 : len(crops)]).astype(int) - raw).mean() < 6
    assert np.array_equal(mel, same_mel)
    assert preprocess("in", "--set", "store=zip")[0] == 2


def test_speakers_of_the_folder_are_kept(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "s1" / "a.mp4")
    make_clip(tmp_path / "in" / "s2" / "b.mp4")
    preprocess("in")
    assert [row.speaker for row in cache.tracks()] == ["s1", "s2"]


def test_the_report_alone_and_behind_a_run(preprocess: Run, cache: Cache, tmp_path: Path, detector: OneFace) -> None:
    make_clip(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "b.mp4").write_bytes(b"")
    status, out, err = preprocess("--report", "in")  # the folder is no file for the page
    assert status == 1
    assert "1 clip cannot be used: 1 unreadable" in err
    assert "unreadable" in out
    page = cache.root / "report.html"
    assert out.endswith(f"{page}\n")
    assert "<svg" in page.read_text() or "<img" in page.read_text()
    n_shown = detector.n_shown
    status, out, _ = preprocess("--report", tmp_path / "page.html")
    assert (status, detector.n_shown) == (0, n_shown)
    assert (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_the_device_is_chosen_where_the_work_is_done(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(prepare_run, "choose_device", lambda name: chosen.append(name) or "cuda")
    monkeypatch.setattr(prepare_run, "make_detector", lambda _, device, *rest: device)
    given: list[object] = []
    monkeypatch.setattr(prepare_run, "run_tasks", lambda tasks, work, set_up, *_: given.append(set_up) or [])
    w2l.data.prepare.run.run(PrepareSettings(), Listing(()), cache, "auto")
    assert not chosen
    set_up = given[0]
    assert callable(set_up)
    assert set_up()[1] == "cuda"
    assert chosen == ["auto"]


def test_several_jobs_make_what_one_makes(preprocess: Run, tmp_path: Path, draw_face: DrawFace) -> None:
    image = np.full((160, 200, 3), (40, 70, 90), np.uint8)
    draw_face(image, 100, 85, 50)
    for name in ("a", "b", "c"):
        make_clip(tmp_path / "in" / f"{name}.mp4", image=image)
    (tmp_path / "in" / "d.mp4").write_bytes(b"")
    quick = ("--set", "detect.detector=mtcnn")
    assert preprocess("in", *quick, "--cache", "one")[0] == 1
    assert preprocess("in", *quick, "--cache", "two", "--jobs", 2)[0] == 1
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
