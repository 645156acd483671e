"""Write a container under a hidden name and rename it when it is complete."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import OutputContainer

from w2l.core.errors import MediaError
from w2l.core.files import Draft, remove_drafts

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Endings that can be written."""
VIDEO_CODECS = {
    "mp4": ("h264", "hevc", "av1"),
    "mov": ("h264", "hevc", "prores"),
    "matroska": ("h264", "hevc", "av1", "vp9"),
    "webm": ("av1", "vp9"),
}
"""What players expect in each kind of file."""


class Unfinished:
    """The file `path` while it is being written; it appears by `finish` or not at all.

    Raise MediaError immediately for an ending, a codec in it, or a folder that cannot be written.
    """

    def __init__(self, path: Path, codec: str) -> None:
        self.path = path
        _check_name(path, codec)
        self.muxer = MUXERS[path.suffix.lower()]
        self._draft = Draft(path)
        try:
            self._draft.create().close()
            self._draft.discard()
        except OSError as error:
            raise MediaError(
                f"{path}: cannot be written ({error.strerror}); choose a folder that exists and is yours"
            ) from error
        self._container: OutputContainer | None = None

    def open(self) -> OutputContainer:
        """Return the empty container; what killed processes left half-written of it is removed.

        That is done now and not before: by now the caller holds the lock on the output, where there is one.
        """
        remove_drafts(self.path)
        is_mp4 = self.muxer in ("mp4", "mov")
        # Else Matroska gives the file and its streams random numbers, and the same input other bytes every time.
        options = {"movflags": "+faststart"} if is_mp4 else {"fflags": "+bitexact"}
        target = str(self._draft.temporary.absolute())
        with self.named_errors():
            self._draft.create().close()  # the library would follow a link of that name
            self._container = av.open(target, "w", format=self.muxer, container_options=options)
        return self._container

    def finish(self) -> None:
        """Close the container, see to it that it is on the disk, and give it its name."""
        with self.named_errors():
            self._close()
            self._draft.finish()

    def abandon(self) -> None:
        """Close and remove the temporary file; errors are suppressed in favour of the one that led here."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._close()
        self._draft.discard()

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Convert PyAV's errors to a MediaError that names the file."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MediaError(f"{self.path}: writing failed ({reason}); check the disk's free space") from error

    def _close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()


def _check_name(path: Path, codec: str) -> None:
    if path.suffix.lower() not in MUXERS:
        ending = path.suffix or "a name without ending"
        folder = "" if path.suffix else ", or the name of a folder that exists"
        raise MediaError(f"{path}: cannot write {ending}; use {', '.join(MUXERS)}{folder}")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; name a file in it")
    known = VIDEO_CODECS[MUXERS[path.suffix.lower()]]
    if codec not in known:
        raise MediaError(f"{path}: {path.suffix} files hold no {codec}; choose the codec {' or '.join(known)}")
