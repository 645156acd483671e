"""Read the speech of any file as mono 16 kHz on the clock of the picture, and write WAV files."""

import io
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.core.files import Draft
from w2l.core.limits import PREFIX, limits
from w2l.core.timing import SAMPLE_RATE
from w2l.media.channels import QUIET, SILENT, ChannelChoice, SpeechMeter
from w2l.media.container import ReadStats, is_decodable, open_input, warn_of_damage
from w2l.media.resampling import Resampler
from w2l.media.sound_blocks import SoundBlock, sound_blocks, sound_stream

log = logging.getLogger(__name__)

Wave = NDArray[np.float32]
Made = TypeVar("Made")

MUCH_MORE = 3.0
"""Factor by which another track must contain more speech to be used instead of the one that a player would choose."""
NO_SAMPLES = "{}: no sound can be decoded; the file is damaged, use another copy"


@dataclass(frozen=True)
class SpeechTrack:
    """The audio track of a file that was read as its speech."""

    stream_idx: int
    """Index of its stream in the file."""
    first_s: float
    """Time of its first sample in the file's clock, seconds."""
    peak: float
    """Peak, 0 to 1; 0 for a constant offset, which is silence."""

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
        others = (
            []
            if track is not None
            else [one.index for one in container.streams.audio if one is not stream and is_decodable(one)]
        )
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
    return made, SpeechTrack(reader.stream_idx, reader.first_s, reader.heard_peak)


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
        self._choice: ChannelChoice | None = None

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
    def heard_peak(self) -> float:
        """Return the peak, 0 for a constant offset."""
        return 0.0 if self._meter is not None and self._meter.is_constant else self.peak

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
    pcm = np.clip(np.round(np.asarray(wave, dtype=np.float64) * 32768), -32768, 32767).astype(np.int16)
    content = io.BytesIO()
    soundfile.write(content, pcm, sample_rate, "PCM_16", format="WAV")
    try:
        with Draft(path) as draft, draft.create() as file:
            file.write(content.getbuffer())
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to") from error
