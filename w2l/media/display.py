"""Orientation of pictures: display matrices of videos and EXIF orientation of photographs."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TURNS: tuple[NDArray[np.int32], ...] = tuple(
    np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]], dtype=np.int32)
)
"""Display matrices, see `display_matrix`, of quarter turns to the left: none, one, two, three."""
MIRRORED: dict[int, NDArray[np.int32]] = {
    2: np.array([[-1, 0], [0, 1]], dtype=np.int32),
    4: np.array([[1, 0], [0, -1]], dtype=np.int32),
    5: np.array([[0, 1], [1, 0]], dtype=np.int32),
    7: np.array([[0, -1], [-1, 0]], dtype=np.int32),
}
"""Orientations of a picture's EXIF block that mirror it; a quarter turn alone cannot tell them."""
HEAD_BYTES = 1 << 18
"""How far into a picture file its EXIF block is looked for."""
ORIENTATION = 0x112
"""The EXIF field that says how a picture is to be turned."""


def display_matrix(frame: Any, path: Path | None = None) -> NDArray[np.int32]:
    """Return the map (2, 2) from stored to displayed pixel steps; identity if the file does not specify one.

    Row 0 is the displayed direction (right, down) of a step right in the stored picture, row 1 of a step down. `frame`
    is PyAV's; `path` is its file, read if the orientation is only in its EXIF block.
    """
    try:
        items = [bytes(item) for item in frame.side_data if item.type.name == "DISPLAYMATRIX"]
    except ValueError:
        # PyAV refuses the whole list for one kind of side data it does not know, such as a phone picture's EXIF.
        quarter_turns: int = round(frame.rotation / 90)
        orientation = 1 if path is None else exif_orientation(path)
        return MIRRORED.get(orientation, TURNS[quarter_turns % 4])
    if items:
        linear = np.frombuffer(items[0][:36], dtype=np.int32).reshape(3, 3)[:2, :2].astype(np.int64)
        largest = np.abs(linear).max(axis=1, keepdims=True)
        signs: NDArray[np.int32] = np.where(np.abs(linear) == largest, np.sign(linear), 0).astype(np.int32)
        if abs(int(signs[0, 0] * signs[1, 1] - signs[0, 1] * signs[1, 0])) == 1:
            return signs
    return TURNS[0]


def exif_orientation(path: Path) -> int:
    """Return the orientation, 1 to 8, in an image file's EXIF block; 1, upright, without one."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return 1
    for marker in (b"Exif\0\0", b"eXIf"):
        block = head.partition(marker)[2]
        order = {b"II": "<", b"MM": ">"}.get(block[:2])
        if order is None:
            continue
        try:
            (at,) = struct.unpack_from(f"{order}I", block, 4)
            (n_fields,) = struct.unpack_from(f"{order}H", block, at)
            for field in range(min(n_fields, 512)):
                tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, at + 2 + 12 * field)
                if tag == ORIENTATION:
                    return int(value) if 1 <= value <= 8 else 1
        except struct.error:
            continue
    return 1


def swaps_axes(matrix: NDArray[np.int32]) -> bool:
    """Return whether a display matrix swaps rows and columns."""
    return bool(matrix[0, 0] == 0)


def upright(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the stored image (height, width, 3) rotated and mirrored by its display matrix."""
    if swaps_axes(matrix):
        image = image.transpose(1, 0, 2)
    step_x, step_y = (int(step) for step in matrix.sum(axis=0))
    return np.ascontiguousarray(image[::step_y, ::step_x])
