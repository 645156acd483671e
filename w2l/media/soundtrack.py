"""The audio of a video being written: copied packet by packet if the container supports its codec, else encoded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.media.channels import speakers_of
from w2l.media.container import ReadStats, codec_name, decode, is_decodable, open_input, packets
from w2l.media.resampling import Resampler
from w2l.media.sound_blocks import sound_blocks, sound_stream

MP4_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
"""Sound that players expect in MP4 and QuickTime files."""
MATROSKA_CODECS = MP4_CODECS | {"mp2", "flac", "opus", "vorbis", "dts", "pcm_s16le", "pcm_s24le", "pcm_f32le"}
WEBM_CODECS = frozenset({"opus", "vorbis"})
COPIED_CODECS = {"mp4": MP4_CODECS, "mov": MP4_CODECS, "matroska": MATROSKA_CODECS, "webm": WEBM_CODECS}
"""Codecs that are copied unchanged, by name of the muxer."""
MATROSKA = ("matroska", "webm")
"""Muxers without edit lists."""
FORMATS_WITH_CODEC_DELAY = frozenset({"matroska,webm", "ogg"})
"""Demuxers that report how many samples at the beginning must not be played."""
AAC_RATES = (44100, 48000)
"""Sample rates in Hz kept when encoding; any other becomes the last of them, which is Opus's only one."""
BIT_RATES = {"aac": 192_000, "libopus": 160_000}
"""Bits per second, by encoder."""
PREROLL_S = 0.05
"""Audio kept before a cut in copied packets, in seconds: the decoder needs it to settle."""
MAX_HOLE_S = 0.05
"""Most audio, in seconds, that may be lost after a cut if the container cannot state that packets begin before it."""
HALF_TICK_S = 0.0005
"""Half a tick of Matroska's clock: audio that begins earlier than the picture by less counts as beginning with it."""
HALF_POWER = 0.5**0.5
"""Gain of a centre, side or rear channel in a stereo downmix."""
STREAM_TAGS = ("language", "title")
"""Tags of a stream that are copied with it."""


@dataclass(frozen=True)
class Speech:
    """The audio of a video, and when it starts."""

    path: Path
    origin_s: float | None
    """Time on the file's clock that matches the first picture; None: that of the first sample."""
    until_s: float
    """Seconds after the first picture at which the audio ends."""
    first_s: float
    """Time of the first sample on the file's clock, after the codec's priming."""
    codec: str
    speakers: tuple[str, ...]
    """Names of its channels, as FFmpeg writes them: FL is front left."""
    rate: int
    """Samples per second."""
    timed: bool
    """Whether its packets have timestamps."""
    block_s: float
    """Duration of one packet in seconds."""
    primed: bool
    """Whether it begins with samples that must not be played; only Matroska's own can be marked there."""
    stream_idx: int
    """Index of the stream in the file."""
    tags: dict[str, str] = field(default_factory=dict)
    """Its language and title, if the file states them."""

    @property
    def zero_s(self) -> float:
        """Time on the file's clock that matches the first picture."""
        return self.first_s if self.origin_s is None else self.origin_s

    @property
    def cut_s(self) -> float:
        """Duration of its part before the first picture, in seconds."""
        return max(0.0, self.zero_s - self.first_s)

    @property
    def n_channels(self) -> int:
        """Number of channels when it is encoded, 1 or 2; more are mixed down to two."""
        return min(2, len(self.speakers))


def inspect_speech(path: Path, origin_s: float | None, until_s: float | None, stream_idx: int | None = None) -> Speech:
    """Return a file's audio stream, by default the one that a player would choose.

    Raises MediaError when it is missing, has none, or none of it can be decoded.
    """
    with open_input(path) as container:
        stream: Any = sound_stream(container, path) if stream_idx is None else container.streams[stream_idx]
        first = next(decode(container, stream, ReadStats()), None) if is_decodable(stream) else None
        if first is None:
            raise MediaError(f"{path}: no sound can be decoded; the file is damaged, use another copy")
        stream_idx = stream.index
        codec = codec_name(stream)
        speakers = speakers_of(first)
        tags = stream_tags(stream)
        rate, first_s = first.sample_rate, first.time or 0.0
        block_s = first.samples / rate
    with open_input(path) as container:
        stream = container.streams[stream_idx]
        packet = next(packets(container, stream, ReadStats()))
        timed = packet is not None and packet.pts is not None
        primed = timed and first_s - float(packet.pts * stream.time_base) > 0.5 / rate
        marked = container.format.name in FORMATS_WITH_CODEC_DELAY
    return Speech(
        path=path,
        origin_s=origin_s,
        until_s=np.inf if until_s is None else until_s,
        first_s=first_s,
        codec=codec,
        speakers=speakers,
        rate=rate,
        timed=timed,
        block_s=block_s,
        primed=primed and not marked,
        stream_idx=stream_idx,
        tags=tags,
    )


def stream_tags(stream: Any) -> dict[str, str]:
    """Return the language and title of a stream, if specified."""
    return {key: value for key in STREAM_TAGS if (value := stream.metadata.get(key, "und")) != "und"}


def sound_packets(speech: Speech, source: InputContainer, output: OutputContainer) -> Iterator[tuple[float, Any]]:
    """Add an audio stream to `output`; yield its packets in order, with their times in seconds from the first picture.

    The first `next` adds the stream, so it must be called before `output` writes its header. Only the current packet is
    kept in memory.
    """
    stream = source.streams[speech.stream_idx]
    target: Any
    if _copyable(speech, output.format.name):
        target = output.add_stream_from_template(stream)
        target.metadata.update(speech.tags)
        is_cut = output.format.name in MATROSKA and speech.cut_s > HALF_TICK_S
        yield from _copied(speech, source, stream, target, 0.0 if is_cut else PREROLL_S)
        return
    if output.format.name == "webm":
        target = output.add_stream("libopus", rate=AAC_RATES[-1], format="flt")
    else:
        rate = speech.rate if speech.rate in AAC_RATES else AAC_RATES[-1]
        target = output.add_stream("aac", rate=rate, format="fltp")
    target.layout = "mono" if speech.n_channels == 1 else "stereo"
    target.bit_rate = BIT_RATES[target.codec_context.codec.name]
    target.metadata.update(speech.tags)
    yield from _encoded(speech, source, stream, target)


def stereo_weights(speakers: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the stereo downmix gains (2, channels), scaled such that the mix cannot clip."""

    def share(speaker: str, side: str, other: str) -> float:
        if speaker.startswith("LFE") or other in speaker:
            return 0.0
        if speaker == f"F{side}":
            return 1.0
        return HALF_POWER if side in speaker or speaker == "FC" else 0.5

    weights = np.array([[share(speaker, *sides) for speaker in speakers] for sides in (("L", "R"), ("R", "L"))])
    return np.asarray(weights / max(1.0, weights.sum(axis=1).max()), dtype=np.float32)


def _copyable(speech: Speech, muxer: str) -> bool:
    """Return whether the container can hold the packets unchanged and state where their audio begins.

    Matroska shifts all streams if one begins before time 0. Audio that begins slightly before the picture, as muxers
    write it, is therefore copied from the first later packet on; after a real cut it is encoded.
    """
    if not speech.timed or speech.codec not in COPIED_CODECS[muxer]:
        return False
    if muxer not in MATROSKA:
        return True
    is_small = speech.cut_s <= MAX_HOLE_S and speech.block_s <= MAX_HOLE_S
    return not speech.primed and (speech.cut_s <= HALF_TICK_S or is_small)


def _copied(
    speech: Speech, source: InputContainer, stream: Any, target: Any, preroll_s: float
) -> Iterator[tuple[float, Any]]:
    """Yield the source's packets, shifted so that `speech.zero_s` becomes time 0; priming keeps its negative times.

    Packets before the cut are kept if they reach into its last `preroll_s` seconds; without preroll, none is kept.
    """
    unit = Fraction(stream.time_base)
    shift = round(speech.zero_s / unit)
    until = speech.until_s / float(unit)
    earliest = -np.inf if speech.origin_s is None else -preroll_s / float(unit)
    following = 0
    for packet in packets(source, stream, ReadStats()):
        if packet is None or not packet.size:
            continue
        pts = following if packet.pts is None else packet.pts - shift
        following = pts + (packet.duration or 0)
        if following <= earliest or (preroll_s == 0.0 and pts * unit < -HALF_TICK_S):
            continue
        if pts >= until:
            return
        if following > until:
            packet.duration = max(1, round(until) - pts)
        packet.pts = packet.dts = pts
        packet.stream = target
        yield float(pts * unit), packet


def _encoded(speech: Speech, source: InputContainer, stream: Any, encoder: Any) -> Iterator[tuple[float, Any]]:
    """Yield the source's audio encoded; its priming has negative times, which the muxer marks as not to be played."""
    n_written = 0
    for samples in _from_zero(speech, source, stream, encoder.rate):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", encoder.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = encoder.rate, Fraction(1, encoder.rate), n_written
        n_written += samples.shape[1]
        for packet in encoder.encode(frame):
            yield float(packet.pts * packet.time_base), packet
    for packet in encoder.encode(None):
        # The last packet is filled up with silence; its duration says where the sound ends.
        packet.duration = max(1, min(packet.duration or 0, n_written - packet.pts))
        yield float(packet.pts * packet.time_base), packet


def _from_zero(speech: Speech, source: InputContainer, stream: Any, rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield the source's audio (channels, samples) at `rate` from the first frame on, in pieces, cut at `until_s`."""
    resampler = Resampler(rate, speech.n_channels)
    n_left = None if np.isinf(speech.until_s) else round(speech.until_s * rate)
    n_skip = round((speech.zero_s - speech.first_s) * rate)
    if n_skip < 0:
        silence = np.zeros((speech.n_channels, -n_skip), np.float32)
        n_skip = 0
    else:
        silence = np.zeros((speech.n_channels, 0), np.float32)

    def pieces() -> Iterator[NDArray[np.float32]]:
        yield silence
        for block in sound_blocks(source, stream, ReadStats()):
            yield resampler.push(_folded(block.samples, speech.speakers), block.rate)
        yield resampler.flush()

    for piece in pieces():
        n_skipped = min(n_skip, piece.shape[1])
        n_skip -= n_skipped
        piece = piece[:, n_skipped:] if n_left is None else piece[:, n_skipped : n_skipped + n_left]
        if n_left is not None:
            n_left -= piece.shape[1]
        if piece.shape[1]:
            yield piece
        if n_left == 0:
            return


def _folded(samples: NDArray[np.float32], speakers: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the audio with one or two channels: unchanged, or mixed down for two speakers."""
    n_channels = min(2, len(speakers))
    if samples.shape[0] == n_channels:
        return samples
    if samples.shape[0] == len(speakers):
        return stereo_weights(speakers) @ samples
    return np.repeat(samples.mean(axis=0, keepdims=True), n_channels, axis=0)
