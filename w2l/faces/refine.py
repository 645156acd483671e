"""Detection near an expected position: much faster than searching the whole image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.faces.appearance import look_of
from w2l.faces.detectors.base import MIN_FACE, Detection, Detector
from w2l.features import boxes as bx
from w2l.media.coded import CodedFrame
from w2l.media.picture import Picture
from w2l.media.video import Frame

AnyFrame = Frame | CodedFrame

REGIONAL = frozenset({"yunet", "insightface"})
"""Detectors, by name, that work as well on a region of the image that is scaled to suit them."""
REGION = 1.9
"""Side of the region given to a detector, relative to the expected box."""
CLOSE_REGION = 1.6
"""The same for a detector that refines the position itself."""
FACE_SIDE = 96
"""Side in pixels to which larger faces are reduced before detection; detectors and likeness need no more."""
MIN_NEAR = 0.3
"""Smallest overlap of the detected with the expected box."""
MAX_STEP = 1.6
"""Largest change of the side relative to the expected one, as a factor."""


@runtime_checkable
class Refiner(Protocol):
    """A detector that can refine given positions by itself."""

    def refine(self, image: Image, boxes: Floats) -> list[Detection | None]:
        """Return the face at each box (boxes, 4) of an RGB image (height, width, 3); None where there is none."""


@dataclass(frozen=True)
class Sight:
    """A face in one frame, with its appearance."""

    face: Detection
    look: Image
    """(side, side, 3): see `w2l.faces.appearance`."""


@dataclass(frozen=True)
class Region:
    """A part of a frame, reduced in size."""

    image: Image
    """(rows, columns, 3) RGB."""
    corner: Floats
    """(2,) Position of its top left corner in the frame."""
    zoom: Floats
    """(2,) Pixels of the region per pixel of the frame, across and down."""

    def into(self, places: Floats) -> Floats:
        """Convert points or boxes (..., 2 * places) of the frame to pixels of the region."""
        n_pairs = places.shape[-1] // 2
        return np.asarray((places - np.tile(self.corner, n_pairs)) * np.tile(self.zoom, n_pairs))

    def back(self, places: Floats) -> Floats:
        """Invert `into`."""
        n_pairs = places.shape[-1] // 2
        return np.asarray(places / np.tile(self.zoom, n_pairs) + np.tile(self.corner, n_pairs))


def can_look(detector: Detector) -> bool:
    """Whether `look_near` supports a detector."""
    return isinstance(detector, Refiner) or detector.name in REGIONAL


def size_of(frame: AnyFrame) -> tuple[int, int]:
    """Return height and width of a frame in pixels."""
    if isinstance(frame, CodedFrame):
        return frame.picture.height, frame.picture.width
    return int(frame.image.shape[0]), int(frame.image.shape[1])


def whole_of(frame: AnyFrame) -> Image:
    """Return all of a frame as RGB (height, width, 3); coded frames do not keep a copy of it."""
    return frame.picture.rgb() if isinstance(frame, CodedFrame) else frame.image


def region_of(frame: AnyFrame, box: Floats, reach: float = CLOSE_REGION) -> Region:
    """Return the region around `box` (4,), `reach` times as wide; a large face is reduced to about `FACE_SIDE`."""
    height, width = size_of(frame)
    centre, side = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 1.0)
    shrink = 2 ** max(0, int(np.log2(side / FACE_SIDE)))
    grid = 2 * shrink
    x1, y1 = np.clip(np.floor((centre - reach * side / 2) / grid).astype(int) * grid, 0, (width - 2, height - 2))
    x2, y2 = np.clip(np.ceil((centre + reach * side / 2) / grid).astype(int) * grid, (x1 + 2, y1 + 2), (width, height))
    x1, y1 = x1 // 2 * 2, y1 // 2 * 2
    size = (max(1, round((x2 - x1) / grid)) * 2, max(1, round((y2 - y1) / grid)) * 2)
    if isinstance(frame, CodedFrame):
        image = _rgb_of(frame.picture, slice(int(y1), int(y2)), slice(int(x1), int(x2)), size, shrink)
    else:
        image = averaged(frame.image[y1:y2, x1:x2], size, shrink)
    zoom = np.array([image.shape[1] / (x2 - x1), image.shape[0] / (y2 - y1)])
    return Region(np.ascontiguousarray(image), np.array([x1, y1], dtype=np.float64), zoom)


def look_near(
    detector: Detector, frame: AnyFrame, boxes: Sequence[Floats], min_face: int = MIN_FACE
) -> list[Sight | None]:
    """Return the face near each expected box (4,), None where there is none; see `can_look`."""
    height, width = size_of(frame)
    found: list[Sight | None] = []
    reach = CLOSE_REGION if isinstance(detector, Refiner) else REGION
    for box in boxes:
        region = region_of(frame, box, reach)
        here = region.into(box)
        if isinstance(detector, Refiner):
            (seen,) = detector.refine(region.image, here[None])
        else:
            seen = _scaled(detector, region.image, here, min_face)
        if seen is None or not _fits(seen.box, here):
            found.append(None)
            continue
        inside = bx.clip(region.back(seen.box), width, height)
        if float((inside[2:] - inside[:2]).max()) < min_face:
            found.append(None)
            continue
        face = Detection(inside, seen.score, region.back(seen.points))
        found.append(Sight(face, look_of(region.image, seen.points)))
    return found


def sight_of(frame: AnyFrame, face: Detection) -> Sight:
    """Return a detection with its appearance."""
    region = region_of(frame, face.box)
    return Sight(face, look_of(region.image, region.into(face.points)))


def averaged(plane: NDArray[Any], size: tuple[int, int], shrink: int) -> NDArray[Any]:
    """Reduce an image or plane to `size` (width, height), about 1 / `shrink`, a power of two, of its own.

    It is halved repeatedly, which takes a tenth of the time of one step.
    """
    while shrink > 1:
        rows, columns = plane.shape[:2]
        if rows % 2 or columns % 2:
            break
        plane = cv2.resize(plane, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        shrink //= 2
    if (plane.shape[1], plane.shape[0]) != size:
        plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(plane)


def small_picture(frame: AnyFrame, width: int) -> Image:
    """Return a frame as BGR at that width, (rows, width, 3), for coarse analysis."""
    rows, columns = size_of(frame)
    shrink = 2 ** max(0, int(np.log2(columns / (2 * width))))
    height = max(1, round(rows * width / columns))
    even = [max(2, length // (2 * shrink) * 2) * shrink for length in (rows, columns)]
    size = (even[1] // shrink, even[0] // shrink)
    if isinstance(frame, CodedFrame):
        if shrink == 1:
            return frame.picture.small_bgr(width)
        whole = slice(0, min(even[0], rows)), slice(0, min(even[1], columns))
        return _averaged_picture(frame.picture, *whole, size, shrink).small_bgr(width)
    image = averaged(frame.image[: even[0], : even[1]], size, shrink) if shrink > 1 else frame.image
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1])


def _rgb_of(picture: Picture, rows: slice, columns: slice, size: tuple[int, int], shrink: int) -> Image:
    """Return a region that begins on even pixels as RGB of `size` (width, height), reduced before conversion."""
    if shrink == 1:
        return picture.rgb(rows, columns)
    return _averaged_picture(picture, rows, columns, size, shrink).rgb()


def _averaged_picture(picture: Picture, rows: slice, columns: slice, size: tuple[int, int], shrink: int) -> Picture:
    half = [slice(part.start // 2, (part.stop + 1) // 2) for part in (rows, columns)]
    y = averaged(picture.y[rows, columns], size, shrink)
    u, v = (averaged(plane[half[0], half[1]], (size[0] // 2, size[1] // 2), shrink) for plane in (picture.u, picture.v))
    return Picture(y, u, v, picture.colour)


def _fits(box: Floats, expected: Floats) -> bool:
    """Whether a detected box can be the face that was expected there."""
    if not bx.area(box) > 0:
        return False
    step = float(np.sqrt(bx.area(box) / max(float(bx.area(expected)), 1e-9)))
    near = float(bx.iou(box[None], expected[None])[0, 0])
    return near >= MIN_NEAR and 1 / MAX_STEP <= step <= MAX_STEP


def _scaled(detector: Detector, image: Image, expected: Floats, min_face: int) -> Detection | None:
    """Return what an image detector finds in the region, with the face scaled to the size it handles best."""
    side = max(float((expected[2:] - expected[:2]).max()), 1.0)
    scale = max(FACE_SIDE, 1.4 * min_face) / side
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    zoom = np.array([size[0] / image.shape[1], size[1] / image.shape[0]])
    small = np.asarray(cv2.resize(image, size, interpolation=interpolation), dtype=np.uint8)
    found = detector.detect([small])[0]
    if not found:
        return None
    there = np.array([face.box for face in found]) / np.tile(zoom, 2)
    best = int(bx.iou(expected[None], there)[0].argmax())
    return Detection(there[best], found[best].score, found[best].points / zoom)
