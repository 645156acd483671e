"""What sync does with pictures beyond 8 bits of 4:2:0: high dynamic range, and what an output cannot keep."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.coded_media import make_coded
from tests.helpers.sync_runs import SIZE, Run, change, one_line, pattern, pictures, same, support, write_pictures
from w2l.media.coded import read_coded
from w2l.media.picture import Colour, Picture
from w2l.media.video import probe

MASK = support(SIZE[1], SIZE[0])


def written(path: Path) -> tuple[str, str]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.name, context.pix_fmt


@pytest.mark.parametrize("transfer", [16, 18], ids=["pq", "hlg"])
def test_high_dynamic_range_stays_so(sync: Run, tmp_path: Path, transfer: int) -> None:
    tags = (9, transfer, 9, 1)
    make_coded(tmp_path / "hdr.mkv", 15, "libx265", "yuv420p10le", {"crf": "4"}, size=SIZE, colour=tags)
    outcome = sync("-o", "out.mp4", video=tmp_path / "hdr.mkv")
    assert outcome.status == 0, outcome.err
    assert "out.mp4: pictures of high dynamic range are encoded as HEVC (hvc1)" in outcome.err
    assert written(tmp_path / "out.mp4") == ("hevc", "yuv420p10le")
    colour = probe(tmp_path / "out.mp4").colour
    assert (colour.primaries, colour.transfer, colour.space) == tags[:3]
    source, made = pictures(tmp_path / "hdr.mkv"), pictures(tmp_path / "out.mp4")
    assert all(same(*pair, MASK) for pair in zip(made, source))
    assert max(change(*pair, MASK) for pair in zip(made, source)) > 1
    assert max(map(brightest, made)) < 1.05 * max(map(brightest, source))


def brightest(picture: Picture) -> float:
    return float(np.percentile(picture.y[MASK], 99))


def test_bits_can_be_chosen(sync: Run, tmp_path: Path) -> None:
    make_coded(tmp_path / "deep.mkv", 15, pix_fmt="yuv420p10le", size=SIZE)
    outcome = sync("-o", "out.mp4", "--bits", 8, video=tmp_path / "deep.mkv")
    assert outcome.status == 0, outcome.err
    assert written(tmp_path / "out.mp4") == ("h264", "yuv420p")
    assert "HEVC" not in outcome.err
    one_line(sync("-o", "out.mp4", "-y", "--bits", 9, video=tmp_path / "deep.mkv"), 2, "bits must be 8 or 10 (got 9)")


def test_what_is_lost_is_said_in_one_line(sync: Run, tmp_path: Path) -> None:
    video = write_pictures(tmp_path / "odd.mkv", pattern(5, (121, 143)), "ffv1", "yuva444p")
    outcome = sync("-o", "out.mp4", video=video)
    assert outcome.status == 0, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if "the output does not keep" in line]
    for words in (
        "transparency",
        "4:4:4 chroma (becomes 4:2:0; --chroma keep",
        "width 143 px (becomes 144",
        "height 121 px",
    ):
        assert words in line
    assert "not kept" not in sync("-o", "plain.mp4").err


def test_fine_chroma_outside_the_mouth_is_the_sources(sync: Run, tmp_path: Path) -> None:
    """Lossless and kept: each sample of a 4:4:4 source but those of the mouth, in a size that 4:2:0 cannot have."""
    size = (121, 143)
    video = write_pictures(tmp_path / "fine.mkv", pattern(5, size), "ffv1", "yuv444p")
    outcome = sync("-o", "out.mp4", "--chroma", "keep", "--fit", "video", video=video)
    assert outcome.status == 0, outcome.err
    assert "not kept" not in outcome.err
    assert written(tmp_path / "out.mp4") == ("h264", "yuv444p")
    mask = support(size[1], size[0])
    colour = Colour("bt601", chroma="4:4:4")
    source, made = (
        [frame.picture for frame in read_coded(path, colour=colour)] for path in (video, tmp_path / "out.mp4")
    )
    assert len(made) == len(source) == 5
    for ours, theirs in zip(made, source):
        assert ours.y.shape == ours.u.shape == size
        for plane, other in zip((ours.y, ours.u, ours.v), (theirs.y, theirs.u, theirs.v)):
            np.testing.assert_array_equal(plane[~mask], other[~mask])
            assert (plane[mask] != other[mask]).any()


@pytest.mark.parametrize(
    ("source", "codec", "pix_fmt", "output", "wanted", "tolerance"),
    [
        ("a.mov", "prores_ks", "yuva444p10le", "out.mov", ("prores", "yuva444p12le"), 1),
        ("a.mov", "png", "rgba", "out.mov", ("prores", "yuva444p12le"), 1),
        ("a.webm", "libvpx-vp9", "yuva420p", "out.webm", ("vp9", "yuv420p"), 0),
    ],
)
def test_transparency_is_kept(
    sync: Run, tmp_path: Path, source: str, codec: str, pix_fmt: str, output: str, wanted: tuple[str, str],
    tolerance: int,
) -> None:  # fmt: skip
    images = [np.dstack([image, image[..., 1]]) for image in pattern(4, (112, 128))]
    options = {"lossless": "1"} if codec == "libvpx-vp9" else {}
    video = write_pictures(tmp_path / source, images, codec, pix_fmt, source_format="rgba", options=options)
    outcome = sync("-o", output, "--fit", "video", video=video)
    assert outcome.status == 0, outcome.err
    assert "transparent pictures are encoded as" in outcome.err
    assert "transparency" not in outcome.err
    assert written(tmp_path / output) == wanted
    colour = Colour("bt601", depth=10 if "10" in pix_fmt else 8, has_alpha=True)
    theirs = [frame.picture for frame in read_coded(video, colour=colour)]
    ours = [frame.picture for frame in read_coded(tmp_path / output, colour=replace(colour, depth=8))]
    assert len(ours) == len(theirs) == 4
    for made, given in zip(ours, theirs):
        assert made.alpha is not None
        assert given.alpha is not None
        away = np.abs(made.alpha.astype(float) - given.alpha / 2 ** (colour.depth - 8))
        assert away.max() <= tolerance
        assert np.ptp(made.alpha) > 100
