"""Outputs drawn in sections: where they are cut, whom they show, what is drawn when, and that they resume."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from tests.helpers.kept_models import keep_models
from tests.helpers.sync_runs import make_models, voice
from tests.syncing.test_plan import PLACES, Marked, write_marked
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, NoFaceError
from w2l.core.files import write_json
from w2l.faces.scan import DetectSettings
from w2l.marks.claims import id_of
from w2l.marks.settings import Disclosure
from w2l.media.audio import write_wav
from w2l.media.parts import PartWriter
from w2l.models.backend_choice import choice_key
from w2l.syncing import sections, seen
from w2l.syncing import tools as tools_module
from w2l.syncing.jobs import Job
from w2l.syncing.outcome import hash_inputs
from w2l.syncing.plan import plan_of, sketch_of
from w2l.syncing.record import SyncResult
from w2l.syncing.run import run
from w2l.syncing.sections import Section, section_edges
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

FPS, N_FRAMES, LENGTH_S = 5, 50, 10.0
"""Rate, frames and seconds of the videos."""
EDGES = (0, 5, 15, 25, 35, 50)
"""First pictures of their sections, and the end, with a look-ahead of 1 s and parts of 2 s."""


@pytest.mark.parametrize(("n_pictures", "fps", "first_s", "edges"), [
    (50, 5.0, 1.0, EDGES), (7, 5.0, 1.0, (0, 7)), (8, 5.0, 1.0, (0, 5, 8)), (50, 5.0, 9.0, (0, 10, 20, 30, 40, 50)),
    (1, 25.0, 1.0, (0, 1)),
])  # fmt: skip
def test_edges(
    monkeypatch: pytest.MonkeyPatch, n_pictures: int, fps: float, first_s: float, edges: tuple[int, ...]
) -> None:
    monkeypatch.setattr(sections, "PART_S", 2.0)
    assert section_edges(n_pictures, fps, first_s) == edges


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one.mp4: a face throughout; two.mp4: a second one that stays longer from the middle on; none.mp4: no face."""
    folder = tmp_path_factory.mktemp("sections")
    make_models(folder)
    write_wav(folder / "speech.wav", voice(LENGTH_S))
    write_marked(folder / "one.mp4", [0.99] * 30 + [0.0] * 10 + [0.99] * 10, None, FPS)
    write_marked(folder / "two.mp4", [0.99] * N_FRAMES, [0.0] * 10 + [0.99] * 40, FPS)
    write_marked(folder / "none.mp4", [0.0] * N_FRAMES, None, FPS)
    return folder


class Work:
    """A folder with a cache, in which videos are synced in sections of at most 2 s."""

    def __init__(self, media: Path, folder: Path) -> None:
        self.media, self.folder = media, folder
        self.detector = Marked()

    def tools(self, **settings: Any) -> Tools:
        given = {
            "model": str(self.media / "aligned.safetensors"),
            "detect": DetectSettings(stride=1),
            "look_ahead": "1",
            "disclosure": Disclosure("record"),  # signatures differ from run to run
        }
        chosen = SyncSettings(**{**given, "on_covered": "redraw", **settings})
        tools = Tools(chosen, Cache.open(self.folder / "cache", create=True), "cpu")
        vars(tools)["detector"] = self.detector
        return tools

    def job(self, video: str, output: str = "out.mp4", resume: bool = False) -> Job:
        return Job(self.media / video, self.media / "speech.wav", self.folder / output, overwrite=True, resume=resume)

    def sections(self, video: str, **settings: Any) -> list[Section]:
        tools = self.tools(**settings)
        sketch = sketch_of(tools, self.job(video))
        return list(sections.sections(tools, sketch, EDGES, lambda _: False, Event()))

    def made(self, video: str, output: str = "out.mp4", resume: bool = False, **settings: Any) -> SyncResult:
        return run(self.tools(**settings), self.job(video, output, resume))


@pytest.fixture
def work(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(sections, "PART_S", 2.0)
    keep_models(monkeypatch)
    return Work(media, tmp_path)


def test_sections_show_what_the_whole_plan_shows(work: Work) -> None:
    whole = plan_of(work.tools(), work.job("one.mp4"))
    found = work.sections("one.mp4")
    cues = [cue for section in found for cue in section.plan.cues(section.frames.start, section.frames.stop)]
    assert [(cue.picture, cue.frame_idx) for cue in cues] == [(idx, idx) for idx in range(N_FRAMES)]
    for idx, (cue, expected) in enumerate(zip(cues, whole.cues(0, N_FRAMES), strict=True)):
        assert np.array_equal(cue.mel, expected.mel)
        assert len(cue.faces) == len(expected.faces), idx
        assert all(np.allclose(ours.box, PLACES[0]) for ours in cue.faces)
    assert sum((section.own.passed_through().get("no face", 0) for section in found), 0) == 10
    assert [len(section.own) for section in found] == np.diff(EDGES).tolist()


def test_the_face_of_a_shot_stays_the_same(work: Work) -> None:
    """Of the first section the left one alone is seen; later the right one would be chosen, which is larger there."""
    for choice in ("auto", "right"):
        boxes = [
            [face.box for face in section.own.faces.at(int(source))]
            for section in work.sections("two.mp4", face=choice)
            for source in section.own.timeline.source
        ]
        assert all(len(here) == 1 and np.allclose(here[0], PLACES[0]) for here in boxes)


def test_drawing_begins_before_all_faces_are_known(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    scan, write = seen.scan_span, PartWriter.write

    def scanned(*given: Any, **named: Any) -> Any:
        happened.append(f"{given[3]}")
        return scan(*given, **named)

    def written(writer: PartWriter, picture: Any) -> None:
        happened.append("picture")
        write(writer, picture)

    monkeypatch.setattr(seen, "scan_span", scanned)
    monkeypatch.setattr(PartWriter, "write", written)
    made = work.made("one.mp4")
    spans = [what for what in happened if what != "picture"]
    assert spans == [str((max(0, a - 10), min(N_FRAMES, b + 5))) for a, b in pairwise(EDGES)]
    assert happened[:2] == [spans[0], "picture"]  # nothing else keeps the processor from the first picture
    assert happened.index("picture") < happened.index(spans[-1])
    assert (made.frames, made.frames_passed_through) == (N_FRAMES, {"no face": 10})
    assert made.timing["first_frame"] > 0
    assert made.hashes == hash_inputs(work.tools(), work.job("one.mp4"))


def test_the_first_section_is_short_however_far_ahead_is_looked(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[int, int]] = []
    scan = seen.scan_span

    def scanned(*given: Any, **named: Any) -> Any:
        spans.append(given[3])
        return scan(*given, **named)

    monkeypatch.setattr(seen, "scan_span", scanned)
    work.made("one.mp4", look_ahead="3", reference="same")
    assert spans[:2] == [(0, 5 + 15), (0, 15 + 15)]


@pytest.mark.parametrize(("settings", "n_measured"), [
    ({}, 0), ({"look_ahead": "all"}, 1),
    pytest.param({"look_ahead": "all", "backend": "onnx"}, 0, marks=pytest.mark.slow),
    pytest.param({"look_ahead": "all", "precision": "bf16"}, 0, marks=pytest.mark.slow),
], ids=str)  # fmt: skip
def test_the_library_is_measured_once_and_not_before_an_early_picture(
    work: Work, settings: dict[str, Any], n_measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Path] = []

    def choose(path: Path, model: Any, first_row: int, batch: int, _: bool) -> None:
        measured.append(path)
        write_json(path, {choice_key(model, first_row, batch): "torch"})

    monkeypatch.setattr(tools_module, "choose_backend", choose)
    settings = {"reference": "same", **settings}
    work.made("one.mp4", **settings)
    assert not measured  # too short to be worth it
    monkeypatch.setattr(tools_module, "MEASURED_FROM", N_FRAMES)
    for output in ("one.mp4", "again.mp4"):
        work.made("one.mp4", output, **settings)
    assert measured == [work.folder / "cache" / "models" / "backends.json"] * n_measured
    tools = work.tools(**{**settings, "precision": "auto"})
    assert tools.runner.backend == ("torch" if n_measured else "onnx")


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Interrupts the writing of that picture, as Ctrl-C does."""
    write, n_left = PartWriter.write, [-1]

    def counted(writer: PartWriter, picture: Any) -> None:
        n_left[0] -= 1
        if n_left[0] == 0:
            raise KeyboardInterrupt
        write(writer, picture)

    monkeypatch.setattr(PartWriter, "write", counted)
    return lambda number: n_left.__setitem__(0, -1 if number is None else number)


@pytest.mark.parametrize(
    "settings", [{}, pytest.param({"box": (20.0, 40.0, 68.0, 100.0)}, marks=pytest.mark.slow)], ids=["faces", "box"]
)
def test_a_stopped_job_resumes_to_the_same_file(
    work: Work, settings: dict[str, Any], stop_at: Callable[[int | None], None]
) -> None:
    whole = work.made("one.mp4", "whole.mp4", **settings)
    again = work.made("one.mp4", "again.mp4", **settings)
    stop_at(28)
    with pytest.raises(KeyboardInterrupt):
        work.made("one.mp4", **settings)
    assert len(list((work.folder / ".out.mp4.w2l-parts").glob("*.mp4"))) == 3
    stop_at(None)
    resumed = work.made("one.mp4", resume=True, **settings)
    contents = {one.output.read_bytes() for one in (whole, again, resumed)}
    assert len(contents) == 1
    assert resumed.frames_passed_through == whole.frames_passed_through
    assert resumed.record_id == whole.record_id == id_of(json.loads((work.folder / "out.w2l.json").read_text()))
    assert work.made("one.mp4", resume=True, **settings).took_s == resumed.took_s  # up to date


def test_a_video_without_a_face_is_one_error(work: Work) -> None:
    with pytest.raises(NoFaceError, match="no face was found"):
        work.made("none.mp4")
    assert not (work.folder / "out.mp4").exists()


@pytest.mark.parametrize(("settings", "said"), [
    ({"face": "0"}, "--face 0 requires the whole video; remove --look-ahead 1"),
    ({"face": "44,70@2"}, "--face 44,70@2"), ({"reference": "1,2.5"}, "--reference with times"),
], ids=str)  # fmt: skip
def test_settings_that_require_the_whole_video_are_refused(work: Work, settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        work.made("one.mp4", **settings)


def test_a_missing_face_can_fail(work: Work) -> None:
    with pytest.raises(NoFaceError, match=r"missing at 6\.00 s"):
        work.made("one.mp4", on_missing="fail")


def test_without_seconds_the_whole_video_is_searched_first(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "scan_span", None)
    assert work.made("one.mp4", look_ahead="auto").frames_passed_through == {"no face": 10}
