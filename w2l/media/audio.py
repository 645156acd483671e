"""Sound in and out: any file's sound as mono 16 kHz on the picture's clock, and plain WAV files."""

import wave as wave_file
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.core.files import Draft
from w2l.core.limits import PREFIX, limits
from w2l.core.timing import SAMPLE_RATE
from w2l.media.container import MAX_GAP_S, ReadStats, decode, open_input, stated_length, warn_of_damage

MIN_GAP_S = 0.015
"""Sound that is missing for longer than this, in seconds (a lost packet is), is replaced by silence; less is jitter."""


MAX_BEYOND_S = 1.0
"""Seconds behind the stated end of a file at which a timestamp is taken for damage."""
RATES = (1000, 768_000)
"""Lowest and highest sample rate, in Hz, that sound has."""


@dataclass(frozen=True)
class SoundBlock:
    """A stretch of decoded sound; the next block of a stream begins where this one ends."""

    time_s: float
    """Time of the first sample in the file's clock, seconds."""
    rate: int
    """Samples per second."""
    samples: NDArray[np.float32]
    """(channels, samples) in -1..1."""


def read_audio(path: Path, *, origin_s: float | None = None) -> NDArray[np.float32]:
    """Return the sound of any media file as mono at 16 kHz, channels averaged.

    Parameters
    ----------
    origin_s : float, optional
        The time in the file's clock that becomes sample 0: `VideoInfo.start_s` for the sound of a video, so that it
        starts with the first picture (silence is put before it, or its beginning cut). Without it, sample 0 is the
        first sample of sound, after the codec's priming.

    Returns
    -------
    wave : (samples,) in -1..1

    Raises MediaError for a file that is missing, empty, without sound, undecodable, or longer than the limit.
    """
    return np.concatenate([np.zeros(0, np.float32), *audio_pieces(path, origin_s=origin_s)])


def audio_pieces(path: Path, *, origin_s: float | None = None) -> Iterator[NDArray[np.float32]]:
    """Yield the sound of `read_audio` in pieces (samples,), as they are decoded."""
    most = limits().sound_hours
    n_left = round(most * 3600 * SAMPLE_RATE)
    too_long = MediaError(f"{path}: has more than {most:g} hours of sound; cut it, or raise {PREFIX}SOUND_HOURS")
    n_heard = n_skip = 0
    is_first = origin_s is not None
    for first_s, piece in _mono_pieces(path):
        n_heard += piece.size
        if is_first:
            is_first, n_before = False, round((first_s - (origin_s or 0.0)) * SAMPLE_RATE)
            n_skip, n_before = max(0, -n_before), max(0, n_before)
            if n_before > n_left:
                raise too_long
            piece = np.concatenate([np.zeros(n_before, np.float32), piece])
        n_dropped = min(n_skip, piece.size)
        n_skip -= n_dropped
        n_left -= piece.size - n_dropped
        if n_left < 0:
            raise too_long
        if piece.size > n_dropped:
            yield piece[n_dropped:]
    if not n_heard:
        raise MediaError(f"{path}: no sound can be decoded; the file is damaged, use another copy")


def _mono_pieces(path: Path) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield all sound of a file as mono at 16 kHz (samples,), each piece with the time of the first in the file."""
    resampler = Resampler(SAMPLE_RATE)
    stats = ReadStats()
    first_s = 0.0
    with open_input(path) as container:
        stream = sound_stream(container, path)
        for block in sound_blocks(container, stream, stats):
            if not stats.n_frames:
                first_s = block.time_s
            stats.n_frames += 1
            yield first_s, resampler.push(block.samples.mean(axis=0, keepdims=True), block.rate)[0]
    yield first_s, resampler.flush()[0]
    warn_of_damage(path, stats)


def write_wav(path: Path, wave: NDArray[np.float32], sample_rate: int = SAMPLE_RATE) -> None:
    """Write a mono wave (samples,) in -1..1 as a 16-bit WAV file, whole or not at all; what is louder is clipped."""
    pcm = np.clip(np.round(np.asarray(wave, dtype=np.float64) * 32768), -32768, 32767).astype("<i2")
    try:
        with Draft(path) as draft, draft.create() as file, wave_file.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(sample_rate)
            writer.writeframes(pcm.tobytes())
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to") from error


def sound_stream(container: Any, path: Path) -> Any:
    """The stream of sound a player would choose; MediaError where there is none."""
    stream = container.streams.best("audio")
    if stream is None:
        raise MediaError(f"{path}: holds no sound; name a file with a sound track")
    return stream


def sound_blocks(container: Any, stream: Any, stats: ReadStats) -> Iterator[SoundBlock]:
    """The decoded sound of a stream without holes: lost packets become silence, so that what follows keeps its time."""
    next_s: float | None = None
    length_s = stated_length(container, stream)
    for frame in decode(container, stream, stats):
        samples, rate = _as_float(frame), int(frame.sample_rate)
        if not RATES[0] <= rate <= RATES[1]:
            stats.n_skipped += 1  # a damaged packet; at 1 Hz it would become hours of sound
            continue
        if not samples.size:
            continue
        if next_s is None:
            next_s = frame.time or 0.0
            last_s = next_s + (length_s + MAX_BEYOND_S if length_s else np.inf)
        gap_s = _gap_s(frame.time, next_s, last_s, samples.shape[1] / rate)
        if abs(gap_s) > MIN_GAP_S:
            n_gap = round(gap_s * rate)
            samples = np.pad(samples, ((0, 0), (n_gap, 0))) if n_gap > 0 else samples[:, -n_gap:]
        if not samples.size:
            continue  # all of it was there before
        yield SoundBlock(next_s, rate, samples)
        next_s += samples.shape[1] / rate


def _gap_s(time_s: float | None, next_s: float, last_s: float, lasts_s: float) -> float:
    """Seconds missing before a block with this time that was due at `next_s`, 0 where the time cannot be right."""
    gap_s = 0.0 if time_s is None else time_s - next_s
    is_broken = next_s + gap_s > max(last_s, next_s) or abs(gap_s) > MAX_GAP_S or gap_s < -10 * lasts_s
    return 0.0 if is_broken else gap_s


def _as_float(frame: av.AudioFrame) -> NDArray[np.float32]:
    """(channels, samples) in -1..1 of a decoded frame in any sample format."""
    raw: NDArray[Any] = frame.to_ndarray()
    n_channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        raw = raw.reshape(-1, n_channels).T
    wave: NDArray[np.float32] = raw.astype(np.float32)
    if raw.dtype.kind == "u":
        return wave / np.float32(128) - np.float32(1)
    if raw.dtype.kind == "i":
        return wave / np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
    return wave


class Resampler:
    """Brings sound to one rate piece by piece, whatever rates it comes in."""

    def __init__(self, rate: int, n_channels: int = 1) -> None:
        self._rate = rate
        self._layout = {1: "mono", 2: "stereo"}[n_channels]
        self._nothing = np.zeros((n_channels, 0), np.float32)
        self._in_rate = 0
        self._resampler: av.AudioResampler | None = None

    def push(self, samples: NDArray[np.float32], in_rate: int) -> NDArray[np.float32]:
        """The sound (channels, samples) at the new rate that is ready after this piece at `in_rate`."""
        tail = self._nothing
        if in_rate != self._in_rate:
            tail = self.flush()
            self._in_rate = in_rate
            if in_rate != self._rate:
                self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        if self._resampler is None:
            return np.concatenate([tail, samples], axis=1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", self._layout)
        frame.sample_rate = in_rate
        return np.concatenate([tail, *map(_as_float, self._resampler.resample(frame))], axis=1)

    def flush(self) -> NDArray[np.float32]:
        """The last samples, when no more come."""
        frames = self._resampler.resample(None) if self._resampler is not None else []
        self._resampler = None
        return np.concatenate([self._nothing, *map(_as_float, frames)], axis=1)
