"""Files that are never half there: written under a temporary name, flushed, renamed; fingerprints."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from w2l.core import reading
from w2l.core.errors import CacheError
from w2l.core.limits import PREFIX, limits
from w2l.core.locks import is_alive, machine
from w2l.core.own_files import create_anew, reopen

TEMPORARY = ".tmp-"
"""How the names of half-written files begin."""
LONGEST_NAME = 200
"""Bytes of a file's name that its temporary name still holds: file systems allow 255 in all."""
LEFTOVER_S = 86400.0
"""A temporary file that was not written to for so long, in seconds, has been given up, whoever made it."""
DAMAGED = (
    OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, struct.error,
)  # fmt: skip
"""What reading a damaged array file raises."""
BLOCK = 1 << 20
"""Bytes hashed at once."""
N_SAMPLES, SAMPLE = 16, 4096
"""Blocks of a source, and their bytes, that tell it from another of the same size and time."""
HEADERS = threading.Lock()
"""Held while NumPy reads an array file: it parses headers with `ast`, which Python up to 3.11 cannot do in two threads
at once (SystemError: AST constructor recursion depth mismatch)."""


def fingerprint(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the JSON-able `parts` does."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_fingerprint(path: Path, content: bool = True) -> str:
    """Return the fingerprint of a source file, which need not be there: size, modification time, some of its content.

    Copying tools and archives can give another file the same size and time; `N_SAMPLES` blocks tell two videos apart.
    Without `content` it is as w2l 0.2 wrote it.
    """
    try:
        status = path.stat()
        facts: list[Any] = [status.st_size, status.st_mtime_ns]
        if content and stat.S_ISREG(status.st_mode):
            facts.append(_samples(path, status.st_size))
    except OSError:
        return fingerprint("gone")
    return fingerprint(*facts)


def _samples(path: Path, size: int) -> str:
    """SHA-256 of blocks at even distances, the first and the last among them; of a small file, of all."""
    digest = hashlib.sha256()
    last = max(0, size - SAMPLE)
    with path.open("rb", buffering=0) as file:
        for place in sorted({last * number // (N_SAMPLES - 1) for number in range(N_SAMPLES)}):
            file.seek(place)
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class Draft:
    """A file being written under a temporary name beside `path`, which it gets when it is whole.

    As a context manager it is finished when the block ends well, and discarded when not. Whatever is killed meanwhile
    leaves the temporary file for `remove_leftovers`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f"{_mark()}{os.getpid()}-{threading.get_native_id()}-{_short(path.name)}")

    def create(self) -> BinaryIO:
        """Make the temporary file, empty; a link or an old file of that name is removed, not written to."""
        return create_anew(self.temporary)

    def finish(self) -> None:
        """Flush the closed file to disk and give it its name."""
        with reopen(self.temporary) as file:
            os.fsync(file.fileno())
        self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove the file if it is not finished; an error that led here is the one to report."""
        with contextlib.suppress(OSError):
            self.temporary.unlink()

    def __enter__(self) -> "Draft":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.discard()


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have `write` fill a temporary file beside `path`, flush it to disk and rename it to `path`.

    Raises CacheError when the folder cannot be written or the disk is full; `path` then is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Draft(path) as draft, draft.create() as file:
            write(file)
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}; check space and permissions") from error


def hidden(path: Path, suffix: str) -> Path:
    """Return the name of a hidden companion of a file, such as its lock; it is not too long where the file's is not."""
    return path.with_name(f".{_short(path.name)}{suffix}")


def drafts(path: Path) -> list[Path]:
    """Return the temporary files of `path`, of all processes and machines, living or not."""
    named = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{6}}-\d+-\d+-{re.escape(_short(path.name))}")
    return [file for file in path.parent.glob(f"{TEMPORARY}*") if named.fullmatch(file.name)]


def remove_drafts(path: Path) -> None:
    """Remove what killed processes left half-written of `path`, not what a living one is writing."""
    _remove(filter(_is_leftover, drafts(path)))


def remove_leftovers(folder: Path, held: bool = False) -> None:
    """Remove what killed processes left half-written in `folder`, not what a living one is writing.

    With `held` nobody else may write there, and every temporary file is a leftover.
    """
    _remove(file for file in folder.glob(f"{TEMPORARY}*") if held or _is_leftover(file))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _mark() -> str:
    """How the names of this machine's temporary files begin."""
    return f"{TEMPORARY}{fingerprint(machine())[:6]}-"


def _short(name: str) -> str:
    """A file's name where a temporary one may hold it; of a longer one, what stands for it."""
    return name if len(os.fsencode(name)) <= LONGEST_NAME else fingerprint(name)


def _is_leftover(path: Path) -> bool:
    """Whether its process is dead; of another machine's, which cannot be asked, whether it is a day old."""
    pid = path.name.removeprefix(_mark()).partition("-")[0]
    if path.name.startswith(_mark()) and pid.isdecimal():
        return not is_alive(int(pid))
    try:
        return time.time() - path.stat().st_mtime > LEFTOVER_S
    except OSError:
        return False


def check_writable(path: Path) -> None:
    """Raise CacheError where no file can be written at `path`; for a result that comes after hours of work."""
    try:
        _try_writing(path)
    except OSError as error:
        reason = error.strerror or error
        raise CacheError(
            f"{path} cannot be written ({reason}); name a file in a folder that you may write to"
        ) from error


def _try_writing(path: Path) -> None:
    """Make a temporary file where one of `path` would be, and remove it; OSError where that fails."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            raise OSError(errno.EINVAL, "it is a folder, or not a file")
        if stat.S_ISLNK(status.st_mode) and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a link to a folder")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    draft = Draft(folder / path.name)
    try:
        draft.create().close()
    finally:
        draft.discard()


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as sorted, indented JSON, atomically."""
    text = json.dumps(content, indent=1, sort_keys=True, default=str) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_text(path: Path, text: str) -> None:
    """Writes `text`, atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes an npz file, atomically."""
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read_array(path: Path, mapped: bool = False) -> NDArray[Any]:
    """Return the array of an npy file, `mapped`: read as it is sliced; raises one of DAMAGED when the file is none."""
    with HEADERS:
        with path.open("rb") as file:
            _check_array(file, path.stat().st_size, None if mapped else limits().array_megabytes)
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None)
    return array


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file by name; raises one of DAMAGED when the file is none.

    Nothing is unpacked before it is known that all of it is as large as it says, and not too large.
    """
    with HEADERS, zipfile.ZipFile(path) as archive:
        most = limits().array_megabytes
        if sum(member.file_size for member in archive.infolist()) > 1e6 * most:
            raise ValueError(f"its arrays are larger than {most:g} MB, see {PREFIX}ARRAY_MEGABYTES")
        arrays = {}
        for member in archive.infolist():
            with archive.open(member) as file:
                _check_array(file, member.file_size, most)
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
        return arrays


def _check_array(file: IO[bytes], n_bytes: int, most: float | None) -> None:
    """ValueError where an array is larger than its file, or than `most` megabytes, or holds objects."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"array of format {version}")
    shape, _, kind = read(file)
    size = math.prod(shape) * kind.itemsize
    if kind.hasobject or min(shape, default=0) < 0 or size + file.tell() > n_bytes:
        raise ValueError(f"array {shape} of {kind} does not fit its {n_bytes} bytes")
    if most is not None and size > 1e6 * most:
        raise ValueError(f"array of {size} bytes is larger than {most:g} MB, see {PREFIX}ARRAY_MEGABYTES")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; CacheError when it is missing, damaged or no object."""
    try:
        content = reading.read_json(path)
    except reading.Unreadable as error:
        raise CacheError(f"{path} cannot be read ({error}); delete it and run the stage again") from error
    if not isinstance(content, dict):
        raise CacheError(f"{path} does not hold a JSON object; delete it and run the stage again")
    return content
