"""Speech that comes through a pipe: written to a temporary file, as it is read more than once."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from w2l.core.errors import ConfigError, MediaError, W2LError
from w2l.core.limits import PREFIX, limits

STDIN = "-"
"""The name that means standard input."""
STDIN_NAME = "standard input"
"""What messages and records call it."""
BLOCK = 1 << 20
"""Bytes per read."""


def is_stream(speech: Path) -> bool:
    """Whether a speech is standard input or a pipe, such as <(...) or /dev/stdin in a pipeline."""
    if str(speech) == STDIN:
        return True
    try:
        return stat.S_ISFIFO(speech.stat().st_mode)
    except (OSError, ValueError):  # whoever reads the file says so
        return False


def name_of(speech: Path) -> str:
    """Return what messages and records call a speech: its path, or standard input."""
    return STDIN_NAME if str(speech) in (STDIN, "/dev/stdin") else str(speech)


@contextmanager
def spooled(speech: Path) -> Iterator[Path]:
    """Context manager: the file of a speech; that of a stream is temporary, and removed at the end.

    Raises ConfigError for a terminal, MediaError for a stream that is empty or larger than the limit.
    """
    if not is_stream(speech):
        yield speech
        return
    with tempfile.TemporaryDirectory(prefix="w2l-") as folder:
        file = Path(folder) / "speech"
        if str(speech) == STDIN:
            if sys.stdin is None or sys.stdin.isatty():
                raise ConfigError("- is standard input, which is a terminal; pipe the speech into w2l, or name a file")
            _copy(sys.stdin.buffer, file, name_of(speech))
        else:
            with speech.open("rb") as source:
                _copy(source, file, name_of(speech))
        os.utime(file, (0, 0))  # the same content is the same speech to --resume
        try:
            yield file
        except W2LError as error:  # users do not know the temporary file
            error.args = (str(error).replace(str(file), name_of(speech)),)
            raise


@contextmanager
def spooled_last(files: tuple[Path, ...]) -> Iterator[tuple[tuple[Path, ...], str]]:
    """Context manager: the arguments VIDEO... SPEECH with the file of the speech, and its name if it is a stream."""
    if not files or not is_stream(files[-1]):
        yield files, ""
        return
    with spooled(files[-1]) as file:
        yield (*files[:-1], file), name_of(files[-1])


def _copy(source: BinaryIO, target: Path, name: str) -> None:
    most = limits().stream_megabytes
    n_bytes = 0
    try:
        with target.open("xb") as file:
            while block := source.read(BLOCK):
                n_bytes += len(block)
                if n_bytes > 1e6 * most:
                    raise MediaError(
                        f"{name}: is larger than {most:g} MB; write it to a file, or raise {PREFIX}STREAM_MEGABYTES"
                    )
                file.write(block)
    except OSError as error:
        raise MediaError(
            f"{name}: cannot be stored in {target.parent} ({error.strerror}); free some space or set $TMPDIR"
        ) from error
    if not n_bytes:
        raise MediaError(f"{name}: nothing came through it; check the command that writes the speech")
