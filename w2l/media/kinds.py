"""Check whether a file contains pictures or audio, by its streams, without decoding."""

from pathlib import Path

from w2l.core.errors import MediaError
from w2l.media.container import open_input, video_stream


def holds_pictures(path: Path) -> bool:
    """Return whether a file is a readable video or picture; cover pictures of audio files do not count."""
    try:
        with open_input(path) as container:
            video_stream(container, path)
    except MediaError:
        return False
    return True


def holds_sound(path: Path) -> bool:
    """Return whether a file is readable and has an audio track."""
    try:
        with open_input(path) as container:
            return bool(container.streams.audio)
    except MediaError:
        return False
