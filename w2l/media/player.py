"""Read frames of a video in any order, also backwards and from the middle, in constant memory."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.errors import MediaError
from w2l.media.coded import CodedFrame, CodedReader, SequenceReader, open_coded
from w2l.media.container import Clock
from w2l.media.picture import Colour

SAME_TIME = 0.3
"""Share of the time to the next frame within which a decoded frame's time may be off the one it is known by."""
HELD_BYTES = 96 * 2**20
"""Memory for frames that are given backwards or again."""
SEEK_AHEAD = 100
"""Frames from which it is worth to seek forward instead of decoding what lies between."""
SEEK_MARGINS_S = (0.0, 1.0, 10.0)
"""How much earlier, in seconds, a key frame is looked for when a container's seek went too far."""
MISSING_S = 1.0
"""A file whose stated length falls short of its frames by more than this, in seconds, has a broken clock."""
MAX_UNKNOWN = 50
"""Frames in a row at unknown times after which a seek counts as failed."""


def play(
    path: Path, times: Floats, source: Sequence[int] | NDArray[np.int64], colour: Colour | None = None
) -> Iterator[CodedFrame]:
    """Yield the frames of a video with the indices `source`, in that order, which may jump and run backwards.

    `times` (frames,) are those of all frames, as scanned: frames are known by them after a seek, so that a slice of a
    sequence gives the same pictures as the sequence does. What is given backwards or again is held, up to `HELD_BYTES`.
    A frame that cannot be decoded this time is replaced by the one before it. A file that cannot be sought is decoded
    from its beginning. `colour`: see `read_coded`. Raises MediaError as `probe` does.
    """
    order = np.asarray(source, dtype=np.int64)
    if len(order) and not (order.min() >= 0 and order.max() < len(times)):
        raise ValueError(f"frames {order.min()} to {order.max()} do not lie in a video of {len(times)}")
    turns_back = bool((np.diff(order) < 0).any())
    with open_coded(path, colour=colour) as reader:
        if isinstance(reader, SequenceReader):  # its pictures are known by their order, whatever their rate
            times = reader.times[: len(times)]
        player = _Player(reader, np.asarray(times, dtype=np.float64), holds=turns_back)
        try:
            for position, idx in enumerate(order):
                yield player.frame(int(idx), partial(_lowest, order, position))
        finally:
            player.close()


class _Player:
    """Frames of one open video by index."""

    def __init__(self, reader: CodedReader, times: Floats, holds: bool) -> None:
        self._reader = reader
        self._times = times
        self._gaps = np.diff(times, prepend=-np.inf, append=np.inf)
        self._is_rising = bool((self._gaps > 0).all())
        self._holds = holds
        self._room = 1
        self._held: dict[int, CodedFrame] = {}
        self._origin_s, self._has_times, self._can_seek = 0.0, False, False
        self._frames: Iterator[tuple[int, Any]] = iter(())
        self._before: tuple[int, Any] | None = None
        self._ahead: tuple[int, Any] | None = None
        self._rewind()

    def close(self) -> None:
        """Lets go of the decoder, which would live on in a cycle of references, threads and all."""
        self._frames = iter(())
        self._before = None
        self._held.clear()

    def frame(self, idx: int, lowest: Callable[[], int]) -> CodedFrame:
        """Return the frame `idx`; `lowest` is the one down to which the sequence runs backwards from there."""
        if idx not in self._held:
            runs_back = self._holds and idx <= self._passed
            first = max(lowest(), idx - self._room + 1) if runs_back else idx
            if first <= self._passed or (self._can_seek and first - self._passed > SEEK_AHEAD):
                self._go_to(first)
            for which in range(first, idx + 1):
                self._hold(self._read(which))
        return self._held[idx]

    @property
    def _passed(self) -> int:
        """The frame that decoding has left behind; what comes after it can be had without going back."""
        return self._start - 1 if self._before is None else self._before[0]

    def _hold(self, frame: CodedFrame) -> None:
        """Keep a frame, and drop the oldest where there is no room."""
        self._room = max(1, HELD_BYTES // frame.picture.nbytes) if self._holds else 1
        while len(self._held) >= self._room:
            del self._held[next(iter(self._held))]
        self._held[frame.idx] = frame

    def _read(self, idx: int) -> CodedFrame:
        """Decode the next frame wanted, `idx`; where it is lost, its neighbour stands in."""
        while self._ahead is not None and self._ahead[0] < idx:
            self._before, self._ahead = self._ahead, next(self._frames, None)
        around = (self._ahead, self._before) if self._ahead and self._ahead[0] == idx else (self._before, self._ahead)
        for found in around:
            picture = None if found is None else self._reader.picture(found[1])
            if picture is not None:
                return CodedFrame(idx, float(self._times[idx]), picture)
        raise MediaError(
            f"{self._reader.path}: frame {idx} cannot be decoded again; the file is damaged or has changed"
        )

    def _go_to(self, idx: int) -> None:
        """Stand before frame `idx`: at a key frame before it, or at the beginning."""
        # A picture made of two fields depends on the frame before it, too.
        lead = 1 if self._reader.is_interlaced else 0
        for margin_s in SEEK_MARGINS_S if self._can_seek and idx > lead else ():
            wanted_s = float(self._times[idx - lead])
            if wanted_s <= margin_s:
                break
            if not self._reader.seek(self._origin_s + wanted_s, margin_s):
                continue
            self._stand(self._from_key(self._origin_s))
            if self._ahead is not None and self._ahead[0] <= idx - lead:
                self._start = self._ahead[0]
                return
        self._rewind()

    def _rewind(self) -> None:
        """Stand at the beginning, where the origin of the file's clock shows."""
        self._reader.rewind()
        self._stand(self._from_start())
        self._start = 0
        reaches = self._reader.length_s >= self._times[-1] - MISSING_S
        self._can_seek = self._is_rising and reaches and self._has_times

    def _stand(self, frames: Iterator[tuple[int, Any]]) -> None:
        self._frames = frames
        self._before, self._ahead = None, next(frames, None)

    def _from_start(self) -> Iterator[tuple[int, Any]]:
        """Yield indices and decoded frames from the start: by their times, or counted if times do not increase."""
        clock = Clock(self._reader.fps)
        last = -1
        for frame, stamp in self._reader.decoded():
            if last < 0:
                self._origin_s, self._has_times = stamp.time_s or 0.0, stamp.time_s is not None
            elapsed_s = clock.tick(stamp.time_s)
            idx = self._idx_at(elapsed_s) if self._is_rising else last + 1
            if idx is not None and last < idx < len(self._times):
                last = idx
                yield idx, frame

    def _from_key(self, origin_s: float) -> Iterator[tuple[int, Any]]:
        """Yield indices and decoded frames from the first key frame on; frames shown before that one may be broken."""
        last, n_unknown, is_whole = -1, 0, False
        for frame, stamp in self._reader.decoded():
            is_whole = is_whole or stamp.is_key
            idx = None if stamp.time_s is None else self._idx_at(stamp.time_s - origin_s)
            n_unknown = 0 if idx is not None else n_unknown + 1
            if n_unknown > MAX_UNKNOWN:
                return
            if is_whole and idx is not None and idx > last:
                last = idx
                yield idx, frame

    def _idx_at(self, time_s: float) -> int | None:
        """Return the index of the frame shown at that time; None if none is near enough."""
        right = int(np.searchsorted(self._times, time_s))
        near = [idx for idx in (right - 1, right) if 0 <= idx < len(self._times)]
        best = min(near, key=lambda idx: abs(self._times[idx] - time_s))
        room_s = SAME_TIME * min(self._gaps[best], self._gaps[best + 1], 1.0)
        return best if abs(self._times[best] - time_s) <= room_s else None


def _lowest(order: NDArray[np.int64], position: int) -> int:
    """Return the last index of the non-increasing run from `position` on."""
    while position + 1 < len(order) and order[position + 1] <= order[position]:
        position += 1
    return int(order[position])
