"""Reading pictures: times, rotation, rates, damage."""

import gc
import logging
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.decoded_frames import count_decoded
from tests.helpers.made_media import MIRROR, QUARTER_TURN, damage, make_sound, make_video, square_image, square_position
from w2l.core.errors import MediaError
from w2l.media import video
from w2l.media.container import ReadStats
from w2l.media.video import Frame, at_fps, probe, read_frames

NOISE = np.random.default_rng(1).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)


def numbered(times_s: list[float]) -> list[Frame]:
    """Frames at these times; the pixel value is the index."""
    return [Frame(i, t, np.full((2, 2, 3), i, np.uint8)) for i, t in enumerate(times_s)]


def test_frames_come_in_order_with_their_times_and_pictures(tmp_path: Path) -> None:
    path = make_video(tmp_path / "square.mp4", (square_image(i) for i in range(20)))
    frames = list(read_frames(path))
    assert [f.idx for f in frames] == list(range(20))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(20) / 25, atol=1e-6)
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        np.testing.assert_allclose(square_position(frame.image), (9.5 + 2 * frame.idx, 9.5), atol=0.6)


def test_probe_tells_what_is_there(tmp_path: Path) -> None:
    wave = np.zeros((1, 16000), np.float32)
    path = make_video(tmp_path / "a: clip.mp4", (square_image(i) for i in range(25)), wave=wave)
    info = probe(path)
    assert (info.width, info.height, info.n_frames, info.has_sound) == (64, 48, 25, True)
    assert info.fps == pytest.approx(25)
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert info.start_s == 0.0


def test_colon_in_a_relative_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "concat:a.mp4", [square_image(0)])
    monkeypatch.chdir(tmp_path)
    assert len(list(read_frames(Path("concat:a.mp4")))) == 1


@pytest.mark.parametrize(
    ("matrix", "size", "position"),
    [
        pytest.param(None, (64, 48), (9.5, 9.5), id="upright"),
        # Shown turned left: what was at the top left is at the bottom left.
        pytest.param(QUARTER_TURN, (48, 64), (9.5, 63 - 9.5), id="quarter-turn"),
        pytest.param((*(-v for v in QUARTER_TURN[:8]), 1 << 30), (48, 64), (47 - 9.5, 9.5), id="other-way"),
        pytest.param((-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30), (64, 48), (63 - 9.5, 47 - 9.5), id="half-turn"),
        pytest.param(MIRROR, (64, 48), (63 - 9.5, 9.5), id="mirror"),
        pytest.param((0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30), (48, 64), (9.5, 9.5), id="transposed"),
    ],
)
def test_display_matrix_is_applied(
    tmp_path: Path, matrix: tuple[int, ...] | None, size: tuple[int, int], position: tuple[float, float]
) -> None:
    path = make_video(tmp_path / "turned.mp4", [square_image(0)], matrix=matrix)
    info = probe(path)
    image = next(read_frames(path)).image
    assert (info.width, info.height) == size
    assert image.shape[1::-1] == size
    np.testing.assert_allclose(square_position(image), position, atol=0.6)


def test_rotation_agrees_with_the_library(tmp_path: Path) -> None:
    path = make_video(tmp_path / "turned.mp4", [square_image(0)], matrix=QUARTER_TURN)
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0))
        turned = np.rot90(decoded.to_ndarray(format="rgb24"), decoded.rotation // 90)
    assert square_position(next(read_frames(path)).image) == pytest.approx(square_position(turned), abs=0.6)


def test_uneven_times_are_kept_and_start_at_zero(tmp_path: Path) -> None:
    times_s = [0.5, 0.54, 0.62, 0.7, 0.71, 1.1]
    path = make_video(tmp_path / "uneven.mkv", (square_image(i) for i in range(6)), times_s)
    assert probe(path).start_s == pytest.approx(0.5, abs=2e-3)
    read = [f.time_s for f in read_frames(path)]
    np.testing.assert_allclose(read, np.array(times_s) - 0.5, atol=2e-3)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_still_picture_is_one_frame(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"still.{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png" if ending == "png" else "mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24" if ending == "png" else "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(square_image(3), format="rgb24")))
        container.mux(stream.encode(None))
    assert (probe(path).width, probe(path).height) == (64, 48)
    frames = list(at_fps(read_frames(path), 25))
    assert len(frames) == 1
    np.testing.assert_allclose(square_position(frames[0].image), (15.5, 9.5), atol=0.6)


@pytest.mark.parametrize(
    ("orientation", "size", "position"),
    [(1, (64, 48), (9.5, 9.5)), (3, (64, 48), (54, 38)), (6, (48, 64), (38, 9.5)), (8, (48, 64), (9.5, 54))],
)
def test_phone_pictures_stand_upright(
    tmp_path: Path, orientation: int, size: tuple[int, int], position: tuple[float, float]
) -> None:
    """The orientation that cameras write into a JPEG's EXIF block."""
    coded = cv2.imencode(".jpg", square_image(0)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, 3, 1, orientation, 0)
    path = tmp_path / "phone.jpg"
    path.write_bytes(coded[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + coded[2:])
    assert (probe(path).width, probe(path).height) == size
    assert square_position(next(read_frames(path)).image) == pytest.approx(position, abs=0.8)


@pytest.mark.parametrize("fps", [10.0, 24.0, 25.0, 30.0, 29.97])
def test_constant_rate_picks_the_nearest_frame(fps: float) -> None:
    rng = np.random.default_rng(3)
    times_s = [0.0, *np.cumsum(rng.uniform(0.005, 0.12, 60))]
    out = list(at_fps(numbered([float(t) for t in times_s]), fps))
    assert [f.idx for f in out] == list(range(len(out)))
    for frame in out:
        assert frame.time_s == pytest.approx(frame.idx / fps)
        distances = np.abs(np.array(times_s) - frame.time_s)
        assert distances[int(frame.image[0, 0, 0])] == pytest.approx(distances.min())
    mean_period_s = times_s[-1] / 60
    assert len(out) / fps == pytest.approx(times_s[-1] + mean_period_s, abs=0.51 / fps)


@pytest.mark.parametrize(("from_fps", "to_fps"), [(25, 25), (50, 25), (30, 25), (24, 25), (12.5, 25), (29.97, 25)])
def test_constant_rate_keeps_the_length(from_fps: float, to_fps: float) -> None:
    frames = numbered([round(i / from_fps, 3) for i in range(100)])
    out = list(at_fps(frames, to_fps))
    assert len(out) == round(100 / from_fps * to_fps)
    if from_fps == to_fps:
        assert [int(f.image[0, 0, 0]) for f in out] == list(range(100))


def test_constant_rate_of_nothing_is_nothing() -> None:
    assert list(at_fps([], 25)) == []
    with pytest.raises(ValueError, match="positive"):
        next(at_fps([], 0))


def test_constant_rate_streams(tmp_path: Path) -> None:
    n_taken = 0

    def endless() -> object:
        nonlocal n_taken
        while True:
            yield Frame(n_taken, n_taken / 30, np.zeros((2, 2, 3), np.uint8))
            n_taken += 1

    out = at_fps(endless(), 25)  # type: ignore[arg-type]
    for _ in range(100):
        next(out)
    assert n_taken <= 122


def test_damage_in_the_middle_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = damage(make_video(tmp_path / "noise.mkv", NOISE, keyframe_every=5), 0.4, 0.45)
    stats = ReadStats()
    with caplog.at_level(logging.WARNING):
        frames = list(read_frames(path, stats))
    assert stats.n_frames == len(frames)
    assert 25 <= len(frames) <= 40
    assert frames[-1].time_s == pytest.approx(39 / 25, abs=0.002)
    assert np.all(np.diff([f.time_s for f in frames]) >= 0)
    np.testing.assert_allclose(frames[-1].image.mean(), NOISE[-1].mean(), atol=12)


def test_skipped_packets_are_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_video(tmp_path / "noise.mp4", NOISE, keyframe_every=1)
    with av.open(str(path)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    for position, size in spans[10:13]:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    stats = ReadStats()
    with caplog.at_level(logging.WARNING):
        frames = list(read_frames(path, stats))
    assert stats.n_skipped == 3
    assert len(frames) == 37
    np.testing.assert_allclose([f.time_s for f in frames][8:12], [8 / 25, 9 / 25, 13 / 25, 14 / 25], atol=1e-4)
    assert "3 damaged packets" in caplog.text


def test_a_truncated_file_gives_what_it_has(tmp_path: Path) -> None:
    path = make_video(tmp_path / "noise.mkv", NOISE, keyframe_every=5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 10 <= len(list(read_frames(path))) <= 25


def no_video(path: Path) -> Path:
    return make_sound(path.with_suffix(".wav"), np.zeros((1, 1600), np.float32), 16000, "pcm_s16le")


def empty(path: Path) -> Path:
    path.touch()
    return path


def text(path: Path) -> Path:
    path.write_text("this is no video " * 100)
    return path


def truncated_index(path: Path) -> Path:
    make_video(path, NOISE)
    path.write_bytes(path.read_bytes()[:20000])
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: path, "no such file", id="missing"),
        pytest.param(lambda path: path.parent, "folder", id="folder"),
        pytest.param(empty, "empty", id="empty"),
        pytest.param(text, "not a readable", id="text"),
        pytest.param(no_video, "no video", id="sound-only"),
        pytest.param(truncated_index, "not a readable", id="mp4-without-index"),
    ],
)
def test_unusable_files_are_named_in_one_line(tmp_path: Path, make: object, says: str) -> None:
    path = make(tmp_path / "clip.mp4")  # type: ignore[operator]
    for read in (probe, lambda path: next(read_frames(path))):
        with pytest.raises(MediaError, match=says) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_phone_video_stands_upright(shared: Path) -> None:
    path = shared / "media" / "clips" / "phone-rotated.mp4"
    if not path.exists():
        pytest.skip("the phone clip is not here")
    info = probe(path)
    assert (info.width, info.height) == (1080, 1920)
    assert next(read_frames(path)).image.shape == (1920, 1080, 3)


def test_real_uneven_video_keeps_its_length(shared: Path) -> None:
    path = shared / "media" / "clips" / "news-22fps-vfr.mp4"
    if not path.exists():
        pytest.skip("the uneven clip is not here")
    frames = list(read_frames(path))
    assert len(frames) == 135
    assert len(list(at_fps(frames, 25))) / 25 == pytest.approx(frames[-1].time_s + 1 / 22, abs=0.03)


def test_frames_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cycle keeps decoded pictures alive until the garbage collector comes by."""
    path = make_video(tmp_path / "square.mp4", (square_image(i % 20) for i in range(60)), matrix=QUARTER_TURN)
    n_alive = count_decoded(monkeypatch, video)
    gc.disable()
    try:
        for _ in read_frames(path):
            assert 0 < n_alive() < 10
        assert n_alive() <= 1  # the first, whose side data were asked for
    finally:
        gc.enable()
