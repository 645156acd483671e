"""Detection of a model file's kind by its content, not its name."""

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from w2l.models.archives import Archive, find_archive

Container = Literal["safetensors", "torch", "torchscript", "onnx", "other"]
HEAD_BYTES = 512
TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""Number, pickled, with which files of PyTorch before 1.6 begin."""
MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"),
    (0, b"GGUF", "a GGUF file"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it and use the file in it"),
    (0, b"BZh", "a bzip2 archive; unpack it and use the file in it"),
    (0, b"\xfd7zXZ", "an xz archive; unpack it and use the file in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and use the file in it"),
    (0, b"Rar!", "a RAR archive; unpack it and use the file in it"),
    (257, b"ustar", "a tar archive; unpack it and use the file in it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "an image"),
    (0, b"\xff\xd8\xff", "an image"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"RIFF", "an audio or video file"),
    (0, b"OggS", "an audio file"),
    (0, b"fLaC", "an audio file"),
    (0, b"ID3", "an audio file"),
    (0, b"version https://git-lfs", "a Git LFS pointer instead of the file; download it with 'git lfs pull'"),
)
"""Offset, bytes and description of other kinds of file."""
PAGES = (b"<!doctype html", b"<html")
TEXT = bytes(range(32, 127)) + b"\t\r\n\f"
MAX_IR_VERSION, ONNX_FIELDS = 64, b"\x12\x1a\x22\x28\x32\x3a\x42"
"""An ONNX file begins with its version, a small number, as field 1; other fields follow."""


@dataclass(frozen=True)
class FileKind:
    """The kind of a model file."""

    container: Container
    """If the content does not show it: by the file's name, or `torch`, whose reader then reports the problem."""
    name: str = ""
    """For other kinds of file: a description, and what to do if that helps."""
    archive: Archive | None = None
    """For a ZIP archive of PyTorch."""


def kind_of(path: Path) -> FileKind:
    """Return the kind of file of `path`; raise OSError if it cannot be read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if size == 0:
        return FileKind("other", "empty: damaged or truncated")
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if _is_safetensors(head, size):
        return FileKind("safetensors")
    for place, magic, name in MAGICS:
        if head[place:].startswith(magic):
            return FileKind("other", name)
    if head.lstrip().lower().startswith(PAGES):
        return FileKind("other", "a web page, saved instead of the file; download it again from its direct link")
    if len(head) > 2 and head[0] == 8 and 0 < head[1] <= MAX_IR_VERSION and head[2] in ONNX_FIELDS:
        return FileKind("onnx")
    if _is_plain_pickle(head, size):
        return FileKind("other", "a Python pickle, not a PyTorch checkpoint")
    if not head.translate(None, TEXT):
        return FileKind("other", "a text file")
    return FileKind({".safetensors": "safetensors", ".onnx": "onnx"}.get(path.suffix, "torch"))  # type: ignore[arg-type]


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether it begins with the length of a header that lies within the file."""
    return len(head) > 8 and 2 <= struct.unpack("<Q", head[:8])[0] <= size - 8 and head[8:9] == b"{"


def _is_plain_pickle(head: bytes, size: int) -> bool:
    """Return whether a file is a complete pickle, but not one of PyTorch, which begin with a number of their own."""
    return head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and size > 8 and TORCH_MAGIC not in head[:32]


def _zip_kind(path: Path) -> FileKind:
    archive = find_archive(path)
    if archive is not None:
        return FileKind("torchscript" if archive.is_script else "torch", archive=archive)
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return FileKind("torch")  # truncated
    if names and all(name.endswith(".npy") for name in names):
        return FileKind("other", "a NumPy archive (.npz)")
    held = ascii(names[0])[1:-1][:80] if names else "nothing"
    if any(name.endswith("model.json") for name in names):
        return FileKind("other", "TorchScript of PyTorch before 1.4; load and save it with a newer PyTorch")
    return FileKind("other", f"a ZIP archive that is not a PyTorch checkpoint (it contains {held}); unpack it first")
