"""Writing video: sound and picture start together, nothing half-written, odd sizes, colours."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.made_media import (
    CLIP_FPS,
    EVENT_S,
    click_times,
    click_wave,
    flash_images,
    make_sound,
    make_video,
    square_image,
    square_position,
)
from w2l.core.errors import MediaError
from w2l.core.files import Draft
from w2l.media.audio import read_audio, write_wav
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.picture import Picture
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter


def sound_codec(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.audio[0].codec_context.codec.canonical_name)


def sound_bytes(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def write_clip(path: Path, speech: Path | None, **settings: object) -> Path:
    with VideoWriter(Output(path, 64, 48, CLIP_FPS, speech=speech, **settings)) as writer:  # type: ignore[arg-type]
        for image in flash_images():
            writer.write(image)
    return path


def assert_in_time(path: Path, sound_events_s: tuple[float, ...] = EVENT_S) -> None:
    """Flashes are on the very picture, clicks within 1 ms, with the file's own clock and with each stream from 0."""
    flashes = [f.time_s for f in read_frames(path) if f.image.mean() > 120]
    np.testing.assert_allclose(flashes, EVENT_S, atol=0.5 / CLIP_FPS)
    start_s = probe(path).start_s
    assert start_s == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(click_times(read_audio(path, origin_s=start_s)), sound_events_s, atol=1e-3)


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "m4v"])
@pytest.mark.parametrize(
    ("ending", "codec", "rate", "n_channels", "copied_by"),
    [
        pytest.param("wav", "pcm_s16le", 16000, 1, {"mkv"}, id="wav-16k"),
        pytest.param("wav", "pcm_s16le", 44100, 2, {"mkv"}, id="wav-stereo"),
        pytest.param("wav", "pcm_u8", 8000, 6, set(), id="wav-8-bit-surround"),
        pytest.param("flac", "flac", 22050, 1, {"mkv"}, id="flac"),
        pytest.param("m4a", "aac", 48000, 2, {"mp4", "mov", "m4v"}, id="aac"),
        pytest.param("m4a", "aac", 16000, 1, {"mp4", "mov", "m4v"}, id="aac-16k"),
        pytest.param("mka", "aac", 44100, 1, {"mp4", "mov", "m4v", "mkv"}, id="aac-from-matroska"),
        pytest.param("mp3", "libmp3lame", 44100, 2, {"mp4", "mov", "m4v"}, id="mp3"),
        pytest.param("ogg", "libopus", 48000, 1, {"mkv"}, id="opus"),
    ],
)
def test_click_and_flash_stay_together(
    tmp_path: Path, container: str, ending: str, codec: str, rate: int, n_channels: int, copied_by: set[str]
) -> None:
    speech = make_sound(tmp_path / f"speech.{ending}", click_wave(rate, n_channels), rate, codec)
    path = write_clip(tmp_path / f"out.{container}", speech)
    assert_in_time(path)
    np.testing.assert_allclose(click_times(read_audio(path)), EVENT_S, atol=1e-3)
    if container in copied_by:
        assert sound_bytes(path) == sound_bytes(speech)
    else:
        assert sound_codec(path) == "aac"


@pytest.mark.parametrize(
    ("ending", "codec", "rate", "is_copied"),
    [("wav", "pcm_s16le", 16000, False), ("m4a", "aac", 44100, False), ("ogg", "libopus", 48000, True)],
)
def test_sound_in_webm(tmp_path: Path, ending: str, codec: str, rate: int, is_copied: bool) -> None:
    speech = make_sound(tmp_path / f"speech.{ending}", click_wave(rate, 2), rate, codec)
    path = write_clip(tmp_path / "out.webm", speech, encoding=Encoding("av1"))
    assert_in_time(path)
    assert sound_codec(path) == "opus"
    assert (sound_bytes(path) == sound_bytes(speech)) == is_copied
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == "av1"


UNEVEN_S = [0.0, 0.04, 0.051, 0.3, 0.3334, 0.4, 0.9]
"""Times of pictures at no rate at all."""


def shown(path: Path) -> tuple[list[float], float]:
    """The times of the pictures, and when the last one ends, seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [float(frame.pts * frame.time_base) for frame in container.decode(stream)]
        if stream.duration is not None:
            return times, float(stream.duration * stream.time_base)
        return times, container.duration / 1e6


@pytest.mark.parametrize(("ending", "tick_s"), [("mp4", 1 / 90000), ("mov", 1 / 90000), ("mkv", 1e-3)])
@pytest.mark.parametrize("until_s", [None, 0.95, 3.0])
def test_uneven_times_are_kept(tmp_path: Path, ending: str, tick_s: float, until_s: float | None) -> None:
    path = tmp_path / f"uneven.{ending}"
    with VideoWriter(Output(path, 64, 48, 20.0, variable=True, until_s=until_s)) as writer:
        for idx, time_s in enumerate(UNEVEN_S):
            writer.write(square_image(idx), time_s)
    times, end_s = shown(path)
    np.testing.assert_allclose(times, UNEVEN_S, atol=0.51 * tick_s)
    assert end_s == pytest.approx(until_s or 0.95, abs=1.1e-3)
    for idx, frame in enumerate(read_frames(path)):
        assert square_position(frame.image)[0] == pytest.approx(9.5 + 2 * idx, abs=0.6)


def test_uneven_times_with_sound(tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", click_wave(16000)[0])
    path = tmp_path / "uneven.mp4"
    with VideoWriter(Output(path, 64, 48, 25.0, variable=True, speech=tmp_path / "speech.wav")) as writer:
        for idx, image in enumerate(flash_images()):
            if idx % 3 != 1 or image.max() > 200:
                writer.write(image, idx / CLIP_FPS)
    assert_in_time(path)


def test_times_that_do_not_rise_become_ones_that_do(tmp_path: Path) -> None:
    with VideoWriter(Output(tmp_path / "a.mp4", 64, 48, 25.0, variable=True)) as writer:
        for idx, time_s in enumerate((0.0, 0.1, 0.1, 0.05, 0.2)):
            writer.write(square_image(idx), time_s)
    times, _ = shown(tmp_path / "a.mp4")
    np.testing.assert_allclose(times, (0.0, 0.1, 0.1, 0.1, 0.2), atol=1e-4)
    with (
        pytest.raises(ValueError, match="requires its time"),
        VideoWriter(Output(tmp_path / "b.mp4", 64, 48, 25.0, variable=True)) as writer,
    ):
        writer.write(square_image(0))


def test_one_array_may_be_used_again_and_again(tmp_path: Path) -> None:
    image = np.empty((48, 64, 3), np.uint8)
    with VideoWriter(Output(tmp_path / "a.mp4", 64, 48, 25.0)) as writer:
        for idx in range(20):
            image[:] = square_image(idx)
            writer.write(image)
    for idx, frame in enumerate(read_frames(tmp_path / "a.mp4")):
        assert square_position(frame.image)[0] == pytest.approx(9.5 + 2 * idx, abs=0.6)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("sound_codec", ["aac", "flac"])
def test_read_and_write_round_trip_of_a_late_video(tmp_path: Path, container: str, sound_codec: str) -> None:
    """Picture from 0.4 s on, sound from 0.2 s on: what was together stays together."""
    source = make_video(
        tmp_path / "source.mkv",
        flash_images(),
        [0.4 + i / 25 for i in range(50)],
        wave=click_wave(48000, 1, 0.2),
        sound_codec=sound_codec,
        sound_start_s=0.2,
    )
    path = tmp_path / f"out.{container}"
    info = probe(source)
    with VideoWriter(Output(path, 64, 48, 25.0, speech=source, speech_origin_s=info.start_s)) as writer:
        for frame in read_frames(source):
            writer.write(frame.image)
    flashes = [f.time_s for f in read_frames(path) if f.image.mean() > 120]
    np.testing.assert_allclose(flashes, EVENT_S, atol=0.02)
    heard = read_audio(path, origin_s=probe(path).start_s)
    # Matroska's clock ticks in milliseconds, and the source is one.
    np.testing.assert_allclose(click_times(heard), EVENT_S, atol=1.1e-3)


@pytest.mark.parametrize("ending", ["wav", "m4a"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_sound_is_cut_on_request(tmp_path: Path, ending: str, container: str) -> None:
    codec = {"wav": "pcm_s16le", "m4a": "aac"}[ending]
    wave = np.concatenate([click_wave(48000), np.full((1, 5 * 48000), 0.1, np.float32)], axis=1)
    speech = make_sound(tmp_path / f"speech.{ending}", wave, 48000, codec)
    path = write_clip(tmp_path / f"out.{container}", speech, until_s=2.0)
    assert len(read_audio(path)) / 16000 == pytest.approx(2.0, abs=0.05)
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.03)
    assert_in_time(path)


def test_longer_sound_goes_on(tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", np.tile(click_wave(16000)[0], 8))
    path = write_clip(tmp_path / "out.mp4", tmp_path / "speech.wav")
    assert len(read_audio(path)) / 16000 == pytest.approx(16.0, abs=0.03)
    assert len(list(read_frames(path))) == 50


def test_shorter_sound_ends(tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", click_wave(16000)[0, :8000])
    path = write_clip(tmp_path / "out.mp4", tmp_path / "speech.wav")
    assert len(list(read_frames(path))) == 50
    assert len(read_audio(path)) / 16000 == pytest.approx(0.5, abs=0.03)


def test_without_speech_there_is_no_sound(tmp_path: Path) -> None:
    assert not probe(write_clip(tmp_path / "out.mp4", None)).has_sound


def test_sound_and_picture_lie_side_by_side(tmp_path: Path) -> None:
    """Neither stream runs ahead in the file by more than the encoder's look-ahead: nothing is hoarded."""
    write_wav(tmp_path / "speech.wav", np.tile(click_wave(16000)[0], 10))
    with VideoWriter(Output(tmp_path / "out.mkv", 64, 48, 25.0, speech=tmp_path / "speech.wav")) as writer:
        for idx in range(500):
            writer.write(square_image(idx % 20))
    latest_s = {"video": 0.0, "audio": 0.0}
    with av.open(str(tmp_path / "out.mkv")) as container:
        for packet in container.demux():
            if packet.size:
                latest_s[packet.stream.type] = float((packet.dts or 0) * packet.time_base)
                assert abs(latest_s["video"] - latest_s["audio"]) < 0.5


@pytest.mark.parametrize(("width", "height"), [(63, 48), (64, 47), (63, 47), (33, 35)])
def test_odd_sizes_are_padded_by_their_edge(tmp_path: Path, width: int, height: int) -> None:
    image = np.full((height, width, 3), 60, np.uint8)
    image[-3:] = 200
    with VideoWriter(Output(tmp_path / "odd.mp4", width, height, 25.0)) as writer:
        for _ in range(3):
            writer.write(image)
    read = next(read_frames(tmp_path / "odd.mp4")).image
    assert read.shape == (height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(read[:height, :width].astype(int), image, atol=8)
    np.testing.assert_allclose(read[-1].astype(int), 200, atol=8)


@pytest.mark.parametrize(("size", "tag"), [((96, 128), 6), ((720, 64), 1)], ids=["sd-601", "hd-709"])
def test_colours_are_tagged_and_come_back(tmp_path: Path, size: tuple[int, int], tag: int) -> None:
    colours = np.array([(200, 40, 40), (40, 180, 60), (50, 60, 200), (240, 240, 240), (10, 10, 10)], np.uint8)
    with VideoWriter(Output(tmp_path / "colour.mp4", size[1], size[0], 25.0, encoding=Encoding(crf=5))) as writer:
        for colour in colours:
            writer.write(np.broadcast_to(colour, (*size, 3)).copy())
    with av.open(str(tmp_path / "colour.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tags == (tag, tag, tag, 1)
    for frame, colour in zip(read_frames(tmp_path / "colour.mp4"), colours, strict=True):
        np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), colour, atol=3)


@pytest.mark.parametrize("fps", [12.5, 24000 / 1001, 25.0, 29.97, 60.0])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_frame_rates_are_kept(tmp_path: Path, fps: float, container: str) -> None:
    path = tmp_path / f"rate.{container}"
    with VideoWriter(Output(path, 64, 48, fps)) as writer:
        for idx in range(20):
            writer.write(square_image(idx))
    assert probe(path).fps == pytest.approx(fps, rel=1e-3)
    np.testing.assert_allclose([f.time_s for f in read_frames(path)], np.arange(20) / fps, atol=1e-3)


def test_an_error_inside_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")

    def stopped() -> None:
        with VideoWriter(Output(path, 64, 48, 25.0)) as writer:
            writer.write(square_image(0))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"old"


def test_no_picture_is_an_error_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no picture"), VideoWriter(Output(tmp_path / "out.mp4", 64, 48, 25.0)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_output(tmp_path: Path) -> None:
    script = f"""
import numpy as np
from pathlib import Path
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
with VideoWriter(Output(Path({str(tmp_path / "out.mp4")!r}), 64, 48, 25.0)) as writer:
    for idx in range(10**9):
        writer.write(np.zeros((48, 64, 3), np.uint8))
        if idx == 100:
            print("going", flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline() == b"going\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (tmp_path / "out.mp4").exists()
    write_clip(tmp_path / "out.mp4", None)
    assert len(list(read_frames(tmp_path / "out.mp4"))) == 50


def test_refusals_come_before_work(tmp_path: Path) -> None:
    write_wav(tmp_path / "ok.wav", click_wave(16000)[0])
    silent = make_video(tmp_path / "silent.mp4", [square_image(0)])
    cases = [
        (tmp_path / "out.avi", None, "cannot write .avi"),
        (tmp_path / "out", None, "name without ending"),
        (tmp_path / "out.webm", None, "hold no h264; choose the codec av1"),
        (tmp_path / "none" / "out.mp4", None, "cannot be written"),
        (tmp_path / "ok.wav" / "out.mp4", None, "cannot be written"),
        (tmp_path / "out.mp4", tmp_path / "missing.wav", "no such file"),
        (tmp_path / "out.mp4", silent, "no sound"),
    ]
    for path, speech, says in cases:
        with pytest.raises(MediaError, match=says) as caught:
            VideoWriter(Output(path, 64, 48, 25.0, speech=speech))
        assert "\n" not in str(caught.value)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match="folder"):
        VideoWriter(Output(tmp_path / "folder.mp4", 64, 48, 25.0))
    with pytest.raises(ValueError, match="is not possible"):
        Output(tmp_path / "out.mp4", 0, 48, 25.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.mp4", "ok.wav", "silent.mp4"]


def test_wrong_pictures_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="expected a uint8 image"),
        VideoWriter(Output(tmp_path / "a.mp4", 64, 48, 25)) as writer,
    ):
        writer.write(np.zeros((64, 48, 3), np.uint8))
    picture = Picture.from_rgb(np.zeros((64, 48, 3), np.uint8))
    output = Output(tmp_path / "a.mp4", 64, 48, 25)
    with pytest.raises(ValueError, match="expected a picture"), VideoWriter(output) as writer:
        writer.write(picture)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = Draft(tmp_path / "out.mp4").temporary
    names = (here.name.replace(f"-{os.getpid()}-", f"-{pid}-") for pid in (gone.pid, os.getppid(), gone.pid))
    left, living, other = (tmp_path / name for name in names)
    other = other.with_name(other.name.replace("out.mp4", "other.mp4"))
    for path in (left, living, other):
        path.touch()
    with VideoWriter(Output(tmp_path / "out.mp4", 32, 32, 25.0)) as writer:
        assert left.exists()  # another process may hold the output's lock
        writer.write(np.zeros((32, 32, 3), np.uint8))
    assert not left.exists()
    assert living.exists()
    assert other.exists()
