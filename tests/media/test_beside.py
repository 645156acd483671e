"""Beside a picture that is a part of the whole, or longer than the speech: all else begins and ends when it should."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers.made_media import (
    CLIP_FPS,
    CLIP_S,
    EVENT_S,
    click_times,
    click_wave,
    flash_images,
    make_sound,
    make_tracks,
    make_video,
    risen_s,
    rising_wave,
    square_image,
)
from tests.media.test_streams import CHAPTERS, SPOKEN, STARTS_S, WORDS, make_source, sound_of, subtitles_of
from w2l.media.audio import read_audio
from w2l.media.encoders import rgb_colour
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.parts import Parts
from w2l.media.soundtrack import inspect_speech
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter

CUT_S = 0.6
"""Where a part of the clip begins, seconds: behind the first event."""
LATER_S = tuple(event_s - CUT_S for event_s in EVENT_S[1:])


def write_part(path: Path, first: int = round(CUT_S * CLIP_FPS), last: int = 50, **settings: Any) -> Path:
    with VideoWriter(Output(path, 64, 48, CLIP_FPS, **settings)) as writer:
        for image in list(flash_images())[first:last]:
            writer.write(image)
    return path


def write_in_parts(path: Path, first: int, **settings: Any) -> Path:
    images = list(flash_images())[first:]
    edges = (0, 10, len(images))
    times = np.arange(len(images)) / CLIP_FPS
    with Parts(Output(path, 64, 48, CLIP_FPS, colour=rgb_colour(48), **settings), times, edges, "a") as parts:
        for part in range(parts.n_parts):
            with parts.writer(part) as writer:
                for idx in parts.pictures(part):
                    writer.write(images[idx])
        parts.assemble()
    return path


def starts(path: Path, kind: str) -> float:
    """When the first packet that is to be shown or heard begins, seconds in the file's clock."""
    with av.open(str(path)) as container:
        frame: Any = next(container.decode(**{kind: 0}))
        return float(frame.time)


def ends(path: Path, kind: str, idx: int = 0) -> float:
    """When the last of a stream ends, seconds."""
    with av.open(str(path)) as container:
        last: Any
        *_, last = (p for p in container.demux(**{kind: idx}) if p.size and p.pts is not None)
        return float((last.pts + (last.duration or 0)) * last.time_base)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.m4a", "aac"),
        ("a.mka", "aac"),
        ("a.mp3", "libmp3lame"),
        ("a.flac", "flac"),
        ("a.wav", "pcm_s16le"),
        ("a.opus", "libopus"),
        ("a.mka", "libopus"),
    ],
)
def test_a_part_begins_with_sound_and_picture(tmp_path: Path, ending: str, name: str, codec: str) -> None:
    speech = make_sound(tmp_path / name, click_wave(48000, 2), 48000, codec)
    encoding = Encoding("av1" if ending == "webm" else "h264")
    path = tmp_path / f"out.{ending}"
    origin_s = inspect_speech(speech, None, None).zero_s + CUT_S
    write_part(path, speech=speech, speech_origin_s=origin_s, until_s=CLIP_S - CUT_S, encoding=encoding)
    assert probe(path).start_s == pytest.approx(0.0, abs=1e-3)
    assert starts(path, "audio") == pytest.approx(0.0, abs=1e-3 if ending in ("mkv", "webm") else 0.051)
    flashes = [frame.time_s for frame in read_frames(path) if frame.image.mean() > 120]
    np.testing.assert_allclose(flashes, LATER_S, atol=2e-3)
    heard = np.concatenate([read_audio(path, origin_s=0.0), np.zeros(16000, np.float32)])
    found = [time_s for time_s in click_times(heard) if np.abs(heard[round(time_s * 16000) :][:160]).max() > 0.3]
    np.testing.assert_allclose(found, LATER_S, atol=2e-3)


@pytest.mark.parametrize(("early_s", "copied"), [(0.0, True), (0.02, True), (0.05, True), (0.3, False)])
def test_what_begins_a_little_early_is_copied_to_matroska(tmp_path: Path, early_s: float, copied: bool) -> None:
    speech = make_sound(tmp_path / "a.mka", click_wave(48000, 1, early_s), 48000, "aac")
    path = write_part(tmp_path / "out.mkv", 0, speech=speech, speech_origin_s=early_s)
    with av.open(str(path)) as made, av.open(str(speech)) as source:
        ours, theirs = ({bytes(packet) for packet in file.demux(audio=0) if packet.size} for file in (made, source))
    assert (len(ours - theirs) == 0) == copied
    assert probe(path).start_s == pytest.approx(0.0, abs=1e-3)
    assert starts(path, "audio") < 0.05
    np.testing.assert_allclose(click_times(read_audio(path, origin_s=0.0)), EVENT_S, atol=2e-3)


@pytest.fixture(params=["whole", "parts"])
def writer_of(request: pytest.FixtureRequest) -> Any:
    """Writes the clip from a picture on: in one piece, or in parts."""
    return {"whole": write_part, "parts": write_in_parts}[request.param]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("source_ending", ["mp4", "mkv"])
def test_of_a_part_other_sound_begins_there_too(
    tmp_path: Path, writer_of: Any, ending: str, source_ending: str
) -> None:
    """The loudness of the second track says which moment of the source it is."""
    waves = [click_wave(48000), rising_wave(CLIP_S)]
    source = make_tracks(tmp_path / f"source.{source_ending}", flash_images(), waves)
    path, origin_s = tmp_path / f"out.{ending}", probe(source).start_s + CUT_S
    speech = {"speech": source, "speech_origin_s": origin_s, "keep": source, "keep_origin_s": origin_s}
    writer_of(path, round(CUT_S * CLIP_FPS), **speech, until_s=CLIP_S - CUT_S)
    kept = sound_of(path, 1)
    for at_s in (0.1, 0.5, 1.0):
        assert risen_s(kept, CLIP_S, at_s) == pytest.approx(CUT_S + at_s, abs=0.02)
    assert ends(path, "audio", 1) == pytest.approx(CLIP_S - CUT_S, abs=0.03)
    np.testing.assert_allclose(click_times(read_audio(path, origin_s=probe(path).start_s))[-2:], LATER_S, atol=2e-3)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_of_a_part_words_and_chapters_begin_there_too(tmp_path: Path, writer_of: Any, ending: str) -> None:
    source = make_source(tmp_path / "source.mkv")
    path = tmp_path / f"out.{ending}"
    writer_of(path, round(CUT_S * CLIP_FPS), keep=source, keep_origin_s=STARTS_S + CUT_S, until_s=CLIP_S - CUT_S)
    words = subtitles_of(path)
    assert [text for text, _, _ in words] == SPOKEN
    wanted = [(max(0.0, start - CUT_S), start + length - CUT_S) for _, start, length in WORDS]
    np.testing.assert_allclose([(start, start + length) for _, start, length in words], wanted, atol=2e-3)
    with av.open(str(path)) as container:
        found: list[Any] = list(container.chapters())
        chapters = [(float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"])) for c in found]
    wanted = [(max(0.0, start - CUT_S), end - CUT_S) for _, start, end in CHAPTERS]
    np.testing.assert_allclose(chapters, wanted, atol=2e-3)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_speech_alone_ends_early(tmp_path: Path, writer_of: Any, ending: str) -> None:
    source = make_source(tmp_path / "source.mkv")
    speech = make_sound(tmp_path / "speech.wav", click_wave(48000), 48000, "pcm_s16le")
    path = tmp_path / f"out.{ending}"
    writer_of(path, 0, speech=speech, keep=source, until_s=CLIP_S, speech_until_s=0.5)
    assert ends(path, "audio") == pytest.approx(0.5, abs=0.03)
    assert ends(path, "audio", 1) == pytest.approx(CLIP_S - STARTS_S, abs=0.03)  # the source has no more
    np.testing.assert_allclose(click_times(sound_of(path, 1)), EVENT_S, atol=2e-3)
    assert [text for text, _, _ in subtitles_of(path)] == SPOKEN
    with av.open(str(path)) as container:
        assert len(list(container.chapters())) == 2


@pytest.mark.parametrize("edges", [(0, 7), (0, 3, 7)])
@pytest.mark.parametrize(("speech_until_s", "sound_s"), [(0.5, 0.5), (np.inf, CLIP_S)])
def test_the_last_picture_does_not_end_with_the_speech(
    tmp_path: Path, edges: tuple[int, ...], speech_until_s: float, sound_s: float
) -> None:
    speech = make_sound(tmp_path / "speech.wav", click_wave(48000), 48000, "pcm_s16le")
    times = np.array([0.0, 0.04, 0.051, 0.3, 0.3334, 0.4, 0.9])
    output = Output(
        tmp_path / "out.mp4", 64, 48, 20.0, colour=rgb_colour(48), variable=True, speech=speech, until_s=1.3,
        speech_until_s=speech_until_s,
    )  # fmt: skip
    with Parts(output, times, edges, "a") as parts:
        for part in range(parts.n_parts):
            with parts.writer(part) as writer:
                for idx in parts.pictures(part):
                    writer.write(square_image(idx))
        parts.assemble()
    assert ends(tmp_path / "out.mp4", "video") == pytest.approx(1.3, abs=2e-3)
    assert ends(tmp_path / "out.mp4", "audio") == pytest.approx(sound_s, abs=0.03)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm"])
def test_twice_the_same_gives_the_same_bytes(tmp_path: Path, writer_of: Any, ending: str) -> None:
    source = make_source(tmp_path / "source.mkv")
    encoding = Encoding("av1" if ending == "webm" else "h264")
    made = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        path = writer_of(
            folder / f"out.{ending}", 0, speech=source, speech_origin_s=STARTS_S, keep=source, encoding=encoding
        )
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_a_video_without_sound_in_parts_is_the_same_twice(tmp_path: Path) -> None:
    source = make_video(tmp_path / "source.mp4", flash_images())
    one, two = (write_in_parts(tmp_path / name, 0, keep=source).read_bytes() for name in ("one.mkv", "two.mkv"))
    assert one == two
