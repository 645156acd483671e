"""One pass over a video that cuts and measures the crops of all its pieces in constant memory."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from w2l.core.arrays import Image
from w2l.core.errors import MediaError
from w2l.data.prepare.gates import MEASURE_SIZE, MouthWatch, crop_sharpness
from w2l.data.prepare.samples import Piece
from w2l.features.crop import CropSpec, cut_from
from w2l.media.coded import CodedFrame, read_coded

MEASURED = CropSpec(size=MEASURE_SIZE)
"""Spec of the crops that are measured."""
IN_MEMORY = 32 << 20
"""Bytes of a piece's crops held in memory until it is complete; the rest goes to an unnamed temporary file."""
LOOK_EVERY = 5
"""Frames between two measurements of sharpness."""


@dataclass(frozen=True)
class CutPiece:
    """A piece whose crops have all been cut; they can be read until the next piece is requested."""

    number: int
    """Its index in the list of pieces."""
    blur: float
    """Median sharpness, see `w2l.data.prepare.gates.crop_sharpness`."""
    mouth: MouthWatch | None
    """Motion of the mouth, if other faces are on screen."""
    _roll: "_Roll"

    def crops(self) -> Iterator[Image]:
        """Yield the crops (size, size, 3) in order."""
        return self._roll.read()


def cut_pieces(path: Path, pieces: Sequence[Piece], spec: CropSpec) -> Iterator[CutPiece]:
    """Yield the pieces of the video at `path`, sorted by time, each when all its crops are cut.

    The file is decoded once, to the end of the last piece. Raises MediaError if it cannot be read that far.
    """
    waiting = [_Roll(number, piece, spec) for number, piece in reversed(list(enumerate(pieces)))]
    begun: list[_Roll] = []
    try:
        for frame in read_coded(path) if pieces else ():
            while waiting and waiting[-1].piece.source_idx[0] <= frame.idx:
                begun.append(waiting.pop())
            for roll in begun:
                roll.take(frame)
            while begun and begun[0].is_whole:
                yield begun[0].finish()
                begun.pop(0).close()
            if not (begun or waiting):
                return
    finally:
        for roll in begun:
            roll.close()
    if begun or waiting:
        roll = [*begun, *reversed(waiting)][0]
        raise MediaError(
            f"{path}: only {roll.n_cut} of {len(roll.piece)} frames of a face could be read the second time; copy the "
            "file again or re-encode it"
        )


class _Roll:
    """The crops of one piece while they are being cut."""

    def __init__(self, number: int, piece: Piece, spec: CropSpec) -> None:
        self.piece = piece
        self.n_cut = 0
        self._number = number
        self._spec = spec
        self._file: IO[bytes] | None = None
        self._sharp: list[float] = []
        self._mouth = MouthWatch() if piece.quality["n_faces"] > 1 else None

    @property
    def is_whole(self) -> bool:
        """Whether all crops have been cut."""
        return self.n_cut == len(self.piece)

    def take(self, frame: CodedFrame) -> None:
        """Cut the crop of this frame, as often as it is shown at 25 fps."""
        if self.is_whole or self.piece.source_idx[self.n_cut] != frame.idx:
            return
        box, points = self.piece.boxes[self.n_cut], self.piece.points[self.n_cut]
        crop = cut_from(frame.picture, box, points, self._spec)
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - `close` does
        while not self.is_whole and self.piece.source_idx[self.n_cut] == frame.idx:
            self._file.write(np.ascontiguousarray(crop).data)
            self._measure(frame, crop)
            self.n_cut += 1

    def finish(self) -> CutPiece:
        """Return the complete piece."""
        return CutPiece(self._number, float(np.median(self._sharp)), self._mouth, self)

    def read(self) -> Iterator[Image]:
        """Yield the crops, from the first on."""
        if self._file is None:
            return
        self._file.seek(0)
        size = self._spec.size
        for _ in range(self.n_cut):
            yield np.frombuffer(self._file.read(size * size * 3), dtype=np.uint8).reshape(size, size, 3)

    def close(self) -> None:
        """Release memory and disk space."""
        if self._file is not None:
            self._file.close()

    def _measure(self, frame: CodedFrame, crop: Image) -> None:
        is_looked_at = self.n_cut % LOOK_EVERY == 0
        if not (is_looked_at or self._mouth):
            return
        if self._spec.kind != "aligned":
            crop = cut_from(frame.picture, self.piece.boxes[self.n_cut], self.piece.points[self.n_cut], MEASURED)
        elif self._spec.size != MEASURE_SIZE:
            method = cv2.INTER_AREA if self._spec.size > MEASURE_SIZE else cv2.INTER_LINEAR
            crop = np.asarray(cv2.resize(crop, (MEASURE_SIZE, MEASURE_SIZE), interpolation=method), dtype=np.uint8)
        if is_looked_at:
            self._sharp.append(crop_sharpness(crop))
        if self._mouth:
            self._mouth.push(crop)
