"""Copy planes of pictures into frames for encoders."""

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from w2l.media.picture import Picture


def fill(frame: av.VideoFrame, picture: Picture) -> None:
    """Write a picture's planes into a frame, the last row and column again where the frame is larger."""
    deep = "10" in frame.format.name
    shift = (10 if deep else 8) - picture.colour.depth
    u, v = (_shifted(plane, shift, deep) for plane in (picture.u, picture.v))
    y = _shifted(picture.y, shift, deep)
    if len(frame.planes) > 2:
        alpha = () if picture.alpha is None else (_alpha(picture.alpha, shift, deep),)
        for plane, samples in zip(frame.planes, (y, u, v, *alpha), strict=True):
            _spread(_samples(plane, samples.dtype), samples)
        return
    raised = 6 if deep else 0  # P010 keeps its ten bits on top
    chroma = _samples(frame.planes[1], u.dtype)
    _spread(_samples(frame.planes[0], y.dtype), y << raised)
    _spread(chroma[:, 0::2], u << raised)
    _spread(chroma[:, 1::2], v << raised)


def _samples(plane: Any, dtype: Any) -> NDArray[Any]:
    """(rows, line size) The memory of a plane, with what pads its lines."""
    lines: NDArray[Any] = np.frombuffer(plane, dtype).reshape(plane.height, -1)
    return lines


def _shifted(plane: NDArray[Any], shift: int, deep: bool) -> NDArray[Any]:
    """Return the samples with `shift` more bits, rounded if there are fewer."""
    if not shift:
        return plane
    if shift > 0:
        return plane.astype(np.uint16) << shift
    rounded = (plane.astype(np.uint16) + (1 << (-shift - 1))) >> -shift
    narrowed: NDArray[Any] = np.minimum(rounded, 255).astype(np.uint16 if deep else np.uint8)
    return narrowed


def _alpha(plane: NDArray[Any], shift: int, deep: bool) -> NDArray[Any]:
    """Return alpha with `shift` more bits: the highest number, which hides all, becomes the highest."""
    if shift > 0:
        wide = plane.astype(np.uint16)
        return np.asarray((wide << shift) | (wide >> (8 - shift)))
    return _shifted(plane, shift, deep)


def _spread(target: NDArray[Any], samples: NDArray[Any]) -> None:
    """Copy a plane (rows, columns) to the top left of `target`; repeat its last row and column in the rest."""
    rows, columns = samples.shape
    target[:rows, :columns] = samples
    target[:rows, columns:] = samples[:, -1:]
    target[rows:] = target[rows - 1]
