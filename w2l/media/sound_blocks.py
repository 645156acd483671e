"""Decode one audio track block by block without gaps: WAV and FLAC files by soundfile, all others by PyAV."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import ConfigError, MediaError
from w2l.media.channels import speakers_of
from w2l.media.container import MAX_GAP_S, ReadStats, decode, is_decodable, stated_length
from w2l.media.sound_file import IncompleteError, is_plain, plain_samples

log = logging.getLogger(__name__)

MIN_GAP_S = 0.015
"""Length in seconds from which missing audio, such as a lost packet, is replaced by silence; less is jitter."""
MAX_BEYOND_S = 1.0
"""Seconds past the declared end of a file from which a timestamp counts as damaged."""
MOST_PLANES = 7
"""Most channels in separate planes that PyAV reads correctly; with eight it reads past the end and crashes."""
RATES = (1000, 768_000)
"""Lowest and highest plausible sample rate, in Hz."""


@dataclass(frozen=True)
class SoundBlock:
    """A block of decoded audio; the next block of a stream starts where this one ends."""

    time_s: float
    """Time of the first sample in the file's clock, seconds."""
    rate: int
    """Samples per second."""
    samples: NDArray[np.float32]
    """(channels, samples) in -1..1."""
    speakers: tuple[str, ...]
    """Roles of the channels, with FFmpeg's names: FL is front left."""


def sound_stream(container: Any, path: Path, track: int | None = None) -> Any:
    """Return the audio stream that a player would choose, or track number `track`, counted from 0.

    Raises MediaError for a file without audio, and ConfigError for a missing track.
    """
    streams = container.streams.audio
    if not streams:
        raise MediaError(f"{path}: holds no sound; name a file with a sound track")
    if track is not None and not 0 <= track < len(streams):
        raise ConfigError(f"{path}: there is no sound track {track}; it has {len(streams)}, counted from 0")
    wanted = streams if track is None else [streams[track]]
    decodable = [stream for stream in wanted if is_decodable(stream)]
    if not decodable:
        raise MediaError(f"{path}: its sound has an unknown codec; convert it, for example to WAV")
    best = container.streams.best("audio")
    return best if best in decodable else decodable[0]


def sound_blocks(container: Any, stream: Any, stats: ReadStats) -> Iterator[SoundBlock]:
    """Yield the decoded audio of a stream without gaps: lost packets are replaced by silence to keep the timing.

    The samples do not depend on the library that decodes them. Where soundfile fails in a damaged file, PyAV continues
    from that sample.
    """
    frames = decode(container, stream, stats)
    first = next(frames, None)
    if first is None:
        return
    length_s = stated_length(container, stream)
    start_s = until_s = first.time or 0.0
    if is_plain(container) and length_s and RATES[0] <= first.sample_rate <= RATES[1]:
        n_read, rate, speakers = 0, int(first.sample_rate), speakers_of(first)
        try:
            for samples in plain_samples(Path(container.name), rate, len(speakers), round(length_s * rate)):
                yield SoundBlock(start_s + n_read / rate, rate, samples, speakers)
                n_read += samples.shape[1]
            return
        except IncompleteError as error:
            log.debug("%s: PyAV continues after %d samples: %s", container.name, n_read, error)
        until_s = start_s + n_read / rate
    for block in _decoded(itertools.chain([first], frames), length_s, stats):
        n_known = max(0, round((until_s - block.time_s) * block.rate))
        if n_known < block.samples.shape[1]:
            yield SoundBlock(
                block.time_s + n_known / block.rate, block.rate, block.samples[:, n_known:], block.speakers
            )


def _decoded(frames: Iterable[av.AudioFrame], length_s: float, stats: ReadStats) -> Iterator[SoundBlock]:
    """Yield the samples of decoded frames as blocks without gaps; `length_s` is the stated length, 0 if unknown."""
    next_s: float | None = None
    speakers: tuple[str, ...] = ()
    for frame in frames:
        samples, rate = as_float(frame), int(frame.sample_rate)
        if not RATES[0] <= rate <= RATES[1]:
            stats.n_skipped += 1  # a damaged packet; at 1 Hz it would become hours of sound
            continue
        if not samples.size:
            continue
        if len(samples) != len(speakers):
            speakers = speakers_of(frame)
        if next_s is None:
            next_s = frame.time or 0.0
            last_s = next_s + (length_s + MAX_BEYOND_S if length_s else np.inf)
        gap_s = _gap_s(frame.time, next_s, last_s, samples.shape[1] / rate)
        if abs(gap_s) > MIN_GAP_S:
            n_gap = round(gap_s * rate)
            samples = np.pad(samples, ((0, 0), (n_gap, 0))) if n_gap > 0 else samples[:, -n_gap:]
        if not samples.size:
            continue  # all of it was there before
        yield SoundBlock(next_s, rate, samples, speakers)
        next_s += samples.shape[1] / rate


def _gap_s(time_s: float | None, next_s: float, last_s: float, lasts_s: float) -> float:
    """Return the seconds missing before a block with this time, due at `next_s`; 0 if the time is implausible."""
    gap_s = 0.0 if time_s is None else time_s - next_s
    is_broken = next_s + gap_s > max(last_s, next_s) or abs(gap_s) > MAX_GAP_S or gap_s < -10 * lasts_s
    return 0.0 if is_broken else gap_s


def as_float(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return the samples (channels, samples) in -1..1 of a decoded frame in any sample format."""
    n_channels = frame.layout.nb_channels
    if frame.format.is_planar and n_channels > MOST_PLANES:
        packed = av.AudioResampler(frame.format.packed.name, frame.layout, frame.sample_rate)
        frame = packed.resample(frame)[0]
    raw: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, n_channels).T
    wave: NDArray[np.float32] = raw.astype(np.float32)
    if raw.dtype.kind == "u":
        return wave / np.float32(128) - np.float32(1)
    if raw.dtype.kind == "i":
        return wave / np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
    return wave
