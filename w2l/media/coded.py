"""Frames as they are coded: pictures in Y'CbCr with their times, from the beginning or from a key frame on."""

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
"""Frames at the beginning whose times must agree with those of their packets, for packets to be believed."""
MAX_PACKETS = 2000
"""Packets looked at for a key frame after a seek."""
MAX_REORDER_S = 1.0
"""How much later than a frame that follows it in the file a frame may be shown, seconds."""
HOLDS_BACK = frozenset({"hevc"})
"""Decoders that give nothing after a damaged packet until the next key frame unless configured to."""
SAME_TIME_S = 1e-6
"""Largest difference, in seconds, between two times that are one."""


@dataclass(frozen=True, eq=False)
class CodedFrame:
    """One picture of a video as it was coded."""

    idx: int
    """Position, from 0."""
    time_s: float
    """Seconds since the first frame."""
    picture: Picture
    """Its samples, upright."""

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(height, width, 3) RGB; converted when first asked for."""
        return self.picture.rgb()


class Stamp(NamedTuple):
    """What is known of a decoded frame beside its samples."""

    time_s: float | None
    """Its time in the file's clock, seconds; None where it has none."""
    is_key: bool
    """Whether decoding can begin there."""


class CodedReader:
    """A video file open for decoding; use it as a context manager.

    `decoded` gives frames from where the file stands, `picture` makes a picture of one, `rewind` and `seek` move.
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
        """Pictures per second, on average, as the file says."""
        return stated_rate(self._stream)

    @property
    def is_interlaced(self) -> bool:
        """Whether an interlaced frame has come by, so that a picture depends on the ones around it."""
        return self._deinterlacer.is_at_work

    @property
    def length_s(self) -> float:
        """Seconds of picture that the file states; 0 when it does not."""
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
        """Before a key frame at or before a time in the file's clock; False, and anywhere, where none is found.

        It is looked for `margin_s` earlier: a container that does not know its key frames stops between them.
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
        """Yield the library's frames in display order, complete ones instead of fields, with their timestamps."""
        deinterlacer = self._deinterlacer
        retimer = retimer_for(self.path, is_start=not self._has_moved)
        # Alpha beside the pictures is decoded only on demand: it takes another decoder, new wherever reading begins.
        decoder = alpha_decoder(self._stream) if self._colour is not None and self._colour.has_alpha else None
        for frame in decode(self._container, self._stream, self.stats, retimer, decoder):
            if self._maker is None:
                # Asked of the first frame only: PyAV ties a frame and its side data into a cycle, which keeps pixels.
                matrix = display_matrix(frame, self.path)
                self._maker = PictureMaker(self._stream.codec_context.name, matrix, self._colour)
            # libvpx flags no key frames; what it decodes after a seek begins with one.
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
            raise ValueError("a picture is made of a frame that this reader decoded")
        try:
            return self._maker.picture(frame)
        except av.FFmpegError:
            self.stats.n_skipped += 1
            return None


class SequenceReader(CodedReader):
    """A sequence of pictures, read like a video; each picture is opened when its turn comes."""

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
        """(pictures,) Seconds."""
        return np.arange(len(self._files)) / SEQUENCE_FPS

    @property
    def length_s(self) -> float:
        """Seconds of picture."""
        return len(self._files) / SEQUENCE_FPS

    def rewind(self) -> None:
        """Return to the first picture."""
        self._next = 0

    def seek(self, time_s: float, margin_s: float = 0.0) -> bool:
        """Go to the picture shown at a time."""
        self._next = round(time_s * SEQUENCE_FPS)
        return True

    def decoded(self) -> Iterator[tuple[Any, Stamp]]:
        """Yield the library's frames, each with its time."""
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
    """Yield the frames of a video or sequence as they were coded, upright, one at a time; a still image gives one.

    Samples are the decoder's own where the file holds 4:2:0 of 8 or 10 bits; other formats are brought to it, more than
    8 bits to 10, alpha is dropped. With `colour`, pictures have its chroma, alpha and range instead, and samples are
    the decoder's own where the file holds these, see `w2l.media.form`. Frames flagged as interlaced are made whole.
    Damaged packets are passed over, counted in `stats` and logged. All pictures have the size of the first. With
    `start_s`, frames before that time are decoded and counted but not given. Raises MediaError as `probe` does.
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
    """When each frame is shown, (frames,) in seconds since the first, without decoding them all.

    Taken from the packets where these are complete, in order and agree with the first frames; else from the frames.
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
    """When each frame is shown, as `frame_times`; of a sequence of pictures, at the rate that `info` has."""
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
