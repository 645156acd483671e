"""What lies beside the picture: sound for two ears from any, and what is kept of a source."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers.made_media import CLIP_FPS, EVENT_S, click_times, click_wave, flash_images, make_sound, make_video
from w2l.media.audio import read_audio
from w2l.media.container import ReadStats
from w2l.media.encoders import rgb_colour
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.parts import Parts
from w2l.media.resampling import Resampler
from w2l.media.sound_blocks import sound_blocks
from w2l.media.soundtrack import stereo_weights
from w2l.media.streams import plain_text
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter

STARTS_S = 0.2
"""When the picture of the made source starts in its clock."""
WORDS = (("Grüße, <i>Welt</i>", 0.4, 0.3), ("two\nlines", 1.2, 0.5))
"""Subtitles of the made source: text, start and length in seconds from the first picture."""
SPOKEN = ["Grüße, Welt", "two\nlines"]
CHAPTERS = [("Begin", 0.0, 1.0), ("End", 1.0, 2.0)]


def make_source(path: Path) -> Path:
    """A Matroska file with two streams of sound that click together, subtitles, chapters and a title."""
    wave = click_wave(48000, 1, STARTS_S)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=CLIP_FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sounds: list[Any] = [
            container.add_stream("aac", rate=48000, layout="mono"),
            container.add_stream("flac", rate=48000, layout="mono"),
        ]
        for sound, language in zip(sounds, ("eng", "fra")):
            sound.metadata["language"] = language
        words: Any = container.add_stream("subrip")
        words.codec_context.subtitle_header = b"[Events]\nFormat: Layer, Start, End, Style, Text\n"
        words.codec_context.time_base = words.time_base = Fraction(1, 1000)
        words.metadata["language"] = "deu"
        container.metadata["title"] = "A title"
        container.set_chapters(
            [
                {
                    "id": idx,
                    "start": round((start + STARTS_S) * 1000),
                    "end": round((end + STARTS_S) * 1000),
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for idx, (title, start, end) in enumerate(CHAPTERS)
            ]
        )
        for idx, image in enumerate(flash_images()):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round((idx / CLIP_FPS + STARTS_S) * 1000), Fraction(1, 1000)
            container.mux(video.encode(frame))
        for sound in sounds:
            kind = "fltp" if sound.name == "aac" else "s16"
            samples = wave if kind == "fltp" else (wave * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), kind, "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            container.mux(sound.encode(frame))
        for text, start, length in WORDS:
            packet: Any = av.Packet(text.encode())
            packet.stream, packet.time_base, packet.is_keyframe = words, Fraction(1, 1000), True
            packet.pts = packet.dts = round((start + STARTS_S) * 1000)
            packet.duration = round(length * 1000)
            container.mux(packet)
        for stream in (video, *sounds):
            container.mux(stream.encode(None))
    return path


def write_kept(path: Path, source: Path, **settings: Any) -> Path:
    with VideoWriter(Output(path, 64, 48, CLIP_FPS, keep=source, **settings)) as writer:
        for image in flash_images():
            writer.write(image)
    return path


def sound_of(path: Path, idx: int) -> np.ndarray[Any, Any]:
    """One stream of sound at 16 kHz from the first picture on."""
    resampler, pieces, start_s = Resampler(16000), [], probe(path).start_s
    with av.open(str(path)) as container:
        for block in sound_blocks(container, container.streams.audio[idx], ReadStats()):
            if not pieces:
                n_before = round((block.time_s - start_s) * 16000)
                pieces.append(np.zeros((1, max(0, n_before)), np.float32))
            pieces.append(resampler.push(block.samples.mean(axis=0, keepdims=True), block.rate))
    return np.concatenate([*pieces, resampler.flush()], axis=1)[0, max(0, -n_before) :]


def subtitles_of(path: Path) -> list[tuple[str, float, float]]:
    """Text, start and length of the subtitles."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        name = stream.codec_context.codec.canonical_name
        found = [
            (plain_text(bytes(p), name), float(p.pts * p.time_base), float((p.duration or 0) * p.time_base))
            for p in container.demux(stream)
            if p.size and p.pts is not None
        ]
    return [item for item in found if item[0]]


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_what_a_source_has_is_kept(tmp_path: Path, ending: str) -> None:
    source = make_source(tmp_path / "source.mkv")
    speech = make_sound(tmp_path / "speech.wav", click_wave(16000), 16000, "pcm_s16le")
    path = write_kept(tmp_path / f"out.{ending}", source, speech=speech)
    with av.open(str(path)) as container:
        assert [s.metadata.get("language", "und") for s in container.streams.audio] == ["und", "fra"]
        if ending != "mov":  # whose list of languages is short
            assert container.streams.subtitles[0].metadata["language"] == "deu"
        assert container.metadata["title"] == "A title"
        chapters = [
            (c["metadata"]["title"], float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
            for c in container.chapters()
        ]
        codecs = [stream.codec_context.name for stream in container.streams.audio]
    for found, (title, start, end) in zip(chapters, CHAPTERS, strict=True):
        assert found[0] == title
        np.testing.assert_allclose(found[1:], (start, end), atol=2e-3)
    assert codecs[1] == "aac"  # also in Matroska: the first 0.2 s are cut away, and packets do not end there
    for idx in (0, 1):
        np.testing.assert_allclose(click_times(sound_of(path, idx)), EVENT_S, atol=2e-3)
    found_words = subtitles_of(path)
    assert [text for text, _, _ in found_words] == SPOKEN
    starts = [start - (probe(path).start_s if ending == "mkv" else 0.0) for _, start, _ in found_words]
    np.testing.assert_allclose(starts, [start for _, start, _ in WORDS], atol=2e-3)
    np.testing.assert_allclose([length for *_, length in found_words], [length for *_, length in WORDS], atol=2e-3)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_all_of_it_beside_parts(tmp_path: Path, ending: str) -> None:
    source = make_source(tmp_path / "source.mkv")
    path, images = tmp_path / f"out.{ending}", list(flash_images())
    output = Output(path, 64, 48, CLIP_FPS, colour=rgb_colour(48), speech=source, speech_origin_s=STARTS_S, keep=source)
    with Parts(output, np.arange(50) / CLIP_FPS, (0, 20, 21, 50), "a") as parts:
        for part in range(parts.n_parts):
            with parts.writer(part) as writer:
                for idx in parts.pictures(part):
                    writer.write(images[idx])
        parts.assemble()
    flashes = [frame.time_s for frame in read_frames(path) if frame.image.mean() > 120]
    np.testing.assert_allclose(flashes, EVENT_S, atol=2e-3)
    for idx in (0, 1):
        np.testing.assert_allclose(click_times(sound_of(path, idx)), EVENT_S, atol=2e-3)
    assert [text for text, _, _ in subtitles_of(path)] == SPOKEN
    with av.open(str(path)) as container:
        assert [s.metadata.get("language") for s in container.streams.audio] == ["eng", "fra"]
        assert len(list(container.chapters())) == 2


def test_text_survives_there_and_back(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mkv")
    once = write_kept(tmp_path / "once.mp4", source)
    twice = write_kept(tmp_path / "twice.mkv", once)
    thrice = write_kept(tmp_path / "thrice.mp4", write_kept(tmp_path / "again.mp4", twice))
    for path in (once, twice, thrice):
        assert [text for text, _, _ in subtitles_of(path)] == SPOKEN
    with av.open(str(thrice)) as container:
        assert len(container.streams.audio) == 2  # nothing took the place of either
        assert len(container.streams.subtitles) == 1
        assert len(list(container.chapters())) == 2


def test_all_ends_where_asked(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mkv")
    path = tmp_path / "out.mp4"
    with VideoWriter(Output(path, 64, 48, CLIP_FPS, keep=source, until_s=1.0)) as writer:
        for image in list(flash_images())[:25]:
            writer.write(image)
    with av.open(str(path)) as container:
        assert container.duration / 1e6 == pytest.approx(1.0, abs=0.03)
        assert len(list(container.chapters())) == 1
    assert [text for text, _, _ in subtitles_of(path)] == SPOKEN[:1]


def test_what_cannot_be_kept_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = make_source(tmp_path / "source.mkv")
    make_video(tmp_path / "plain.mp4", list(flash_images()))
    with caplog.at_level(logging.WARNING):
        write_kept(tmp_path / "plain-out.mp4", tmp_path / "plain.mp4")
        assert not caplog.messages
        path = write_kept(tmp_path / "out.webm", source, encoding=Encoding("av1"))
    with av.open(str(path)) as container:
        assert [stream.codec_context.codec.canonical_name for stream in container.streams.audio] == ["opus", "opus"]
    assert [text for text, _, _ in subtitles_of(path)] == SPOKEN
    np.testing.assert_allclose(click_times(sound_of(path, 1)), EVENT_S, atol=2e-3)


@pytest.mark.parametrize(("content", "codec", "says"), [
    (b"\x00\x05hello\x00\x00\x00\x0cstyl", "mov_text", "hello"),
    (b"0,0,Default,,0,0,0,,{\\an8}Hello\\Nyou, too", "ass", "Hello\nyou, too"),
    (b"<font color='red'>a</font> < b {\\an8}", "subrip", "a < b"),
    (b"\xff\xfe", "subrip", "\ufffd\ufffd"),
])  # fmt: skip
def test_plain_text(content: bytes, codec: str, says: str) -> None:
    assert plain_text(content, codec) == says


def test_many_speakers_become_two() -> None:
    weights = stereo_weights(("FL", "FR", "FC", "LFE", "SL", "SR"))
    left, right = weights
    np.testing.assert_allclose(left, right[[1, 0, 2, 3, 5, 4]])
    assert left[1] == left[3] == left[5] == 0
    assert left[0] > left[2] == left[4] > 0
    assert left.sum() == pytest.approx(1.0)
    for speakers in (("FL", "FR", "BC"), ("FC", "TC"), ("FL", "FR", "FLC", "FRC", "LFE2"), ("NONE",) * 5):
        assert np.abs(stereo_weights(speakers)).sum(axis=1).max() <= 1 + 1e-6


@pytest.mark.parametrize(("channel", "sides"), [(0, (1, 0)), (1, (0, 1)), (2, (1, 1)), (4, (1, 0)), (5, (0, 1))])
def test_surround_is_heard_where_it_comes_from(tmp_path: Path, channel: int, sides: tuple[int, int]) -> None:
    wave = np.zeros((6, 96000), np.float32)
    wave[channel] = click_wave(48000)[0]
    speech = make_sound(tmp_path / "speech.flac", wave, 48000, "flac")
    path = write_kept(tmp_path / "out.mp4", make_video(tmp_path / "a.mp4", list(flash_images())), speech=speech)
    with av.open(str(path)) as container:
        blocks = list(sound_blocks(container, container.streams.audio[0], ReadStats()))
    heard = np.abs(np.concatenate([block.samples for block in blocks], axis=1)).max(axis=1)
    assert heard.shape == (2,)
    np.testing.assert_array_equal(heard > 0.05, np.array(sides, bool))


def test_surround_that_can_be_copied_stays_surround(tmp_path: Path) -> None:
    speech = make_sound(tmp_path / "speech.m4a", click_wave(48000, 6), 48000, "aac")
    path = tmp_path / "out.mp4"
    with VideoWriter(Output(path, 64, 48, CLIP_FPS, speech=speech)) as writer:
        for image in flash_images():
            writer.write(image)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].channels == 6
    np.testing.assert_allclose(click_times(read_audio(path, origin_s=0.0)), EVENT_S, atol=1e-3)
    assert sum(1 for _ in read_frames(path)) == 50
