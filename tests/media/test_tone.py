"""High dynamic range: networks are shown a rendering of standard range, and what they change goes back exactly."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.coded_media import make_coded
from w2l.core.arrays import Floats
from w2l.media.coded import read_coded
from w2l.media.encoding import Encoding
from w2l.media.form import report, suited_encoding
from w2l.media.output import Output
from w2l.media.picture import Colour, Picture, quantised
from w2l.media.tone import CURVES, Curve, rendered, restored
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter

SKIN, LIPS, TEETH = (215, 170, 145), (175, 80, 80), (235, 230, 215)
TRANSFERS = {curve: transfer for transfer, curve in CURVES.items()}
SIZE = (96, 128)


def face() -> Floats:
    """Skin with lips and teeth in it, (rows, columns, 3) 0..255 of standard range."""
    image = np.empty((*SIZE, 3), np.float32)
    image[:] = SKIN
    image[40:70, 30:90] = LIPS
    image[50:60, 40:80] = TEETH
    return image


def picture_of(image: Floats, curve: Curve) -> Picture:
    """The 10-bit picture that shows `image` on a screen of high dynamic range."""
    colour = Colour("bt2020", False, 10, 9, TRANSFERS[curve], 9)
    made = Picture.from_rgb(np.zeros((*SIZE, 3), np.uint8), colour)
    codes = restored(image, curve)
    luma = codes @ np.array([0.2627, 0.678, 0.0593])
    blue, red = (codes[..., 2] - luma) / 1.8814, (codes[..., 0] - luma) / 1.4746
    made.y[:] = quantised(64 + 876 * luma, 10, made.y.dtype)
    made.u[:] = quantised((512 + 896 * blue)[::2, ::2], 10, made.u.dtype)
    made.v[:] = quantised((512 + 896 * red)[::2, ::2], 10, made.v.dtype)
    return made


@pytest.fixture(params=["pq", "hlg"])
def curve(request: pytest.FixtureRequest) -> Curve:
    chosen: Curve = request.param
    return chosen


def test_there_and_back_is_where_it_began(curve: Curve) -> None:
    shades = np.random.default_rng(0).uniform(20, 245, (64, 64, 3)).astype(np.float32)
    away = np.abs(rendered(restored(shades, curve), curve) - shades)
    assert away.max() < 4
    assert away.mean() < 0.2


def test_white_is_bright_and_highlights_are_told_apart(curve: Curve) -> None:
    code = {"pq": (0.508, 0.581, 0.75, 1.0), "hlg": (0.5, 0.75, 0.9, 1.0)}[curve]
    grey = np.repeat(np.array(code, np.float32), 3).reshape(1, -1, 3)
    shown = rendered(grey, curve)[0, :, 1]
    assert 120 < shown[0] < 210
    assert shown[1] == pytest.approx(255 * (0.7 + 0.3 * (1 - np.exp(-1))) ** (1 / 2.4), abs=2)  # reference white
    assert shown[1] < shown[2] < shown[3] <= 255


def test_a_region_is_seen_as_it_would_be_in_standard_range(curve: Curve) -> None:
    picture, image = picture_of(face(), curve), face()
    for part in ((slice(None), slice(None)), (slice(41, 69), slice(31, 89))):
        inner = np.abs(picture.rgb(*part).astype(float) - image[part])
        assert np.median(inner) <= 2
    small = picture.small_bgr(64)[..., ::-1]
    assert np.abs(small[4, 4].astype(float) - SKIN).max() <= 3


@pytest.mark.parametrize("wanted", [LIPS, TEETH, (40, 15, 15)], ids=["lips", "teeth", "dark"])
def test_what_is_painted_is_seen(curve: Curve, wanted: tuple[int, int, int]) -> None:
    picture = picture_of(face(), curve)
    rows, columns = slice(44, 66), slice(34, 86)
    patch = np.full((22, 52, 3), wanted, np.float32)
    made = picture.painted(rows, columns, patch, np.ones(patch.shape[:2], np.float32))
    seen = made.rgb(slice(50, 60), slice(44, 76)).astype(float)
    assert np.abs(seen - wanted).max() <= 6
    assert np.abs(seen - wanted).mean() <= 2.5
    outside = np.ones(SIZE, bool)
    outside[rows, columns] = False
    np.testing.assert_array_equal(made.y[outside], picture.y[outside])


def test_what_is_not_changed_keeps_its_samples_highlights_too(curve: Curve) -> None:
    picture = picture_of(face(), curve)
    picture.y[45:49, 40:60] = 930  # a lamp's reflection, far above white
    rows, columns = slice(40, 70), slice(30, 90)
    patch = picture.rgb(rows, columns).astype(np.float32)
    made = picture.painted(rows, columns, patch, np.ones(patch.shape[:2], np.float32))
    for ours, theirs in ((made.y, picture.y), (made.u, picture.u), (made.v, picture.v)):
        np.testing.assert_array_equal(ours, theirs)


def test_files_are_seen_alike_however_they_are_read(tmp_path: Path, curve: Curve) -> None:
    path = tmp_path / "hdr.mkv"
    picture = picture_of(face(), curve)
    with VideoWriter(Output(path, SIZE[1], SIZE[0], 25.0, encoding=Encoding("hevc", crf=4))) as writer:
        for _ in range(3):
            writer.write(picture)
    assert CURVES[probe(path).colour.transfer] == curve
    for frame in (next(read_frames(path)), next(read_coded(path))):
        assert np.median(np.abs(frame.image.astype(float) - face())) <= 3


@pytest.mark.parametrize(
    ("ending", "pix_fmt", "transfer", "codec", "bits", "wanted"),
    [
        ("mp4", "yuv420p", 1, "auto", None, ("h264", "yuv420p", False)),
        ("mp4", "yuv420p10le", 1, "auto", None, ("hevc", "yuv420p10le", True)),
        ("mov", "yuv420p10le", 16, "auto", None, ("hevc", "yuv420p10le", True)),
        ("m4v", "yuv420p10le", 18, "auto", None, ("hevc", "yuv420p10le", True)),
        ("mkv", "yuv420p10le", 16, "auto", None, ("h264", "yuv420p10le", False)),
        ("mp4", "yuv420p10le", 16, "h264", None, ("h264", "yuv420p10le", False)),
        ("mp4", "yuv420p10le", 16, "auto", 8, ("h264", "yuv420p", False)),
        ("mp4", "yuv420p", 1, "auto", 10, ("hevc", "yuv420p10le", True)),
        ("mp4", "yuv420p", 16, "auto", None, ("hevc", "yuv420p", True)),
    ],
)
def test_what_few_players_show_is_not_the_default(
    tmp_path: Path, ending: str, pix_fmt: str, transfer: int, codec: str, bits: int | None,
    wanted: tuple[str, str, bool], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tags = (9, transfer, 9, 1) if transfer != 1 else (1, 1, 1, 1)
    source = make_coded(tmp_path / "in.mkv", 3, "libx264", pix_fmt, colour=tags)
    info, path = probe(source), tmp_path / f"out.{ending}"
    caplog.set_level("INFO")
    asked = Encoding(codec, bits=bits)  # type: ignore[arg-type]
    encoding = suited_encoding(asked, path, info)
    report(asked, encoding, path, info)
    assert len(caplog.records) == wanted[2]
    output = Output(path, info.width, info.height, 25.0, encoding=encoding, colour=info.colour)
    with VideoWriter(output) as writer:
        for frame in read_coded(source):
            writer.write(frame.picture)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == wanted[:2]
        if wanted[0] == "hevc":
            assert stream.codec_context.codec_tag == "hvc1"
    written = probe(path).colour
    assert (written.primaries, written.transfer, written.space) == tags[:3]
