"""Videos for browsers: what all of them play is told from what some do not, and made of it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers.made_media import (
    EVENT_S,
    click_times,
    click_wave,
    flash_images,
    make_sound,
    make_video,
    square_image,
)
from w2l.core.errors import MediaError
from w2l.media.audio import read_audio
from w2l.media.browser import encode_for_browsers, unplayable
from w2l.media.video import probe, read_frames


def with_codec(path: Path, codec: str, pixel_format: str, sound: str | None = None) -> Path:
    """A video of flashes and clicks in other codecs."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixel_format
        voice: Any = None if sound is None else container.add_stream(sound, rate=48000, layout="mono")
        for image in flash_images():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
        if voice is not None:
            wave, size = click_wave(48000), voice.codec_context.frame_size
            for start in range(0, wave.shape[1], size):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, start : start + size]), "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


def made(folder: Path, kind: str) -> Path:
    """One video of each kind that this page is about."""
    images, wave = list(flash_images()), click_wave(48000)
    if kind == "plain":
        return make_video(folder / "plain.mp4", images, wave=wave)
    if kind == "mute":
        return make_video(folder / "mute.mp4", images)
    if kind == "matroska":
        return make_video(folder / "clip.mkv", images, wave=wave)
    if kind == "misnamed matroska":
        return make_video(folder / "clip.mkv", images, wave=wave).rename(folder / "clip.mp4")
    codecs = {
        "mpeg4": ("mpeg4", "yuv420p", "aac"),
        "444": ("libx264", "yuv444p", "aac"),
        "10 bits": ("libx264", "yuv420p10le", "aac"),
        "ac3": ("libx264", "yuv420p", "ac3"),
    }
    return with_codec(folder / "clip.mp4", *codecs[kind])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("plain", ""),
        ("mute", ""),
        ("matroska", "matroska,webm container"),
        ("misnamed matroska", "matroska,webm container"),
        ("mpeg4", "mpeg4 picture"),
        ("444", "h264 picture in yuv444p"),
        ("10 bits", "h264 picture in yuv420p10le"),
        ("ac3", "ac3 sound"),
    ],
)
def test_says_why_and_makes_it_playable(tmp_path: Path, kind: str, why: str) -> None:
    source = made(tmp_path, kind)
    assert unplayable(source) == why
    target = tmp_path / "for-browsers.mp4"
    encode_for_browsers(source, target)
    assert unplayable(target) == ""
    assert probe(target).has_sound == (kind != "mute")


@pytest.mark.parametrize("kind", ["matroska", "ac3"])
def test_picture_and_sound_keep_their_times(tmp_path: Path, kind: str) -> None:
    source, target = made(tmp_path, kind), tmp_path / "for-browsers.mp4"
    encode_for_browsers(source, target)
    flashes = [frame.time_s for frame in read_frames(target) if frame.image.mean() > 128]
    assert flashes == pytest.approx(EVENT_S, abs=0.002)
    clicks = click_times(read_audio(target, origin_s=probe(target).start_s))
    assert clicks == pytest.approx(EVENT_S, abs=0.003)


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.12, 0.4, 0.44]
    images = [square_image(idx, (48, 64)) for idx in range(len(times))]
    source = make_video(tmp_path / "vfr.mkv", images, times)
    encode_for_browsers(source, tmp_path / "vfr.mp4")
    frames = list(read_frames(tmp_path / "vfr.mp4"))
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=0.002)
    errors = [np.abs(frame.image.astype(int) - image).mean() for frame, image in zip(frames, images)]
    assert max(errors) < 3


@pytest.mark.parametrize("kind", ["nothing", "text", "sound", "picture"])
def test_what_is_no_video_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / {"sound": "clip.m4a", "picture": "clip.png"}.get(kind, "clip.mp4")
    if kind == "text":
        path.write_text("no video")
    elif kind == "sound":
        make_sound(path, click_wave(48000), 48000, "aac")
    elif kind == "picture":
        with av.open(str(path), "w", format="image2") as container:
            stream: Any = container.add_stream("png")
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(square_image(0), format="rgb24")))
            container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="clip"):
        encode_for_browsers(path, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
