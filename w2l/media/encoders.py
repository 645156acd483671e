"""Choose and configure a video encoder, and encode pictures without converting their planes."""

import logging
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.media.chroma import Chroma
from w2l.media.encoder_options import DEFAULT_PRESET, options_for
from w2l.media.encoding import Encoding
from w2l.media.filling import fill
from w2l.media.picture import HD_HEIGHT, SPACE_OF, UNSAID, Colour, Matrix, Picture
from w2l.media.planar import CONVERSION, planar_format
from w2l.media.priority import ordinary_threads

log = logging.getLogger(__name__)

SOFTWARE: dict[str, str] = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "prores": "prores_ks",
}
"""Codec -> its software encoder."""
HARDWARE = ("nvenc", "videotoolbox", "qsv")
"""Kinds of hardware encoders, tried in this order."""
CHROMAS: dict[str, tuple[Chroma, ...]] = {
    "h264": ("4:2:0", "4:2:2", "4:4:4"),
    "hevc": ("4:2:0", "4:2:2", "4:4:4"),
    "av1": ("4:2:0",),
    "vp9": ("4:2:0", "4:2:2", "4:4:4"),
    "prores": ("4:2:2", "4:4:4"),
}
"""Codec -> chroma subsamplings that its software encoder takes, coarsest first."""
ALPHA_CHROMA: dict[str, Chroma] = {"vp9": "4:2:0", "prores": "4:4:4"}
"""Codec that keeps alpha -> its chroma subsampling with alpha."""
HEVC_TAG = "hvc1"
"""Codec tag of HEVC that QuickTime players require."""
UNTIMED_FRAMES = 2
"""Up to this many frames x265 does not reorder frames, and returns decoding times that it has not set."""


@dataclass(frozen=True)
class VideoShape:
    """Properties shared by all pictures of a video."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    rate: Fraction
    """Pictures per second; at a variable rate, their average."""
    time_base: Fraction
    """Seconds per unit of a timestamp."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""

    @property
    def is_variable(self) -> bool:
        """Whether the frame rate is variable."""
        return self.time_base * self.rate != 1


def rgb_colour(height: int) -> Colour:
    """Return the conventional colour properties of a video of that height made from RGB images."""
    matrix: Matrix = "bt709" if height >= HD_HEIGHT else "bt601"
    tag = SPACE_OF[matrix]
    return Colour(matrix, primaries=tag, transfer=tag, space=tag)


def choose_encoder(encoding: Encoding, shape: VideoShape, colour: Colour) -> str:
    """Return the encoder to use: in hardware if asked for and if it opens, else the codec's software encoder."""
    if encoding.hardware == "auto":
        for kind in HARDWARE:
            name = f"{encoding.coder}_{kind}"
            if opens(name, encoding, shape, colour):
                return name
        log.info("no hardware encodes %s here; %s does", encoding.coder, SOFTWARE[encoding.coder])
    name = SOFTWARE[encoding.coder]
    if name not in av.codecs_available:
        raise MediaError(f"this build of PyAV has no {name}; choose another codec than {encoding.coder}")
    return name


class VideoEncoder:
    """Encoder of pictures into one new stream of `output`.

    Parameters
    ----------
    path : Path
        Path of the output, for error messages.
    output : OutputContainer
        A container to which nothing has been written.
    name : str
        Result of `choose_encoder`.
    colour : Colour
        Colour properties of the pictures; 10 bits are rounded to 8, with a warning, if the encoder takes no more.

    Raises MediaError if the encoder cannot be opened.
    """

    def __init__(
        self, path: Path, output: OutputContainer, name: str, encoding: Encoding, shape: VideoShape, colour: Colour
    ) -> None:
        self._shape = shape
        self._colour = colour
        depth = encoding.bits or colour.depth
        self._format = _pixel_format(name, depth, colour)
        self._size = encoding.coded_size(shape.width, shape.height, colour.chroma)
        if depth == 10 and "10" not in self._format:
            log.warning("%s takes only 8 bits per sample; 10 bits are rounded", name)
        self.stream: Any = output.add_stream(name, rate=shape.rate, options=_options(name, encoding, colour))
        _configure(self.stream.codec_context, self._format, self._size, shape, colour)
        is_matroska = output.format.name in ("matroska", "webm")
        if shape.pixel_aspect != 1 and encoding.codec in ("av1", "vp9") and is_matroska:
            what = encoding.codec.upper()
            log.warning("%s: pixels are written as square; %s in such a file does not store their aspect", path, what)
        if encoding.codec == "hevc" and output.format.name in ("mp4", "mov"):
            self.stream.codec_context.codec_tag = HEVC_TAG
        try:
            with ordinary_threads():
                self.stream.codec_context.open()
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MediaError(
                f"{path}: {name} cannot encode {shape.width} x {shape.height} pixels ({reason}); try another codec"
            ) from error
        self._reformatter = VideoReformatter()
        self._in_order = encoding.codec == "av1"
        self._in_frames = name == SOFTWARE["prores"]  # its encoder reads the colour tags of frames
        self._durations: dict[int, int] = {}
        self._n_frames = 0

    def frame(self, picture: Picture | NDArray[np.uint8]) -> av.VideoFrame:
        """Convert a picture, or an RGB image (height, width, 3), to the encoder's input, without sharing memory."""
        if isinstance(picture, Picture):
            frame = av.VideoFrame(*self._size, self._format)
            fill(frame, picture)
            return frame
        height, width = picture.shape[:2]
        if (width, height) != self._size:
            picture = np.pad(picture, ((0, self._size[1] - height), (0, self._size[0] - width), (0, 0)), mode="edge")
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
            format=self._format,
            dst_colorspace=Colorspace.ITU709 if self._colour.matrix == "bt709" else Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG if self._colour.full_range else ColorRange.MPEG,
            interpolation=CONVERSION,
            threads=1,  # several have been seen to leave a few samples out
        )

    def encode(self, frame: av.VideoFrame, pts: int, duration: int) -> list[Any]:
        """Return the packets that are ready after this frame, shown from `pts` on for `duration` units of time."""
        frame.pts, frame.time_base, frame.duration = pts, self._shape.time_base, duration
        if self._in_frames:
            context = self.stream.codec_context
            frame.color_primaries, frame.color_trc = context.color_primaries, context.color_trc
            frame.colorspace = context.colorspace
        self._durations[pts] = duration
        self._n_frames += 1
        return self._timed(self.stream.encode(frame))

    def flush(self) -> list[Any]:
        """Return the last packets."""
        packets = self._timed(self.stream.encode(None))
        if self._n_frames <= UNTIMED_FRAMES:
            for packet in packets:
                packet.dts = packet.pts
        return packets

    def _timed(self, packets: list[Any]) -> list[Any]:
        """Give packets their durations, and those of AV1 their times.

        AV1 packets come in display order, one per frame (temporal units, AV1 specification 7.5), so that their times do
        not depend on the encoder.
        """
        packets = [packet for packet in packets if packet.size]
        for packet in packets:
            if self._in_order and self._durations:
                packet.pts = packet.dts = next(iter(self._durations))
            packet.duration = self._durations.pop(packet.pts, 0)
        return packets


def opens(name: str, encoding: Encoding, shape: VideoShape, colour: Colour) -> bool:
    """Return whether an encoder is available and takes such pictures."""
    if name not in av.codecs_available:
        return False
    try:
        context: Any = av.CodecContext.create(name, "w")
        context.options = _options(name, encoding, colour)
        context.framerate = shape.rate
        size = encoding.coded_size(shape.width, shape.height, colour.chroma)
        _configure(context, _pixel_format(name, encoding.bits or colour.depth, colour), size, shape, colour)
        with ordinary_threads():
            context.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        log.debug("%s: %s", name, error)
        return False
    return True


def _configure(context: Any, pixel_format: str, size: tuple[int, int], shape: VideoShape, colour: Colour) -> None:
    context.width, context.height = size
    context.pix_fmt = pixel_format
    context.time_base = shape.time_base
    context.sample_aspect_ratio = shape.pixel_aspect
    context.thread_type = "AUTO"  # PyAV's default is slices, which cost a third of the speed
    if shape.is_variable:
        context.max_b_frames = 0  # else MP4 does not store the duration of the last picture
    context.color_range = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
    by_convention = rgb_colour(shape.height).matrix == colour.matrix
    context.colorspace = SPACE_OF[colour.matrix] if colour.space == UNSAID and not by_convention else colour.space
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer


def _pixel_format(name: str, depth: int, colour: Colour) -> str:
    """Return an encoder's input format: with the chroma and alpha of the pictures, and at that depth if supported.

    Raises ValueError where no format has that chroma and alpha.
    """
    known = {form.name for form in av.Codec(name, "w").video_formats or ()}
    plain, deep = ([planar_format(replace(colour, depth=bits))] for bits in (8, 10))
    if plain == ["yuv420p"]:
        plain, deep = [*plain, "nv12"], [*deep, "p010le"]
    found = [form for form in ((deep + plain) if depth == 10 else (plain + deep)) if form in known]
    if not found:
        raise ValueError(f"{name} does not take pictures of {plain[0]} or {deep[0]}")
    return found[0]


def _options(name: str, encoding: Encoding, colour: Colour) -> dict[str, str]:
    return options_for(name, encoding.preset or DEFAULT_PRESET, encoding.quality, colour)
