"""Detect VIDEO and SPEECH in the wrong order."""

from collections.abc import Sequence
from pathlib import Path

from w2l.core.errors import ConfigError, MediaError
from w2l.data.sources.pairs import suffix_kind
from w2l.media.kinds import holds_pictures, holds_sound
from w2l.media.video import VideoInfo, probe, sequence_at


def check_order(videos: Sequence[Path], speech: Path) -> None:
    """Raise ConfigError if a video has the suffix of an audio file and the speech that of a video."""
    for video in videos:
        if suffix_kind(video.name) == "sound" and suffix_kind(speech.name) == "video" and holds_pictures(speech):
            raise ConfigError(_swapped(video, speech))


def probe_video(video: Path, speech: Path, fps: float | None = None) -> VideoInfo:
    """Return the properties of a video; raise ConfigError if it is audio, whatever its name, and the speech a video.

    `fps` is the rate of a sequence of pictures, by default `SEQUENCE_FPS`, which is logged.
    """
    try:
        return sequence_at(probe(video), fps)
    except MediaError as error:
        if not holds_pictures(video) and holds_sound(video) and holds_pictures(speech):
            raise ConfigError(_swapped(video, speech)) from error
        raise


def _swapped(video: Path, speech: Path) -> str:
    return (
        f"{video} is an audio file and {speech} is a video: the arguments are in the wrong order; put the video first:"
        f" w2l sync {speech} {video}"
    )
