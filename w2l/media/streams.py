"""Streams beside the picture in a written video: its audio, and streams kept from its source."""

import contextlib
import heapq
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from w2l.core.errors import MediaError
from w2l.core.reading import real_path
from w2l.media.container import ReadStats, codec_name, open_input, packets
from w2l.media.soundtrack import Speech, inspect_speech, sound_packets, stream_tags
from w2l.media.video import probe

log = logging.getLogger(__name__)

TEXT_CODECS = frozenset({"subrip", "ass", "mov_text", "webvtt", "text"})
"""Codecs of text subtitles, each of which can be converted to any other."""
SUBTITLE_CODECS = {
    "mp4": ("mov_text",),
    "mov": ("mov_text",),
    "matroska": ("subrip", "ass", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"),
    "webm": ("webvtt",),
}
"""Subtitle codecs that a container supports, by name of the muxer; other text is converted to the first of them."""
EMPTY_TEXT = (b"", b"\0\0")
"""Packets without words: MP4 fills the time between two others with them; they are regenerated."""
MILLISECOND = Fraction(1, 1000)
FILE_TAGS = frozenset(
    {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "handler_name", "vendor_id"}
)
"""Tags about the file itself, not about its content."""
STYLE = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""Header that an encoder of text subtitles requires: plain white letters at the bottom."""


@dataclass(frozen=True)
class Subtitle:
    """A subtitle stream to keep."""

    stream_idx: int
    codec: str
    """As in the source."""
    target: str
    """As in the output: the same if the packets are copied."""
    tags: dict[str, str]


@dataclass(frozen=True)
class Kept:
    """Streams and metadata that a video keeps of its source."""

    path: Path
    origin_s: float
    """Time on the source's clock that matches the first picture."""
    until_s: float
    """Seconds after the first picture at which all streams end."""
    sounds: tuple[Speech, ...]
    subtitles: tuple[Subtitle, ...]
    chapters: tuple[dict[str, Any], ...]
    tags: dict[str, str]
    """Title, artist and the like."""


def inspect_kept(path: Path, muxer: str, origin_s: float | None, until_s: float | None, speech: Speech | None) -> Kept:
    """Return the streams of a source that the container supports; the others are logged in one line.

    `origin_s`: see `Kept`; without it, the time of the source's first picture. `speech` takes the place
    of the stream a player would choose, or of itself where it comes from the source.
    """
    origin_s = probe(path).start_s if origin_s is None else origin_s
    sounds, subtitles, dropped = [], [], []
    with open_input(path) as container:
        replaced = _replaced(container, path, speech)
        sound_idx = [stream.index for stream in container.streams.audio if stream.index != replaced]
        for stream in container.streams.subtitles:
            codec = codec_name(stream)
            target = _subtitle_target(codec, muxer)
            if target is None:
                dropped.append(f"subtitles {stream.index} ({codec})")
            else:
                subtitles.append(Subtitle(stream.index, codec, target, stream_tags(stream)))
        tags = {key: value for key, value in container.metadata.items() if key.lower() not in FILE_TAGS}
        chapters = _moved_chapters(container, origin_s, until_s)
    for idx in sound_idx:
        try:
            sounds.append(inspect_speech(path, origin_s, until_s, idx))
        except MediaError:
            dropped.append(f"sound {idx} (cannot be decoded)")
    if dropped:
        log.warning("%s: the output does not keep: %s", path, ", ".join(dropped))
    limit_s = np.inf if until_s is None else until_s
    return Kept(path, origin_s, limit_s, tuple(sounds), tuple(subtitles), chapters, tags)


def _replaced(container: InputContainer, path: Path, speech: Speech | None) -> int | None:
    """Return which audio stream of a source the speech replaces."""
    best: Any = container.streams.best("audio")
    if speech is None or best is None:
        return None
    return speech.stream_idx if real_path(speech.path) == real_path(path) else int(best.index)


class Beside:
    """Packets of all streams other than the picture, in order of time; one per stream is kept in memory.

    Parameters
    ----------
    speech : Speech, optional
        The sound.
    kept : Kept, optional
        What else is copied from a source.
    comment : str
        What the file's tags say of it, before the source's own comment.
    """

    def __init__(self, speech: Speech | None, kept: Kept | None, comment: str = "") -> None:
        self._comment = comment
        self._speech = speech
        self._kept = kept
        self._resources = contextlib.ExitStack()
        self._packets: Iterator[tuple[float, Any]] = iter(())
        self._next: tuple[float, Any] | None = None

    def start(self, output: OutputContainer) -> None:
        """Add the streams to `output`, which already has the stream of the picture."""
        streams = [] if self._speech is None else [self._sound(self._speech, output)]
        if self._kept is not None:
            streams += [self._sound(sound, output) for sound in self._kept.sounds]
            streams += [self._subtitles(self._kept, subtitle, output) for subtitle in self._kept.subtitles]
            output.metadata.update(self._kept.tags)
            if self._kept.chapters:
                output.set_chapters(list(self._kept.chapters))  # type: ignore[arg-type]
        if self._comment:
            said = [value for key, value in output.metadata.items() if key.lower() == "comment"]
            output.metadata["comment"] = "; ".join([self._comment, *said])
        self._packets = heapq.merge(*streams, key=lambda timed: timed[0])
        self._next = next(self._packets, None)

    def feed(self, output: OutputContainer, until_s: float = np.inf) -> None:
        """Write the packets due before `until_s`, so that audio and picture are interleaved in the file."""
        while self._next is not None and self._next[0] < until_s:
            output.mux(self._next[1])
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the sources."""
        self._next = None
        self._packets = iter(())
        self._resources.close()

    def _sound(self, speech: Speech, output: OutputContainer) -> Iterator[tuple[float, Any]]:
        return sound_packets(speech, self._resources.enter_context(open_input(speech.path)), output)

    def _subtitles(self, kept: Kept, subtitle: Subtitle, output: OutputContainer) -> Iterator[tuple[float, Any]]:
        return _subtitle_packets(kept, subtitle, self._resources.enter_context(open_input(kept.path)), output)


def _subtitle_target(codec: str, muxer: str) -> str | None:
    """Return the subtitle codec for a file of that kind; None if it does not support subtitles of that codec."""
    known = SUBTITLE_CODECS[muxer]
    if codec in known:
        return codec
    return known[0] if codec in TEXT_CODECS else None


def _moved_chapters(container: InputContainer, origin_s: float, until_s: float | None) -> tuple[dict[str, Any], ...]:
    """Return the chapters in milliseconds from the first frame on, cut at `until_s`."""
    chapters: list[dict[str, Any]] = []
    for chapter in container.chapters():
        times_s = [float(chapter[key] * chapter["time_base"]) - origin_s for key in ("start", "end")]  # type: ignore
        start, end = (round(min(max(0.0, t), np.inf if until_s is None else until_s) * 1000) for t in times_s)
        if end > start:
            moved = {"id": len(chapters), "start": start, "end": end, "time_base": MILLISECOND}
            chapters.append(moved | {"metadata": dict(chapter["metadata"])})
    return tuple(chapters)


def _subtitle_packets(
    kept: Kept, subtitle: Subtitle, source: InputContainer, output: OutputContainer
) -> Iterator[tuple[float, Any]]:
    """Add a subtitle stream to `output` and yield its packets with their times, as `sound_packets` does."""
    stream = source.streams[subtitle.stream_idx]
    target: Any
    if subtitle.codec == subtitle.target:
        target = output.add_stream_from_template(stream)
    else:
        target = output.add_stream(subtitle.target)
        target.codec_context.subtitle_header = STYLE.encode()
        target.codec_context.time_base = target.time_base = MILLISECOND
    target.metadata.update(subtitle.tags)
    for packet in packets(source, stream, ReadStats()):
        if packet is None or packet.pts is None or bytes(packet) in EMPTY_TEXT:
            continue
        start_s = float(packet.pts * packet.time_base) - kept.origin_s
        end_s = start_s + float((packet.duration or 0) * packet.time_base)
        if end_s <= 0 or start_s >= kept.until_s:
            continue
        start, end = round(max(0.0, start_s) * 1000), round(min(end_s, kept.until_s) * 1000)
        moved = packet if subtitle.codec == subtitle.target else _retold(bytes(packet), subtitle)
        if moved is None:
            continue
        moved.time_base, moved.pts, moved.dts, moved.duration = MILLISECOND, start, start, end - start
        moved.stream, moved.is_keyframe = target, True
        yield start / 1000, moved


def _retold(content: bytes, subtitle: Subtitle) -> Any:
    """Convert a packet to another format with the same words; None if there are none."""
    text = plain_text(content, subtitle.codec).encode()
    if not text:
        return None
    return av.Packet(len(text).to_bytes(2, "big") + text if subtitle.target == "mov_text" else text)


def plain_text(content: bytes, codec: str) -> str:
    """Return the words of a packet of text subtitles, without its markup."""
    if codec == "mov_text":
        return content[2 : 2 + int.from_bytes(content[:2], "big")].decode(errors="replace").strip()
    text = content.decode(errors="replace")
    if codec == "ass":
        words = text.split(",", 8)[-1]  # the eight fields before the text say where and how
        return re.sub(r"\{[^}]*\}", "", words).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ").strip()
    return re.sub(r"</?[A-Za-z][^>]*>|\{\\[^}]*\}", "", text).strip()
