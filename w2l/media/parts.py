"""Write a long output in parts, each a complete file, so that interrupted work can resume."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.errors import CacheError, MediaError
from w2l.core.files import fingerprint, hidden, write_text
from w2l.core.locks import claim
from w2l.core.own_files import refuse_link
from w2l.media.container import ReadStats, open_input, packets
from w2l.media.encoders import HEVC_TAG, SOFTWARE, choose_encoder
from w2l.media.output import Output
from w2l.media.picture import Picture
from w2l.media.unfinished import Unfinished
from w2l.media.writer import VideoWriter

PART_SUFFIXES = {"prores": ".mov", "vp9": ".webm"}
"""Codec -> suffix of its parts, where MP4 does not support it, or not with alpha."""
MARK_FILE = "mark"
"""Name of the file in a folder of parts that contains their mark."""


def part_edges(n_pictures: int, n_per_part: int) -> tuple[int, ...]:
    """Return the first picture of each part, and the end; the last part is not shorter than `n_per_part`."""
    n_parts = max(1, n_pictures // n_per_part)
    return (*(part * n_per_part for part in range(n_parts)), n_pictures)


class Parts:
    """A video that is written part by part; use it as a context manager, which only one process can enter.

    The parts are video-only files in a hidden folder beside the output, each written atomically; `assemble` joins their
    packets and the audio without re-encoding. If the block ends in an error, finished parts are kept for a run with
    `resume`; the folder is removed when the output is complete. A video of one part is written directly to the output.

    Parameters
    ----------
    output : Output
        The output; for several parts, its `colour` must be set.
    times : (pictures,) float64
        Time of each picture, in seconds; at a constant rate only their number matters.
    edges : sequence of int
        First picture of each part, and the number of pictures; see `part_edges`.
    mark : str
        Hash of everything the pictures depend on; parts with another mark are removed.
    resume : bool
        Whether finished parts are used.

    Raises MediaError as `VideoWriter` does, and on entry when another process writes the same output.
    """

    def __init__(self, output: Output, times: Floats, edges: Sequence[int], mark: str, resume: bool = False) -> None:
        if list(edges) != sorted({0, *edges, len(times)}):
            raise ValueError(f"edges must rise from 0 to the number of pictures, {len(times)}; got {edges}")
        self.path = output.path
        self.n_parts = len(edges) - 1
        self._wanted = output
        self._edges = tuple(edges)
        self._shape = output.shape
        self._pts = _timestamps(times, self._shape.time_base) if output.variable else np.arange(len(times))
        self._mark, self._resume = mark, resume
        self._folder = hidden(output.path, ".w2l-parts")
        self._resources = contextlib.ExitStack()
        self._whole: VideoWriter | None = None
        self._file: Unfinished | None = None
        if self.n_parts == 1:
            self._whole = VideoWriter(output)
        else:
            self._file, self._beside = output.begin()

    def __enter__(self) -> "Parts":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._resources.close)
            lock = hidden(self.path, ".w2l-lock")
            try:
                is_ours = self._resources.enter_context(claim(lock))
            except CacheError as error:
                raise MediaError(f"{self.path}: cannot be written; {error}") from error
            if not is_ours:
                raise MediaError(f"{self.path}: another process is writing it; wait for it, or choose another output")
            if self._whole is None:
                self._prepare()
            else:
                shutil.rmtree(self._folder, ignore_errors=True)
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            if self._whole is None and not any(map(self.finished, range(self.n_parts))):
                shutil.rmtree(self._folder, ignore_errors=True)

    def pictures(self, part: int) -> range:
        """Return the indices of the pictures in a part."""
        return range(self._edges[part], self._edges[part + 1])

    def finished(self, part: int) -> bool:
        """Return whether a part is complete."""
        return self._whole is None and self._part(part).exists()

    def writer(self, part: int) -> "PartWriter":
        """Write one part; a context manager with `write`, like `VideoWriter`, that knows the times itself."""
        shape, pts = self._shape, self._pts[self._edges[part] : self._edges[part + 1]]
        if self._whole is not None:
            return PartWriter(self._whole, pts * float(shape.time_base))
        writer = VideoWriter(self._wanted.pictures_alone(self._part(part)))
        return PartWriter(writer, (pts - pts[0]) * float(shape.time_base))

    def assemble(self) -> None:
        """Join the finished parts with the audio into the output, then remove the parts."""
        if self._file is None:
            if not self.path.exists():
                raise ValueError("assemble was called before the part was written")
            return
        ranks = [self._ranks(part) for part in range(self.n_parts)]
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._beside.close)
            on_failure.callback(self._file.abandon)
            with self._file.named_errors():
                self._join(self._file.open(), np.concatenate(ranks))
            self._file.finish()
            on_failure.pop_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self) -> None:
        """Create the folder of parts, or keep it if its parts belong to this output; remove others."""
        encoding, colour = self._wanted.encoding, self._wanted.colour
        if colour is None:
            raise ValueError("several parts need the colour of their pictures; set Output.colour")
        encoder = choose_encoder(encoding, self._shape, colour)
        if encoder == SOFTWARE[encoding.coder]:
            encoding = replace(encoding, hardware="off")
            self._wanted = replace(self._wanted, encoding=encoding)
        about = fingerprint(
            self._mark, self._edges, self._pts.tolist(), self._shape, encoding, colour, encoder, av.library_versions,
        )  # fmt: skip
        mark = self._folder / MARK_FILE
        try:
            refuse_link(self._folder)
            if self._folder.exists() and not (self._resume and mark.is_file() and mark.read_text() == about):
                shutil.rmtree(self._folder)
            self._folder.mkdir(exist_ok=True)
            write_text(mark, about)
        except (OSError, CacheError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{self._folder}: cannot be written ({reason}); check space and permissions") from error

    def _part(self, part: int) -> Path:
        return self._folder / f"{part:05d}{PART_SUFFIXES.get(self._wanted.encoding.coder, '.mp4')}"

    def _opened(self, part: int) -> AbstractContextManager[InputContainer]:
        """Open a part for reading, its packets with their assigned times."""
        path = self._part(part)
        try:
            return open_input(path, {"ignore_editlist": "1"})
        except MediaError as error:
            raise MediaError(f"{path}: the part cannot be read; run again without resuming") from error

    def _packets(self, part: int) -> Iterator[Any]:
        """Yield the packets of a part, in decoding order."""
        with self._opened(part) as container:
            for packet in packets(container, container.streams.video[0], ReadStats()):
                if packet is not None and packet.size:
                    yield packet

    def _ranks(self, part: int) -> NDArray[np.int64]:
        """Return the picture index, within the whole video, of each packet of a part, (packets,)."""
        if not self.finished(part):
            raise ValueError(f"part {part} is not written yet")
        pts = np.array([packet.pts for packet in self._packets(part)])
        wanted = self.pictures(part)
        if len(pts) != len(wanted):
            raise MediaError(f"{self._part(part)}: the part is damaged; run again without resuming")
        return pts.argsort().argsort() + wanted.start

    def _join(self, output: OutputContainer, ranks: NDArray[np.int64]) -> None:
        """Write all packets with their times in the whole video, and the streams beside them.

        A picture is decoded `depth` pictures before it is shown. This is the smallest depth that works for all parts:
        decoding times rise, and none is later than its picture's time.
        """
        unit = self._shape.time_base
        period = max(1, round(1 / (self._shape.rate * unit)))
        depth = int((np.arange(len(ranks)) - ranks).max())
        end = self._wanted.end_pts(int(self._pts[-1]))
        ends = np.append(self._pts[1:], end)
        early = self._pts[0] - period * np.arange(depth, 0, -1)
        dts = np.concatenate([early, self._pts])[: len(ranks)]
        stream = self._stream(output)
        self._beside.start(output)
        all_packets = (packet for part in range(self.n_parts) for packet in self._packets(part))
        for packet, rank, decoded in zip(all_packets, ranks.tolist(), dts.tolist()):
            packet.time_base = unit
            packet.pts, packet.dts = int(self._pts[rank]), decoded
            packet.duration = int(ends[rank] - self._pts[rank])
            packet.stream = stream
            output.mux(packet)
            self._beside.feed(output, float(decoded * unit))
        self._beside.feed(output)
        self._beside.close()

    def _stream(self, output: OutputContainer) -> Any:
        """Add the output's video stream as in the parts, which must all have the same properties."""
        headers = []
        for part in range(self.n_parts):
            with self._opened(part) as container:
                source = container.streams.video[0]
                headers.append(source.codec_context.extradata)
                tag = source.codec_context.codec_tag
                if part == 0:
                    stream: Any = output.add_stream_from_template(source, opaque=True)
        if any(header != headers[0] for header in headers):
            raise MediaError(f"{self.path}: its parts come from different encoders; run again without resuming")
        if self._wanted.encoding.coder == "hevc" and output.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = HEVC_TAG
        if self._wanted.encoding.coder == "prores":
            stream.codec_context.codec_tag = tag  # states the ProRes profile
        if self._wanted.colour is not None and self._wanted.colour.has_alpha and self._wanted.encoding.coder == "vp9":
            stream.codec_context.pix_fmt = "yuva420p"  # else players would not look for alpha
        stream.time_base = self._shape.time_base
        stream.codec_context.framerate = self._shape.rate
        stream.codec_context.sample_aspect_ratio = self._shape.pixel_aspect
        return stream


class PartWriter:
    """Writes the pictures of one part; a context manager, at whose end the part is there."""

    def __init__(self, writer: VideoWriter, times: NDArray[np.floating[Any]]) -> None:
        self._writer = writer
        self._times = times
        self._n_written = 0

    def __enter__(self) -> "PartWriter":
        self._writer.__enter__()
        return self

    def write(self, picture: Picture | NDArray[np.uint8]) -> None:
        """Append the next picture of the part, or RGB image (height, width, 3)."""
        if self._n_written == len(self._times):
            raise ValueError(f"the part has {len(self._times)} pictures; one more was written")
        self._writer.write(picture, float(self._times[self._n_written]))
        self._n_written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        missing = len(self._times) - self._n_written
        short = ValueError(f"the part lacks its last {missing} pictures") if kind is None and missing else None
        self._writer.__exit__(kind or (ValueError if short else None), error or short, trace)
        if short:
            raise short


def _timestamps(times: Floats, unit: Fraction) -> NDArray[np.int64]:
    """Seconds in whole units that rise."""
    count = np.arange(len(times))
    rounded = np.rint(times / float(unit)).astype(np.int64)
    return np.maximum.accumulate(rounded - count) + count
