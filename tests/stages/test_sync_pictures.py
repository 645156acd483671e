"""What sync does with pictures beyond 8 bits of 4:2:0: high dynamic range, and what an output cannot keep."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.coded_media import make_coded
from tests.helpers.sync_runs import SIZE, Run, change, one_line, pattern, pictures, same, support, write_pictures
from w2l.media.picture import Picture
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
    (line,) = [line for line in outcome.err.splitlines() if "not kept of its pictures" in line]
    for words in ("transparency", "4:4:4 chroma (becomes 4:2:0)", "width 143 px (becomes 144", "height 121 px"):
        assert words in line
    assert "not kept" not in sync("-o", "plain.mp4").err
