"""Video in: what a file holds, its frames with their times as displayed, and constant frame rates from any other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from w2l.errors import MediaError
from w2l.media.container import MAX_GAP_S, ReadStats, decode, open_input, warn_of_damage

UNSPECIFIED_COLORSPACE = 2
"""What a decoder reports when the file does not say which YUV matrix it used."""
HD_HEIGHT = 720
"""Lines from which a video counts as HD, whose matrix is BT.709 where the file does not say; below it is BT.601."""
MAX_STEP_BACK_S = 0.5
"""Timestamps that jump back further than this, in seconds, start a new clock; smaller steps back are jitter."""
TURNS: tuple[NDArray[np.int32], ...] = tuple(
    np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]], dtype=np.int32)
)
"""Display matrices, see `_display_matrix`, of quarter turns to the left: none, one, two, three."""
CONVERSION = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""How colours are converted: exact rounding, chroma interpolated to full width."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds."""

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
    has_sound: bool


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
    """What a video or picture file holds; the first frame is decoded for it.

    Raises MediaError for a file that is missing, empty, of no known format, without video, or undecodable.
    """
    with open_input(path) as container:
        stream = _video_stream(container, path)
        first = next(decode(container, stream, ReadStats()), None)
        if first is None:
            raise MediaError(f"{path}: no picture can be decoded; the file is damaged, use another copy")
        width, height = first.width, first.height
        if _swaps_axes(_display_matrix(first)):
            width, height = height, width
        fps = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
        duration_s = _duration_s(container, stream)
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=fps,
            n_frames=stream.frames or round(duration_s * fps),
            duration_s=duration_s,
            start_s=first.time or 0.0,
            has_sound=bool(container.streams.audio),
        )


def read_frames(path: Path, stats: ReadStats | None = None) -> Iterator[Frame]:
    """The frames of a video as they are displayed, one at a time; a still picture gives one.

    Rotation and mirroring of the display matrix are applied. Damaged packets are passed over, counted in `stats` and
    logged. All frames have the size of the first. Raises MediaError as `probe` does.
    """
    stats = ReadStats() if stats is None else stats
    with open_input(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        clock = _Clock(float(stream.average_rate or stream.guessed_rate or 0) or 25.0)
        converter = _Converter()
        try:
            for decoded in decode(container, stream, stats):
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
        raise MediaError(f"{path}: no picture can be decoded; the file is damaged, use another copy")


def at_fps(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The same video at a constant rate: picture k is the frame whose time is nearest to k / fps.

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


def colorspace_for(height: int) -> Colorspace:
    """The YUV matrix that a video of that height has by convention."""
    return Colorspace.ITU709 if height >= HD_HEIGHT else Colorspace.ITU601


class _Clock:
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


class _Converter:
    """Turns decoded frames into upright RGB images, all of the first one's size."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._matrix = TURNS[0]

    def image(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """(height, width, 3) RGB, as displayed."""
        if self._size is None:
            # Asked of the first frame only: PyAV ties a frame and its side data into a cycle, which keeps its pixels.
            self._size, self._matrix = (frame.width, frame.height), _display_matrix(frame)
        untagged = frame.colorspace == UNSPECIFIED_COLORSPACE and not frame.format.is_rgb
        rgb = self._reformatter.reformat(
            frame,
            width=self._size[0],
            height=self._size[1],
            format="rgb24",
            src_colorspace=colorspace_for(frame.height) if untagged else None,
            interpolation=CONVERSION,
        )
        image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        return _upright(image, self._matrix)


def _display_matrix(frame: Any) -> NDArray[np.int32]:
    """(2, 2) signs of the map from stored to displayed pixel steps, identity where the file says nothing.

    Row 0 is where a step right in the stored picture goes (right, down), row 1 a step down.
    """
    try:
        items = [bytes(item) for item in frame.side_data if item.type.name == "DISPLAYMATRIX"]
    except ValueError:
        # PyAV refuses the whole list for one kind of side data it does not know, such as a phone picture's EXIF.
        quarter_turns: int = round(frame.rotation / 90)
        return TURNS[quarter_turns % 4]
    if items:
        linear = np.frombuffer(items[0][:36], dtype=np.int32).reshape(3, 3)[:2, :2].astype(np.int64)
        largest = np.abs(linear).max(axis=1, keepdims=True)
        signs: NDArray[np.int32] = np.where(np.abs(linear) == largest, np.sign(linear), 0).astype(np.int32)
        if abs(int(signs[0, 0] * signs[1, 1] - signs[0, 1] * signs[1, 0])) == 1:
            return signs
    return TURNS[0]


def _swaps_axes(matrix: NDArray[np.int32]) -> bool:
    return bool(matrix[0, 0] == 0)


def _upright(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The stored image turned and mirrored as its display matrix asks."""
    if _swaps_axes(matrix):
        image = image.transpose(1, 0, 2)
    step_x, step_y = (int(step) for step in matrix.sum(axis=0))
    return np.ascontiguousarray(image[::step_y, ::step_x])


def _video_stream(container: Any, path: Path) -> Any:
    """The best video stream that is no cover picture of a sound file."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise MediaError(f"{path}: holds no video; name a video or picture file")
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def _duration_s(container: Any, stream: Any) -> float:
    """Seconds of a stream, or of its container where the stream does not say; 0 when unknown."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(container.duration / av.time_base)
    return 0.0
