"""Video out: pictures, encoded, with their sound, in a file that appears whole or not at all."""

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.media.encoders import Encoding, Shape, VideoEncoder, choose_encoder, rgb_colour
from w2l.media.picture import Colour, Picture
from w2l.media.soundtrack import inspect_speech
from w2l.media.streams import Beside, inspect_kept
from w2l.media.unfinished import Unfinished

VARIABLE_BASE = Fraction(1, 90000)
"""Seconds per unit of the timestamps of a video with a variable rate."""


class VideoWriter:
    """Writes pictures, and the sound of a file beside them; use it as a context manager.

    Sound and picture start together. The sound is copied when the container takes its codec and can say where it
    begins, else encoded (AAC at 192 kb/s; Opus in WebM). Everything goes to a hidden temporary file in the same folder,
    which takes the final name when the block ends well and is removed when it does not. Memory does not grow with
    length.

    Parameters
    ----------
    path : Path
        Ends in .mp4, .m4v, .mov, .mkv or .webm (AV1 alone).
    width, height : int
        Size of the pictures, pixels; odd sizes are padded to even by repeating the last column or row.
    fps : float
        Pictures per second; with `variable`, their average, and how long the last one is shown.
    colour : Colour, optional
        Of the pictures; by default that of the first.
    pixel_aspect : Fraction
        Width of a pixel over its height.
    speech : Path, optional
        Any file with sound. Its first sample falls on the first picture.
    speech_origin_s : float, optional
        Time in the clock of `speech` that falls on the first picture instead: `VideoInfo.start_s` for a video's own.
    until_s : float, optional
        When the video ends, in seconds: sound and subtitles are cut there, and with `variable` the last picture lasts
        till then. Copied sound ends with the packet that holds that time (AAC: at most 23 ms later), of which the
        container says that only the part before it counts. Without it, the sound goes on to its end.
    speech_until_s : float, optional
        When the speech alone is cut, if not at `until_s`; infinity for not at all.
    encoding : Encoding
        Codec, quality and speed.
    keep : Path, optional
        A source whose further sound, subtitles, chapters and metadata come along; with `speech`, that takes the place
        of the stream of sound a player would choose, else all sound is kept.
    keep_origin_s : float, optional
        Time in the clock of `keep` that falls on the first picture; without it, that of its own first picture.
    variable : bool
        Pictures come with times, which are kept to 1/90000 s (Matroska rounds them to milliseconds).

    Raises MediaError before any work for an ending or a folder that cannot be written, and for unusable speech.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        *,
        colour: Colour | None = None,
        pixel_aspect: Fraction = Fraction(1),
        speech: Path | None = None,
        speech_origin_s: float | None = None,
        until_s: float | None = None,
        speech_until_s: float | None = None,
        encoding: Encoding | None = None,
        keep: Path | None = None,
        keep_origin_s: float | None = None,
        variable: bool = False,
    ) -> None:
        self.path = path
        self._encoding = encoding or Encoding()
        self._shape = shape_of(width, height, fps, pixel_aspect, variable)
        self._variable = variable
        self._colour = colour
        self._until_s = until_s
        speech_until_s = until_s if speech_until_s is None else speech_until_s
        sound = None if speech is None else inspect_speech(speech, speech_origin_s, speech_until_s)
        self._file = Unfinished(path, self._encoding.codec)
        muxer = self._file.muxer
        kept = None if keep is None else inspect_kept(keep, muxer, keep_origin_s, until_s, sound is not None)
        self._beside = Beside(sound, kept)
        self._encoder: VideoEncoder | None = None
        self._output: Any = None
        self._pending: tuple[Any, int] | None = None
        self._n_written = 0

    def __enter__(self) -> "VideoWriter":
        return self

    def write(self, picture: Picture | NDArray[np.uint8], time_s: float | None = None) -> None:
        """Append one picture, or RGB image (height, width, 3), and the sound that goes with it.

        `time_s`, seconds from the start of the video, says when it is shown where the rate is variable.
        """
        size = (self._shape.height, self._shape.width)
        if isinstance(picture, Picture):
            if (picture.height, picture.width) != size:
                raise ValueError(f"expected a picture of {size}, got {(picture.height, picture.width)}")
        elif picture.shape != (*size, 3) or picture.dtype != np.uint8:
            raise ValueError(f"expected a uint8 image {(*size, 3)}, got {picture.dtype} {picture.shape}")
        with self._file.named_errors():
            if self._encoder is None:
                self._start(picture)
            assert self._encoder is not None
            frame = self._encoder.frame(picture)
            pts = self._pts(time_s)
            self._encode_pending(pts)
        self._pending = (frame, pts)
        self._n_written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._abandon)
            if kind is None:
                self._finish()
                on_failure.pop_all()

    def _start(self, first: Picture | NDArray[np.uint8]) -> None:
        colour = self._colour or (first.colour if isinstance(first, Picture) else rgb_colour(self._shape.height))
        name = choose_encoder(self._encoding, self._shape, colour)
        self._output = self._file.open()
        self._encoder = VideoEncoder(self.path, self._output, name, self._encoding, self._shape, colour)
        self._beside.start(self._output)

    def _pts(self, time_s: float | None) -> int:
        if not self._variable:
            return self._n_written
        if time_s is None:
            raise ValueError("at a variable rate every picture comes with its time")
        last = -1 if self._pending is None else self._pending[1]
        return max(last + 1, round(time_s / self._shape.time_base))

    def _encode_pending(self, following: int) -> None:
        """Encode the picture before the one at `following`, for now it is known how long it is shown."""
        if self._pending is None or self._encoder is None:
            return
        frame, pts = self._pending
        self._output.mux(self._encoder.encode(frame, pts, following - pts))
        self._beside.feed(self._output, float(following * self._shape.time_base))

    def _finish(self) -> None:
        if self._pending is None or self._encoder is None:
            raise MediaError(f"{self.path}: no picture was written to it; check that the input has frames")
        pts = self._pending[1]
        with self._file.named_errors():
            self._encode_pending(end_of(pts, self._shape, self._until_s if self._variable else None))
            self._output.mux(self._encoder.flush())
            self._beside.feed(self._output)
            self._beside.close()
        self._output = None
        self._file.finish()

    def _abandon(self) -> None:
        self._output = None
        self._file.abandon()
        self._beside.close()


def shape_of(width: int, height: int, fps: float, pixel_aspect: Fraction, variable: bool) -> Shape:
    """What the pictures of a video have in common; ValueError where there can be no such video."""
    if width < 1 or height < 1 or fps <= 0:
        raise ValueError(f"a video of {width} x {height} pixels at {fps} fps cannot be")
    rate = Fraction(fps).limit_denominator(1001)
    return Shape(width, height, rate, VARIABLE_BASE if variable else 1 / rate, pixel_aspect)


def end_of(last: int, shape: Shape, until_s: float | None) -> int:
    """Where the last picture, shown from the timestamp `last` on, ends: at `until_s`, or after one usual period."""
    end = last if until_s is None else round(until_s / shape.time_base)
    return end if end > last else last + max(1, round(1 / (shape.rate * shape.time_base)))
