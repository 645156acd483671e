"""detect through the command line: boxes in the cache, drawn faces, one line for what cannot be."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages import cli
from w2l.faces.drawing import contact_sheet, draw_tracks, tile
from w2l.faces.tracker import Track
from w2l.media.audio import read_audio, write_wav
from w2l.media.coded import frame_times
from w2l.media.output import Output
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def detect(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `w2l detect` in an empty folder; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            cli.main(["detect", *map(str, arguments), "--device", "cpu"])
        except SystemExit as stop:
            status = int(stop.code or 0)
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return run


@pytest.fixture(scope="module")
def talking(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first half second of a real clip."""
    clips = sorted((shared / "media" / "grid").rglob("*.mkv"))
    if not clips:
        pytest.skip("no GRID clips here")
    path = tmp_path_factory.mktemp("real") / "talking.mp4"
    info = probe(clips[0])
    with VideoWriter(Output(path, info.width, info.height, 25)) as writer:
        for frame in read_frames(clips[0]):
            if frame.idx == 13:
                break
            writer.write(frame.image)
    return path


@pytest.fixture(scope="module")
def empty_room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of grey."""
    path = tmp_path_factory.mktemp("room") / "room.mp4"
    with VideoWriter(Output(path, 96, 96, 25)) as writer:
        for _ in range(4):
            writer.write(np.full((96, 96, 3), 90, dtype=np.uint8))
    return path


def test_boxes_are_kept_and_known_the_next_time(detect: Run, talking: Path, tmp_path: Path) -> None:
    status, out, _ = detect(talking)
    assert status == 0
    assert "1 face track in 13 of 13 frames, 0 cuts\n" in out
    assert "\nface 0: 0.0-0.5 s, " in out
    status, out, _ = detect(talking, "--json")
    again = json.loads(out)
    assert (again["fresh"], again["frames"], again["tracks"], again["preview"]) == (False, 13, 1, None)
    assert Path(again["faces"]).is_relative_to(tmp_path / "cache")
    assert (len(again["seen"]), again["cuts"]) == (1, [])
    assert again["seen"][0]["frames"] == 13
    assert again["seen"][0]["score"] > 0.9
    _, out, _ = detect(talking, "--json", "--force")
    assert json.loads(out)["fresh"] is True


def test_previews(detect: Run, talking: Path, tmp_path: Path) -> None:
    assert detect(talking, "--preview", "faces.png")[0] == 0
    sheet = cv2.imread(str(tmp_path / "faces.png"))
    info = probe(talking)
    assert sheet.shape[1] == 1600
    assert sheet.shape[0] == 3 * round(400 * info.height / info.width)
    assert detect(talking, "--preview", "faces.mp4")[0] == 0
    drawn, real = (next(iter(read_frames(path))).image.astype(int) for path in (tmp_path / "faces.mp4", talking))
    assert sum(1 for _ in read_frames(tmp_path / "faces.mp4")) == 13
    assert (np.abs(drawn - real).max(axis=-1) > 60).sum() > 100


@pytest.mark.parametrize("name", ["faces.png", "faces.mp4"])
def test_a_preview_is_replaced_only_when_asked(detect: Run, talking: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    for extra in ((), ("--force",)):
        status, out, err = detect(talking, "--preview", name, *extra)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "-y" in err
        assert (tmp_path / name).read_bytes() == b"mine"
    assert detect(talking, "--preview", name, "-y")[0] == 0
    assert len((tmp_path / name).read_bytes()) > 4


def test_a_preview_keeps_pixel_aspect_and_sound(detect: Run, talking: Path, tmp_path: Path) -> None:
    """Also where the sound is longer than the picture."""
    write_wav(tmp_path / "tone.wav", 0.1 * np.sin(np.arange(16000) / 5).astype(np.float32))
    wide, info = Fraction(16, 15), probe(talking)
    path, tone = tmp_path / "wide.mp4", tmp_path / "tone.wav"
    with VideoWriter(Output(path, info.width, info.height, 25, pixel_aspect=wide, speech=tone)) as writer:
        for frame in read_frames(talking):
            writer.write(frame.image)
    assert detect("wide.mp4", "--preview", "faces.mp4")[0] == 0
    made = probe(tmp_path / "faces.mp4")
    assert (made.pixel_aspect, made.fps) == (wide, 25)
    assert len(read_audio(tmp_path / "faces.mp4")) == len(read_audio(tmp_path / "wide.mp4"))


def test_a_preview_of_a_variable_rate_keeps_its_times(detect: Run, shared: Path, tmp_path: Path) -> None:
    source = shared / "media" / "clips" / "news-22fps-vfr.mp4"
    if not source.is_file():
        pytest.skip("no clips here")
    assert detect(source, "--preview", "faces.mp4", "--set", "stride=10")[0] == 0
    np.testing.assert_allclose(frame_times(tmp_path / "faces.mp4"), frame_times(source), atol=1e-4)
    assert probe(tmp_path / "faces.mp4").duration_s == pytest.approx(probe(source).end_s, abs=2e-3)


@pytest.mark.parametrize("preview", [None, "out.png", "out.mp4"])
def test_no_face_is_one_line(detect: Run, empty_room: Path, tmp_path: Path, preview: str | None) -> None:
    status, out, err = detect(empty_room, *(["--preview", preview] if preview else []))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "no face" in err
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(("arguments", "status", "said"), [
    (("none.mp4",), 1, "no such file"),
    (("{room}", "--preview", "nowhere/faces.png"), 1, "nowhere"),
    (("{room}", "--preview", "nowhere/faces.mp4"), 1, "nowhere"),
    (("{room}", "--preview", "faces.gif"), 1, ".gif"),
    (("{room}", "--preview", "{room}"), 2, "input"),
    (("{room}", "--set", "strid=2"), 2, "did you mean stride"),
    (("{room}", "--set", "detector=nobody"), 2, "nobody"),
    (("{room}", "--set", "stride=0"), 2, "at least 1"),
])  # fmt: skip
def test_bad_input_is_one_line(
    detect: Run, empty_room: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = empty_room.read_bytes()
    ended, out, err = detect(*(argument.format(room=empty_room) for argument in arguments))
    assert (ended, out, err.count("\n")) == (status, "", 1)
    assert err.startswith("error: ")
    assert said in err
    assert empty_room.read_bytes() == before


def test_a_track_is_drawn_where_it_is_and_when() -> None:
    image = np.zeros((80, 100, 3), dtype=np.uint8)
    points = np.array([[[30.0, 40.0]] * 5])
    track = Track(5, np.array([[20.0, 30.0, 60.0, 70.0]]), points, np.array([0.9]))
    assert (draw_tracks(image, 4, [track]) == 0).all()
    drawn = draw_tracks(image, 5, [track])
    assert drawn[30, 20:60].any(axis=-1).all()
    assert drawn[40, 30].any()
    assert (drawn[32:38, 40:58] == 0).all()
    assert (image == 0).all()


def test_gaps_and_cuts_can_be_told_apart() -> None:
    image = np.zeros((80, 100, 3), dtype=np.uint8)
    boxes, points = np.array([[20.0, 30.0, 60.0, 70.0]] * 2), np.array([[[40.0, 50.0]] * 5] * 2)
    track = Track(0, boxes, points, np.full(2, 0.9), np.array([True, False]))
    seen, bridged = draw_tracks(image, 0, [track]), draw_tracks(image, 1, [track])
    assert seen[30:70, 20].any(axis=-1).all()
    assert not bridged[45:55, 20].any()
    assert not seen[79].any()
    assert draw_tracks(image, 1, [track], cuts=[1])[79].any(axis=-1).all()


def test_faces_of_two_shots_are_listed(detect: Run, shared: Path, tmp_path: Path) -> None:
    """Two people, one after the other, with a cut between them: two numbers, one line each."""
    clips = [shared / "media" / "clips" / name for name in ("news-30fps.mp4", "address-512-b.mp4")]
    if not all(clip.is_file() for clip in clips):
        pytest.skip("no clips here")
    with VideoWriter(Output(tmp_path / "two.mp4", 256, 256, 25)) as writer:
        for clip in clips:
            for frame, _ in zip(read_frames(clip), range(12)):
                side = min(frame.image.shape[:2])
                writer.write(cv2.resize(frame.image[:side, :side], (256, 256), interpolation=cv2.INTER_AREA))
    status, out, _ = detect("two.mp4", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["cuts"] == [0.48]
    assert sorted(seen["start_s"] for seen in found["seen"]) == [0.0, 0.48]
    assert detect("two.mp4")[1].count("\nface ") == 2


@pytest.mark.parametrize(("count", "shape"), [(1, (200, 400, 3)), (4, (200, 1600, 3)), (5, (400, 1600, 3))])
def test_contact_sheet(count: int, shape: tuple[int, ...]) -> None:
    tiles = [tile(np.full((50, 100, 3), 10 * (k + 1), dtype=np.uint8)) for k in range(count)]
    sheet = contact_sheet(tiles)
    assert sheet.shape == shape
    assert (sheet[-200:, :400] == 10 * (1 if count < 5 else 5)).all()
