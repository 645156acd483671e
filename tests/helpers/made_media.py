"""Media made on the spot for the tests here: clicks with flashes, a moving square, turned, uneven and damaged files."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image

EVENT_S = (0.4, 1.2, 1.64)
"""When it clicks and flashes, seconds from the first picture; on the grid of 25 pictures a second."""
CLIP_S = 2.0
CLIP_FPS = 25
CLICK_S = 0.01
QUARTER_TURN = (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
"""Display matrix of a phone held upright: the picture is shown turned left by 90 degrees."""
MIRROR = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
"""Display matrix of a picture shown mirrored left to right."""


def click(rate: int) -> NDArray[np.float64]:
    """(samples,) A chirp of 10 ms: sharp under correlation, and it survives lossy codecs."""
    times = np.arange(round(CLICK_S * rate)) / rate
    return 0.7 * np.sin(2 * np.pi * (500 + 2000 * times / CLICK_S) * times)


def click_wave(rate: int, n_channels: int = 1, delay_s: float = 0.0) -> NDArray[np.float32]:
    """(channels, samples) Silence with a click at every `EVENT_S` + `delay_s`."""
    wave = np.zeros((n_channels, round(CLIP_S * rate)), np.float32)
    for event_s in EVENT_S:
        start = round((event_s + delay_s) * rate)
        wave[:, start : start + len(click(rate))] += click(rate).astype(np.float32)
    return wave


def click_times(wave: NDArray[np.float32], rate: int = 16000) -> list[float]:
    """Seconds at which a mono wave (samples,) clicks: the three best places for the click, 0.2 s apart at least."""
    match = np.correlate(wave.astype(np.float64), click(rate), mode="valid")
    times = []
    for _ in EVENT_S:
        best = int(match.argmax())
        times.append(best / rate)
        match[max(0, best - rate // 5) : best + rate // 5] = -np.inf
    return sorted(times)


def flash_images(size: tuple[int, int] = (48, 64)) -> Iterator[Image]:
    """Dark pictures (height, width, 3) at 25 fps, one bright at every `EVENT_S`."""
    flashes = {round(event_s * CLIP_FPS) for event_s in EVENT_S}
    for idx in range(round(CLIP_S * CLIP_FPS)):
        yield np.full((*size, 3), 235 if idx in flashes else 16, np.uint8)


def square_image(idx: int, size: tuple[int, int] = (48, 64)) -> Image:
    """A grey picture (height, width, 3) with a red square near the top left that moves 2 pixels right each picture."""
    image = np.full((*size, 3), 40, np.uint8)
    image[4:16, 4 + 2 * idx : 16 + 2 * idx] = (220, 30, 30)
    return image


def square_position(image: Image) -> tuple[float, float]:
    """(x, y) of the red square's centre in pixels."""
    rows, columns = np.nonzero(image[..., 0].astype(int) - image[..., 2] > 80)
    return float(columns.mean()), float(rows.mean())


def make_sound(path: Path, wave: NDArray[np.float32], rate: int, codec: str, layout: str | None = None) -> Path:
    """Write (channels, samples) as a sound file."""
    with av.open(str(path), "w") as container:
        stream = _sound_stream(container, wave, rate, codec, layout)
        _write_sound(container, stream, wave, rate, 0.0)
    return path


def make_video(
    path: Path,
    images: Iterable[Image],
    times_s: Sequence[float] | None = None,
    *,
    matrix: tuple[int, ...] | None = None,
    wave: NDArray[np.float32] | None = None,
    rate: int = 48000,
    sound_codec: str = "aac",
    sound_start_s: float = 0.0,
    keyframe_every: int = 12,
) -> Path:
    """Write pictures as H.264 at 25 fps, or at the given times, with a display matrix and sound where asked."""
    pictures = list(images)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=CLIP_FPS, options={"g": str(keyframe_every), "crf": "12"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12800)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        sound = None if wave is None else _sound_stream(container, wave, rate, sound_codec)
        for idx, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            time_s = idx / CLIP_FPS if times_s is None else times_s[idx]
            frame.pts, frame.time_base = round(time_s * 12800), Fraction(1, 12800)
            container.mux(stream.encode(frame))
        if wave is not None:
            _write_sound(container, sound, wave, rate, sound_start_s)
        container.mux(stream.encode(None))
    return path


def damage(path: Path, start: float, end: float) -> Path:
    """Overwrite a stretch of a file, given as fractions of its length, with noise."""
    content = bytearray(path.read_bytes())
    first, last = int(start * len(content)), int(end * len(content))
    content[first:last] = np.random.default_rng(0).integers(0, 256, last - first, dtype=np.uint8).tobytes()
    path.write_bytes(content)
    return path


def _sound_stream(container: Any, wave: NDArray[np.float32], rate: int, codec: str, layout: str | None = None) -> Any:
    usual = {1: "mono", 2: "stereo", 6: "5.1"}
    return container.add_stream(codec, rate=rate, layout=layout or usual[wave.shape[0]])


def _write_sound(container: Any, stream: Any, wave: NDArray[np.float32], rate: int, start_s: float) -> None:
    step = rate // 10
    for start in range(0, wave.shape[1], step):
        piece = np.ascontiguousarray(wave[:, start : start + step].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, "flt", stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start + round(start_s * rate), Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def rising_wave(length_s: float, rate: int = 48000) -> NDArray[np.float32]:
    """(1, samples) A tone that grows louder steadily, from nothing to 0.9 at the end."""
    times = np.arange(round(length_s * rate)) / rate
    return np.asarray(0.9 * times / length_s * np.sin(2 * np.pi * 440 * times), np.float32)[None]


def risen_s(wave: NDArray[np.float32], length_s: float, at_s: float, rate: int = 16000) -> float:
    """When in a `rising_wave` of that length it is as loud as a mono wave (samples,) is around `at_s`, seconds."""
    around = wave[round((at_s - 0.05) * rate) : round((at_s + 0.05) * rate)].astype(np.float64)
    return float(np.sqrt(2 * np.mean(around**2)) / 0.9 * length_s)


def make_tracks(path: Path, images: Iterable[Image], waves: Sequence[NDArray[np.float32]], codec: str = "aac") -> Path:
    """Write pictures at 25 fps with several streams of sound at 48 kHz, each (channels, samples)."""
    pictures = list(images)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=CLIP_FPS, options={"crf": "12"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        sounds = [_sound_stream(container, wave, 48000, codec) for wave in waves]
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
        for sound, wave in zip(sounds, waves):
            _write_sound(container, sound, wave, 48000, 0.0)
    return path
