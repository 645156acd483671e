"""An output as a sequence of pictures: one file for each, complete or absent as a whole."""

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import CacheError, MediaError
from w2l.core.files import fingerprint, hidden, write_atomic, write_text
from w2l.core.locks import claim
from w2l.core.own_files import refuse_link, remove_folder
from w2l.media.parts import MARK_FILE
from w2l.media.picture import Picture
from w2l.media.sequence import NUMBER, numbered, numbers_of

WRITTEN: dict[str, list[int]] = {
    ".png": [], ".tif": [], ".tiff": [], ".bmp": [],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
}  # fmt: skip
"""Endings of pictures that can be written, and the settings of their encoder."""
FIRST = 1
"""Number of the first picture."""


def is_pictures_output(path: Path) -> bool:
    """Whether a path names pictures to write: out/f%04d.png."""
    return path.suffix.lower() in WRITTEN and bool(NUMBER.search(path.name))


def check_pictures(path: Path, overwrite: bool) -> None:
    """Raise MediaError for a folder that cannot be written, and for pictures that would be lost; create the folder."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = numbers_of(path)
    except OSError as error:
        raise MediaError(f"{path}: {folder} cannot be created ({error.strerror}); choose another folder") from error
    if not os.access(folder, os.W_OK):
        raise MediaError(f"{path}: {folder} cannot be written; choose a folder that is yours")
    if taken and not overwrite:
        raise MediaError(f"{numbered(path, taken[0])} exists; overwrite such pictures with -y or name others with -o")


def are_written(path: Path, n_pictures: int) -> bool:
    """Whether all pictures of an output are there, and no others of its name."""
    return path.parent.is_dir() and numbers_of(path) == list(range(FIRST, FIRST + n_pictures))


class PictureParts:
    """Pictures in the making, part by part, as `w2l.media.parts.Parts` is a video; use it as a context manager.

    They are written into a hidden folder, and get their names when all are there. When the block ends in an error,
    finished parts stay for a run with `resume`. Files of the same name with other numbers, from an earlier and longer
    output, are removed at the end.

    Parameters
    ----------
    path : Path
        The name, with the place of the number.
    edges : sequence of int
        First picture of each part, and the number of pictures.
    mark : str
        Says all that the pictures depend on: parts made under another mark are thrown away.
    resume : bool
        Whether finished parts are used.

    Raises MediaError on entry when another process writes the same output, or the folder cannot be written.
    """

    def __init__(self, path: Path, edges: Sequence[int], mark: str, resume: bool = False) -> None:
        self.path = path
        self.n_parts = len(edges) - 1
        self._edges = tuple(edges)
        self._mark, self._resume = fingerprint(mark, self._edges), resume
        self._folder = hidden(path, ".w2l-parts")
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> "PictureParts":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._resources.close)
            try:
                is_ours = self._resources.enter_context(claim(hidden(self.path, ".w2l-lock")))
                if is_ours:
                    self._prepare()
            except (CacheError, OSError) as error:
                raise MediaError(f"{self.path}: cannot be written ({error}); check space and permissions") from error
            if not is_ours:
                raise MediaError(f"{self.path}: another process is writing it; wait for it, or name another output")
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            if not any(map(self.finished, range(self.n_parts))):
                remove_folder(self._folder)

    def pictures(self, part: int) -> range:
        """Which pictures are in a part."""
        return range(self._edges[part], self._edges[part + 1])

    def finished(self, part: int) -> bool:
        """Whether a part is there."""
        return (self._folder / f"{part}.done").exists()

    def writer(self, part: int) -> "PictureWriter":
        """Write one part; a context manager with `write`."""
        return PictureWriter(self._folder, self.path, self.pictures(part), part)

    def assemble(self) -> None:
        """Give all pictures their names, and remove what an earlier output left beyond them."""
        n_pictures = self._edges[-1]
        try:
            for idx in range(n_pictures):
                name = numbered(self.path, FIRST + idx).name
                (self._folder / name).replace(self.path.with_name(name))
            for number in numbers_of(self.path):
                if not FIRST <= number < FIRST + n_pictures:
                    numbered(self.path, number).unlink()
        except OSError as error:
            raise MediaError(f"{self.path}: writing failed ({error.strerror}); run it again with -y") from error
        remove_folder(self._folder)

    def _prepare(self) -> None:
        refuse_link(self._folder)
        mark = self._folder / MARK_FILE
        if self._folder.exists() and not (self._resume and mark.is_file() and mark.read_text() == self._mark):
            shutil.rmtree(self._folder)
        self._folder.mkdir(exist_ok=True)
        write_text(mark, self._mark)


class PictureWriter:
    """Writes the pictures of one part; a context manager, at whose end the part is there."""

    def __init__(self, folder: Path, path: Path, pictures: range, part: int) -> None:
        self._folder, self._path, self._pictures, self._part = folder, path, pictures, part
        self._n_written = 0

    def __enter__(self) -> "PictureWriter":
        return self

    def write(self, picture: Picture | NDArray[np.uint8]) -> None:
        """Append the next picture, or RGB image (height, width, 3)."""
        name = numbered(self._path, FIRST + self._pictures[self._n_written]).name
        image = picture.rgb() if isinstance(picture, Picture) else picture
        suffix = self._path.suffix.lower()
        is_coded, coded = cv2.imencode(suffix, image[..., ::-1], WRITTEN[suffix])
        if not is_coded:
            raise MediaError(
                f"{self._path}: a picture of {image.shape[1]}x{image.shape[0]} cannot be written as {suffix}"
            )
        try:
            write_atomic(self._folder / name, lambda file: file.write(coded.tobytes()))
        except CacheError as error:
            raise MediaError(f"{self._path}: writing failed ({error})") from error
        self._n_written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if self._n_written != len(self._pictures):
            raise ValueError(f"the part lacks its last {len(self._pictures) - self._n_written} pictures")
        write_text(self._folder / f"{self._part}.done", "")
