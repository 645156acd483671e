"""Opening media files and decoding one stream of them, past damage: what `video` and `audio` share."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from w2l.core.errors import MediaError

log = logging.getLogger(__name__)

MAX_GAP_S = 600.0
"""A longer hole between timestamps, in seconds, is a broken clock and not a pause."""
MAX_STEP_BACK_S = 0.5
"""Timestamps that jump back further than this, in seconds, start a new clock; smaller steps back are jitter."""
USUAL_RATE = 25.0
"""Pictures per second of a stream that does not say."""
MAX_READ_ERRORS = 100
"""Failed reads in a row after which the rest of a file counts as unreadable."""


@dataclass
class ReadStats:
    """What a reader met on its way; filled in while it reads."""

    n_frames: int = 0
    """Frames given out."""
    n_skipped: int = 0
    """Damaged packets that were passed over."""


def open_input(path: Path) -> AbstractContextManager[InputContainer]:
    """An open container for a file that exists, is not empty and is of a known format; MediaError otherwise."""
    if path.is_dir():
        raise MediaError(f"{path}: is a folder, not a media file; name the file itself")
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty; copy or record it again")
    try:
        # The absolute path keeps a colon in a relative name from being read as a protocol.
        return av.open(str(path.absolute()), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{path}: not a readable video, picture or sound ({reason}); try to play it") from error


def packets(container: InputContainer, stream: Any, stats: ReadStats) -> Iterator[Any]:
    """All packets of a stream, the empty one that flushes the decoder last; reading goes on after an error."""
    n_errors = 0
    while n_errors < MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                n_errors = 0
                yield packet
            return
        except IndexError:
            # At the end PyAV asks for every stream of the file, and fails for one that came up after it was opened.
            break
        except av.FFmpegError as error:
            n_errors += 1
            stats.n_skipped += 1
            log.debug("read error: %s", error)
    yield None


def decode(container: InputContainer, stream: Any, stats: ReadStats) -> Iterator[Any]:
    """All frames of a stream that can be decoded, in order; damaged packets are counted in `stats` and passed over.

    `stream` and the frames are PyAV's, of video or audio alike.
    """
    for packet in packets(container, stream, stats):
        try:
            frames = stream.decode(packet)
        except av.FFmpegError as error:
            if isinstance(error, av.error.EOFError):
                continue
            stats.n_skipped += 1
            log.debug("damaged packet: %s", error)
            continue
        yield from frames


def warn_of_damage(path: Path, stats: ReadStats) -> None:
    """Log one line when something in the file had to be passed over."""
    if stats.n_skipped:
        log.warning("%s: %d damaged packets passed over", path, stats.n_skipped)


def stated_rate(stream: Any) -> float:
    """Pictures per second of a video stream, on average, as its file says."""
    return float(stream.average_rate or stream.guessed_rate or 0) or USUAL_RATE


def video_stream(container: Any, path: Path) -> Any:
    """The best video stream that is no cover picture of a sound file."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise MediaError(f"{path}: holds no video; name a video or picture file")
    best = container.streams.best("video")
    return best if best in streams else streams[0]


class Clock:
    """Turns presentation times into seconds since the first frame that never run back."""

    def __init__(self, fps: float) -> None:
        self._period_s = 1 / fps
        self._origin_s = 0.0
        self._last_s: float | None = None

    def tick(self, time_s: float | None) -> float:
        """Seconds since the first frame, for a frame with this time in the file (None: it has none)."""
        if self._last_s is None:
            self._origin_s = time_s or 0.0
            self._last_s = 0.0
            return 0.0
        expected_s = self._last_s + self._period_s
        elapsed_s = expected_s if time_s is None else time_s - self._origin_s
        if not -MAX_STEP_BACK_S <= elapsed_s - self._last_s <= MAX_GAP_S:
            self._origin_s += elapsed_s - expected_s
            elapsed_s = expected_s
        self._last_s = max(self._last_s, elapsed_s)
        return self._last_s


def stated_length(container: Any, stream: Any) -> float:
    """Seconds of a stream, or of its container where the stream does not say; 0 when unknown."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(container.duration / av.time_base)
    return 0.0
