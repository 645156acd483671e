"""Pictures as a video: files with a number in their names (seq/f%04d.png), a glob ('seq/*.png'), or a folder of them.

They are opened one at a time, so that memory does not grow with their number.
"""

import fnmatch
import hashlib
import logging
import mimetypes
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from w2l.core.errors import MediaError
from w2l.core.files import fingerprint, sha256, source_fingerprint
from w2l.core.text import counted, some
from w2l.media.container import ReadStats, decode, open_input, undecodable, video_stream

log = logging.getLogger(__name__)

SEQUENCE_FPS = 25.0
"""Pictures per second of a sequence, where nothing else is asked for."""
PICTURE_SUFFIXES = frozenset(
    [".bmp", ".dpx", ".exr", ".j2k", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"]
)
"""Endings of the files that make a folder one of pictures."""
NUMBER = re.compile(r"%(?:0(\d{1,2}))?d")
"""Place of the number in a name: %d, or %04d for four digits with leading zeros."""
WILD = re.compile(r"[*?\[]")


def is_sequence(path: Path) -> bool:
    """Whether a path stands for a sequence of pictures: a name with a number or a wildcard, or a folder of pictures.

    A file that exists under such a name is that file. A folder with folders, videos or sounds in it is not one, and
    neither is a path that the system refuses, such as one with too long a name: whoever opens it names the reason.
    """
    try:
        if path.is_dir():
            return _is_picture_folder(path)
        return is_sequence_name(path) and not path.exists()
    except OSError:
        return False


def is_sequence_name(path: Path) -> bool:
    """Whether the name of a path has the place of a number, or a wildcard."""
    return bool(NUMBER.search(path.name) or WILD.search(path.name))


def pictures_of(path: Path) -> tuple[Path, ...]:
    """Return the files of a sequence, in order.

    Files of a numbered name are sorted by number, others by name, with digits compared as numbers. Raises MediaError if
    there are none, and for gaps in a numbered name.
    """
    if not path.is_dir() and NUMBER.search(path.name):
        return tuple(numbered(path, number) for number in _whole(path, numbers_of(path)))
    wanted = "*" if path.is_dir() else path.name
    names = [name for name in _names(path) if fnmatch.fnmatchcase(name, wanted) and _is_picture(name)]
    if not names:
        raise MediaError(f"{path}: no pictures there; name them as in seq/f%04d.png, 'seq/*.png' or a folder")
    folder = path if path.is_dir() else path.parent
    return tuple(folder / name for name in sorted(names, key=_natural))


def numbers_of(path: Path) -> list[int]:
    """Return the numbers of the files that a numbered name stands for, rising."""
    found = NUMBER.search(path.name)
    assert found is not None
    width = int(found[1] or 1)
    digits = rf"(\d{{{width}}}|[1-9]\d{{{width},}})"
    named = re.compile(re.escape(path.name[: found.start()]) + digits + re.escape(path.name[found.end() :]))
    return sorted(int(match[1]) for match in map(named.fullmatch, _names(path)) if match)


def numbered(path: Path, number: int) -> Path:
    """Return the file of a numbered name."""
    return path.with_name(NUMBER.sub(lambda found: f"{number:0{int(found[1] or 1)}d}", path.name, count=1))


def decoded_pictures(files: Sequence[Path]) -> Iterator[tuple[Path, Any, str]]:
    """Yield each picture's file, decoded frame (PyAV's) and codec; all have the size of the first.

    Raises MediaError for one that cannot be decoded, and for one of another size.
    """
    size: tuple[int, int] | None = None
    for file in files:
        with open_input(file) as container:
            stream = video_stream(container, file)
            frame = next(decode(container, stream, ReadStats()), None)
            if frame is None:
                raise undecodable(file)
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                raise MediaError(
                    f"{file}: the picture is {frame.width}x{frame.height}, those before it are {size[0]}x{size[1]};"
                    " scale it, or leave it out"
                )
            yield file, frame, stream.codec_context.name


def source_mark(path: Path, content: bool = True) -> str:
    """Return the fingerprint of a source file, see `source_fingerprint`, or of all files of a sequence."""
    if not is_sequence(path):
        return source_fingerprint(path, content)
    status = [(file.name, file.stat()) for file in pictures_of(path)]
    return fingerprint("pictures", [(name, one.st_size, one.st_mtime_ns) for name, one in status])


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's content; of a sequence, that of its files' names and hashes."""
    if not is_sequence(path):
        return sha256(path)
    listed = "".join(f"{sha256(file)}  {file.name}\n" for file in pictures_of(path))
    return hashlib.sha256(os.fsencode(listed)).hexdigest()


def say_rate(path: Path, n_pictures: int, fps: float) -> None:
    """Log how many pictures a sequence has, and how fast they are shown."""
    log.info("%s: %s, shown at %g fps; --fps changes that", path, counted(n_pictures, "picture"), fps)


def _is_picture_folder(folder: Path) -> bool:
    n_pictures = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            kind = (mimetypes.guess_type(entry.name)[0] or "").partition("/")[0]
            if entry.name[0] != "." and (kind in ("video", "audio") or entry.is_dir()):
                return False
            n_pictures += _is_picture(entry.name)
    return n_pictures > 0


def _is_picture(name: str) -> bool:
    return name[0] != "." and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def _names(path: Path) -> list[str]:
    folder = path if path.is_dir() else path.parent
    try:
        return os.listdir(folder)
    except OSError as error:
        raise MediaError(f"{path}: {folder} cannot be read ({error.strerror}); check the path") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key in which numbers count as numbers: f2.png comes before f10.png."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _whole(path: Path, numbers: list[int]) -> list[int]:
    """Return the numbers; raise MediaError where there are none or some between them are missing."""
    if not numbers:
        raise MediaError(f"{path}: no pictures with such names; check the folder and the number of digits")
    n_missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    if n_missing:
        known = set(numbers)
        first = (number for number in range(numbers[0], numbers[-1]) if number not in known)
        names = [numbered(path, number).name for number, _ in zip(first, range(4))]
        raise MediaError(
            f"{path}: {counted(n_missing, 'picture')} missing between {numbered(path, numbers[0]).name} and"
            f" {numbered(path, numbers[-1]).name}: {some(names)}; add them, or name the pictures by a glob"
        )
    return numbers
