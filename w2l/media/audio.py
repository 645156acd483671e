"""Read the speech of any file as mono 16 kHz on the clock of the picture, and write WAV files.

WAV and FLAC are read through PyAV, too: soundfile gives the same samples sooner, but no timestamps and no other format.
"""

import logging
import wave as wave_file
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import ConfigError, MediaError
from w2l.core.files import Draft
from w2l.core.limits import PREFIX, limits
from w2l.core.timing import SAMPLE_RATE
from w2l.media.channels import QUIET, SILENT, Choice, SpeechMeter, speakers_of
from w2l.media.container import MAX_GAP_S, ReadStats, decode, open_input, stated_length, warn_of_damage

log = logging.getLogger(__name__)

Wave = NDArray[np.float32]
Made = TypeVar("Made")

MIN_GAP_S = 0.015
"""Length in seconds from which missing audio, such as a lost packet, is replaced by silence; less is jitter."""


MAX_BEYOND_S = 1.0
"""Seconds past the declared end of a file from which a timestamp counts as damaged."""
MUCH_MORE = 3.0
"""Factor by which another track must contain more speech to be used instead of the one that a player would choose."""
MOST_PLANES = 7
"""Most channels in separate planes that PyAV reads correctly; with eight it reads past the end and crashes."""
NO_SAMPLES = "{}: no sound can be decoded; the file is damaged, use another copy"
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


@dataclass(frozen=True)
class SpeechTrack:
    """The audio track of a file that was read as its speech."""

    stream_idx: int
    """Index of its stream in the file."""
    first_s: float
    """Time of its first sample in the file's clock, seconds."""
    peak: float
    """Peak, 0 to 1."""

    @property
    def is_silent(self) -> bool:
        """Whether the audio is silent throughout."""
        return self.peak < SILENT


class _NoSamplesError(MediaError):
    """Nothing of a track can be decoded."""


def read_audio(path: Path, *, origin_s: float | None = None) -> NDArray[np.float32]:
    """Return the speech of any media file as mono at 16 kHz, from the track and channels that `read_speech` chooses.

    Parameters
    ----------
    origin_s : float, optional
        Time in the file's clock that becomes sample 0: `VideoInfo.start_s` for the audio of a video, so that it starts
        with the first picture (silence is added before it, or its start is cut). By default, sample 0 is the first
        sample of audio, after the codec's priming.

    Returns
    -------
    wave : (samples,) in -1..1

    Raises MediaError for a file that is missing, empty, without audio, undecodable, or longer than the limit.
    """
    return read_speech(path, _joined, origin_s=origin_s)[0]


def read_speech(
    path: Path, take: Callable[[Iterator[Wave]], Made], *, origin_s: float | None = None, track: int | None = None
) -> tuple[Made, SpeechTrack]:
    """Return the result of `take`, which gets the speech of a file in pieces (samples,) of mono at 16 kHz.

    Stereo channels are averaged, unless one has no speech or they cancel each other out; then only the better one is
    read. With three or more channels, the centre is read. This is known only at the end: if the first guess was wrong,
    the audio is read and `take` is called a second time, so that ordinary audio is decoded once. If the track that a
    player would choose has no speech and another one has, that one is read; `track`, counted from 0, sets the track.

    Raises MediaError as `read_audio` does, and ConfigError for a missing track.
    """
    with open_input(path) as container:
        stream = sound_stream(container, path, track)
        others = [] if track is not None else [one.index for one in container.streams.audio if one is not stream]
        reader = _TrackReader(path, stream.index)
    made: Made | None = None
    try:
        made = reader.read(take, origin_s)
    except _NoSamplesError:
        if not others:
            raise
    if others and reader.is_doubtful and (better := _better(reader, others)):
        log.warning("%s: its main sound track has no speech; read that of stream %d", path, better.stream_idx)
        reader, made = better, better.read(take, origin_s)
    if made is None:
        raise _NoSamplesError(NO_SAMPLES.format(path))
    reader.report()
    return made, SpeechTrack(reader.stream_idx, reader.first_s, reader.peak)


def _better(reader: "_TrackReader", others: Iterable[int]) -> "_TrackReader | None":
    """Return the track among `others` with the most speech, if it has much more than that of `reader`."""
    found = []
    for stream_idx in others:
        other = _TrackReader(reader.path, stream_idx)
        try:
            other.read(deque[Wave](maxlen=0).extend, None)
        except MediaError as error:
            log.debug("stream %d: %s", stream_idx, error)
            continue
        found.append(other)
    best = max(found, key=lambda other: other.speech, default=None)
    return best if best is not None and best.speech > MUCH_MORE * reader.speech else None


class _TrackReader:
    """Reader of the speech of one track that determines the channels with speech during the first pass."""

    def __init__(self, path: Path, stream_idx: int) -> None:
        self.path, self.stream_idx = path, stream_idx
        self.peak = 0.0
        """Peak of the samples read, 0..1."""
        self.first_s = 0.0
        """Time of the first sample in the file's clock, seconds."""
        self._meter: SpeechMeter | None = None
        self._choice: Choice | None = None

    def read(self, take: Callable[[Iterator[Wave]], Made], origin_s: float | None) -> Made:
        """Return the result of `take` for the audio."""
        if self._choice is None:
            made = take(self._pieces(origin_s))
            if self._meter is None:
                return made
            self._choice = self._meter.choice()
            if self._choice.channels == self._meter.first.channels:
                return made
        return take(self._pieces(origin_s))

    @property
    def speech(self) -> float:
        """Return the amount of speech; see `SpeechMeter`."""
        return 0.0 if self._meter is None else float(self._meter.speech.max(initial=0.0))

    @property
    def is_doubtful(self) -> bool:
        """Return whether the audio is silent, or as steady as hum and noise."""
        return self._meter is None or self.peak < QUIET or self._meter.is_steady

    def report(self) -> None:
        """Log which channels were read, unless all were."""
        if self._choice is not None and self._choice.reason:
            log.log(self._choice.level, "%s: %s", self.path, self._choice.reason)

    def _pieces(self, origin_s: float | None) -> Iterator[Wave]:
        """Yield the audio (samples,) at 16 kHz from `origin_s`; see `read_audio`."""
        most = limits().sound_hours
        n_left = round(most * 3600 * SAMPLE_RATE)
        too_long = MediaError(
            f"{self.path}: has more than {most:g} hours of sound; cut it, or raise {PREFIX}SOUND_HOURS"
        )
        n_heard = n_skip = 0
        is_first = origin_s is not None
        for piece in self._mono_pieces():
            n_heard += piece.size
            self.peak = max(self.peak, float(np.abs(piece).max(initial=0.0)))
            if is_first:
                is_first, n_before = False, round((self.first_s - (origin_s or 0.0)) * SAMPLE_RATE)
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
            raise _NoSamplesError(NO_SAMPLES.format(self.path))

    def _mono_pieces(self) -> Iterator[Wave]:
        """Yield all sound as mono at 16 kHz, in pieces (samples,)."""
        resampler = Resampler(SAMPLE_RATE)
        stats = ReadStats()
        self.first_s = self.peak = 0.0
        with open_input(self.path) as container:
            for block in sound_blocks(container, container.streams[self.stream_idx], stats):
                if not stats.n_frames:
                    self.first_s = block.time_s
                stats.n_frames += 1
                yield resampler.push(self._mono(block), block.rate)[0]
        yield resampler.flush()[0]
        warn_of_damage(self.path, stats)

    def _mono(self, block: SoundBlock) -> Wave:
        """Return the average (1, samples) of the chosen channels."""
        if self._meter is None:
            self._meter = SpeechMeter(block.speakers)
        if self._choice is None:
            self._meter.add(block.samples, block.rate)
        channels = list((self._choice or self._meter.first).channels)
        is_usual = len(block.samples) == len(self._meter.speakers)
        samples = block.samples[channels] if channels and is_usual else block.samples
        return np.asarray(samples.mean(axis=0, keepdims=True), np.float32)


def _joined(pieces: Iterable[Wave]) -> Wave:
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def write_wav(path: Path, wave: NDArray[np.float32], sample_rate: int = SAMPLE_RATE) -> None:
    """Write a mono wave (samples,) in -1..1 as a 16-bit WAV file, atomically; louder samples are clipped."""
    pcm = np.clip(np.round(np.asarray(wave, dtype=np.float64) * 32768), -32768, 32767).astype("<i2")
    try:
        with Draft(path) as draft, draft.create() as file, wave_file.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(sample_rate)
            writer.writeframes(pcm.tobytes())
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to") from error


def sound_stream(container: Any, path: Path, track: int | None = None) -> Any:
    """Return the audio stream that a player would choose, or track number `track`, counted from 0.

    Raises MediaError for a file without audio, and ConfigError for a missing track.
    """
    streams = container.streams.audio
    if not streams:
        raise MediaError(f"{path}: holds no sound; name a file with a sound track")
    if track is None:
        return container.streams.best("audio") or streams[0]
    if not 0 <= track < len(streams):
        raise ConfigError(f"{path}: there is no sound track {track}; it has {len(streams)}, counted from 0")
    return streams[track]


def sound_blocks(container: Any, stream: Any, stats: ReadStats) -> Iterator[SoundBlock]:
    """Yield the decoded audio of a stream without gaps: lost packets are replaced by silence to keep the timing."""
    next_s: float | None = None
    speakers: tuple[str, ...] = ()
    length_s = stated_length(container, stream)
    for frame in decode(container, stream, stats):
        samples, rate = _as_float(frame), int(frame.sample_rate)
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


def _as_float(frame: av.AudioFrame) -> NDArray[np.float32]:
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


class Resampler:
    """Converter of audio of any rates to one rate, piece by piece."""

    def __init__(self, rate: int, n_channels: int = 1) -> None:
        self._rate = rate
        self._layout = {1: "mono", 2: "stereo"}[n_channels]
        self._nothing = np.zeros((n_channels, 0), np.float32)
        self._in_rate = 0
        self._resampler: av.AudioResampler | None = None

    def push(self, samples: NDArray[np.float32], in_rate: int) -> NDArray[np.float32]:
        """Return the audio (channels, samples) at the new rate that is ready after this piece at `in_rate`."""
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
        """Return the last samples at the end of the stream."""
        frames = self._resampler.resample(None) if self._resampler is not None else []
        self._resampler = None
        return np.concatenate([self._nothing, *map(_as_float, frames)], axis=1)
