"""Frames as coded: planes are the decoder's own, every pixel format is read, damage is passed over."""

import gc
import itertools
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.coded_media import SIZE, make_coded, number_of, numbered_image
from tests.helpers.decoded_frames import count_decoded
from tests.helpers.made_media import MIRROR, QUARTER_TURN, make_video, square_image, square_position
from w2l.core.errors import MediaError
from w2l.media import coded
from w2l.media.chroma import CENTRE_SITED
from w2l.media.coded import CodedFrame, frame_times, read_coded
from w2l.media.container import ReadStats
from w2l.media.player import play
from w2l.media.timeline import end_of, lay_out
from w2l.media.video import probe, read_frames

QUIET_HEVC = {"x265-params": "log-level=none:keyint=250:bframes=2"}


def numbers(path: Path, stats: ReadStats | None = None) -> list[int]:
    return [number_of(frame.image) for frame in read_coded(path, stats)]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "depth", "tolerance"),
    [
        pytest.param("a.mp4", "libx264", "yuv420p", 8, 16, id="4:2:0"),
        pytest.param("a.mp4", "libx264", "yuvj420p", 8, 16, id="full-range"),
        pytest.param("a.mp4", "libx264", "yuv422p", 8, 16, id="4:2:2"),
        pytest.param("a.mp4", "libx264", "yuv444p", 8, 16, id="4:4:4"),
        pytest.param("a.mp4", "libx264", "yuv420p10le", 10, 16, id="10-bit"),
        pytest.param("a.mp4", "libx264", "yuv422p10le", 10, 16, id="10-bit-4:2:2"),
        pytest.param("a.mkv", "ffv1", "yuv444p12le", 10, 6, id="12-bit-4:4:4"),
        pytest.param("a.mkv", "ffv1", "yuv444p16le", 10, 6, id="16-bit-4:4:4"),
        pytest.param("a.mkv", "ffv1", "yuv410p", 8, 40, id="4:1:0"),
        pytest.param("a.mkv", "ffv1", "yuva420p", 8, 6, id="alpha"),
        pytest.param("a.webm", "libvpx-vp9", "yuva420p", 8, 16, id="vp9-alpha"),
        pytest.param("a.mkv", "ffv1", "bgra", 8, 6, id="rgb-alpha"),
        pytest.param("a.mkv", "ffv1", "gbrp10le", 10, 6, id="10-bit-rgb"),
        pytest.param("a.avi", "rawvideo", "yuyv422", 8, 6, id="packed"),
        pytest.param("a.avi", "mjpeg", "yuvj444p", 8, 30, id="motion-jpeg"),
        pytest.param("a.mov", "prores_ks", "yuv422p10le", 10, 8, id="prores"),
        pytest.param("a.gif", "gif", "rgb8", 8, 100, id="palette"),
        pytest.param("a.webm", "libvpx", "yuv420p", 8, 20, id="vp8"),
    ],
)
def test_every_pixel_format_is_read(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, depth: int, tolerance: int
) -> None:
    path = make_coded(tmp_path / name, 6, codec, pix_fmt)
    frames = list(read_coded(path))
    assert [number_of(frame.image) for frame in frames] == list(range(6))
    assert [frame.idx for frame in frames] == list(range(6))
    for frame, plain in zip(frames, read_frames(path)):
        picture = frame.picture
        assert picture.colour.depth == depth == probe(path).colour.depth
        assert picture.y.dtype == (np.uint8 if depth == 8 else np.uint16)
        assert (picture.height, picture.width) == SIZE
        assert picture.colour.full_range == pix_fmt.startswith("yuvj")
        wanted = numbered_image(frame.idx).astype(int)
        # Where colours jump, chroma of half the size is soft; the middle of areas must be right.
        flat = cv2.morphologyEx(wanted.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((9, 9))).max(axis=2) == 0
        assert np.abs(frame.image - wanted)[flat].max() <= tolerance
        assert np.abs(frame.image.astype(int) - plain.image)[flat].max() <= tolerance
        assert np.abs(frame.image.astype(int) - plain.image)[flat].mean() <= (25 if codec == "gif" else 1.5)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_grey_has_no_colour(tmp_path: Path, pix_fmt: str) -> None:
    path = make_coded(tmp_path / "grey.mkv", 3, "ffv1", pix_fmt)
    for frame in read_coded(path):
        middle = frame.picture.colour.levels[2]
        assert (frame.picture.u == middle).all()
        assert (frame.picture.v == middle).all()
        assert np.ptp(frame.image.astype(int), axis=2).max() == 0
        assert number_of(frame.image) == frame.idx


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv420p10le"])
@pytest.mark.parametrize("size", [SIZE, (95, 127), (97, 131)])
def test_planes_are_the_decoders_own(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    path = make_coded(tmp_path / "a.mkv", 4, "mjpeg" if pix_fmt == "yuvj420p" else "ffv1", pix_fmt, size=size)
    with av.open(str(path)) as container:
        for decoded, frame in zip(container.decode(video=0), read_coded(path), strict=True):
            for plane, mine in zip(decoded.planes, (frame.picture.y, frame.picture.u, frame.picture.v)):
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                np.testing.assert_array_equal(rows[:, : plane.width * mine.itemsize].copy().view(mine.dtype), mine)
                assert mine.flags.c_contiguous
            assert frame.picture.y.shape == size
            assert (probe(path).height, probe(path).width) == size


@pytest.mark.parametrize(
    ("tags", "matrix", "full"),
    [
        pytest.param((9, 16, 9, 1), "bt2020", False, id="pq"),
        pytest.param((9, 18, 9, 1), "bt2020", False, id="hlg"),
        pytest.param((9, 16, 2, 1), "bt2020", False, id="matrix-unsaid"),
        pytest.param((1, 1, 1, 1), "bt709", False, id="hd"),
        pytest.param((6, 6, 6, 2), "bt601", True, id="sd-full"),
        pytest.param((2, 2, 2, 0), "bt601", False, id="unsaid"),
    ],
)
def test_tags_of_colour_are_carried(tmp_path: Path, tags: tuple[int, int, int, int], matrix: str, full: bool) -> None:
    path = make_coded(tmp_path / "a.mp4", 2, "libx264", "yuv420p10le", colour=tags)
    colour = next(read_coded(path)).picture.colour
    assert (colour.primaries, colour.transfer, colour.space) == tags[:3]
    assert (colour.matrix, colour.full_range, colour.depth) == (matrix, full, 10)
    assert probe(path).colour == colour


def test_probe_tells_of_the_coding(tmp_path: Path) -> None:
    wide = probe(make_coded(tmp_path / "a.mp4", 2, pixel_aspect=Fraction(4, 3)))
    assert (wide.pixel_aspect, wide.codec, wide.is_still, wide.interlaced) == (Fraction(4, 3), "h264", False, False)
    assert probe(make_coded(tmp_path / "b.mp4", 2)).pixel_aspect == 1


@pytest.mark.parametrize("matrix", [None, QUARTER_TURN, MIRROR, (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30)])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_pictures_stand_upright(tmp_path: Path, matrix: tuple[int, ...] | None, size: tuple[int, int]) -> None:
    images = (square_image(idx, size) for idx in range(3))
    path = make_video(tmp_path / "turned.mp4", (cv2.resize(i, (64, 48)) for i in images), matrix=matrix)
    for frame, plain in zip(read_coded(path), read_frames(path), strict=True):
        assert frame.image.shape == plain.image.shape
        assert np.abs(frame.image.astype(int) - plain.image).max() <= 2
        assert square_position(frame.image) == pytest.approx(square_position(plain.image), abs=0.3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_phone_pictures_stand_upright_even_mirrored(tmp_path: Path, orientation: int) -> None:
    upright = cv2.resize(square_image(0), (64, 48))
    # What a camera stores so that the orientation makes it upright again.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    coded = cv2.imencode(".jpg", np.ascontiguousarray(stored[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6)
    path = tmp_path / "phone.jpg"
    path.write_bytes(coded[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + coded[2:])
    assert (probe(path).width, probe(path).height) == (64, 48)
    (frame,) = read_coded(path)
    assert square_position(frame.image) == pytest.approx((9.5, 9.5), abs=0.8)
    assert square_position(next(read_frames(path)).image) == pytest.approx((9.5, 9.5), abs=0.8)


def test_still_pictures(tmp_path: Path) -> None:
    image = numbered_image(341)
    for name, alpha in (("a.png", False), ("b.png", True), ("c.jpg", False), ("d.bmp", False)):
        path = tmp_path / name
        given = np.dstack([image[..., ::-1], np.full(SIZE, 7, np.uint8)]) if alpha else image[..., ::-1]
        cv2.imwrite(str(path), given)
        (frame,) = read_coded(path)
        info = probe(path)
        assert info.is_still
        assert number_of(frame.image) == 341
        assert frame.picture.colour.full_range == (name == "c.jpg")
        if name == "c.jpg":
            assert (info.colour.matrix, info.colour.siting) == ("bt601", CENTRE_SITED)
        else:
            assert np.abs(frame.image.astype(int) - image).mean() <= 1.5


@pytest.mark.parametrize("n_frames", [1, 2, 9])
def test_interlaced_frames_become_whole(tmp_path: Path, n_frames: int) -> None:
    path = make_coded(tmp_path / "a.mp4", n_frames, options={"x264-params": "interlaced=1:tff=1", "g": "4"})
    frames = list(read_coded(path))
    assert probe(path).interlaced
    assert [frame.idx for frame in frames] == list(range(n_frames))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(n_frames) / 25, atol=1e-6)
    np.testing.assert_allclose(frame_times(path), np.arange(n_frames) / 25, atol=1e-6)
    assert [number_of(frame.image) for frame in frames] == list(range(n_frames))


def test_combs_are_gone(tmp_path: Path) -> None:
    """Two fields with a bar at different places: lines next to each other no longer jump."""

    def comb(idx: int) -> np.ndarray:
        image = np.full((*SIZE, 3), 40, np.uint8)
        for field in (0, 1):
            left = 8 * idx + 4 * field
            image[field::2, left : left + 16] = 220
        return image

    path = tmp_path / "comb.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "interlaced=1:tff=1", "crf": "5"})
        (stream.height, stream.width), stream.pix_fmt = SIZE, "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for idx in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(comb(idx), format="rgb24")))
        container.mux(stream.encode(None))
    for frame, plain in zip(read_coded(path), read_frames(path), strict=True):
        jumps = [np.abs(np.diff(image.astype(int), axis=0)).mean() for image in (frame.image, plain.image)]
        assert jumps[0] < 0.35 * jumps[1]


@pytest.mark.parametrize("fps", [25, 30])
@pytest.mark.parametrize(("kind", "codec"), [("h264", "libx264"), ("hevc", "libx265")])
def test_a_stream_without_timestamps_runs_at_its_rate(tmp_path: Path, fps: int, kind: str, codec: str) -> None:
    path = make_coded(tmp_path / f"raw.{kind}", 20, codec, options={"bf": "2"}, fps=fps, container_format=kind)
    assert probe(path).fps == fps
    frames = list(read_coded(path))
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    steps = np.diff([frame.time_s for frame in frames])
    assert steps.min() == pytest.approx(1 / probe(path).fps)
    np.testing.assert_allclose(frame_times(path), [frame.time_s for frame in frames])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm", "a.avi"])
def test_times_without_decoding_are_those_with(tmp_path: Path, name: str) -> None:
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    times_s = None if name == "a.avi" else [0.5, 0.54, 0.62, 0.7, 0.71, 1.1, 1.2, 1.21, 1.5]
    path = make_coded(tmp_path / name, 9, codec, times_s=times_s)
    np.testing.assert_allclose(frame_times(path), [frame.time_s for frame in read_coded(path)], atol=1e-9)
    if times_s is not None:
        np.testing.assert_allclose(frame_times(path), np.array(times_s) - 0.5, atol=2e-3)


def test_a_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    path = make_coded(tmp_path / "a.mp4", 5).rename(tmp_path / "a.txt.png")
    assert numbers(path) == list(range(5))
    assert not probe(path).is_still


def test_what_a_truncated_file_has_is_read(tmp_path: Path) -> None:
    path = make_coded(tmp_path / "a.ts", 60, options={"g": "10"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = numbers(path)
    assert 25 <= len(found) <= 45
    assert found[:25] == list(range(25))


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"g": "250"}), ("libx265", QUIET_HEVC)])
def test_damage_does_not_cost_the_rest(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    path = make_coded(tmp_path / "a.mp4", 80, codec, options=options)
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for position, size in spans[30:33]:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    stats = ReadStats()
    frames = list(read_coded(path, stats))
    assert stats.n_skipped == 3
    assert stats.n_frames == len(frames) >= 75
    assert np.abs(np.rint(np.array([frame.time_s for frame in frames]) * 25) - np.arange(80)[: len(frames)]).max() <= 5
    assert len(frame_times(path)) in (len(frames), 80)


def test_a_change_of_size_is_scaled_away(tmp_path: Path) -> None:
    parts = [make_coded(tmp_path / f"{k}.ts", 5, size=size) for k, size in enumerate((SIZE, (192, 256), (64, 80)))]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(read_coded(path))
    assert len(frames) >= 13
    assert {frame.image.shape for frame in frames} == {(*SIZE, 3)}
    assert [number_of(frame.image) for frame in frames[:5]] == list(range(5))
    assert (np.diff([frame.time_s for frame in frames]) >= 0).all()


def test_frames_before_the_start_are_counted_but_not_given(tmp_path: Path) -> None:
    path = make_coded(tmp_path / "a.mp4", 20)
    frames = list(read_coded(path, start_s=0.4))
    assert [frame.idx for frame in frames] == list(range(10, 20))
    assert [number_of(frame.image) for frame in frames] == list(range(10, 20))
    assert list(read_coded(path, start_s=99.0)) == []


def test_unusable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(bytes(1000))
    for read in (lambda: next(read_coded(path)), lambda: frame_times(path)):
        with pytest.raises(MediaError, match=r"noise\.mp4"):
            read()


def test_damage_never_ends_in_a_traceback(tmp_path: Path) -> None:
    """Flipped bytes, cut ends, holes: what can be read is, and plays again; the rest is refused by name."""
    sources = [
        make_coded(tmp_path / "a.mp4", 20, options={"g": "10", "bf": "2"}),
        make_coded(tmp_path / "b.ts", 20, options={"g": "10"}),
        make_coded(tmp_path / "c.mkv", 20, options={"x264-params": "interlaced=1:tff=1"}),
        make_coded(tmp_path / "d.avi", 20, "mpeg4"),
    ]
    n_read, refusals = 0, []
    for seed in range(48):
        rng = np.random.default_rng(seed)
        source = sources[seed % 4]
        content = bytearray(source.read_bytes())
        start = int(rng.integers(10, len(content)))
        if seed % 3 == 0:
            for at in rng.integers(0, len(content), int(rng.integers(1, 60))):
                content[at] ^= int(rng.integers(1, 256))
        elif seed % 3 == 1:
            del content[start:]
        else:
            del content[start : start + int(rng.integers(1, 3000))]
        path = source.with_name(f"damaged{source.suffix}")
        path.write_bytes(content)
        try:
            times = np.array([frame.time_s for frame in read_coded(path)])
            there_and_back = np.concatenate([np.arange(len(times)), np.arange(len(times))[::-1]])
            assert sum(1 for _ in play(path, times, there_and_back)) == 2 * len(times)
            assert len(frame_times(path)) >= 1
            assert len(lay_out(times, end_of(times, 25.0), 25.0, 2.0)) >= 1
            n_read += 1
        except MediaError as error:
            refusals.append(str(error))
    assert n_read >= 15
    assert all(str(tmp_path) in refusal for refusal in refusals)


def test_decoded_pictures_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cycle keeps decoded frames alive until the garbage collector comes by."""
    interlaced = make_coded(tmp_path / "a.mp4", 20, options={"x264-params": "interlaced=1:tff=1"})
    turned = make_video(tmp_path / "b.mp4", (square_image(i) for i in range(20)), matrix=QUARTER_TURN)
    n_alive = count_decoded(monkeypatch, coded)
    gc.disable()
    try:
        for n_files, path in enumerate((interlaced, turned), 1):
            for _ in read_coded(path):
                assert 0 < n_alive() < 10
            assert n_alive() <= n_files  # the first of each, whose side data were asked for
    finally:
        gc.enable()


def test_real_clips_look_as_the_library_converts_them(shared: Path) -> None:
    clips = sorted((shared / "media" / "clips").glob("*.mp4"))
    if not clips:
        pytest.skip("the clips are not here")
    for path in clips:
        for frame, plain in itertools.islice(zip(read_coded(path), read_frames(path)), 3):
            difference = np.abs(frame.image.astype(int) - plain.image)
            assert difference.max() <= 3
            assert difference.mean() <= 0.5
            assert (frame.idx, frame.time_s) == (plain.idx, plain.time_s)


def test_reading_costs_little_more_than_decoding(tmp_path: Path) -> None:
    path = make_coded(tmp_path / "a.mp4", 50, options={"preset": "ultrafast"}, size=(720, 1280))

    def decode_only() -> None:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass

    def read() -> None:
        for frame in read_coded(path):
            assert isinstance(frame, CodedFrame)

    took = {}
    for act in (decode_only, read):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            act()
            times.append(time.perf_counter() - start)
        took[act] = min(times)
    assert took[read] <= 2 * took[decode_only] + 50 * 0.002
