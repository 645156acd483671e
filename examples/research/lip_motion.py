"""Measure the motion of talking faces: how the points of the face mesh move relative to the face at rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from examples.research.mesh import EYES, LOWER, UPPER, Mesh
from w2l.core.arrays import Floats, Image
from w2l.faces.detectors.base import Detector
from w2l.media.video import read_frames

STABLE = (6, 168, 197, 195, 8, 9, 151, 10, 33, 133, 362, 263, 107, 336, 67, 297, 127, 356, 234, 454)
"""Points of the mesh that do not move in speech: bridge of the nose, forehead, corners of the eyes, temples."""
LEAST_FACE = 0.5
"""Least score of the mesh."""
REST = 10
"""Frames at each end of a clip that are searched for the face at rest: clips of GRID start and end silent."""
STEADY, SLOW = 0.6, 1.5
"""Standard deviations in frames of the Gaussians that smooth the lips and the rest of the face."""


@dataclass(frozen=True)
class Motion:
    """Motion of a face in a clip without that of the head, upright, in distances of the outer eye corners."""

    clip: str
    moves: Floats
    """(frames, 468, 2): right and down, relative to the face at rest."""
    face: Floats
    """(468, 2): the face at rest, relative to the middle of the eyes."""


def motion_of(path: Path, clip: str, mesh: Mesh, detector: Detector) -> Motion | None:
    """Return the motion in a clip; None if some frame has no face."""
    found = np.array(list(_placed(path, mesh, detector)))
    if not len(found) or np.isnan(found).any():
        return None
    rims = found[:, list(UPPER)][:, 4:7], found[:, list(LOWER)][:, 4:7]
    gaps = np.linalg.norm(rims[1] - rims[0], axis=-1).mean(axis=1)
    ends = np.r_[0 : min(REST, len(found)), max(0, len(found) - REST) : len(found)]
    quiet = ends[gaps[ends] <= np.percentile(gaps[ends], 40)]
    rest = upright(np.mean([aligned(each, found[quiet[0]]) for each in found[quiet]], axis=0))
    moves = np.array([aligned(each, rest) for each in found])[..., :2] - rest[:, :2]
    lips = sorted({*UPPER, *LOWER})
    steady = gaussian_filter1d(moves, SLOW, axis=0)
    steady[:, lips] = gaussian_filter1d(moves[:, lips], STEADY, axis=0)
    return Motion(clip, steady.astype(np.float32), rest[:, :2].astype(np.float32))


def upright(mesh: Floats) -> Floats:
    """Return a mesh (468, 3) turned, moved and scaled: the outer eye corners at distance 1, level, about the origin."""
    left, right = mesh[EYES[0]], mesh[EYES[1]]
    along = (right - left)[:2] / np.hypot(*(right - left)[:2])
    turn = np.array([[along[0], along[1], 0], [-along[1], along[0], 0], [0, 0, 1]])
    return np.asarray((mesh - (left + right) / 2) @ turn.T / np.hypot(*(right - left)[:2]))


def aligned(mesh: Floats, onto: Floats) -> Floats:
    """Return a mesh (468, 3) turned, moved and scaled so that its stable points fall on those of `onto` (468, 3)."""
    source, target = mesh[list(STABLE)], onto[list(STABLE)]
    source, target = source - source.mean(axis=0), target - target.mean(axis=0)
    left, sizes, right = np.linalg.svd(target.T @ source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = left * signs @ right
    scale = float((sizes * signs).sum() / np.square(source).sum())
    middles = mesh[list(STABLE)].mean(axis=0), onto[list(STABLE)].mean(axis=0)
    return np.asarray((mesh - middles[0]) @ (scale * turn).T + middles[1])


def face_of(image: Image, mesh: Mesh, detector: Detector) -> Floats | None:
    """Return the mesh (468, 3) of the largest face of a picture; None where there is none."""
    faces = detector.detect([image])[0]
    if not faces:
        return None
    face = max(faces, key=lambda each: float(np.prod(each.box[2:] - each.box[:2])))
    found, score = mesh.place_in_depth(image, face.box, face.points)
    return found if score >= LEAST_FACE else None


def _placed(path: Path, mesh: Mesh, detector: Detector) -> Iterator[Floats]:
    """Yield the mesh (468, 3) of each frame; nan where it is lost."""
    last: Floats | None = None
    for frame in read_frames(path):
        if last is None:
            last = face_of(frame.image, mesh, detector)
        else:
            flat = last[:, :2]
            box, eyes = np.concatenate([flat.min(axis=0), flat.max(axis=0)]), flat[list(EYES)]
            last, score = mesh.place_in_depth(frame.image, box, eyes, passes=1)
            last = last if score >= LEAST_FACE else None
        yield np.full((468, 3), np.nan) if last is None else last
