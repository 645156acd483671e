"""Open media files and decode one of their streams, skipping damaged packets; shared by `video` and `audio`."""

import logging
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import av.logging
from av.container import InputContainer
from av.stream import Disposition

from w2l.core.errors import ConfigError, MediaError
from w2l.core.limits import PREFIX, limits, spend
from w2l.core.urls import REMEDY, url_in_path

log = logging.getLogger(__name__)

MAX_GAP_S = 600.0
"""Largest plausible gap between timestamps, in seconds; a longer one is a broken clock."""
MAX_STEP_BACK_S = 0.5
"""Step back of timestamps, in seconds, from which a new clock starts; smaller ones are jitter."""
USUAL_RATE = 25.0
"""Frame rate assumed for streams that do not specify one."""
MAX_RATE = 1000.0
"""Largest plausible frame rate; a larger one is a broken header."""
MAX_READ_ERRORS = 100
"""Failed reads in a row after which the rest of a file counts as unreadable."""
FORMATS = (
    "mov,mp4,matroska,webm,avi,flv,asf,mpeg,mpegts,mpegvideo,h261,h263,h264,hevc,vvc,evc,av1,obu,ivf,m4v,mjpeg,dv,"
    "gxf,mxf,nut,rm,swf,nsv,dnxhd,dirac,vc1,yuv4mpegpipe,wtv,aac,ac3,eac3,aiff,amr,ape,au,caf,dsf,dts,dtshd,flac,"
    "loas,mp3,mpc,mpc8,oga,ogg,tak,truehd,tta,voc,w64,wav,wv,image2,gif,apng,ico,jpegxl_anim,bmp_pipe,dds_pipe,"
    "dpx_pipe,exr_pipe,gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,pam_pipe,pbm_pipe,pcx_pipe,"
    "pgm_pipe,pgmyuv_pipe,pgx_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe,"
    "xbm_pipe,xpm_pipe,xwd_pipe"
)
"""Supported formats, by FFmpeg's names: those that contain pictures and audio themselves. Playlists, lists and scripts
(concat, hls, dash, sdp, svg) refer to other files, and text would be rendered as video (tty)."""
PLAIN_INPUT = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "pattern_type": "none"}
"""Options that restrict FFmpeg to the given file: no lists, no network, no patterns in file names."""
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Codecs whose alpha is a stream of its own beside the pictures, which the usual decoder leaves out -> one that
decodes it."""
WEBP_FLAGS, WEBP_IS_ANIMATED = 20, 2
"""Where an extended WebP file has its flags, and the one of an animation, which the library does not decode."""
TOO_LARGE = re.compile(r"size (\d+)x(\d+) exceeds specified max pixel count")
"""FFmpeg's message for a picture beyond its limit."""


@dataclass
class ReadStats:
    """Statistics of a reader, updated while it reads."""

    n_frames: int = 0
    """Number of frames returned."""
    n_skipped: int = 0
    """Number of damaged packets skipped."""


def open_input(path: Path, options: Mapping[str, str] | None = None) -> AbstractContextManager[InputContainer]:
    """Open a media file; the only place where one is opened for reading.

    Only `FORMATS` are supported, and no other file is opened through it. `options` are those of the demuxer.

    Raises MediaError if the file is missing, empty, not a regular file, or of another format.
    """
    _check_file(path)
    try:
        # The absolute path keeps a colon in a relative name from being read as a protocol.
        return av.open(
            str(path.absolute()),
            options={"max_pixels": _max_pixels()},
            container_options={**(options or {}), **PLAIN_INPUT},
            metadata_errors="replace",
        )
    except av.error.ArgumentError as error:
        raise MediaError(
            f"{path}: not a video, picture or audio file of a supported format; playlists and lists are not supported"
        ) from error
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{path}: not a readable video, picture or audio file ({reason}); try to play it") from error


def _check_file(path: Path) -> None:
    """Raise MediaError for a missing, empty or special file, and ConfigError for a URL."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if url := url_in_path(path):
            raise ConfigError(f"{url} {REMEDY}") from error
        raise MediaError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path}: cannot be opened ({reason}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{path}: is a folder, not a media file; choose a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{path}: is a pipe or a device, not a file; write its content to a file first")
    if status.st_size == 0:
        raise MediaError(f"{path}: the file is empty; copy or record it again")


def _max_pixels() -> str:
    return str(round(1e6 * limits().megapixels))


def packets(container: InputContainer, stream: Any, stats: ReadStats) -> Iterator[Any]:
    """Yield all packets of a stream, last the empty one that flushes the decoder; reading continues after an error."""
    n_errors = 0
    while n_errors < MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                n_errors = 0
                yield packet
            return
        except IndexError:
            # At the end PyAV looks up every stream of the file, and fails for one that appeared after opening.
            break
        except av.FFmpegError as error:
            n_errors += 1
            stats.n_skipped += 1
            log.debug("read error: %s", error)
    yield None


class Retimer(Protocol):
    """Corrector of the times of frames during decoding."""

    def feed(self, packet: Any) -> None:
        """Take note of a packet on its way into the decoder."""

    def correct(self, frame: Any) -> None:
        """Set the time of the next frame that the decoder gives."""


def decode(
    container: InputContainer, stream: Any, stats: ReadStats, retimer: Retimer | None = None, decoder: Any = None
) -> Iterator[Any]:
    """Yield all frames of a stream that can be decoded, in order; damaged packets are skipped and counted in `stats`.

    `stream` and the frames are PyAV's, of video or audio alike; `retimer` sets their times, and `decoder`, a codec
    context, takes the place of the stream's own.
    """
    decoder = stream if decoder is None else decoder
    for packet in packets(container, stream, stats):
        if retimer is not None:
            retimer.feed(packet)
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError as error:
            if isinstance(error, av.error.EOFError):
                continue
            stats.n_skipped += 1
            log.debug("damaged packet: %s", error)
            continue
        for frame in frames:
            spend(frame.width * frame.height if isinstance(frame, av.VideoFrame) else 0)
            if retimer is not None:
                retimer.correct(frame)
            yield frame


def warn_of_damage(path: Path, stats: ReadStats) -> None:
    """Log one line if packets were skipped."""
    if stats.n_skipped:
        log.warning("%s: skipped %d damaged packets", path, stats.n_skipped)


def stated_rate(stream: Any) -> float:
    """Return the average frame rate of a video stream that its file declares.

    A bare stream without times, such as a .h264 file, has only the rate in its codec's headers; what the library takes
    for its average is a default.
    """
    is_bare = stream.start_time is None and stream.duration is None
    rate = float((stream.guessed_rate if is_bare else None) or stream.average_rate or stream.guessed_rate or 0)
    return rate if rate <= MAX_RATE else USUAL_RATE


def is_decodable(stream: Any) -> bool:
    """Return whether a decoder exists for a stream; PyAV gives a stream of an unknown codec no context."""
    return stream.codec_context is not None


def codec_name(stream: Any) -> str:
    """Return FFmpeg's name of a stream's codec, or ``unknown``."""
    return str(stream.codec_context.codec.canonical_name) if is_decodable(stream) else "unknown"


def video_stream(container: Any, path: Path) -> Any:
    """Return the best video stream that is not the cover picture of an audio file."""
    shown = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not shown:
        raise MediaError(f"{path}: holds no video; name a video or picture file")
    streams = [stream for stream in shown if is_decodable(stream)]
    if not streams:
        raise MediaError(f"{path}: its video has an unknown codec; convert it, for example to H.264")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    _check_size(path, stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": _max_pixels()}
    return stream


def has_alpha_beside(stream: Any) -> bool:
    """Return whether a stream of video says that alpha lies beside its pictures, as WebM has it."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())


def alpha_decoder(stream: Any) -> Any:
    """Return the decoder that also gives alpha, where it is not the stream's own; None where that one does, or none."""
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or name not in av.codecs_available or not has_alpha_beside(stream):
        return None
    decoder = av.CodecContext.create(name, "r")
    decoder.options = {"max_pixels": _max_pixels()}
    return decoder


def _check_size(path: Path, width: int, height: int) -> None:
    """Raise MediaError for pictures that are too large."""
    most = limits().megapixels
    if width * height > 1e6 * most:
        raise MediaError(
            f"{path}: pictures of {width}x{height} are too large, the limit is {most:g} megapixels; scale them down, or"
            f" raise {PREFIX}MEGAPIXELS"
        )


def undecodable(path: Path) -> MediaError:
    """Return the error for a file whose pictures cannot be decoded: too large, animated WebP, or damaged."""
    with path.open("rb") as file:
        head = file.read(WEBP_FLAGS + 1)
    if head[8:16] == b"WEBPVP8X" and head[-1] & WEBP_IS_ANIMATED:
        return MediaError(f"{path}: an animated WebP cannot be decoded; save it as GIF, APNG or a video")
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)  # else the library does not say why
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as said, open_input(path) as container:
            next(decode(container, video_stream(container, path), ReadStats()), None)
        for found in filter(None, (TOO_LARGE.search(message) for _, _, message in said)):
            _check_size(path, int(found[1]), int(found[2]))
    except MediaError as error:
        return error
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)
    return MediaError(f"{path}: no picture can be decoded; the file is damaged, use another copy")


class Clock:
    """Converter of presentation times to non-decreasing seconds since the first frame."""

    def __init__(self, fps: float) -> None:
        self._period_s = 1 / fps
        self._origin_s = 0.0
        self._last_s: float | None = None

    def tick(self, time_s: float | None) -> float:
        """Return the seconds since the first frame of a frame with this time in the file (None: it has none)."""
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
    """Return the length in seconds of a stream, or of its container if unspecified; 0 if unknown."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(container.duration / av.time_base)
    return 0.0
