"""Encoders: planes go in and come out as they are, colours and pixel aspect are told, and nobody talks."""

import contextlib
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.made_media import square_image
from tests.helpers.sync_runs import pattern
from w2l.core.errors import ConfigError, MediaError
from w2l.media import encoder_options, encoders
from w2l.media.encoder_options import PRESETS
from w2l.media.encoders import rgb_colour
from w2l.media.encoding import Encoding
from w2l.media.filling import fill
from w2l.media.output import Output
from w2l.media.parts import Parts
from w2l.media.picture import Colour, Picture
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter

CODECS = ("h264", "hevc", "av1")


def noise_picture(width: int, height: int, colour: Colour, seed: int = 0) -> Picture:
    """Every sample anything it can be."""
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if colour.depth == 8 else np.uint16
    sizes = ((height, width), *(2 * [((height + 1) // 2, (width + 1) // 2)]))
    y, u, v = (rng.integers(0, 2**colour.depth, size).astype(dtype) for size in sizes)
    return Picture(y, u, v, colour)


def frame_planes(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """The planes of a planar frame."""
    dtype = np.uint16 if "10" in frame.format.name else np.uint8
    return [np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]


def write(path: Path, pictures: list[Picture], **settings: Any) -> Path:
    with VideoWriter(Output(path, pictures[0].width, pictures[0].height, 25.0, **settings)) as writer:
        for each in pictures:
            writer.write(each)
    return path


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (97, 65), (70, 131)])
def test_lossless_is_exact(
    tmp_path: Path, codec: Any, depth: Any, full_range: bool, width: int, height: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is decoded is what was written, sample for sample; where a size was odd, its edge is there twice."""
    colour = Colour("bt601", full_range, depth)
    pictures = [noise_picture(width, height, colour, seed) for seed in range(6)]
    path = write(tmp_path / "a.mp4", pictures, encoding=Encoding(codec, crf=0))
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert len(frames) == len(pictures)
        for frame, source in zip(frames, pictures):
            assert frame.color_range in ((2,) if full_range else (0, 1))  # H.264 does not mention the usual
            assert ("10" in frame.format.name) == (depth == 10)
            for plane, samples in zip(frame_planes(frame), (source.y, source.u, source.v)):
                rows, columns = plane.shape
                edged = np.pad(samples, ((0, rows - len(samples)), (0, columns - samples.shape[1])), mode="edge")
                np.testing.assert_array_equal(plane, edged)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_colour_and_aspect_are_told(tmp_path: Path, codec: Any, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    colour = Colour("bt2020", depth=10, primaries=9, transfer=18, space=9)
    aspect = Fraction(16, 15)
    path = write(
        tmp_path / f"a.{ending}", [noise_picture(96, 64, colour)], encoding=Encoding(codec), pixel_aspect=aspect
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tags == (9, 9, 18, 1)
        told = (codec, ending) != ("av1", "mkv")
        assert stream.sample_aspect_ratio == (aspect if told else 1)
        assert told == ("square" not in caplog.text)
        assert context.profile in ("High 10", "Main 10", "Main")
        assert codec != "hevc" or ending == "mkv" or context.codec_tag == "hvc1"


@pytest.mark.parametrize(("colour", "tag"), [
    (Colour("bt601"), 2),  # unsaid, and what a player guesses for so few lines
    (Colour("bt709"), 1),  # unsaid, but turned, say, from a picture for which it guessed otherwise
    (Colour("bt709", space=1), 1),
    (Colour("bt601", space=5), 5),
])  # fmt: skip
def test_the_matrix_is_said_where_a_guess_would_be_wrong(tmp_path: Path, colour: Colour, tag: int) -> None:
    with av.open(str(write(tmp_path / "a.mp4", [noise_picture(96, 64, colour)]))) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (tag, 2, 2)


@pytest.mark.parametrize("codec", CODECS)
def test_quality_follows_crf(tmp_path: Path, codec: Any) -> None:
    images = [square_image(idx, (64, 96)) for idx in range(10)]
    errors = []
    for crf in (5, 25, 45):
        encoding = Encoding(codec, crf, preset="veryfast")
        with VideoWriter(Output(tmp_path / "a.mp4", 96, 64, 25.0, encoding=encoding)) as writer:
            for image in images:
                writer.write(image)
        read = [frame.image for frame in read_frames(tmp_path / "a.mp4")]
        errors.append(np.abs(np.stack(read).astype(int) - np.stack(images)).mean())
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 3


@pytest.mark.parametrize("codec", CODECS)
def test_every_preset_is_known(tmp_path: Path, codec: Any) -> None:
    for preset in PRESETS:
        write(tmp_path / "a.mp4", [noise_picture(320, 240, rgb_colour(240))], encoding=Encoding(codec, preset=preset))


@pytest.mark.parametrize("n_frames", [1, 2, 3])
@pytest.mark.parametrize("codec", CODECS)
def test_a_few_frames_are_decoded_when_they_are_shown(tmp_path: Path, codec: Any, n_frames: int) -> None:
    """x265 leaves the times of one or two frames unset: every third file then failed, with an error of the muxer."""
    images = [noise_picture(64, 64, rgb_colour(64)) for _ in range(n_frames)]
    for _ in range(8):
        path = write(tmp_path / "a.mp4", images, encoding=Encoding(codec, preset="ultrafast"))
        with av.open(str(path)) as container:
            times = [packet.dts for packet in container.demux(video=0) if packet.dts is not None]
        assert len(times) == n_frames
        assert all(abs(time_s) <= 4 * 1e5 for time_s in times)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize("spoilt", ["same time", "no time of decoding", "no time"])
def test_av1_packets_keep_the_times_of_their_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, spoilt: str
) -> None:
    """Whatever times the encoder gives its packets, as SVT-AV1 has once: the frames are shown when they should be."""
    timed = encoders.VideoEncoder._timed

    def spoil(encoder: encoders.VideoEncoder, packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.pts = 3 if spoilt == "same time" else None if spoilt == "no time" else packet.pts
            packet.dts = 3 if spoilt == "same time" else None
        return timed(encoder, packets)

    monkeypatch.setattr(encoders.VideoEncoder, "_timed", spoil)
    pictures = [noise_picture(96, 64, Colour("bt601", False, 8), seed) for seed in range(8)]
    path = write(tmp_path / f"out.{ending}", pictures, encoding=Encoding("av1"))
    assert [round(frame.time_s * 25) for frame in read_frames(path)] == list(range(8))


@pytest.mark.parametrize("settings", [
    {"codec": "vc1"}, {"chroma": "411"}, {"codec": "prores", "bits": 8}, {"codec": "prores", "chroma": "420"},
    {"preset": "quick"}, {"hardware": "on"}, {"crf": -1}, {"crf": 52}, {"codec": "av1", "crf": 64},
])  # fmt: skip
def test_unknown_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Encoding(**settings)


def test_without_hardware_software_takes_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    colour = rgb_colour(64)
    with caplog.at_level(logging.INFO):
        path = write(tmp_path / "a.mp4", [noise_picture(96, 64, colour)], encoding=Encoding(hardware="auto"))
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 1
    assert len(caplog.messages) <= 1


def test_an_encoder_that_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"a\.mp4: libx265 cannot encode 4 x 4"):
        write(tmp_path / "a.mp4", [noise_picture(4, 4, rgb_colour(4))], encoding=Encoding("hevc"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("source", "target"), [(8, 10), (10, 8)])
def test_another_depth_is_rounded(tmp_path: Path, source: Any, target: Any) -> None:
    given = noise_picture(96, 64, Colour("bt601", depth=source))
    path = write(tmp_path / "a.mp4", [given], colour=Colour("bt601", depth=target), encoding=Encoding(crf=0))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    expected = given.y.astype(float) * 4.0 if target == 10 else np.minimum(given.y / 4, 255)
    assert np.abs(frame_planes(frame)[0] - expected).max() <= (0 if target == 10 else 0.5)


@pytest.mark.parametrize(("depth", "name", "raised"), [(8, "nv12", 0), (10, "p010le", 6)])
def test_what_hardware_is_fed_with(depth: Any, name: str, raised: int) -> None:
    """The formats with interleaved chroma hold the same samples, ten bits on top of sixteen."""
    given = noise_picture(97, 65, Colour("bt601", depth=depth))
    frame = av.VideoFrame(98, 66, name)
    fill(frame, given)
    y, uv = (np.frombuffer(plane, given.y.dtype).reshape(plane.height, -1)[:, :98] for plane in frame.planes)
    np.testing.assert_array_equal(y, np.pad(given.y, ((0, 1), (0, 1)), mode="edge") << raised)
    np.testing.assert_array_equal(uv[:, 0::2], given.u << raised)
    np.testing.assert_array_equal(uv[:, 1::2], given.v << raised)


@pytest.mark.parametrize("width", [350, 352, 360])
def test_equal_pictures_give_one_file(tmp_path: Path, width: int) -> None:
    """On a machine with AVX-512 about every second clip of 60 pictures was another."""
    images = list(pattern(60, (288, width)))
    found = set()
    for _ in range(6):
        with VideoWriter(Output(tmp_path / "a.mp4", width, 288, 25.0)) as writer:
            for image in images:
                writer.write(image)
        found.add((tmp_path / "a.mp4").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("has_avx512", [True, False])
def test_x264_is_kept_from_code_that_varies(monkeypatch: pytest.MonkeyPatch, has_avx512: bool) -> None:
    """AVX2 comes with AVX-512; without that the library chooses, as an older machine may have neither."""
    monkeypatch.setattr(encoder_options.cv2, "checkHardwareSupport", lambda number: has_avx512 and number == 13)
    for encoding in (Encoding(), Encoding(crf=0)):
        options = encoders._options("libx264", encoding, rgb_colour(288))
        assert options.get("x264-params") == ("asm=avx2" if has_avx512 else None)


@pytest.mark.parametrize("crf", [None, 0])
def test_svt_av1_stays_on_one_thread(crf: int | None) -> None:
    """On several it hangs or loses frames, too seldom for a test to see it."""
    options = encoders._options("libsvtav1", Encoding("av1", crf=crf), rgb_colour(288))
    assert "lp=1" in options["svtav1-params"].split(":")


def test_a_resumed_video_is_the_undisturbed_one(tmp_path: Path) -> None:
    images, times, edges = list(pattern(150, (288, 360))), np.arange(150) / 25, (0, 50, 100, 150)

    def parts(path: Path) -> Parts:
        return Parts(Output(path, 360, 288, 25.0, colour=rgb_colour(288)), times, edges, "mark", resume=True)

    def draw(made: Parts, wanted: range) -> None:
        for part in wanted:
            if not made.finished(part):
                with made.writer(part) as writer:
                    for idx in made.pictures(part):
                        writer.write(images[idx])

    with parts(tmp_path / "whole.mp4") as made:
        draw(made, range(3))
        made.assemble()
    with contextlib.suppress(KeyboardInterrupt), parts(tmp_path / "resumed.mp4") as made:
        draw(made, range(2))
        raise KeyboardInterrupt
    with parts(tmp_path / "resumed.mp4") as made:
        assert [made.finished(part) for part in range(3)] == [True, True, False]
        draw(made, range(3))
        made.assemble()
    assert (tmp_path / "resumed.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
