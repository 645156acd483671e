"""Crops of one track on disk: raw and memory-mapped, or as JPEG images in one file with a table of their offsets.

    frames.npy     (frames, height, width, 3) uint8 RGB: lossless, and a window costs only its bytes
    frames.jpegs   MAGIC, the images one after the other, the table (start of each image, end of the last), a tail

Both are written frame by frame under a temporary name, and read by slices.
"""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import CacheError
from w2l.core.files import DAMAGED, Draft, read_array

Store = Literal["raw", "jpeg"]
STORES: tuple[str, ...] = get_args(Store)
"""How crops can be stored."""
FILES = {"raw": "frames.npy", "jpeg": "frames.jpegs"}
QUALITY = 95
"""JPEG quality; colour is stored at full resolution (4:4:4), as lips differ from skin by colour."""
MAGIC = b"W2LJPEG1"
MAX_SIDE = 4096
"""Largest side of a crop, in pixels."""
TAIL = struct.Struct("<4qI8s")
"""Tail of a JPEG store: frames, height, width, offset of the table, CRC-32 of the table, MAGIC."""


class Crops(Protocol):
    """Crops of a track; only what is sliced is read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (frames, height, width, 3)."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def __getitem__(self, where: slice, /) -> NDArray[np.uint8]:
        """Return the frames ``[first:end]`` as uint8 RGB (frames, height, width, 3)."""


class JpegCrops:
    """Crops of a JPEG store; images are decoded on access."""

    def __init__(self, path: Path, data: NDArray[np.uint8], ends: NDArray[np.int64], size: tuple[int, int]) -> None:
        """Use `data` with `ends`: (frames + 1,) the start of each image in `data`, and the end of the last."""
        self._path, self._data, self._ends, self._size = path, data, ends, size

    @classmethod
    def open(cls, path: Path) -> "JpegCrops":
        """Open a store; raise ValueError or OSError if it is damaged."""
        data: NDArray[np.uint8] = np.asarray(np.memmap(path, np.uint8, mode="r"))
        if len(data) < len(MAGIC) + TAIL.size or data[: len(MAGIC)].tobytes() != MAGIC:
            raise ValueError("it is not a store of JPEG images")
        n_frames, height, width, place, crc, magic = TAIL.unpack(data[-TAIL.size :].tobytes())
        table = data[place : -TAIL.size].tobytes()
        if magic != MAGIC or n_frames < 1 or len(table) != 8 * (n_frames + 1) or zlib.crc32(table) != crc:
            raise ValueError("its table is damaged")
        ends = np.frombuffer(table, "<i8")
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise ValueError(f"its images would have {width}x{height} pixels")
        if ends[0] < len(MAGIC) or ends[-1] > place or (np.diff(ends) <= 0).any():
            raise ValueError("its image offsets are out of range")
        return cls(path, data, ends, (height, width))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (frames, height, width, 3)."""
        return (len(self), *self._size, 3)

    @property
    def nbytes(self) -> int:
        """Bytes of the images on disk."""
        return int(self._ends[-1] - self._ends[0])

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._ends) - 1

    def __getitem__(self, where: slice, /) -> NDArray[np.uint8]:
        """Return the frames ``[first:end]``; raise CacheError if one is damaged."""
        chosen = range(*where.indices(len(self)))
        frames = np.empty((len(chosen), *self._size, 3), np.uint8)
        for frame, number in zip(frames, chosen):
            picture = cv2.imdecode(self._data[self._ends[number] : self._ends[number + 1]], cv2.IMREAD_COLOR)
            if picture is None or picture.shape != frame.shape:
                raise damaged(self._path, f"image {number} is damaged")
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=frame)
        return frames

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Return all frames."""
        return self[:]

    def after(self, n_frames: int) -> "JpegCrops":
        """Return the crops without the first `n_frames`; decodes nothing."""
        return JpegCrops(self._path, self._data, self._ends[n_frames:], self._size)


def damaged(path: Path, why: object) -> CacheError:
    """Return the error for a track that cannot be read."""
    return CacheError(f"track {path} cannot be read ({why}); run w2l preprocess --force")


def open_crops(folder: Path) -> Crops:
    """Return the crops of the track in `folder`, in either format; raise CacheError if damaged or missing."""
    jpegs = folder / FILES["jpeg"]
    try:
        if jpegs.exists():
            return JpegCrops.open(jpegs)
        crops = read_array(folder / FILES["raw"], mapped=True)
        if crops.ndim != 4 or crops.shape[3] != 3 or crops.dtype != np.uint8:
            raise ValueError(f"an array {crops.shape} of {crops.dtype} does not hold images")
        return crops
    except DAMAGED as error:
        raise damaged(folder, error) from error


def read_sound(path: Path, n_rows: int) -> NDArray[np.float32]:
    """Return the audio features (rows, columns) of a track; raise one of DAMAGED if they are invalid."""
    found = read_array(path)
    if found.ndim != 2 or len(found) != n_rows or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise ValueError(f"an array {found.shape} of {found.dtype} does not hold {n_rows} rows of finite numbers")
    return np.asarray(found, dtype=np.float32)


def skip(crops: Crops, n_frames: int) -> Crops:
    """Return the crops without the first `n_frames`; reads nothing."""
    if not n_frames:
        return crops
    return crops.after(n_frames) if isinstance(crops, JpegCrops) else crops[n_frames:]


class CropWriter:
    """Writes the frames of one track; created by `write_crops`."""

    def __init__(self, file: BinaryIO, path: Path, shape: tuple[int, ...], store: Store) -> None:
        self._file, self._path, self.shape, self._store = file, path, shape, store
        self.written = 0
        """Number of frames written so far."""
        self._ends = [len(MAGIC)]

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a crop (height, width, 3); raise CacheError if its shape differs or the disk is full."""
        if frame.shape != self.shape[1:]:
            raise CacheError(f"a crop has shape {frame.shape}, not {self.shape[1:]}")
        with _one_line(self._path):
            if self._store == "raw":
                self._file.write(np.ascontiguousarray(frame).data)
            else:
                self._ends.append(self._ends[-1] + self._file.write(encode(frame)))
        self.written += 1

    def begin(self) -> None:
        """Write what precedes the frames."""
        with _one_line(self._path):
            if self._store == "raw":
                header = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
                np.lib.format.write_array_header_1_0(self._file, header)
            else:
                self._file.write(MAGIC)

    def finish(self) -> None:
        """Write what follows them; raise CacheError if there were fewer or more than announced."""
        if self.written != self.shape[0]:
            raise CacheError(f"only {self.written} of {self.shape[0]} crops could be made")
        with _one_line(self._path):
            if self._store == "jpeg":
                table = np.array(self._ends, "<i8").tobytes()
                tail = TAIL.pack(*self.shape[:3], self._ends[-1], zlib.crc32(table), MAGIC)
                self._file.write(table + tail)
            self._file.flush()


@contextlib.contextmanager
def write_crops(folder: Path, shape: tuple[int, ...], store: Store = "raw") -> Iterator[CropWriter]:
    """Context manager that takes the frames of a track, ``shape`` (frames, height, width, 3), one by one.

    The file appears in `folder` when the context succeeds, and a store in the other format is removed. The calling
    process must hold the clip. Raises CacheError if the disk is full or the number of frames is wrong.
    """
    path = folder / FILES[store]
    draft = Draft(path)
    try:
        with _one_line(path):
            folder.mkdir(parents=True, exist_ok=True)
            file = draft.create()
        try:
            writer = CropWriter(file, path, shape, store)
            writer.begin()
            yield writer
            writer.finish()
        finally:
            with contextlib.suppress(OSError):  # if the disk is full, closing fails, too
                file.close()
        with _one_line(path):
            draft.finish()
            for other in set(FILES.values()) - {path.name}:
                (folder / other).unlink(missing_ok=True)
    finally:
        draft.discard()


def encode(frame: NDArray[np.uint8]) -> bytes:
    """Encode a crop as JPEG."""
    how = [
        cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    ]  # fmt: skip
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), how)[1])


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}; check space and permissions") from error
