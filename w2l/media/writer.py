"""Video out: pictures as H.264 with their sound, in a file that appears whole or not at all."""

import contextlib
import glob
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from w2l.errors import MediaError
from w2l.locks import is_alive
from w2l.media.container import open_input
from w2l.media.soundtrack import inspect_speech, sound_packets
from w2l.media.video import CONVERSION, colorspace_for

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Endings that can be written."""
COLOUR_TAG = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}
"""H.264 code points for matrix, primaries and transfer: BT.709 or SMPTE 170M."""
PRESET = "fast"
"""x264's trade of time for size; the quality is set by `crf`."""


class VideoWriter:
    """Writes pictures at a constant rate, and the sound of a file beside them; use it as a context manager.

    Sound and picture start together. The sound is copied when the container takes its codec and can say where it
    begins, else encoded as AAC at 192 kb/s. Everything goes to a hidden temporary file in the same folder, which takes
    the final name when the block ends well and is removed when it does not. Memory does not grow with length.

    Parameters
    ----------
    path : Path
        Ends in .mp4, .m4v, .mov or .mkv.
    width, height : int
        Size of the pictures, pixels; odd sizes are padded to even by repeating the last column or row.
    fps : float
        Pictures per second.
    speech : Path, optional
        Any file with sound. Its first sample falls on the first picture.
    speech_origin_s : float, optional
        Time in the clock of `speech` that falls on the first picture instead: `VideoInfo.start_s` for a video's own.
    until_s : float, optional
        The sound is cut there, in seconds (copied sound at the end of a packet); without it, it goes on to its end.
    crf : int
        x264's quality, 0 (lossless) to 51.

    Raises MediaError before any work for an ending or a folder that cannot be written, and for unusable speech.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        *,
        speech: Path | None = None,
        speech_origin_s: float | None = None,
        until_s: float | None = None,
        crf: int = 18,
    ) -> None:
        if width < 1 or height < 1 or fps <= 0:
            raise ValueError(f"a video of {width} x {height} pixels at {fps} fps cannot be")
        self.path = path
        self._size = (height, width)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._crf = crf
        self._speech = None if speech is None else inspect_speech(speech, speech_origin_s, until_s)
        self._partial = path.with_name(f".{path.stem}.tmp-{os.getpid()}{path.suffix}")
        self._resources = contextlib.ExitStack()
        self._reformatter = VideoReformatter()
        self._n_written = 0
        _check_writable(path, self._partial)
        _sweep(path)

    def __enter__(self) -> "VideoWriter":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._abandon)
            with self._named_errors():
                self._open()
            on_failure.pop_all()
        return self

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append one picture, (height, width, 3) RGB, and the sound that goes with it."""
        if image.shape != (*self._size, 3) or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 image {(*self._size, 3)}, got {image.dtype} {image.shape}")
        height, width = self._size
        padded = (
            np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else image
        )
        colorspace = colorspace_for(height)
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24"),
            format="yuv420p",
            dst_colorspace=colorspace,
            dst_color_range=ColorRange.MPEG,
            interpolation=CONVERSION,
        )
        frame.pts, frame.time_base = self._n_written, 1 / self._rate
        self._n_written += 1
        with self._named_errors():
            self._output.mux(self._video.encode(frame))
            self._feed_sound(float(self._n_written / self._rate))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._abandon)
            if kind is None:
                self._finish()
                on_failure.pop_all()

    def _open(self) -> None:
        muxer = MUXERS[self.path.suffix.lower()]
        options = {} if muxer == "matroska" else {"movflags": "+faststart"}
        self._output: OutputContainer = av.open(
            str(self._partial.absolute()), "w", format=muxer, container_options=options
        )
        self._resources.callback(self._output.close)
        self._video = self._video_stream(self._output)
        self._sound: Iterator[tuple[float, Any]] = iter(())
        if self._speech is not None:
            source = self._resources.enter_context(open_input(self._speech.path))
            self._sound = sound_packets(self._speech, source, self._output)
        self._next_sound = next(self._sound, None)

    def _video_stream(self, output: OutputContainer) -> Any:
        height, width = self._size
        stream: Any = output.add_stream("libx264", rate=self._rate, options={"crf": str(self._crf), "preset": PRESET})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / self._rate
        tag = COLOUR_TAG[colorspace_for(height)]
        context.colorspace = context.color_primaries = context.color_trc = tag
        context.color_range = ColorRange.MPEG
        return stream

    def _feed_sound(self, until_s: float) -> None:
        """Write the sound that is due before `until_s`, so that sound and picture lie side by side in the file."""
        while self._next_sound is not None and self._next_sound[0] < until_s:
            self._output.mux(self._next_sound[1])
            self._next_sound = next(self._sound, None)

    def _finish(self) -> None:
        if not self._n_written:
            raise MediaError(f"{self.path}: no picture was written to it; check that the input has frames")
        with self._named_errors():
            self._output.mux(self._video.encode(None))
            self._feed_sound(float("inf"))
            self._resources.close()
            with self._partial.open("rb+") as file:
                os.fsync(file.fileno())
            self._partial.replace(self.path)

    def _abandon(self) -> None:
        """Close what is open and leave no file behind; the error that led here is the one to report."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._resources.close()
        self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn the library's errors into one that names the file."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MediaError(f"{self.path}: writing failed ({reason}); check the disk's free space") from error


def _sweep(path: Path) -> None:
    """Removes what killed processes left half-written of the same output."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.tmp-*{path.suffix}"):
        pid = left.stem.rpartition("-")[2]
        if pid.isdecimal() and not is_alive(int(pid)):
            left.unlink(missing_ok=True)


def _check_writable(path: Path, partial: Path) -> None:
    """MediaError unless a video of that name can be made there."""
    if path.suffix.lower() not in MUXERS:
        raise MediaError(f"{path}: cannot write {path.suffix or 'a name without ending'}; use {', '.join(MUXERS)}")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; name a file in it")
    try:
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise MediaError(
            f"{path}: cannot be written ({error.strerror}); choose a folder that exists and is yours"
        ) from error
