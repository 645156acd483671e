"""Read frames as they are coded: pictures in Y'CbCr with their times, from the start or from a key frame."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from w2l.media.container import (
    MAX_GAP_S,
    Clock,
    ReadStats,
    alpha_decoder,
    decode,
    open_input,
    packets,
    stated_length,
    stated_rate,
    undecodable,
    video_stream,
    warn_of_damage,
)
from w2l.media.display import display_matrix
from w2l.media.picture import Colour, Picture
from w2l.media.planar import Deinterlacer, PictureMaker
from w2l.media.sequence import SEQUENCE_FPS, decoded_pictures, is_sequence, pictures_of
from w2l.media.showing import retimer_for
from w2l.media.video import VideoInfo

N_COMPARED = 8
"""Number of first frames whose times must equal those of their packets for packet times to be used."""
MAX_PACKETS = 2000
"""Most packets examined for a key frame after a seek."""
MAX_REORDER_S = 1.0
"""Longest time, in seconds, by which a frame may be shown after one that follows it in the file."""
HOLDS_BACK = frozenset({"hevc"})
"""Decoders that return nothing after a damaged packet until the next key frame, unless a flag is set."""
SAME_TIME_S = 1e-6
"""Largest difference, in seconds, between two times that count as equal."""


@dataclass(frozen=True, eq=False)
class CodedFrame:
    """One picture of a video as it was coded."""

    idx: int
    """Position, from 0."""
    time_s: float
    """Seconds since the first frame."""
    picture: Picture
    """Samples, rotated upright."""

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(height, width, 3) RGB; converted on first access."""
        return self.picture.rgb()


class Stamp(NamedTuple):
    """Time and kind of a decoded frame."""

    time_s: float | None
    """Time in the file's clock, seconds; None if unknown."""
    is_key: bool
    """Whether decoding can start at this frame."""


class CodedReader:
    """A video file open for decoding; use it as a context manager.

    `decoded` yields frames from the current position, `picture` converts one, `rewind` and `seek` change the position.
    `colour`: see `read_coded`. Raises MediaError as `probe` does.
    """

    def __init__(self, path: Path, stats: ReadStats | None = None, colour: Colour | None = None) -> None:
        self.path = path
        self._colour = colour
        self.stats = ReadStats() if stats is None else stats
        self._maker: PictureMaker | None = None
        self._deinterlacer = Deinterlacer(False)
        self._has_moved = False
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "CodedReader":
        self.rewind()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def fps(self) -> float:
        """Average frame rate that the file states, per second."""
        return stated_rate(self._stream)

    @property
    def is_interlaced(self) -> bool:
        """Whether an interlaced frame was decoded, so that each picture depends on its neighbours."""
        return self._deinterlacer.is_at_work

    @property
    def length_s(self) -> float:
        """Length of the video in seconds that the file states; 0 if it states none."""
        return stated_length(self._container, self._stream)

    def rewind(self) -> None:
        """Return to the beginning by reopening the file."""
        self._open.close()
        self._container: Any = self._open.enter_context(open_input(self.path))
        self._stream = video_stream(self._container, self.path)
        self._stream.thread_type = "AUTO"
        if self._stream.codec_context.name in HOLDS_BACK:
            self._stream.codec_context.flags |= av.codec.context.Flags.output_corrupt
        self._deinterlacer = Deinterlacer(False)
        self._has_moved = False

    def seek(self, time_s: float, margin_s: float = 0.0) -> bool:
        """Go to a key frame at or before a time in the file's clock; return False, anywhere, if none is found.

        The search starts `margin_s` earlier, as a container without an index of key frames stops between them.
        """
        self._deinterlacer = Deinterlacer(self.is_interlaced)
        self._has_moved = True
        unit = self._stream.time_base
        target, latest, given_up = (round(at / unit) for at in (time_s - margin_s, time_s, time_s + MAX_REORDER_S))
        try:
            self._container.seek(target, stream=self._stream)
            for packet in itertools.islice(self._container.demux(self._stream), MAX_PACKETS):
                if packet.pts is None:
                    continue
                if packet.is_keyframe and packet.pts <= latest:
                    self._container.seek(target, stream=self._stream)
                    return True
                if packet.is_keyframe or packet.pts > given_up:
                    return False
        except (av.FFmpegError, OSError, OverflowError, IndexError):
            return False
        return False

    def decoded(self) -> Iterator[tuple[Any, Stamp]]:
        """Yield the decoded frames (PyAV's) in display order, deinterlaced, with their timestamps."""
        deinterlacer = self._deinterlacer
        retimer = retimer_for(self.path, is_start=not self._has_moved)
        # Alpha in a stream of its own is decoded only on demand, by a decoder created where reading starts.
        decoder = alpha_decoder(self._stream) if self._colour is not None and self._colour.has_alpha else None
        for frame in decode(self._container, self._stream, self.stats, retimer, decoder):
            if self._maker is None:
                # Read from the first frame only: PyAV ties a frame and its side data into a cycle that keeps pixels.
                matrix = display_matrix(frame, self.path)
                self._maker = PictureMaker(self._stream.codec_context.name, matrix, self._colour)
            # libvpx does not flag key frames; the first frame after a seek is one.
            yield from deinterlacer.push(frame, Stamp(frame.time, bool(frame.key_frame) or decoder is not None))
        yield from deinterlacer.flush()

    def packet_times(self) -> list[float] | None:
        """Return the times, in the file's clock, of the packets with frames, in file order; None if one is missing."""
        stats = ReadStats()
        times = []
        for packet in packets(self._container, self._stream, stats):
            if packet is None or not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            times.append(float(packet.pts * packet.time_base))
        return None if stats.n_skipped else times

    def picture(self, frame: Any) -> Picture | None:
        """Return the picture of a decoded frame; None, counted as damaged, if it cannot be converted."""
        if self._maker is None:
            raise ValueError("picture() needs a frame that this reader has decoded")
        try:
            return self._maker.picture(frame)
        except av.FFmpegError:
            self.stats.n_skipped += 1
            return None


class SequenceReader(CodedReader):
    """Reader of a sequence of pictures, with the interface of a video; each file is opened when it is needed."""

    def __init__(self, path: Path, stats: ReadStats | None = None, colour: Colour | None = None) -> None:
        super().__init__(path, stats, colour)
        self._files = pictures_of(path)
        self._next = 0

    @property
    def fps(self) -> float:
        """Pictures per second."""
        return SEQUENCE_FPS

    @property
    def times(self) -> NDArray[np.float64]:
        """Times of the pictures, (pictures,) in seconds."""
        return np.arange(len(self._files)) / SEQUENCE_FPS

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return len(self._files) / SEQUENCE_FPS

    def rewind(self) -> None:
        """Return to the first picture."""
        self._next = 0

    def seek(self, time_s: float, margin_s: float = 0.0) -> bool:
        """Go to the picture shown at a time."""
        self._next = round(time_s * SEQUENCE_FPS)
        return True

    def decoded(self) -> Iterator[tuple[Any, Stamp]]:
        """Yield the decoded frames (PyAV's), each with its time."""
        first = self._next
        for idx, (file, frame, codec) in enumerate(decoded_pictures(self._files[first:]), start=first):
            if self._maker is None:
                self._maker = PictureMaker(codec, display_matrix(frame, file), self._colour)
            yield frame, Stamp(idx / SEQUENCE_FPS, True)

    def packet_times(self) -> list[float] | None:
        """Return the times of all pictures."""
        return list(self.times)


def open_coded(path: Path, stats: ReadStats | None = None, colour: Colour | None = None) -> CodedReader:
    """Return the reader of a video file or of a sequence of pictures."""
    return SequenceReader(path, stats, colour) if is_sequence(path) else CodedReader(path, stats, colour)


def read_coded(
    path: Path, stats: ReadStats | None = None, *, start_s: float | None = None, colour: Colour | None = None
) -> Iterator[CodedFrame]:
    """Yield the frames of a video or sequence as they were coded, upright, one at a time; a still image yields one.

    Samples of 4:2:0 with 8 or 10 bits are returned as decoded; other formats are converted to it, with 10 bits if they
    have more than 8, and alpha is dropped. With `colour`, pictures are converted to its chroma, alpha and range
    instead, unless the file has them already; see `w2l.media.form`. Frames flagged as interlaced are deinterlaced.
    Damaged packets are skipped, counted in `stats` and logged. All pictures have the size of the first. With
    `start_s`, frames before that time are decoded and counted but not returned. Raises MediaError as `probe` does.
    """
    n_seen = 0
    with open_coded(path, stats, colour) as reader:
        clock = Clock(reader.fps)
        try:
            for decoded, stamp in reader.decoded():
                idx, time_s = n_seen, clock.tick(stamp.time_s)
                wanted = start_s is None or time_s >= start_s - SAME_TIME_S
                picture = reader.picture(decoded) if wanted else None
                if picture is None and wanted:
                    continue
                n_seen += 1
                if picture is not None:
                    reader.stats.n_frames += 1
                    yield CodedFrame(idx, time_s, picture)
        finally:
            warn_of_damage(path, reader.stats)
    if not n_seen:
        raise undecodable(path)


def frame_times(path: Path) -> NDArray[np.float64]:
    """Return the time of each frame, (frames,) in seconds since the first, if possible without decoding them all.

    The times are those of the packets if these are complete, plausible and equal to the times of the first frames; else
    all frames are decoded.
    """
    with open_coded(path) as reader:
        clock = Clock(reader.fps)
        stamped = [stamp.time_s for _, (_, stamp) in zip(range(N_COMPARED), reader.decoded())]
        first = [clock.tick(time_s) for time_s in stamped]
        is_plain = bool(stamped) and not reader.is_interlaced and None not in stamped
        reader.rewind()
        packet_times = reader.packet_times() if is_plain else None
        times = None if packet_times is None else _shown_times(packet_times, stamped[0] or 0.0)
        if times is not None and len(first) <= len(times) and np.allclose(times[: len(first)], first, atol=SAME_TIME_S):
            return times
        reader.rewind()
        clock = Clock(reader.fps)
        times = np.array([clock.tick(stamp.time_s) for _, stamp in reader.decoded()])
    if not len(times):
        raise undecodable(path)
    return times


def shown_times(info: VideoInfo) -> NDArray[np.float64]:
    """Return the result of `frame_times`; for a sequence of pictures, the times at the rate of `info`."""
    times = frame_times(info.path)
    return np.arange(len(times)) / info.fps if info.is_sequence else times


def _shown_times(times: list[float], origin_s: float) -> NDArray[np.float64] | None:
    """Return the times of packets since `origin_s`, sorted, (packets,) in seconds; None if implausible."""
    shown = np.sort(np.array(times)) - origin_s
    shown = shown[shown >= -SAME_TIME_S]
    steps = np.diff(shown)
    if not len(shown) or (len(steps) and (steps.min() <= SAME_TIME_S or steps.max() > MAX_GAP_S)):
        return None
    return np.asarray(np.maximum(shown, 0.0), dtype=np.float64)
