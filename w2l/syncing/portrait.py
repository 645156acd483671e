"""Read the face in a picture file."""

from pathlib import Path

from w2l.core.arrays import Image
from w2l.core.errors import NoFaceError
from w2l.faces.appearance import look_of
from w2l.faces.detectors.base import Detection, Detector
from w2l.faces.select import Choice
from w2l.features.boxes import area
from w2l.media.video import read_frames


def portrait_of(choice: Choice, detector: Detector) -> Image | None:
    """Return the appearance of the face in the portrait of a choice, if any."""
    if choice.picture is None:
        return None
    image, face = face_on(choice.picture, detector)
    return look_of(image, face.points)


def face_on(path: Path, detector: Detector) -> tuple[Image, Detection]:
    """Return an image file as RGB (height, width, 3), and the largest face in it; raise NoFaceError without one."""
    image = next(read_frames(path)).image
    found = detector.detect([image])[0]
    if not found:
        raise NoFaceError(f"{path}: no face found in this picture; choose another")
    return image, max(found, key=lambda face: float(area(face.box)))
