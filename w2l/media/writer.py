"""Write videos with audio to a file that appears only when it is complete."""

import contextlib
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.media.encoders import VideoEncoder, choose_encoder, rgb_colour
from w2l.media.output import Output
from w2l.media.picture import Picture


class VideoWriter:
    """Writes the pictures of a video, and what comes beside them; use it as a context manager.

    Everything goes to a hidden temporary file in the same folder, which takes the final name when the block ends well
    and is removed when it does not. Memory does not grow with length.

    Raises MediaError before any work for an ending or a folder that cannot be written, and for unusable speech.
    """

    def __init__(self, output: Output) -> None:
        self._wanted = output
        self._shape = output.shape
        self._file, self._beside = output.begin()
        self._encoder: VideoEncoder | None = None
        self._container: Any = None
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
        wanted, shape = self._wanted, self._shape
        colour = wanted.colour or (first.colour if isinstance(first, Picture) else rgb_colour(shape.height))
        name = choose_encoder(wanted.encoding, shape, colour)
        self._container = self._file.open()
        self._encoder = VideoEncoder(wanted.path, self._container, name, wanted.encoding, shape, colour)
        self._beside.start(self._container)

    def _pts(self, time_s: float | None) -> int:
        if not self._wanted.variable:
            return self._n_written
        if time_s is None:
            raise ValueError("at a variable rate every picture requires its time")
        last = -1 if self._pending is None else self._pending[1]
        return max(last + 1, round(time_s / self._shape.time_base))

    def _encode_pending(self, following: int) -> None:
        """Encode the picture before the one at `following`, for now it is known how long it is shown."""
        if self._pending is None or self._encoder is None:
            return
        frame, pts = self._pending
        self._container.mux(self._encoder.encode(frame, pts, following - pts))
        self._beside.feed(self._container, float(following * self._shape.time_base))

    def _finish(self) -> None:
        if self._pending is None or self._encoder is None:
            raise MediaError(f"{self._wanted.path}: no picture was written; check that the input has frames")
        pts = self._pending[1]
        with self._file.named_errors():
            self._encode_pending(self._wanted.end_pts(pts))
            self._container.mux(self._encoder.flush())
            self._beside.feed(self._container)
            self._beside.close()
        self._container = None
        self._file.finish()

    def _abandon(self) -> None:
        self._container = None
        self._file.abandon()
        self._beside.close()
