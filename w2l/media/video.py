"""Read videos: properties of a file, its frames as displayed with their times, and conversion to a constant rate."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from w2l.media.container import (
    Clock,
    ReadStats,
    decode,
    has_alpha_beside,
    open_input,
    stated_length,
    stated_rate,
    undecodable,
    video_stream,
    warn_of_damage,
)
from w2l.media.display import TURNS, display_matrix, swaps_axes, upright
from w2l.media.picture import UNSAID, Colour
from w2l.media.planar import CONVERSION, colorspace_for, colour_of, is_rgb, sample_bits
from w2l.media.sequence import SEQUENCE_FPS, decoded_pictures, is_sequence, pictures_of, say_rate
from w2l.media.showing import retimer_for
from w2l.media.tone import CURVES, rendered

STILL_BRANDS = frozenset({"avif", "heic", "heix", "mif1"})
"""Brands of files that are built like videos and hold a picture."""


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video file."""

    path: Path
    width: int
    """Pixels, as displayed (after rotation)."""
    height: int
    """Pixels, as displayed (after rotation)."""
    fps: float
    """Frames per second, on average."""
    n_frames: int
    """Estimated number of frames; 0 when unknown."""
    duration_s: float
    """Seconds of picture; 0 when unknown."""
    start_s: float
    """Time of the first picture in the file's clock, seconds: the origin for the sound that belongs to it."""
    end_s: float
    """End of the last picture in seconds from the first, as declared by the stream; 0 if unknown."""
    has_sound: bool
    pixel_aspect: Fraction
    """Width of a pixel over its height, as displayed (after rotation)."""
    colour: Colour
    """How the samples of pictures stand for colours as they are read: of the first one, brought to 4:2:0."""
    interlaced: bool
    """Whether the first picture consists of two fields."""
    codec: str
    """The library's name of the codec, such as h264."""
    is_still: bool
    """Whether the file is a single picture, not a video."""
    has_alpha: bool
    """Whether the pictures are transparent somewhere: the first, where a codec always carries it."""
    chroma: str
    """How finely colours are sampled as displayed (after rotation), such as 4:2:2; 4:2:0 also where they are RGB or
    grey."""
    bits: int = 8
    """Bits per sample in the file; pictures are read with 8 or 10, see `colour`."""
    is_rgb: bool = False
    """Whether the pictures hold RGB."""
    is_sequence: bool = False
    """Whether it is a sequence of pictures, whose rate is chosen."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    idx: int
    """Position, from 0."""
    time_s: float
    """Seconds since the first frame."""
    image: NDArray[np.uint8]
    """(height, width, 3) RGB."""


def probe(path: Path) -> VideoInfo:
    """Return the properties of a video, an image file or a sequence of pictures; the first frame is decoded.

    Raises MediaError for a file that is missing, empty, of no known format, without video, or undecodable.
    """
    if is_sequence(path):
        return _probe_sequence(path)
    with open_input(path) as container:
        stream = video_stream(container, path)
        first = next(decode(container, stream, ReadStats(), retimer_for(path)), None)
        if first is None:
            raise undecodable(path)
        width, height = first.width, first.height
        codec = stream.codec_context.name
        aspect = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1) or Fraction(1)
        chroma = _chroma(first)
        if swaps_axes(display_matrix(first, path)):
            width, height, aspect = height, width, 1 / aspect
            chroma = "4:4:0" if chroma == "4:2:2" else chroma
        fps = stated_rate(stream)
        duration_s = stated_length(container, stream)
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=fps,
            n_frames=stream.frames or round(duration_s * fps),
            duration_s=duration_s,
            start_s=first.time or 0.0,
            end_s=_stated_end(stream, first.time or 0.0),
            has_sound=bool(container.streams.audio),
            pixel_aspect=aspect,
            colour=colour_of(first, codec),
            interlaced=bool(first.interlaced_frame),
            codec=codec,
            is_still=_is_still(container),
            has_alpha=has_alpha_beside(stream) or _has_alpha(first),
            chroma=chroma,
            bits=sample_bits(first.format),
            is_rgb=is_rgb(first.format),
        )


def read_frames(path: Path, stats: ReadStats | None = None) -> Iterator[Frame]:
    """Yield the frames of a video or sequence as displayed, one at a time; a still image gives one.

    Rotation and mirroring of the display matrix are applied. Damaged packets are skipped, counted in `stats` and
    logged. All frames have the size of the first. Raises MediaError as `probe` does.
    """
    stats = ReadStats() if stats is None else stats
    if is_sequence(path):
        yield from _read_sequence(path, stats)
        return
    with open_input(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        clock = Clock(stated_rate(stream))
        converter = _Converter(path)
        try:
            for decoded in decode(container, stream, stats, retimer_for(path)):
                try:
                    image = converter.image(decoded)
                except av.FFmpegError:
                    stats.n_skipped += 1
                    continue
                yield Frame(stats.n_frames, clock.tick(decoded.time), image)
                stats.n_frames += 1
        finally:
            warn_of_damage(path, stats)
    if not stats.n_frames:
        raise undecodable(path)


def sequence_at(info: VideoInfo, fps: float | None) -> VideoInfo:
    """Return what a sequence of pictures is at another rate, which is logged; a video as it is."""
    if not info.is_sequence:
        return info
    rate = fps or SEQUENCE_FPS
    say_rate(info.path, info.n_frames, rate)
    return replace(info, fps=rate, duration_s=info.n_frames / rate, end_s=info.n_frames / rate)


def _probe_sequence(path: Path) -> VideoInfo:
    files = pictures_of(path)
    length_s = len(files) / SEQUENCE_FPS
    return replace(
        probe(files[0]), path=path, fps=SEQUENCE_FPS, n_frames=len(files), duration_s=length_s, start_s=0.0,
        end_s=length_s, has_sound=False, is_still=False, is_sequence=True,
    )  # fmt: skip


def _read_sequence(path: Path, stats: ReadStats) -> Iterator[Frame]:
    files = pictures_of(path)
    converter = _Converter(files[0])
    for _, decoded, _ in decoded_pictures(files):
        yield Frame(stats.n_frames, stats.n_frames / SEQUENCE_FPS, converter.image(decoded))
        stats.n_frames += 1


def at_fps(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Return the video at a constant rate: picture k is the frame whose time is nearest to k / fps.

    The last frame counts as shown for one average frame period. Repeated pictures share one array.
    """
    if fps <= 0:
        raise ValueError(f"fps must be positive, got {fps}")
    previous: Frame | None = None
    n_in, n_out = 0, 0
    for frame in frames:
        # A tie goes to the earlier frame; the tolerance keeps rounding from deciding it.
        while previous is not None and n_out / fps <= (previous.time_s + frame.time_s) / 2 + 1e-9:
            yield replace(previous, idx=n_out, time_s=n_out / fps)
            n_out += 1
        previous = frame
        n_in += 1
    if previous is None:
        return
    end_s = previous.time_s * n_in / (n_in - 1) if n_in > 1 else 0.0
    for idx in range(n_out, max(1, round(end_s * fps))):
        yield replace(previous, idx=idx, time_s=idx / fps)


class _Converter:
    """Converter of decoded frames to upright RGB images, all of the first one's size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._matrix = TURNS[0]

    def image(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """(height, width, 3) RGB, as displayed; high dynamic range rendered as standard range."""
        if self._size is None:
            # Asked of the first frame only: PyAV ties a frame and its side data into a cycle, which keeps its pixels.
            self._size, self._matrix = (frame.width, frame.height), display_matrix(frame, self._path)
        curve = CURVES.get(int(frame.color_trc)) if not frame.format.is_rgb else None
        untagged = frame.colorspace == UNSAID and not frame.format.is_rgb
        rgb = self._reformatter.reformat(
            frame,
            width=self._size[0],
            height=self._size[1],
            format="rgb24" if curve is None else "gbrp16le",
            src_colorspace=colorspace_for(frame.height) if untagged else None,
            interpolation=CONVERSION,
        )
        samples: NDArray[Any] = rgb.to_ndarray()
        if curve is not None:
            samples = np.clip(np.rint(rendered(samples / np.float32(65535), curve)), 0, 255)
        return upright(samples.astype(np.uint8, copy=False), self._matrix)


def _stated_end(stream: Any, start_s: float) -> float:
    """When a stream says that it ends, seconds from its first picture; 0 where it does not say.

    A container counts in the order of decoding, which says when the last picture ends only where it is that of showing.
    """
    if stream.duration is None or stream.time_base is None or stream.codec_context.has_b_frames:
        return 0.0
    return max(0.0, float(((stream.start_time or 0) + stream.duration) * stream.time_base) - start_s)


def _has_alpha(frame: Any) -> bool:
    """Whether a decoded frame shows what is behind it; palettes and GIFs could always."""
    if not (frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)):
        return False
    return not frame.format.is_rgb or bool(frame.reformat(format="rgba").to_ndarray()[..., 3].min() < 255)


def _chroma(frame: Any) -> str:
    """How finely a decoded frame samples colours."""
    kind = frame.format
    if kind.is_rgb or kind.name == "pal8" or len(kind.components) < 3:
        return "4:2:0"
    width, height = kind.chroma_width(8), kind.chroma_height(8)
    names = {(8, 8): "4:4:4", (4, 8): "4:2:2", (8, 4): "4:4:0", (2, 8): "4:1:1", (2, 2): "4:1:0"}
    return names.get((width, height), "4:2:0")


def _is_still(container: Any) -> bool:
    """Whether a container is a picture file's."""
    name = container.format.name
    return bool(name == "image2" or name.endswith("_pipe") or container.metadata.get("major_brand") in STILL_BRANDS)
