"""Atomic writes (temporary file, flush, rename), safe reads of array files, and fingerprints."""

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
"""Prefix of temporary file names."""
LONGEST_NAME = 200
"""Bytes of a file's name that its temporary name keeps: file systems allow 255 in all."""
LEFTOVER_S = 86400.0
"""Age in seconds since the last write after which a temporary file counts as abandoned, whoever made it."""
DAMAGED = (
    OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, struct.error,
)  # fmt: skip
"""Exceptions that reading a damaged array file can raise."""
BLOCK = 1 << 20
"""Bytes hashed per read."""
N_SAMPLES, SAMPLE = 16, 4096
"""Number and size in bytes of the blocks hashed to distinguish a source from another of equal size and time."""
HEADERS = threading.Lock()
"""Held while NumPy reads an array file: it parses headers with `ast`, which Python up to 3.11 cannot do in two threads
at the same time (SystemError: AST constructor recursion depth mismatch)."""


def fingerprint(*parts: Any) -> str:
    """Return sixteen hexadecimal digits that change when any of the JSON-serialisable `parts` does."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_fingerprint(path: Path, content: bool = True) -> str:
    """Return the fingerprint of a source file, which may be missing: size, modification time and sampled content.

    Copying tools and archives can give another file the same size and time; `N_SAMPLES` blocks tell two videos apart.
    Without `content` it equals that of w2l 0.2.
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
    """Return the SHA-256 of evenly spaced blocks including the first and the last; of all content for small files."""
    digest = hashlib.sha256()
    last = max(0, size - SAMPLE)
    with path.open("rb", buffering=0) as file:
        for place in sorted({last * number // (N_SAMPLES - 1) for number in range(N_SAMPLES)}):
            file.seek(place)
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class Draft:
    """A file written under a temporary name beside `path` and renamed when it is complete.

    As a context manager it is finished if the block succeeds and discarded if it raises. A process that is killed
    meanwhile leaves the temporary file for `remove_leftovers`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f"{_mark()}{os.getpid()}-{threading.get_native_id()}-{_short(path.name)}")

    def create(self) -> BinaryIO:
        """Create the temporary file, empty; a link or an old file of that name is removed, not written to."""
        return create_anew(self.temporary)

    def finish(self) -> None:
        """Flush the closed file to disk and rename it to its final name."""
        with reopen(self.temporary) as file:
            os.fsync(file.fileno())
        self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove the file if it is not finished; errors are suppressed, as the one that led here is to be reported."""
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
    """Call `write` on a temporary file beside `path`, flush it to disk and rename it to `path`.

    Raises CacheError if the folder is not writable or the disk is full; `path` is then unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Draft(path) as draft, draft.create() as file:
            write(file)
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}; check space and permissions") from error


def hidden(path: Path, suffix: str) -> Path:
    """Return the name of a hidden companion of a file, such as its lock; never longer than a file name may be."""
    return path.with_name(f".{_short(path.name)}{suffix}")


def drafts(path: Path) -> list[Path]:
    """Return the temporary files of `path`, from any process or machine, running or not."""
    named = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{6}}-\d+-\d+-{re.escape(_short(path.name))}")
    return [file for file in path.parent.glob(f"{TEMPORARY}*") if named.fullmatch(file.name)]


def remove_drafts(path: Path) -> None:
    """Remove temporary files of `path` left by killed processes, not those of running ones."""
    _remove(filter(_is_leftover, drafts(path)))


def remove_leftovers(folder: Path, held: bool = False) -> None:
    """Remove temporary files left in `folder` by killed processes, not those of running ones.

    With `held`, no other process may write there, so every temporary file is a leftover.
    """
    _remove(file for file in folder.glob(f"{TEMPORARY}*") if held or _is_leftover(file))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _mark() -> str:
    """Return the prefix of this machine's temporary file names."""
    return f"{TEMPORARY}{fingerprint(machine())[:6]}-"


def _short(name: str) -> str:
    """Return a file's name if a temporary name can contain it, else a shortened replacement."""
    return name if len(os.fsencode(name)) <= LONGEST_NAME else fingerprint(name)


def _is_leftover(path: Path) -> bool:
    """Whether the writing process is dead; for another machine's file, whether it is a day old."""
    pid = path.name.removeprefix(_mark()).partition("-")[0]
    if path.name.startswith(_mark()) and pid.isdecimal():
        return not is_alive(int(pid))
    try:
        return time.time() - path.stat().st_mtime > LEFTOVER_S
    except OSError:
        return False


def check_writable(path: Path) -> None:
    """Raise CacheError if no file can be written at `path`; called before hours of work."""
    try:
        _try_writing(path)
    except OSError as error:
        reason = error.strerror or error
        raise CacheError(f"{path} cannot be written ({reason}); choose a folder you can write to") from error


def _try_writing(path: Path) -> None:
    """Create and remove a temporary file where one of `path` would be; raise OSError if that fails."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            raise OSError(errno.EINVAL, "it is a folder or not a regular file")
        if stat.S_ISLNK(status.st_mode) and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a link to a folder")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    draft = Draft(folder / path.name)
    try:
        draft.create().close()
    finally:
        draft.discard()


def write_json(path: Path, content: Any) -> None:
    """Write `content` as sorted, indented JSON, atomically."""
    text = json.dumps(content, indent=1, sort_keys=True, default=str) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_text(path: Path, text: str) -> None:
    """Write `text`, atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file, atomically."""
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read_array(path: Path, mapped: bool = False) -> NDArray[Any]:
    """Return the array of an npy file, memory-mapped if `mapped`; raise one of DAMAGED if the file is not valid."""
    with HEADERS:
        with path.open("rb") as file:
            _check_array(file, path.stat().st_size, None if mapped else limits().array_megabytes)
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None)
    return array


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file by name; raise one of DAMAGED if the file is not valid.

    Nothing is unpacked before all declared sizes are known to be right and within the limit.
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
    """Raise ValueError if an array is larger than its file or than `most` megabytes, or contains objects."""
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
    """Return the object of a JSON file; raise CacheError if it is missing, damaged or not an object."""
    try:
        content = reading.read_untrusted_json(path)
    except reading.Unreadable as error:
        raise CacheError(f"{path} cannot be read ({error}); delete it and run the stage again") from error
    if not isinstance(content, dict):
        raise CacheError(f"{path} does not contain a JSON object; delete it and run the stage again")
    return content
