"""Correct the times of frames in containers that number them in decoding order: AVI, ASF and MXF with B-frames.

A decoder gives frames in the order they are shown. Where their packets bear times in the order of decoding, the times
of the frames jump back and forth; sorted, they are when the frames are shown.
"""

import heapq
import itertools
from functools import lru_cache
from pathlib import Path
from typing import Any

from w2l.media.container import ReadStats, decode, open_input, packets, video_stream

N_LOOKED_AT = 32
"""Packets at the beginning by whose times the order is known; B-frames come earlier."""
MAX_REORDERED = 16
"""Most packets after it in the file that may be shown before a frame, in any codec; later it counts as lost."""
N_UNSURE = MAX_REORDERED + 8
"""Frames after a seek whose time is not known: packets that refer to what was not decoded may be missing."""


def counts_as_decoded(path: Path) -> bool:
    """Return whether the times of a video's packets are in the order of decoding, which is not that of showing.

    A few packets tell, without decoding, except where a codec with B-frames bears times that only rise.
    """
    status = path.stat()
    return _counts_as_decoded(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _counts_as_decoded(path: Path, _size: int, _time_ns: int) -> bool:
    with open_input(path) as container:
        stream = video_stream(container, path)
        if not stream.codec_context.has_b_frames:
            return False
        first = itertools.islice(packets(container, stream, ReadStats()), N_LOOKED_AT)
        times = [packet.pts for packet in first if packet is not None and packet.size]
    if None in times or any(later <= earlier for earlier, later in itertools.pairwise(times)):
        return False
    with open_input(path) as container:
        frames = decode(container, video_stream(container, path), ReadStats())
        shown = [frame.pts for frame in itertools.islice(frames, len(times))]
    return None not in shown and any(later < earlier for earlier, later in itertools.pairwise(shown))


def retimer_for(path: Path, is_start: bool = True) -> "ShownTimes | None":
    """Return what sets the times of a video's frames right; None where they are. See `ShownTimes`."""
    return ShownTimes(is_start) if counts_as_decoded(path) else None


class ShownTimes:
    """Gives the frames of one pass through such a stream the times at which they are shown.

    Parameters
    ----------
    is_start : bool
        Whether the pass begins with the file; after a seek, the first frames get no time.
    """

    def __init__(self, is_start: bool = True) -> None:
        self._times: list[int] = []
        """Those of packets that no frame has taken; the first is the smallest."""
        self._inside: dict[int, int] = {}
        """Times of packets in the decoder -> their numbers, in order."""
        self._n_packets = 0
        self._n_unsure = 0 if is_start else N_UNSURE

    def feed(self, packet: Any) -> None:
        """Take note of a packet (PyAV's) on its way into the decoder."""
        if packet is not None and packet.size and packet.pts is not None:
            heapq.heappush(self._times, packet.pts)
            self._inside[packet.pts] = self._n_packets
            self._n_packets += 1

    def correct(self, frame: Any) -> None:
        """Set the time of the next frame that the decoder gives (PyAV's)."""
        number = self._inside.pop(frame.pts, None)
        frame.pts = heapq.heappop(self._times) if self._times else None
        if number is not None:
            lost = itertools.takewhile(lambda inside: number - inside[1] > MAX_REORDERED, list(self._inside.items()))
            for time, _ in lost:
                del self._inside[time]
                heapq.heappop(self._times)
        if self._n_unsure:
            self._n_unsure -= 1
            frame.pts = None
