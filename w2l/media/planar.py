"""Convert decoded frames of any pixel format to pictures: planes are copied, interlaced frames deinterlaced."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from w2l.media.chroma import CENTRE_SITED, LEFT_SITED, STEPS, Chroma, Plane, plane_size, refitted
from w2l.media.display import TURNS
from w2l.media.picture import HD_HEIGHT, SPACE_OF, Colour, Matrix, Picture, quantised

ACCURATE_RND, FULL_CHR_H_INT = 1 << 18, 1 << 13
"""Flags of libswscale, which PyAV passes on but has names for only from version 18 on."""
CONVERSION = int(Interpolation.BILINEAR) | ACCURATE_RND | FULL_CHR_H_INT
"""Flags of colour conversion: exact rounding, chroma interpolated to full width."""
MATRIX_OF: dict[int, Matrix] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
"""H.273 matrix coefficients -> matrix used in calculations."""
BT2020_SPACE = 9
"""H.273 matrix coefficients of BT.2020, and libswscale's number for them."""
BT2020_PRIMARIES = 9
"""H.273 primaries that imply the BT.2020 matrix if a file does not state one."""
CENTRED_CODECS = frozenset({"mjpeg", "mpeg1video", "vp8", "webp"})
"""Codecs whose chroma samples lie in the centre of their 2 x 2 pixels."""
LAYOUTS: dict[tuple[bool, bool], Chroma] = {(True, True): "4:2:0", (True, False): "4:2:2", (False, False): "4:4:4"}
"""Whether chroma has fewer columns, and fewer rows, than luma -> subsampling kept; others become 4:2:0."""
RGB_LIKE = ("pal8", "xyz", "bayer")
"""Prefixes of pixel formats that contain RGB, or convert to it alone, but are not flagged as RGB."""
DEINTERLACER = ("bwdif", "mode=send_frame:deint=interlaced")
"""Filter that joins the two fields of an interlaced frame into one picture, and its options."""


def colorspace_for(height: int) -> Colorspace:
    """Return the conventional YUV matrix of a video of that height."""
    return Colorspace.ITU709 if height >= HD_HEIGHT else Colorspace.ITU601


def colour_of(frame: Any, codec: str = "") -> Colour:
    """Return the colour properties of a decoded frame (PyAV's), or the usual ones if not specified."""
    primaries, transfer, space = int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)
    usual: Matrix = "bt709" if frame.height >= HD_HEIGHT else "bt601"
    if primaries == BT2020_PRIMARIES:
        usual = "bt2020"
    if is_rgb(frame.format):
        matrix: Matrix = usual if usual != "bt2020" else "bt709"
        return Colour(matrix, False, _depth(frame.format), primaries, transfer, SPACE_OF[matrix])
    return Colour(
        matrix=MATRIX_OF.get(space, usual),
        full_range=frame.format.name.startswith("yuvj") or int(frame.color_range) == int(ColorRange.JPEG),
        depth=_depth(frame.format),
        primaries=primaries,
        transfer=transfer,
        space=space,
        siting=CENTRE_SITED if codec in CENTRED_CODECS else LEFT_SITED,
    )


def planar_format(colour: Colour) -> str:
    """Return FFmpeg's name of the planar format of such pictures."""
    chroma = colour.chroma.replace(":", "")
    return f"yuv{'a' if colour.has_alpha else ''}{chroma}p{'' if colour.depth == 8 else f'{colour.depth}le'}"


class PictureMaker:
    """Converter of decoded frames to upright pictures, all with the size and depth of the first.

    `colour` sets their colour properties, except the siting of chroma; by default those of the first frame, with 4:2:0
    chroma and without alpha.
    """

    def __init__(self, codec: str, matrix: NDArray[np.int32] = TURNS[0], colour: Colour | None = None) -> None:
        self._codec = codec
        self._matrix = matrix
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._colour = colour

    def picture(self, frame: Any) -> Picture:
        """Return the picture of one decoded frame; raise av.FFmpegError if it cannot be converted."""
        size = self._size = self._size or (frame.width, frame.height)
        colour = self._colour = self._colour or colour_of(frame, self._codec)
        here = colour_of(frame, self._codec)
        # An encoder takes one depth and range per stream; the first frame determines them.
        same = (here.depth, here.full_range, here.matrix) == (colour.depth, colour.full_range, colour.matrix)
        if is_rgb(frame.format) and colour.depth == 8:
            picture = self._from_rgb(frame, size, colour)
        elif is_rgb(frame.format) or not same:
            picture = self._converted(frame, here, colour)
        else:
            picture = self._planes(frame, colour)
        return picture if np.array_equal(self._matrix, TURNS[0]) else picture.turned(self._matrix)

    def _from_rgb(self, frame: Any, size: tuple[int, int], colour: Colour) -> Picture:
        """Convert a frame of RGB with up to 8 bits."""
        name = "rgba" if colour.has_alpha else "rgb24"
        rgb = self._reformatter.reformat(frame, size[0], size[1], name, interpolation=CONVERSION, threads=1)
        samples = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        alpha = samples[..., 3].copy() if colour.has_alpha else None
        return Picture.from_rgb(np.ascontiguousarray(samples[..., :3]), colour, alpha)

    def _planes(self, frame: Any, colour: Colour) -> Picture:
        """Return the planes of a frame unchanged; chroma is resampled only if another subsampling is wanted."""
        kind = frame.format
        if len(kind.components) < 3:
            grey = self._reformatted(frame, "gray" if colour.depth == 8 else f"gray{colour.depth}le", colour)
            return _with_neutral_chroma(_plane(grey, 0, colour.depth), self._alpha(frame, colour), colour)
        chroma = LAYOUTS.get((kind.chroma_width(8) < 8, kind.chroma_height(8) < 8), "4:2:0")
        wanted = planar_format(replace(colour, chroma=chroma))
        other_size = (frame.width, frame.height) != self._size
        name = kind.name.replace("yuvj", "yuv")
        if other_size or wanted not in (name, name.replace("yuva", "yuv")):  # the first planes are the same
            frame = self._reformatted(frame, wanted, colour)
        y, u, v = (_plane(frame, which, colour.depth) for which in range(3))
        if chroma != colour.chroma:
            fit = partial(refitted, size=y.shape, siting=colour.siting, steps=STEPS[chroma], wanted=colour.steps)
            u, v = (quantised(fit(plane), colour.depth, y.dtype) for plane in (u, v))
        return Picture(y, u, v, colour, _plane(frame, 3, colour.depth) if colour.has_alpha else None)

    def _alpha(self, frame: Any, colour: Colour) -> Plane | None:
        """Return the alpha of a frame that does not have Y'CbCr planes; None if `colour` has no alpha."""
        if not colour.has_alpha:
            return None
        whole = self._reformatted(frame, planar_format(replace(colour, chroma="4:4:4")), colour)
        return _plane(whole, 3, colour.depth)

    def _reformatted(self, frame: Any, name: str, colour: Colour) -> Any:
        """Return the frame in another pixel format and the first one's size, with unchanged colours and range."""
        width, height = self._size or (frame.width, frame.height)
        if (frame.format.name, frame.width, frame.height) == (name, width, height):
            return frame
        span = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
        return self._reformatter.reformat(
            frame,
            width,
            height,
            name,
            src_color_range=span,
            dst_color_range=span,
            interpolation=Interpolation.BICUBIC,
            threads=1,  # with several, a few samples were left out
        )

    def _converted(self, frame: Any, here: Colour, colour: Colour) -> Picture:
        """Convert a frame whose colour properties differ from the first one's, or that has RGB beyond 8 bits."""
        width, height = self._size or (frame.width, frame.height)
        spans = [ColorRange.JPEG if one.full_range else ColorRange.MPEG for one in (here, colour)]
        codes = {"bt601": int(Colorspace.ITU601), "bt709": int(Colorspace.ITU709), "bt2020": BT2020_SPACE}
        if "bt2020" in (here.matrix, colour.matrix):
            frame.colorspace = BT2020_SPACE  # PyAV 17 sets other matrices alone, and else keeps that of the frame
        frame = self._reformatter.reformat(
            frame,
            width,
            height,
            planar_format(colour),
            src_colorspace=codes[here.matrix],
            dst_colorspace=codes[colour.matrix],
            src_color_range=None if is_rgb(frame.format) else spans[0],
            dst_color_range=spans[1],
            interpolation=CONVERSION,
            threads=1,
        )
        y, u, v = (_plane(frame, which, colour.depth) for which in range(3))
        return Picture(y, u, v, replace(colour), _plane(frame, 3, colour.depth) if colour.has_alpha else None)


class Deinterlacer:
    """Filter that returns one frame per frame, in order; from the first interlaced frame on, it deinterlaces."""

    def __init__(self, is_at_work: bool) -> None:
        self.is_at_work = is_at_work
        """Whether an interlaced frame was found, now or in an earlier part of the video."""
        self._graph: Any = None
        self._kind: tuple[int, int, str] | None = None
        self._waiting: deque[Any] = deque()
        self._n_pushed = 0

    def push(self, frame: Any, tag: Any) -> Iterator[tuple[Any, Any]]:
        """Take a decoded frame and its tag; yield the (frame, tag) that are ready, a frame late when deinterlacing."""
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is not None and kind != self._kind:
            yield from self.flush()
        if self._graph is None:
            self.is_at_work = self.is_at_work or bool(frame.interlaced_frame)
            if not self.is_at_work:
                yield frame, tag
                return
            self._graph, self._kind = _deinterlacing(frame), kind
        self._waiting.append(tag)
        self._n_pushed += 1
        frame.pts, frame.time_base = self._n_pushed, Fraction(1, 1)
        self._graph.vpush(frame)
        yield from self._ready()

    def flush(self) -> Iterator[tuple[Any, Any]]:
        """Yield the remaining frames at the end of the stream."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()
            self._graph = None
            self._waiting.clear()

    def _ready(self) -> Iterator[tuple[Any, Any]]:
        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield frame, self._waiting.popleft()


def _deinterlacing(frame: Any) -> Any:
    """Return a configured filter graph for frames like this one."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
    graph.link_nodes(source, graph.add(*DEINTERLACER), graph.add("buffersink")).configure()
    return graph


def is_rgb(kind: Any) -> bool:
    """Return whether a pixel format (PyAV's) holds RGB, or something only convertible to it."""
    return bool(kind.is_rgb) or kind.name.startswith(RGB_LIKE)


def _depth(kind: Any) -> int:
    """Return 8, or 10 for formats with more than 8 bits per sample."""
    return 8 if sample_bits(kind) <= 8 else 10


def sample_bits(kind: Any) -> int:
    """Return the most bits that a pixel format (PyAV's) has per sample."""
    return int(max(component.bits for component in kind.components))


def _plane(frame: Any, which: int, depth: int) -> Plane:
    """Return a copy of one plane of a decoded planar frame, (rows, columns), without the padding of its lines."""
    plane = frame.planes[which]
    rows = np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, -1)
    if depth == 8:
        return rows[:, : plane.width].copy()
    return rows[:, : 2 * plane.width].copy().view("<u2")


def _with_neutral_chroma(y: Plane, alpha: Plane | None, colour: Colour) -> Picture:
    neutral = np.full(plane_size(y.shape[0], y.shape[1], colour.steps), colour.levels[2], dtype=y.dtype)
    return Picture(y, neutral, neutral.copy(), colour, alpha)
