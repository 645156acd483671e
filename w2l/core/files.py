"""Files that are never half there: written under a temporary name, flushed, renamed; fingerprints."""

import contextlib
import hashlib
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import CacheError
from w2l.core.locks import is_alive, machine

TEMPORARY = ".tmp-"
"""How the names of half-written files begin."""
LEFTOVER_S = 86400.0
"""A temporary file that was not written to for so long, in seconds, has been given up, whoever made it."""
DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
"""What reading a damaged array file raises."""
BLOCK = 1 << 20
"""Bytes hashed at once."""
HEADERS = threading.Lock()
"""Held while NumPy reads an array file: it parses headers with `ast`, which Python up to 3.11 cannot do in two threads
at once (SystemError: AST constructor recursion depth mismatch)."""


def fingerprint(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the JSON-able `parts` does."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_fingerprint(path: Path) -> str:
    """Fingerprint of a source file by size and modification time; does not read it, nor need it be there."""
    try:
        status = path.stat()
    except OSError:
        return fingerprint("gone")
    return fingerprint(status.st_size, status.st_mtime_ns)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Has `write` fill a temporary file beside `path`, flushes it to disk and renames it to `path`.

    Raises CacheError when the folder cannot be written or the disk is full; `path` then is as it was.
    """
    temporary = path.with_name(f"{_temporary_prefix()}{os.getpid()}-{threading.get_native_id()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}; check space and permissions") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _temporary_prefix() -> str:
    return f"{TEMPORARY}{fingerprint(machine())[:6]}-"


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left half-written in `folder`, not what a living one is writing."""
    for left in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if _is_leftover(left):
                left.unlink()


def _is_leftover(path: Path) -> bool:
    pid = path.name.removeprefix(_temporary_prefix()).partition("-")[0]
    is_ours = path.name.startswith(_temporary_prefix()) and pid.isdecimal()
    return (is_ours and not is_alive(int(pid))) or time.time() - path.stat().st_mtime > LEFTOVER_S


def check_writable(path: Path) -> None:
    """Raises CacheError where no file can be written at `path`; for a result that comes after hours of work."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise CacheError(f"{path} cannot be written; name a file in a folder that you may write to")


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
    """The array of an npy file, `mapped`: read as it is sliced; raises one of DAMAGED when the file is none."""
    with HEADERS:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None)
    return array


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file by name; raises one of DAMAGED when the file is none."""
    with HEADERS, np.load(path) as content:
        return {name: content[name] for name in content.files}


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file; CacheError when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CacheError(f"{path} cannot be read ({error}); delete it and run the stage again") from error
    if not isinstance(content, dict):
        raise CacheError(f"{path} holds no JSON object; delete it and run the stage again")
    return content
