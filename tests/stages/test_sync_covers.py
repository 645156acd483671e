"""`w2l sync` of covered mouths: whatever draws and whatever it copies from, they stay as they are, and that is said."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

import w2l.syncing.covers as covers
from tests.helpers.sync_runs import Run, change, pictures, same, voice, write_pictures
from tests.syncing.memory.made_looks import talking
from tests.syncing.test_covers import masked
from w2l.media.audio import write_wav

BOX = ("--box", "41.7,26.7,118.3,127.7")
N_FRAMES = 16
COVERED = "something covers the mouth or chin"


@pytest.fixture(scope="module", autouse=True)
def _made(media: Path) -> None:
    images = talking(N_FRAMES)[0]
    for name, hidden in (("free", ()), ("hidden", range(N_FRAMES)), ("part", range(5, 10)), ("flash", (7,))):
        shown = [masked(image) if idx in hidden else image for idx, image in enumerate(images)]
        write_pictures(media / f"{name}.mp4", shown, options={"crf": "10"})
    cv2.imwrite(str(media / "hidden.png"), masked(images[0])[..., ::-1])
    write_wav(media / "said.wav", voice(0.6))


@pytest.fixture(autouse=True)
def _face(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn face in a mask is a face."""
    monkeypatch.setattr(covers, "is_face", lambda *_: True)


@pytest.fixture
def made(sync: Run, tmp_path: Path) -> Any:
    """Gives the pictures of one result, its record and what was said."""

    def run(video: str, *extra: object, model: str = "aligned") -> tuple[Any, dict[str, Any], str]:
        options = ("-y", "-o", "out.mp4", "--fit", "speech", *BOX, *extra)
        done = sync(*options, video=video, speech="said.wav", faces=True, model=model)
        assert done.status == 0, done.err
        return pictures(tmp_path / "out.mp4"), json.loads((tmp_path / "out.w2l.json").read_text()), done.err

    return run


@pytest.mark.parametrize(("model", "options"), [
    ("aligned", ("--reference", "closed")), ("aligned", ("--reference", "same")), ("aligned", ("--reference", "0.2")),
    ("aligned", ("--reference", "memory")), ("box", ("--reference", "same", "--blend", "hard")),
])  # fmt: skip
def test_a_mouth_covered_throughout_stays_as_it_is(made: Any, media: Path, model: str, options: tuple[str]) -> None:
    shown, record, said = made("hidden.mp4", *options, model=model)
    source = pictures(media / "hidden.mp4")
    assert all(same(ours, theirs) for ours, theirs in zip(shown, source))
    assert record["frames_passed_through"] == {COVERED: len(shown)}
    assert f"{len(shown)} of {len(shown)} frames: {COVERED}; passed through (--on-covered redraw" in said


def test_it_is_redrawn_for_whoever_asks_for_it(made: Any, media: Path) -> None:
    shown, record, said = made("hidden.mp4", "--on-covered", "redraw")
    assert all(change(ours, theirs) > 0.1 for ours, theirs in zip(shown, pictures(media / "hidden.mp4")))
    assert record["frames_passed_through"] == {}
    assert COVERED not in said


def test_covered_in_part_only_that_part_stays(made: Any, media: Path) -> None:
    shown, record, said = made("part.mp4", "--reference", "closed", "--fit", "video")
    source = pictures(media / "part.mp4")
    kept = [idx for idx, (ours, theirs) in enumerate(zip(shown, source)) if same(ours, theirs)]
    assert kept == list(range(5, 10))
    assert record["frames_passed_through"] == {COVERED: 5}
    assert f"5 of {N_FRAMES} frames: {COVERED}" in said


def test_a_frame_in_which_a_mouth_seems_covered_is_redrawn(made: Any) -> None:
    _, record, said = made("flash.mp4", "--fit", "video")
    assert record["frames_passed_through"] == {}
    assert COVERED not in said


def test_a_free_mouth_is_redrawn_as_if_nobody_had_looked(made: Any) -> None:
    looked, asked = made("free.mp4")[0], made("free.mp4", "--on-covered", "redraw")[0]
    assert all(same(ours, theirs) for ours, theirs in zip(looked, asked, strict=True))


def test_a_photograph_of_a_covered_mouth_stays_one(made: Any) -> None:
    shown, record, _ = made("hidden.png")
    assert record["frames_passed_through"] == {COVERED: len(shown)}
    assert all(change(picture, shown[0]) < 1 for picture in shown)
