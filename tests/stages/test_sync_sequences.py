"""Pictures as the video of sync and detect, and as the output of sync."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.sync_runs import Run, one_line, pattern, pictures, write_pictures
from w2l.media.sequence import pictures_of
from w2l.media.video import probe, read_frames

N = 20


@pytest.fixture
def seq(tmp_path: Path) -> Path:
    """A folder of pictures, f0001.png and so on."""
    (tmp_path / "seq").mkdir()
    for number, image in enumerate(pattern(N), start=1):
        cv2.imwrite(str(tmp_path / "seq" / f"f{number:04d}.png"), image[..., ::-1])
    return tmp_path / "seq"


def test_pictures_are_redrawn_as_a_video_of_them_is(sync: Run, tmp_path: Path, seq: Path) -> None:
    """Forwards and, as the speech is longer, backwards; whichever way they are named."""
    write_pictures(tmp_path / "same.mkv", pattern(N), "ffv1", "bgr0")
    assert sync("-o", "expected.mp4", video=tmp_path / "same.mkv").status == 0
    for named in ("seq/f%04d.png", "seq/*.png", "seq"):
        outcome = sync("-o", "out.mp4", "-y", video=tmp_path / named)
        assert outcome.status == 0, outcome.err
        assert f"{tmp_path / named}: {N} pictures, shown at 25 fps; --fps changes that" in outcome.err
        made, expected = pictures(tmp_path / "out.mp4"), pictures(tmp_path / "expected.mp4")
        assert len(made) == len(expected) == 25
        assert all(np.array_equal(one.y, other.y) for one, other in zip(made, expected))
    assert len(json.loads((tmp_path / "out.w2l.json").read_text())["hashes"]["video"]) == 64


def test_the_rate_is_chosen_and_the_name_is_the_folders(sync: Run, tmp_path: Path, seq: Path) -> None:
    outcome = sync("--fps", 30, video=tmp_path / "seq/f%04d.png")
    assert (outcome.status, outcome.out) == (0, "seq-synced.mp4\n")
    info = probe(tmp_path / "seq-synced.mp4")
    assert (info.fps, info.n_frames) == (30, 30)


def test_pictures_come_out(sync: Run, tmp_path: Path, seq: Path) -> None:
    assert sync("-o", "video.mkv", "--chroma", "keep", video=tmp_path / "seq").status == 0
    outcome = sync("-o", "out/g%03d.png", video=tmp_path / "seq")
    assert (outcome.status, outcome.out) == (0, "out/g%03d.png\n"), outcome.err
    assert "out/g%03d.png: pictures carry no sound; it is in " in outcome.err
    names = [file.name for file in pictures_of(tmp_path / "out" / "g%03d.png")]
    assert names == [f"g{number:03d}.png" for number in range(1, 26)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["g%03d.w2l.json", *names]
    record = json.loads((tmp_path / "out" / "g%03d.w2l.json").read_text())
    assert (record["frames"], record["marked"]) == (25, "record")
    expected = [frame.image for frame in read_frames(tmp_path / "video.mkv")]
    made = [frame.image for frame in read_frames(tmp_path / "out" / "g%03d.png")]
    worst = max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(made, expected))
    assert worst <= 2, "the video is lossless, with all chroma"

    one_line(
        sync("-o", "out/g%03d.png", video=tmp_path / "seq"), 1, "out/g001.png exists; overwrite such pictures with -y"
    )
    again = sync("-o", "out/g%03d.png", "--resume", video=tmp_path / "seq")
    assert "out/g%03d.png is up to date" in again.err
    (tmp_path / "out" / "g007.png").unlink()
    assert sync("-o", "out/g%03d.png", "--resume", "-y", video=tmp_path / "seq").status == 0
    assert (tmp_path / "out" / "g007.png").exists()
    assert sync("-o", "out/g%03d.png", "-y", "--fit", "video", video=tmp_path / "seq").status == 0
    assert len(pictures_of(tmp_path / "out" / "g%03d.png")) == N, "those of the longer output are removed"


def test_what_cannot_be_is_said_in_one_line(sync: Run, tmp_path: Path, seq: Path) -> None:
    one_line(sync("-o", "seq/g%d.png", video=tmp_path / "seq"), 2, "seq/g%d.png lies among the pictures of an input")
    one_line(sync("-o", "out.mp4", video=tmp_path / "seq/z%d.png"), 1, "seq/z%d.png: no pictures with such names")
    (seq / "f0003.png").unlink()
    one_line(
        sync("-o", "out.mp4", video=tmp_path / "seq/f%04d.png"), 1, "1 picture missing between f0001.png and f0020.png"
    )
    cv2.imwrite(str(seq / "f0003.png"), np.zeros((8, 8, 3), np.uint8))
    outcome = sync("-o", "out/p%d.png", video=tmp_path / "seq")
    assert (outcome.status, outcome.out) == (1, "")
    assert f"error: {seq}/f0003.png: the picture is 8x8, those before it are 144x120; scale it" in outcome.err
    assert list((tmp_path / "out").iterdir()) == [], "no half sequence"


def test_a_dry_run_writes_nothing(sync: Run, tmp_path: Path, seq: Path) -> None:
    outcome = sync("-o", "out/p%d.jpg", "--dry-run", video=tmp_path / "seq")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith(f"{seq}: 25 frames, 1.00 s at 25.000 fps\n")
    assert not (tmp_path / "out").exists()


def test_detect_takes_them_too(w2l: Run, tmp_path: Path, seq: Path) -> None:
    for named in ("seq/f%04d.png", "seq"):
        outcome = w2l("detect", named, "--fps", 50)
        assert outcome.err.splitlines()[0] == f"{named}: {N} pictures, shown at 50 fps; --fps changes that"
        assert f"error: {named}: no faces in {N} frames" in outcome.err
    write_pictures(tmp_path / "a.mkv", pattern(3), "ffv1", "bgr0")
    one_line(
        w2l("detect", "a.mkv", "--fps", 50), 2, "--fps is the rate of a sequence of pictures, and a.mkv is not one"
    )
