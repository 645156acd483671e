"""Previews of long videos: what is looked at, what is read from the cache, what the whole decides."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sync_runs import make_models, voice
from tests.syncing.test_plan import PLACES, Marked, write_marked
from w2l.cache.store import Cache
from w2l.faces.follow import fixed_face
from w2l.faces.scan import DetectSettings, clip_for
from w2l.media.audio import write_wav
from w2l.syncing import near
from w2l.syncing.jobs import Job
from w2l.syncing.near import preview_plan, spans_around
from w2l.syncing.plan import Plan, plan_of
from w2l.syncing.seen import faces_in
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

FPS, N_FRAMES, LENGTH_S = 5, 60, 12.0
"""Rate, frames and seconds of the video."""
AT_S, NEAR = 6.0, range(23, 38)
"""Time of the preview, and the frames that lie within a second of it."""


@pytest.mark.parametrize(("frames", "spans"), [
    ([20, 21, 22], [(15, 28)]), ([1, 58], [(0, 7), (53, 60)]), ([20, 34], [(15, 40)]), ([9, 8, 7, 8], [(2, 15)]),
    ([59, 0, 1], [(0, 7), (54, 60)]), ([20, 41], [(15, 26), (36, 47)]),
])  # fmt: skip
def test_spans(frames: list[int], spans: list[tuple[int, int]]) -> None:
    assert spans_around(frames, N_FRAMES, 5.0, (1.0, 1.0)) == spans


def test_faces_within_spans() -> None:
    some = faces_in(fixed_face((0.0, 0.0, 40.0, 40.0), 10), [(2, 4), (7, 8)])
    assert [len(some.at(frame_idx)) for frame_idx in range(10)] == [0, 0, 1, 1, 0, 0, 0, 1, 0, 0]


Preview = Callable[..., tuple[Plan, int]]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("near")
    make_models(folder)
    write_wav(folder / "speech.wav", voice(LENGTH_S))
    write_marked(folder / "long.mp4", [0.99] * N_FRAMES, [0.75] * 20 + [0.0] * 40, FPS)
    return folder


@pytest.fixture
def preview(media: Path, tmp_path: Path) -> Preview:
    """The plan of a preview, and how many pictures the detector was shown; each time with the same cache."""

    def run(whole: bool = False, **settings: object) -> tuple[Plan, int]:
        given = {
            "model": str(media / "aligned.safetensors"),
            "detect": DetectSettings(stride=1),
            "on_covered": "redraw",
        }
        tools = Tools(SyncSettings(**{**given, **settings}), Cache.open(tmp_path / "cache", create=True), "cpu")  # type: ignore[arg-type]
        detector = vars(tools)["detector"] = Marked()
        job = Job(media / "long.mp4", media / "speech.wav", tmp_path / "out.mp4", preview_s=AT_S)
        plan = plan_of(tools, job) if whole else preview_plan(tools, job, AT_S)
        return plan, detector.n_looks

    return run


def frames_with_faces(plan: Plan) -> list[int]:
    return np.flatnonzero(np.diff(plan.faces.first)).tolist()


def test_a_preview_looks_at_the_seconds_around_it(preview: Preview) -> None:
    plan, n_looks = preview(look_ahead="1")
    assert frames_with_faces(plan) == [*NEAR]
    assert n_looks < 3 * len(NEAR)
    assert all(np.allclose(plan.faces.at(frame_idx)[0].box, PLACES[0]) for frame_idx in NEAR)
    assert [cue.frame_idx for cue in plan.cues(0, len(plan))] == [*range(28, 33)] == plan.timeline.source.tolist()
    assert all(cue.faces for cue in plan.cues(0, len(plan)))
    assert plan.chosen.startswith("in 4.6-7.4 s, auto: face 0")
    assert preview(look_ahead="1")[1] == 0  # read from the cache


def test_only_a_long_video_is_looked_at_in_part_by_default(preview: Preview, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "NEAR_S", 1.0)
    assert not preview()[0].extent
    assert not preview(look_ahead="all")[0].extent
    monkeypatch.setattr(near, "LONG_S", LENGTH_S - 1)
    assert not preview(look_ahead="all")[0].extent
    plan, _ = preview()
    assert plan.extent == "near"
    assert frames_with_faces(plan) == [*NEAR]


def test_faces_of_the_whole_video_are_used_if_they_are_known(preview: Preview) -> None:
    whole, _ = preview(whole=True)
    plan, n_looks = preview(look_ahead="1")
    assert n_looks == 0
    assert frames_with_faces(plan) == [*NEAR]
    assert plan.chosen == whole.chosen
    assert all(np.array_equal(plan.faces.at(k)[0].box, whole.faces.at(k)[0].box) for k in NEAR)


@pytest.mark.parametrize("settings", [{"face": "0"}, {"face": "44,70@6"}], ids=["number", "time"])
def test_a_choice_that_requires_the_whole_video_has_it_searched(preview: Preview, settings: dict[str, str]) -> None:
    plan, _ = preview(look_ahead="1", **settings)
    assert plan.extent == "near"
    assert plan.chosen.startswith(f"{settings['face']}: face 0")
    assert frames_with_faces(plan) == [*NEAR]


@pytest.mark.parametrize("settings", [{"reference": "1,2"}, {"reference": "0:01"}], ids=str)
def test_references_from_anywhere_require_the_whole_video(preview: Preview, settings: dict[str, str]) -> None:
    plan, _ = preview(look_ahead="1", **settings)
    assert not plan.extent
    assert len(frames_with_faces(plan)) == N_FRAMES


def test_a_preview_without_a_face_near_it_passes_through(preview: Preview) -> None:
    plan, _ = preview(look_ahead="1", face="right")
    assert plan.chosen.startswith("in 4.6-7.4 s, right: face 0")  # whoever is the rightmost there
    plan, _ = preview(look_ahead="1", face="124,70")
    assert plan.chosen == "none in 4.6-7.4 s"
    assert plan.passed_through() == {"no face": 5}


def test_previews_and_outputs_have_mouth_samples_of_their_own(preview: Preview, media: Path, tmp_path: Path) -> None:
    preview(look_ahead="1", on_covered="keep")
    folder = clip_for(Cache.open(tmp_path / "cache"), media / "long.mp4").folder
    assert {path.name for path in folder.glob("*.npz")} == {"faces-23-38.npz", "covers-near.npz"}
