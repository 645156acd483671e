"""Lay out the frames of a source over the length of an output."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats

Extend = Literal["bounce", "loop", "hold"]

SAME_RATE = 0.005
"""Largest relative difference between a file's stated and measured frame rate that counts as rounding."""
JITTER = 0.2
"""Share of a frame's period that timestamps may be off a constant rate's, and the rate still count as constant."""
SHORTEST_S = 0.0005
"""Frames shown for less than this, in seconds, are left out of a variable rate: a container cannot tell them apart."""

GIF_TICK_S = 0.01
"""The unit of GIF's clock, seconds: where times are rounded to it, so is the length."""
LONGEST_S = 10.0
"""A last frame that is said to be shown for longer, in seconds, is a broken clock."""


def output_rate(stated: float, measured: float | None = None) -> float:
    """Return the frame rate of an output: the one declared by its source, or the measured average if they differ.

    Rounded to a fraction of whole numbers, as a container keeps it.
    """
    rounding = measured is None or abs(stated - measured) <= SAME_RATE * measured
    fps = stated if rounding or measured is None else measured
    return float(Fraction(fps).limit_denominator(1001))


@dataclass(frozen=True, eq=False)
class Timeline:
    """The source frames that an output shows, and their times."""

    source: NDArray[np.int64]
    """(frames,) index of the source frame that each shows."""
    times: Floats
    """(frames,) seconds from the first picture at which each appears; rising."""
    end_s: float
    """When the last one ends, seconds."""
    fps: float
    """Frames per second, on average where the rate is not constant."""
    constant: bool
    """Whether frame k appears at k / fps."""

    def __len__(self) -> int:
        return len(self.source)


def end_of(times: Floats, fps: float, stated_s: float = 0.0) -> float:
    """When a video whose frames appear at `times` (frames,) ends, in seconds: the last is shown for a mean period.

    At a variable rate it is shown till `stated_s`, seconds from the first, where that can be: `VideoInfo.end_s`.
    """
    mean_s = float(times[-1]) * len(times) / (len(times) - 1) if len(times) > 1 else 1.0 / fps
    is_told = SHORTEST_S <= stated_s - times[-1] <= LONGEST_S
    return stated_s if is_told and _constant_rate(times, mean_s, fps) is None else mean_s


def lay_out(
    times: Floats,
    end_s: float,
    fps: float,
    length_s: float,
    *,
    forced_fps: float | None = None,
    extend: Extend = "bounce",
) -> Timeline:
    """Return the timeline of a source's frames, shown at `times` (frames,) until `end_s`, for `length_s` seconds.

    A constant rate is kept exactly, frame k at k / fps; of a variable one, the timestamps. What is longer than the
    source runs backwards and forwards (`bounce`, end frames not doubled), from the beginning again (`loop`), or shows
    the last frame (`hold`). A length that only the rounding of timestamps makes longer than the source is the source's.

    Parameters
    ----------
    times : (frames,)
        Seconds since the first frame, never falling.
    end_s, fps : float
        When the last frame ends, see `end_of`; the rate that the source's file states.
    length_s : float
        What is to be covered, in seconds; at least one frame is laid out.
    forced_fps : float, optional
        A constant rate for the output: each frame of it shows the source frame nearest to its time.
    """
    if not len(times) or fps <= 0 or (forced_fps is not None and forced_fps <= 0):
        raise ValueError(f"{len(times)} frames at {fps} fps, forced to {forced_fps}, cannot be laid out")
    rate = forced_fps or _constant_rate(times, end_s, fps)
    if rate is not None:
        once = np.arange(len(times)) if forced_fps is None else _nearest(times, end_s, rate)
        n_frames = _n_frames(length_s, end_s, len(once), rate, _rounding_s(times, rate))
        again = _again(len(once), extend)
        order = np.concatenate([np.arange(len(once)), np.tile(again, -(-n_frames // len(again)))])[:n_frames]
        return Timeline(once[order].astype(np.int64), np.arange(n_frames) / rate, n_frames / rate, float(rate), True)
    return _lay_out_uneven(times, end_s, length_s, extend)


def _rounding_s(times: Floats, rate: float) -> float:
    """Return by how much a length may exceed a source's through the rounding of its timestamps, seconds."""
    ticks = times / GIF_TICK_S
    is_of_gif = np.abs(ticks - np.rint(ticks)).max() < 1e-6 < 1e-3 < np.abs(times - np.arange(len(times)) / rate).max()
    return GIF_TICK_S if is_of_gif else SHORTEST_S


def _n_frames(length_s: float, end_s: float, n_once: int, rate: float, rounding_s: float) -> int:
    """How many frames cover a length, of a source of `n_once` at this rate that ends at `end_s` by its timestamps."""
    n_frames = max(1, int(np.ceil(length_s * rate - 1e-6)))
    as_source = length_s <= max(end_s, n_once / rate) + rounding_s
    return min(n_frames, n_once) if as_source else n_frames


def _constant_rate(times: Floats, end_s: float, fps: float) -> float | None:
    """Return the rate whose grid the times follow, the declared before the measured one; None if variable."""
    measured = len(times) / end_s if end_s > 0 else fps
    for rate in (output_rate(fps, measured), float(Fraction(measured).limit_denominator(1001))):
        if rate > 0 and np.abs(times - np.arange(len(times)) / rate).max() <= JITTER / rate:
            return rate
    return None


def _nearest(times: Floats, end_s: float, fps: float) -> NDArray[np.int64]:
    """For each frame of a constant rate, till the source ends, the source frame nearest to its time; ties go back."""
    grid = np.arange(max(1, int(np.ceil(end_s * fps - JITTER)))) / fps
    right = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    left, right = right - 1, np.minimum(right, len(times) - 1)
    return np.where(grid - times[left] <= times[right] - grid + SHORTEST_S / 100, left, right)


def _again(n_frames: int, extend: Extend) -> NDArray[np.int64]:
    """Return the frames that are repeated after `n_frames` have been shown once."""
    if extend == "hold" or n_frames == 1:
        return np.array([n_frames - 1])
    if extend == "loop":
        return np.arange(n_frames)
    return np.concatenate([np.arange(n_frames - 2, 0, -1), np.arange(n_frames)])


def _lay_out_uneven(times: Floats, end_s: float, length_s: float, extend: Extend) -> Timeline:
    """`lay_out` of a variable rate: each frame lasts as long as in the source, backwards as forwards."""
    lasting_s = np.diff(times, append=max(end_s, float(times[-1]) + SHORTEST_S))
    once = np.flatnonzero(lasting_s >= SHORTEST_S)
    starts = times[once] - times[once[0]]
    ends_as_source = length_s <= end_s
    end_s = float(times[-1] + lasting_s[-1] - times[once[0]])
    length_s = min(length_s, end_s) if ends_as_source else length_s
    lasting_s = np.diff(starts, append=end_s)
    mean_s = end_s / len(once)
    again = _again(len(once), extend)
    again_s = np.full(1, mean_s) if extend == "hold" else lasting_s[again]
    n_times = max(0, int(np.ceil((length_s - end_s) / again_s.sum())))
    source = once[np.concatenate([np.arange(len(once)), np.tile(again, n_times)])]
    edges = np.concatenate([starts, end_s + np.cumsum([0.0, *np.tile(again_s, n_times)])])
    n_frames = max(1, int(np.searchsorted(edges[:-1], length_s - SHORTEST_S / 100)))
    return Timeline(source[:n_frames], edges[:n_frames], float(edges[n_frames]), 1.0 / mean_s, False)
