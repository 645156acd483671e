"""Check whether all web browsers play a video, and make a copy that they do."""

import tempfile
from pathlib import Path
from typing import Any

from w2l.core.errors import MediaError
from w2l.media.audio import read_audio, write_wav
from w2l.media.container import codec_name, open_input, video_stream
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.soundtrack import MP4_CODECS
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter

SOUND_CODECS = frozenset({"aac", "mp3"})
"""Audio codecs that all browsers play in an MP4 file."""
PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats of H.264 that all browsers show; others (4:4:4, 10 bits) stay black in some."""
CLOSE = Encoding(crf=12)
"""Encoding of the copy, visually indistinguishable from the source."""


def unplayable(path: Path) -> str:
    """Return why some browsers do not play a video file; empty if all do.

    All browsers play H.264 of 8 bits in 4:2:0 with AAC or MP3, or without audio, in MP4. Raises MediaError for an
    unreadable file.
    """
    with open_input(path) as container:
        context: Any = video_stream(container, path).codec_context
        sound: Any = container.streams.best("audio")
        if "mp4" not in container.format.name:
            return f"{container.format.name} container"
        if context.codec.canonical_name != "h264":
            return f"{context.codec.canonical_name} picture"
        if context.pix_fmt not in PIXEL_FORMATS:
            return f"h264 picture in {context.pix_fmt}"
        codec = "" if sound is None else codec_name(sound)
        return f"{codec} sound" if codec and codec not in SOUND_CODECS else ""


def encode_for_browsers(source: Path, target: Path) -> None:
    """Write the picture and the audio of `source` to `target` (.mp4) as all browsers play them, with the same timing.

    Frames keep their times and size (an odd one is padded to even). AAC and MP3 sound is copied. Other sound becomes
    AAC; that which MP4 takes but browsers do not (AC-3, ALAC) goes through 16 kHz mono on the way. Memory does not grow
    with the length of the picture. Raises MediaError for a source that cannot be decoded.
    """
    info = probe(source)
    if info.is_still:
        raise MediaError(f"{source}: is a picture; choose a video")
    with tempfile.TemporaryDirectory() as folder:
        speech, origin_s = (source, info.start_s) if info.has_sound else (None, None)
        if speech is not None and _is_copied_in_vain(source):
            speech, origin_s = Path(folder) / "sound.wav", None
            write_wav(speech, read_audio(source, origin_s=info.start_s))
        output = Output(
            target,
            info.width,
            info.height,
            info.fps,
            pixel_aspect=info.pixel_aspect,
            speech=speech,
            speech_origin_s=origin_s,
            encoding=CLOSE,
            variable=True,
        )
        with VideoWriter(output) as writer:
            for frame in read_frames(source):
                writer.write(frame.image, frame.time_s)


def _is_copied_in_vain(path: Path) -> bool:
    """Return whether the writer would copy audio into an MP4 file that browsers do not play there."""
    with open_input(path) as container:
        sound: Any = container.streams.best("audio")
        return sound is not None and codec_name(sound) in MP4_CODECS - SOUND_CODECS
