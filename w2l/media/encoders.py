"""Pictures into packets: which encoder, with which settings, fed with the planes of a picture as they are."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from w2l.core.config import check_word
from w2l.core.errors import ConfigError, MediaError
from w2l.media.filling import fill
from w2l.media.picture import HD_HEIGHT, LEFT_SITED, SPACE_OF, UNSAID, Colour, Matrix, Picture
from w2l.media.planar import CONVERSION
from w2l.media.priority import ordinary_threads

log = logging.getLogger(__name__)

Codec = Literal["h264", "hevc", "av1"]
CodecChoice = Literal["auto", "h264", "hevc", "av1"]
Hardware = Literal["auto", "off"]

SOFTWARE: dict[str, str] = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
"""The encoder of each codec that needs no hardware."""
HARDWARE = ("nvenc", "videotoolbox", "qsv")
"""Kinds of hardware encoders, tried in this order."""
DEFAULT_CRF: dict[str, int] = {"h264": 18, "hevc": 18, "av1": 24}
"""The quality of each codec with which all three are equally close to the picture, by their squared error."""
MAX_CRF: dict[str, int] = {"h264": 51, "hevc": 51, "av1": 63}
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
DEFAULT_PRESET = "veryfast"
SVT_PRESETS = dict(zip(PRESETS, (12, 11, 10, 9, 8, 6, 4, 3, 2)))
"""SVT-AV1 counts from slow (0) to fast (13)."""
NVENC_PRESETS = dict(zip(PRESETS, ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7")))
SITINGS = {
    (0.0, 0.0): "topleft",
    (0.5, 0.0): "top",
    (0.5, 0.5): "center",
    (0.0, 1.0): "bottomleft",
    (0.5, 1.0): "bottom",
}
"""Words for where chroma samples lie; what is not here is left unsaid, which means left."""
AVX_512F = 13
"""OpenCV's number of the instructions that AVX-512 begins with, which come with AVX2."""
HEVC_TAG = "hvc1"
"""How QuickTime players want HEVC to be called."""
HEVC_SUFFIXES = (".mp4", ".m4v", ".mov")
"""Kinds of files that go to players which show HEVC of 10 bits, and no other codec of 10 bits."""
WEBM_SUFFIX = ".webm"
UNTIMED_FRAMES = 2
"""Of so few frames none is reordered, and x265 gives them times of decoding that it never set."""


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded."""

    codec: CodecChoice = "auto"
    """`h264` plays everywhere; `hevc` and `av1` are smaller and slower. `auto`: `h264`, or what suits the file and the
    pictures: `av1` in WebM, `hevc` for 10 bits in MP4 and MOV."""
    crf: int | None = None
    """Quality: 0 is lossless, 51 (av1: 63) the worst; without it, 18 for h264 and what looks alike for the others."""
    preset: str | None = None
    """Trade of time for size, `ultrafast` to `veryslow`; without it, `veryfast`."""
    hardware: Hardware = "off"
    """`auto`: encode on the graphics card where it can."""
    bits: int | None = None
    """Bits per sample, 8 or 10; null: as many as the pictures have."""

    def __post_init__(self) -> None:
        """Refuses unknown words and numbers out of range."""
        check_word("codec", self.codec, get_args(CodecChoice))
        check_word("hardware", self.hardware, get_args(Hardware))
        if self.preset is not None:
            check_word("preset", self.preset, PRESETS)
        if self.crf is not None and not 0 <= self.crf <= MAX_CRF[self.coder]:
            raise ConfigError(f"crf {self.crf} must lie between 0 and {MAX_CRF[self.coder]} for {self.coder}")
        if self.bits not in (None, 8, 10):
            raise ConfigError(f"bits must be 8 or 10 (got {self.bits})")

    @property
    def coder(self) -> Codec:
        """The codec in use."""
        return "h264" if self.codec == "auto" else self.codec

    def for_file(self, path: Path) -> "Encoding":
        """Return the same with the codec of that kind of file, where it is not chosen: WebM takes AV1."""
        if self.codec != "auto" or path.suffix.lower() != WEBM_SUFFIX:
            return self
        return replace(self, codec="av1")

    def suited(self, path: Path, colour: Colour) -> "Encoding":
        """Return the same with the codec that suits a file of such pictures, where it is not chosen.

        That is AV1 in WebM; in MP4 and QuickTime files, that of 10 bits is HEVC: few players show H.264 of 10 bits.
        """
        chosen = self.for_file(path)
        is_deep = (self.bits or colour.depth) == 10 or (colour.curve is not None and self.bits is None)
        if chosen.codec != "auto" or not is_deep or path.suffix.lower() not in HEVC_SUFFIXES:
            return chosen
        what = "of high dynamic range" if colour.curve is not None else "of 10 bits a sample"
        log.info("%s: pictures %s are encoded as HEVC (hvc1); --codec and --bits change that", path, what)
        return replace(self, codec="hevc")

    @property
    def quality(self) -> int:
        """The `crf` in use."""
        return DEFAULT_CRF[self.coder] if self.crf is None else self.crf


@dataclass(frozen=True)
class Shape:
    """What all pictures of a video have in common."""

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
        """Whether pictures may come at any time."""
        return self.time_base * self.rate != 1

    @property
    def coded_width(self) -> int:
        """Pixels, made even."""
        return self.width + self.width % 2

    @property
    def coded_height(self) -> int:
        """Pixels, made even."""
        return self.height + self.height % 2


def rgb_colour(height: int) -> Colour:
    """Return the conventional colour properties of a video of that height made from RGB images."""
    matrix: Matrix = "bt709" if height >= HD_HEIGHT else "bt601"
    tag = SPACE_OF[matrix]
    return Colour(matrix, primaries=tag, transfer=tag, space=tag)


def choose_encoder(encoding: Encoding, shape: Shape, colour: Colour) -> str:
    """Name of the encoder to use: one in hardware where asked for and where it opens, else the codec's software."""
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
    """Encodes pictures as one new stream of `output`.

    Parameters
    ----------
    path : Path
        The file in the making, for errors to name.
    output : OutputContainer
        A container nothing was written to yet.
    name : str
        What `choose_encoder` gave.
    colour : Colour
        Of the pictures; 10 bits are encoded as such where the encoder can, with one line logged where it cannot.

    Raises MediaError when the encoder refuses.
    """

    def __init__(
        self, path: Path, output: OutputContainer, name: str, encoding: Encoding, shape: Shape, colour: Colour
    ) -> None:
        self._shape = shape
        self._colour = colour
        depth = encoding.bits or colour.depth
        self._format = _pixel_format(name, depth)
        if depth == 10 and "10" not in self._format:
            log.warning("%s takes 8 bits a sample only; 10 are rounded", name)
        self.stream: Any = output.add_stream(name, rate=shape.rate, options=_options(name, encoding, colour))
        _configure(self.stream.codec_context, self._format, shape, colour)
        if shape.pixel_aspect != 1 and encoding.codec == "av1" and output.format.name in ("matroska", "webm"):
            log.warning("%s: its pixels will count as square: AV1 in such a file cannot say otherwise", path)
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
        self._durations: dict[int, int] = {}
        self._n_frames = 0

    def frame(self, picture: Picture | NDArray[np.uint8]) -> av.VideoFrame:
        """Convert a picture, or an RGB image (height, width, 3), to the encoder's input, without sharing memory."""
        if isinstance(picture, Picture):
            frame = av.VideoFrame(self._shape.coded_width, self._shape.coded_height, self._format)
            fill(frame, picture)
            return frame
        height, width = picture.shape[:2]
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
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

        AV1 packets come in the order of showing, one per frame (temporal units, AV1 specification 7.5), so nothing
        depends on the encoder for them.
        """
        packets = [packet for packet in packets if packet.size]
        for packet in packets:
            if self._in_order and self._durations:
                packet.pts = packet.dts = next(iter(self._durations))
            packet.duration = self._durations.pop(packet.pts, 0)
        return packets


def opens(name: str, encoding: Encoding, shape: Shape, colour: Colour) -> bool:
    """Return whether an encoder is there and takes such pictures."""
    if name not in av.codecs_available:
        return False
    try:
        context: Any = av.CodecContext.create(name, "w")
        context.options = _options(name, encoding, colour)
        context.framerate = shape.rate
        _configure(context, _pixel_format(name, encoding.bits or colour.depth), shape, colour)
        with ordinary_threads():
            context.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        log.debug("%s: %s", name, error)
        return False
    return True


def _configure(context: Any, pixel_format: str, shape: Shape, colour: Colour) -> None:
    context.width, context.height = shape.coded_width, shape.coded_height
    context.pix_fmt = pixel_format
    context.time_base = shape.time_base
    context.sample_aspect_ratio = shape.pixel_aspect
    context.thread_type = "AUTO"  # PyAV's default is slices, which cost a third of the speed
    if shape.is_variable:
        context.max_b_frames = 0  # else MP4 cannot say how long the last picture lasts
    context.color_range = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
    by_convention = rgb_colour(shape.height).matrix == colour.matrix
    context.colorspace = SPACE_OF[colour.matrix] if colour.space == UNSAID and not by_convention else colour.space
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer


def _pixel_format(name: str, depth: int) -> str:
    """Return an encoder's input format: planar and at that depth if supported."""
    known = {form.name for form in av.Codec(name, "w").video_formats or ()}
    deep = [form for form in ("yuv420p10le", "p010le") if form in known]
    plain = [form for form in ("yuv420p", "nv12") if form in known]
    return (deep + plain if depth == 10 else plain)[0]


def _options(name: str, encoding: Encoding, colour: Colour) -> dict[str, str]:
    """Return the encoder's own options for the settings; libraries that print to stderr are silenced."""
    preset, crf = encoding.preset or DEFAULT_PRESET, str(encoding.quality)
    lossless = encoding.quality == 0
    siting = SITINGS.get(colour.siting) if colour.siting != LEFT_SITED else None
    options: Mapping[str, str]
    if name == "libx264":
        options = {"preset": preset} | ({"qp": "0"} if lossless else {"crf": crf}) | _steady_asm()
    elif name == "libx265":
        # Without the note on its settings in the stream, which differ between machines, parts fit together.
        parameters = "log-level=none:info=0" + (":lossless=1" if lossless else "")
        options = {"preset": preset, "crf": crf, "x265-params": parameters}
    elif name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "0")
        siting = siting if siting == "topleft" else None
        # On several threads SVT-AV1 4.1 hung, merged two frames' packets or wrote a damaged file in 4 of 1,080 short
        # encodes on busy cores, and on one in none of 600, for about half the speed (720p: 33 frames/s).
        options = {"preset": str(SVT_PRESETS[preset]), "svtav1-params": "lp=1" + (":lossless=1" if lossless else "")}
        options |= {} if lossless else {"crf": crf}
    elif name.endswith("_nvenc"):
        quality = {"tune": "lossless"} if lossless else {"tune": "hq", "rc": "vbr", "cq": crf, "b": "0"}
        options = {"preset": NVENC_PRESETS[preset]} | quality
    elif name.endswith("_videotoolbox"):
        options = {"flags": "+qscale", "global_quality": str(118 * max(1, 100 - 2 * encoding.quality))}
    else:
        options = {"preset": preset, "global_quality": str(max(1, encoding.quality))}
    return dict(options) | ({"chroma_sample_location": siting} if siting else {})


def _steady_asm() -> dict[str, str]:
    """Keep x264 from its AVX-512 code, with which equal pictures give one of several files from run to run.

    Of 30 encodes of one clip of 352x288, 15 were alike with it, and 218 of 218 without it (several widths from 350 to
    366), whatever the padding held; 24 pictures of 720p took 0.40 s of processor time either way. x265 is steady.
    """
    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(AVX_512F) else {}
