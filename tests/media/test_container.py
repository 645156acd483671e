"""Opening files of strangers: nothing but the named file is opened, and nothing beyond the limits is decoded."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.made_media import click_wave, make_video, square_image
from w2l.core.errors import ConfigError, MediaError
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Task
from w2l.core.limits import limits, spend
from w2l.core.prefetch import ahead
from w2l.media.audio import read_audio
from w2l.media.browser import unplayable
from w2l.media.coded import read_coded
from w2l.media.soundtrack import inspect_speech
from w2l.media.video import probe, read_frames

LISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile {clip}\n",
    "relative.mkv": "ffconcat version 1.0\nfile ../{name}\n",
    "self.mp4": "ffconcat version 1.0\nfile sub/near.mkv\nfile self.mp4\n",
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>{clip}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "drawn.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><image href="{clip}"/></svg>',
    "readme.nfo": "a text that a terminal would draw\n" * 50,
    "readme.txt": "a text that a terminal would draw\n" * 50,
    "art.ans": "\x1b[31mred\x1b[0m\n" * 50,
    "words.srt": "1\n00:00:00,000 --> 00:00:01,000\nno sound\n",
    "meta.mp4": ";FFMETADATA1\ntitle=x\n",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with sound, which the lists name."""
    path = tmp_path_factory.mktemp("near") / "clip.mkv"
    return make_video(path, (square_image(idx) for idx in range(10)), wave=click_wave(48000))


@pytest.mark.parametrize("name", LISTS)
def test_files_that_name_others_or_hold_text_are_refused(clip: Path, name: str) -> None:
    folder = clip.parent / "lists"
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(LISTS[name].format(clip=clip, name=clip.name))
    (folder / "sub" / "near.mkv").write_bytes(clip.read_bytes())
    for read in (probe, read_audio, lambda path: next(read_coded(path)), lambda path: inspect_speech(path, None, None)):
        with pytest.raises(MediaError, match=f"{name}: .*(lists are not|holds no|Invalid data)"):
            read(path)


@pytest.mark.parametrize("name", ["img%d.png", "img%03d.png", "img*.png", "img{1,2}.png", "img[12].png", "i%%g1.png"])
def test_a_picture_with_a_pattern_for_a_name_is_that_picture(tmp_path: Path, name: str) -> None:
    for other in ("img1.png", "img001.png", "img2.png", "i%g1.png"):
        cv2.imwrite(str(tmp_path / other), np.full((48, 64, 3), 250, np.uint8))
    cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 20, np.uint8))
    frames = list(read_frames(tmp_path / name))
    assert len(frames) == 1
    assert frames[0].image.max() == 20


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to("/dev/zero")
    for name in ("pipe.mp4", "link.mp4"):
        with pytest.raises(MediaError, match="a pipe or a device"):
            probe(tmp_path / name)


def test_odd_paths_are_missing_files(tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    for name in ("loop.mp4", "a\0b.mp4", "x" * 300):
        with pytest.raises(MediaError, match=r"no such file|cannot be opened"):
            probe(tmp_path / name)


def large_png(path: Path, side: int) -> Path:
    """Write a black picture whose file is a thousand times smaller than its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(1), bytes(1 + 3 * side)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def test_pictures_beyond_the_limit_are_refused_before_they_are_decoded(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2L_MAX_MEGAPIXELS", "1")
    path = large_png(tmp_path / "large.png", 1500)
    for read in (probe, lambda path: next(read_coded(path)), lambda path: next(read_frames(path))):
        with pytest.raises(MediaError, match="1500x1500 are too large, the limit is 1 megapixels"):
            read(path)
    monkeypatch.setenv("W2L_MAX_MEGAPIXELS", "0.003")
    with pytest.raises(MediaError, match="pictures of 64x48 are too large"):
        probe(clip)
    monkeypatch.setenv("W2L_MAX_MEGAPIXELS", "2.4")
    assert probe(path).width == 1500


def test_a_picture_of_256_megapixels_is_refused_unasked(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="16000x16000 are too large"):
        probe(large_png(tmp_path / "huge.png", 16000))


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many"])
def test_a_limit_that_is_no_positive_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("W2L_MAX_CLIP_HOURS", text)
    with pytest.raises(ConfigError, match="W2L_MAX_CLIP_HOURS must be a positive number"):
        limits()


def count_pictures(_: object, path: Path) -> int:
    """The work of a batch, in a thread of its own as `sync` decodes."""
    return sum(1 for _ in ahead(read_frames(path), 2))


def length(_: object, path: Path) -> int:
    """The work of another batch."""
    return len(read_audio(path))


@pytest.mark.parametrize("variable", ["CLIP_GIGAPIXELS", "CLIP_HOURS"])
def test_a_clip_of_a_batch_ends_at_its_limit_and_the_next_begins_anew(
    clip: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    tasks = [Task("one", (clip,)), Task("two", (clip,))]
    assert [done.result for done in run_tasks(tasks, count_pictures)] == [10, 10]
    monkeypatch.setenv("W2L_MAX_CLIP_GIGAPIXELS", str(15 * 64 * 48 / 1e9))  # enough for one, not for two
    assert [done.result for done in run_tasks(tasks, count_pictures)] == [10, 10]
    monkeypatch.setenv(f"W2L_MAX_{variable}", "1e-9")
    for done in run_tasks(tasks, count_pictures):
        assert f"raise W2L_MAX_{variable}" in done.error
    if variable == "CLIP_HOURS":
        assert all("more than 1e-09 hours" in done.error for done in run_tasks(tasks, length))
    spend(10**18)  # outside of a batch nothing is counted


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", b"avc1"), ("mkv", b"V_MPEG4/ISO/AVC")])
def test_a_video_of_an_unknown_codec_is_named(tmp_path: Path, suffix: str, codec: bytes) -> None:
    """PyAV opens such a file, but its stream has no decoder; the audio is still read."""
    blind = tmp_path / f"blind.{suffix}"
    make_video(blind, [square_image(x) for x in range(6)], wave=click_wave(48000))
    blind.write_bytes(blind.read_bytes().replace(codec, codec.replace(codec[:4], b"V_QQ")))
    for read in (probe, lambda path: next(read_frames(path)), unplayable):
        with pytest.raises(MediaError, match=f"blind.{suffix}: its video has an unknown codec; convert it"):
            read(blind)
    assert len(read_audio(blind))


def test_sound_of_an_unknown_codec_is_named(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf.mkv"
    make_video(deaf, [square_image(x) for x in range(6)], wave=click_wave(48000))
    deaf.write_bytes(deaf.read_bytes().replace(b"A_AAC", b"A_QQQ"))
    for read in (read_audio, lambda path: inspect_speech(path, 0.0, None)):
        with pytest.raises(MediaError, match=r"deaf\.mkv: its sound has an unknown codec; convert it"):
            read(deaf)
    with pytest.raises(MediaError, match=r"deaf\.mkv: no sound can be decoded"):
        inspect_speech(deaf, 0.0, None, 1)
    assert probe(deaf).width == 64
    assert unplayable(deaf) == "matroska,webm container"
