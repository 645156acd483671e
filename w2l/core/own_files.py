"""Opening the files that w2l makes for itself: locks, temporary files, logs; never another's through a link."""

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from w2l.core.errors import CacheError

MODE = 0o666
"""Permissions of a new file, less what the user's mask takes away."""
PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""No link is followed, and no pipe is waited for."""


def create(path: Path) -> BinaryIO:
    """Create a file that was not there, for writing and reading; FileExistsError where anything has its name."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | PLAIN, MODE), "w+b")


def create_anew(path: Path) -> BinaryIO:
    """As `create`, after removing what has the name: a link goes, and not what it leads to."""
    path.unlink(missing_ok=True)
    return create(path)


def reopen(path: Path, sole: bool = False) -> BinaryIO:
    """Open a file that is there for reading and writing; OSError where it is a link or not a file.

    With `sole`, also where it has a second name: a hard link writes to another's file, too.
    """
    return os.fdopen(_checked(path, os.open(path, os.O_RDWR | PLAIN), sole), "r+b")


def append(path: Path, text: str) -> None:
    """Add text at the end of a file, which is made where it is missing; OSError where it is a link or no file."""
    handle = _checked(path, os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | PLAIN, MODE))
    with os.fdopen(handle, "ab") as file:
        file.write(text.encode())


def refuse_link(folder: Path) -> None:
    """CacheError where a folder that is ours alone is a link to another."""
    if folder.is_symlink():
        raise CacheError(f"{folder}: it is a link, through which nothing is written; remove it")


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, as far as that can be done; of a link to one, the link."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _checked(path: Path, handle: int, sole: bool = False) -> int:
    """Return the handle; OSError, and it is closed, where it is not a file's or (`sole`) the file has two names."""
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and not (sole and status.st_nlink > 1):
        return handle
    os.close(handle)
    raise OSError(errno.ELOOP, "it is a link, or not a file; remove it", str(path))
