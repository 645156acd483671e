"""The form in which pictures are written: chroma, alpha and odd sizes are kept where a codec can, else it is said."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.coded_media import make_coded
from w2l.core.arrays import Image
from w2l.core.errors import MediaError
from w2l.media.coded import frame_times, read_coded
from w2l.media.encoding import Encoding
from w2l.media.form import not_kept, report, suited_encoding, written_colour
from w2l.media.output import Output
from w2l.media.parts import Parts
from w2l.media.player import play
from w2l.media.timeline import end_of, lay_out
from w2l.media.video import VideoInfo, probe
from w2l.media.writer import VideoWriter

Planes = list[NDArray[Any]]
FINE = ("yuv422p", "yuv444p")


def made_of(path: Path, codec: str, pix_fmt: str, alpha: int = 255, size: tuple[int, int] = (48, 64)) -> Path:
    """Three grey pictures, a corner of them as transparent as `alpha` says."""
    image: Image = np.full((*size, 4), 120, np.uint8)
    image[..., 3] = 255
    image[:20, :20, 3] = alpha
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size  # type: ignore[attr-defined]
        stream.pix_fmt = pix_fmt  # type: ignore[attr-defined]
        for _ in range(1 if codec == "png" else 3):
            frame = av.VideoFrame.from_ndarray(image, format="rgba")
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


def made_of_noise(
    path: Path, pix_fmt: str, size: tuple[int, int] = (48, 64), count: int = 4, soft: bool = False
) -> tuple[Path, list[Planes]]:
    """A lossless video (FFV1) of random samples, or soft ones, and its planes by picture."""
    rng, given = np.random.default_rng(1), []
    deep = "10" in pix_fmt
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.color_range = 1
        for _ in range(count):
            frame = av.VideoFrame(size[1], size[0], pix_fmt)
            planes = []
            for plane in frame.planes:
                shape = (plane.height, plane.width)
                small = rng.integers(70, 900, (4, 4)).astype(np.float32)
                smooth = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)
                values = smooth if soft else rng.integers(64, 940, shape)
                samples = (values / (1 if deep else 4)).astype(np.uint16 if deep else np.uint8)
                lines = np.frombuffer(plane, samples.dtype).reshape(plane.height, -1)
                lines[:, : plane.width] = samples
                planes.append(samples)
            given.append(planes)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path, given


def formed(source: Path, output: Path, encoding: Encoding) -> tuple[VideoInfo, Encoding]:
    """What is known of a source as it is written to `output`, and how it is encoded."""
    info = probe(source)
    chosen = suited_encoding(encoding, output, info)
    return replace(info, colour=written_colour(chosen, output, info)), chosen


def lost(source: Path, suffix: str = ".mp4", **encoding: Any) -> str:
    return not_kept(*formed(source, source.with_name(f"out{suffix}"), Encoding(**encoding)))


def copied(source: Path, output: Path, edges: Sequence[int] | None = None, **encoding: Any) -> tuple[str, list[Planes]]:
    """Format and planes of what is written of a source's pictures, in parts if these are given."""
    info, chosen = formed(source, output, Encoding(**encoding))
    wanted = Output(output, info.width, info.height, 25.0, encoding=chosen, colour=info.colour)
    pictures = [frame.picture for frame in read_coded(source, colour=info.colour)]
    if edges is None:
        with VideoWriter(wanted) as writer:
            for picture in pictures:
                writer.write(picture)
    else:
        with Parts(wanted, np.arange(len(pictures)) / 25, edges, "mark") as parts:
            for part in range(parts.n_parts):
                with parts.writer(part) as piece:
                    for idx in parts.pictures(part):
                        piece.write(pictures[idx])
            parts.assemble()
    return decoded(output)


def decoded(path: Path) -> tuple[str, list[Planes]]:
    """Format and planes of a file's pictures, with alpha beside the pictures, too."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        is_apart = b"\x53\xc0\x81\x01" in path.read_bytes()[:2000]  # AlphaMode, by which players know it
        decoder = av.CodecContext.create("libvpx-vp9", "r") if is_apart else stream
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
        return frames[0].format.name, [[_samples(plane, frame) for plane in frame.planes] for frame in frames]


def _samples(plane: Any, frame: Any) -> NDArray[Any]:
    deep = frame.format.components[0].bits > 8
    lines = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
    return lines[:, : plane.width].copy()


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "alpha", "wanted"),
    [
        ("a.png", "png", "rgba", 0, True),
        ("a.png", "png", "rgba", 255, False),
        ("a.png", "png", "rgb24", 0, False),
        ("a.mov", "prores_ks", "yuva444p10le", 0, True),
        ("a.mov", "qtrle", "argb", 100, True),
        ("a.mkv", "ffv1", "yuva420p", 0, True),
        ("a.webm", "libvpx-vp9", "yuva420p", 0, True),
        ("a.webm", "libvpx-vp9", "yuv420p", 0, False),
        ("a.apng", "apng", "rgba", 0, True),
    ],
)
def test_transparency(tmp_path: Path, name: str, codec: str, pix_fmt: str, alpha: int, wanted: bool) -> None:
    """It is kept in MOV and WebM, as strong as it was, and said where it is not."""
    source = made_of(tmp_path / name, codec, pix_fmt, alpha)
    assert ("transparency" in lost(source)) == ("transparency" in lost(source, ".mkv")) == wanted
    for suffix, form, top in ((".mov", "yuva444p12le", 4095), (".webm", "yuva420p", 255)):
        assert "transparency" not in lost(source, suffix)
        if not wanted:
            continue
        found, frames = copied(source, tmp_path / f"out{suffix}", crf=None if suffix == ".mov" else 0)
        assert found == form
        assert len(frames) == (1 if codec == "png" else 3)
        for planes in frames:
            assert np.abs(planes[3][:20, :20] / top - alpha / 255).max() < 0.001
            assert np.abs(planes[3][20:] / top - 1).max() < 0.001


@pytest.mark.parametrize(
    ("pix_fmt", "suffix", "encoding", "wanted"),
    [
        ("yuv420p", ".mp4", {}, ""),
        ("yuv420p10le", ".mp4", {}, ""),
        ("yuv422p", ".mp4", {}, "4:2:2 chroma (becomes 4:2:0; --chroma keep keeps it)"),
        ("yuv422p10le", ".mp4", {}, "4:2:2 chroma (becomes 4:2:0; --chroma keep keeps it)"),
        ("yuv444p", ".mov", {}, "4:4:4 chroma (becomes 4:2:0; --chroma keep keeps it)"),
        ("yuv444p", ".mkv", {}, ""),
        ("yuv422p10le", ".mkv", {}, ""),
        ("yuv422p10le", ".mkv", {"chroma": "420"}, "4:2:2 chroma (becomes 4:2:0; --chroma keep keeps it)"),
        ("yuv444p", ".mp4", {"chroma": "keep"}, ""),
        ("yuv444p", ".mkv", {"codec": "av1"}, "4:4:4 chroma (becomes 4:2:0; av1 has no other here)"),
        ("yuv444p", ".webm", {"chroma": "keep"}, ""),
        ("yuv444p10le", ".webm", {"chroma": "keep"}, "4:4:4 chroma (becomes 4:2:0; av1 has no other here)"),
        ("yuv444p", ".mov", {"codec": "prores"}, ""),
        ("yuv420p", ".mov", {"codec": "prores"}, ""),
    ],
)
def test_fine_chroma(tmp_path: Path, pix_fmt: str, suffix: str, encoding: dict[str, Any], wanted: str) -> None:
    assert lost(make_coded(tmp_path / "a.mkv", 2, pix_fmt=pix_fmt), suffix, **encoding) == wanted


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        *((codec, f"{form}{ending}") for codec in ("h264", "hevc") for form in FINE for ending in ("", "10le")),
        *(("vp9", form) for form in (*FINE, "yuva420p")),
    ],
)
@pytest.mark.parametrize("size", [(48, 64), (49, 64), (49, 65)])
def test_planes_pass_as_they_are(tmp_path: Path, codec: Any, pix_fmt: str, size: tuple[int, int]) -> None:
    """Lossless, and of an odd size where that can be: what is decoded is what the source has, plane by plane."""
    source, given = made_of_noise(tmp_path / "a.mkv", pix_fmt, size)
    found, frames = copied(source, tmp_path / "out.mkv", codec=codec, crf=0, chroma="keep")
    assert found == pix_fmt
    wide = size[1] + (codec != "vp9" and "422" in pix_fmt and size[1] % 2)
    assert frames[0][0].shape == (size[0], wide)
    for planes, wanted in zip(frames, given, strict=True):
        for plane, samples in zip(planes, wanted, strict=True):
            np.testing.assert_array_equal(plane[:, : samples.shape[1]], samples)


@pytest.mark.parametrize("pix_fmt", ["yuv422p10le", "yuv444p10le", "yuva444p10le", "yuv422p", "yuv420p", "yuva420p"])
@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_prores_is_close(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    source, given = made_of_noise(tmp_path / "a.mkv", pix_fmt, size, soft=True)
    found, frames = copied(source, tmp_path / "out.mov", codec="prores")
    is_fine = "444" in pix_fmt or "a4" in pix_fmt
    assert found == ("yuva444p12le" if "a4" in pix_fmt else "yuv444p12le" if is_fine else "yuv422p10le")
    padded = size[1] % 2 and not is_fine
    assert frames[0][0].shape == (size[0], size[1] + padded)
    assert bool(lost(source, ".mov", codec="prores")) == padded
    top, source_top = (4096 if is_fine else 1024), (1024 if "10" in pix_fmt else 256)
    for planes, wanted in zip(frames, given, strict=True):
        for number, (plane, samples) in enumerate(zip(planes, wanted, strict=True)):
            scale = (top - 1) / (source_top - 1) if number == 3 else top / source_top
            away = np.abs(at_size(samples, size, plane.shape) * scale - plane)[:, : size[1] // 2 * 2] / (top / 1024)
            assert away.max() <= (1.0 if number == 3 else 8.0)  # levels of 10 bits
            assert away.mean() < 1.0


def at_size(samples: NDArray[Any], size: tuple[int, int], shape: tuple[int, ...]) -> NDArray[Any]:
    """Samples of chroma, left-sited, interpolated to `shape` (rows, columns), in a picture of `size`."""
    y, x = (np.arange(length, dtype=np.float32) for length in shape)
    y = (y - 0.5) / 2 if samples.shape[0] < shape[0] else y
    x = x / 2 if samples.shape[1] < size[1] and shape[1] >= size[1] else x
    columns, rows = np.meshgrid(x, y)
    found = cv2.remap(samples.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found)


def test_a_range_that_prores_cannot_say_is_converted(tmp_path: Path) -> None:
    images = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    source = tmp_path / "full.mkv"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25, options={"qscale": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj422p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(images, format="rgb24")))
        container.mux(stream.encode(None))
    assert probe(source).colour.full_range
    _, frames = copied(source, tmp_path / "out.mov", codec="prores")
    luma = frames[0][0]
    assert (abs(int(luma.min()) - 64) < 12, abs(int(luma.max()) - 940) < 12) == (True, True)


@pytest.mark.parametrize(
    ("suffix", "pix_fmt", "encoding"),
    [
        (".mov", "yuva444p10le", {}),
        (".webm", "yuva420p", {"crf": 0}),
        (".mkv", "yuv444p", {"crf": 0}),
        (".mp4", "yuv422p", {"crf": 0, "codec": "hevc", "chroma": "keep"}),
    ],
)
def test_parts_keep_what_the_whole_keeps(tmp_path: Path, suffix: str, pix_fmt: str, encoding: dict[str, Any]) -> None:
    source, _ = made_of_noise(tmp_path / "a.mkv", pix_fmt, count=7)
    whole = copied(source, tmp_path / f"whole{suffix}", **encoding)
    parts = copied(source, tmp_path / f"parts{suffix}", (0, 3, 7), **encoding)
    assert whole[0] == parts[0]
    for ours, theirs in zip(parts[1], whole[1], strict=True):
        for plane, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(plane, other)
    assert np.allclose(frame_times(tmp_path / f"parts{suffix}"), np.arange(7) / 25, atol=1e-3)
    assert probe(tmp_path / f"parts{suffix}").has_alpha == ("a" in pix_fmt)


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "vp9"), (".mkv", "vp9"), (".mov", "prores")])
def test_colour_and_aspect_are_told(tmp_path: Path, suffix: str, codec: Any, caplog: pytest.LogCaptureFixture) -> None:
    source, _ = made_of_noise(tmp_path / "a.mkv", "yuv422p")
    colour = replace(next(read_coded(source)).picture.colour, primaries=1, transfer=1, space=1, matrix="bt709")
    colour = replace(colour, chroma="4:2:2" if codec == "prores" else "4:2:0")
    wanted = Output(
        tmp_path / f"out{suffix}", 64, 48, 25.0, encoding=Encoding(codec), colour=colour, pixel_aspect=Fraction(16, 15)
    )
    with VideoWriter(wanted) as writer:
        for frame in read_coded(source, colour=colour):
            writer.write(frame.picture)
    info = probe(wanted.path)
    assert info.pixel_aspect == (1 if codec == "vp9" else Fraction(16, 15))
    assert ("pixels are written as square; VP9" in caplog.text) == (codec == "vp9")
    assert (info.colour.primaries, info.colour.transfer, info.colour.space) == (1, 1, 1)


@pytest.mark.parametrize(
    ("size", "suffix", "wanted"),
    [
        ((48, 64), ".mp4", []),
        ((48, 65), ".mp4", ["width 65 px (becomes 66, the last column repeated: h264 of 4:2:0 is even, av1 is not)"]),
        ((49, 64), ".mp4", ["height 49 px (becomes 50, the last row repeated"]),
        ((49, 65), ".mp4", ["width 65", "height 49"]),
        ((49, 65), ".webm", []),
    ],
)
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], suffix: str, wanted: list[str]) -> None:
    said = lost(made_of(tmp_path / "a.png", "png", "rgb24", size=size), suffix)
    assert all(words in said for words in wanted)
    assert bool(said) == bool(wanted)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "av1"), (".webm", "vp9")])
@pytest.mark.parametrize("size", [(65, 97), (289, 351)])
def test_an_odd_size_stays(tmp_path: Path, suffix: str, codec: str, size: tuple[int, int]) -> None:
    source = made_of(tmp_path / "a.png", "png", "rgb24", size=size)
    _, frames = copied(source, tmp_path / f"out{suffix}", codec=codec)
    assert frames[0][0].shape == size
    assert (probe(tmp_path / f"out{suffix}").height, probe(tmp_path / f"out{suffix}").width) == size


def test_rgb_can_keep_its_colours(tmp_path: Path) -> None:
    """One column red, the next one blue: of 4:4:4 they stay so, of 4:2:0 they mix."""
    image: Image = np.zeros((48, 64, 3), np.uint8)
    image[:, ::2, 0] = image[:, 1::2, 2] = 200
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    for chroma, most, least in (("keep", 4, 0), ("auto", 255, 40)):
        copied(tmp_path / "a.png", tmp_path / "out.mkv", crf=0, chroma=chroma)
        info = probe(tmp_path / "out.mkv")
        shown = next(read_coded(tmp_path / "out.mkv", colour=replace(info.colour, chroma="4:4:4"))).image
        assert least <= np.abs(shown.astype(int) - image).max() <= most


def test_alpha_is_there_after_a_jump(tmp_path: Path) -> None:
    """Frames that are sought, and given backwards, come with alpha too, also where another decoder gives it."""
    source, given = made_of_noise(tmp_path / "a.mkv", "yuva420p", count=12)
    copied(source, tmp_path / "a.webm", crf=0)
    info, _ = formed(tmp_path / "a.webm", tmp_path / "out.webm", Encoding())
    order = [11, 10, 3, 4, 0]
    shown = play(tmp_path / "a.webm", frame_times(tmp_path / "a.webm"), order, info.colour)
    for idx, frame in zip(order, shown, strict=True):
        assert frame.picture.alpha is not None
        np.testing.assert_array_equal(frame.picture.alpha, given[idx][3])
        np.testing.assert_array_equal(frame.picture.y, given[idx][0])


@pytest.mark.parametrize(
    ("delays", "n_frames"),
    [([4] * 10, 10), ([7, 6, 7] * 10 + [6], 31), ([3, 20, 5, 40, 8], 5), ([10], 1)],
    ids=["even", "15-a-second", "uneven", "one"],
)
def test_a_gif_keeps_its_pictures_and_its_length(tmp_path: Path, delays: list[int], n_frames: int) -> None:
    path, times = tmp_path / "a.gif", np.cumsum([0, *delays]) / 100
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("gif", rate=100)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "rgb8"
        for idx, time_s in enumerate(times[:-1]):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * idx, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 100), Fraction(1, 100)
            for packet in stream.encode(frame):
                packet.duration = delays[idx]
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    info, shown = probe(path), frame_times(path)
    assert len(shown) == n_frames
    np.testing.assert_allclose(shown, times[:-1], atol=1e-6)
    end_s = end_of(shown, info.fps, info.end_s)
    assert end_s == pytest.approx(times[-1], abs=0.011)
    timeline = lay_out(shown, end_s, info.fps, end_s)
    assert list(timeline.source) == list(range(n_frames))
    assert timeline.end_s == pytest.approx(times[-1], abs=0.011)


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "suffix", "asked", "chosen", "said"),
    [
        ("yuv422p10le", "prores_ks", ".mov", {}, "prores", ["pictures of ProRes are encoded as ProRes"]),
        ("yuv422p10le", "prores_ks", ".mov", {"bits": 8}, "auto", ["4:2:2 chroma (becomes 4:2:0"]),
        ("yuv422p10le", "prores_ks", ".mp4", {}, "hevc", ["10 bits a sample", "4:2:2 chroma (becomes 4:2:0"]),
        ("yuva444p10le", "prores_ks", ".webm", {}, "vp9", ["transparent pictures", "4:4:4 chroma"]),
        ("yuv444p", "ffv1", ".webm", {"chroma": "keep"}, "vp9", ["pictures of fine chroma are encoded as VP9"]),
        ("yuv422p", "ffv1", ".mov", {"codec": "prores", "crf": 0}, "prores", ["not lossless; crf 0 is not used"]),
        ("yuv420p", "ffv1", ".mov", {}, "auto", []),
        ("yuv420p12le", "ffv1", ".mkv", {}, "auto", ["does not keep: 12 bits a sample (become 10)"]),
        ("gbrp16le", "ffv1", ".mkv", {}, "auto", ["does not keep: 16 bits a sample (become 10)"]),
        ("yuv420p12le", "ffv1", ".mkv", {"bits": 10}, "auto", []),
    ],
)
def test_what_suits_is_chosen_and_said(
    tmp_path: Path, pix_fmt: str, codec: str, suffix: str, asked: dict[str, Any], chosen: str, said: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    source = make_coded(tmp_path / ("in.mov" if codec == "prores_ks" else "in.mkv"), 2, codec, pix_fmt)
    path = tmp_path / f"out{suffix}"
    info, encoding = formed(source, path, Encoding(**asked))
    report(Encoding(**asked), encoding, path, info)
    assert encoding.codec == chosen
    assert len(caplog.records) == len(said)
    for record, words in zip(caplog.records, said):
        assert words in record.getMessage()


def test_an_animated_webp_is_named(tmp_path: Path) -> None:
    """The library reads stills of WebP only."""
    path = tmp_path / "a.webp"
    flags = bytes([2, 0, 0, 0])
    size = bytes([63, 0, 0, 47, 0, 0])
    body = b"WEBPVP8X" + (10).to_bytes(4, "little") + flags + size + b"ANIM" + (6).to_bytes(4, "little") + bytes(6)
    body += b"ANMF" + (24).to_bytes(4, "little") + bytes(24)
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    with pytest.raises(MediaError, match="animated WebP cannot be decoded; save it as GIF, APNG or a video"):
        probe(path)
