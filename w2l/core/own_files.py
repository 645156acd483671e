"""Opening files that w2l creates for itself (locks, temporary files, logs), never another's file through a link."""

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from w2l.core.errors import CacheError

MODE = 0o666
"""Permissions of a new file, before the user's umask is applied."""
PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Do not follow links; do not wait for pipes."""


def create(path: Path) -> BinaryIO:
    """Create a new file for writing and reading; raise FileExistsError if the name is taken."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | PLAIN, MODE), "w+b")


def create_anew(path: Path) -> BinaryIO:
    """Remove whatever has the name, then `create`: a link is removed, not its target."""
    path.unlink(missing_ok=True)
    return create(path)


def reopen(path: Path, sole: bool = False) -> BinaryIO:
    """Open an existing file for reading and writing; raise OSError if it is a link or not a regular file.

    With `sole`, also if it has a second name: writing through a hard link changes another's file, too.
    """
    return os.fdopen(_checked(path, os.open(path, os.O_RDWR | PLAIN), sole), "r+b")


def append(path: Path, text: str) -> None:
    """Append text to a file, which is created if missing; raise OSError if it is a link or not a regular file."""
    handle = _checked(path, os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | PLAIN, MODE))
    with os.fdopen(handle, "ab") as file:
        file.write(text.encode())


def refuse_link(folder: Path) -> None:
    """Raise CacheError if a folder that belongs to w2l alone is a link."""
    if folder.is_symlink():
        raise CacheError(f"{folder} is a link; w2l does not write through links, remove it")


def remove_folder(folder: Path) -> None:
    """Remove a folder and its content as far as possible; for a link to a folder, remove the link."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _checked(path: Path, handle: int, sole: bool = False) -> int:
    """Return the handle; close it and raise OSError unless it is a regular file with (`sole`) no second name."""
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and not (sole and status.st_nlink > 1):
        return handle
    os.close(handle)
    raise OSError(errno.ELOOP, "it is a link or not a regular file; remove it", str(path))
