"""References of the generator: other frames with a similar pose, or images given by the user.

The published inference uses the frame that is redrawn as its own reference, so that its mouth leaks into the result.
Here a small bank of references is gathered for each face before drawing; every frame uses those with the most similar
pose from another time. The first reference has a closed mouth, as measured by the lip reader; a generator that takes
more than one gets an open mouth next, as teeth and tongue are best copied.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Floats, Image
from w2l.faces.follow import Face, Faces
from w2l.features.crop import TEMPLATE, CropSpec, cut_from
from w2l.models.lip_reader import read_lips

MAX_POSES = 4
"""Most poses per face in a bank."""
MIN_POSE_STEP = 0.08
"""Least distance between two poses of a bank, in sides of an aligned crop."""
TAKES = 10
"""Frames examined for each pose; the one with the most closed mouth is kept."""
OWN_MOUTH_S = 0.2
"""Distance in seconds within which a reference shows the frame's own mouth and is not used for it."""
SWITCH_GAIN = 0.02
"""Improvement in pose from which a face switches to another reference, to prevent flicker between two."""
MAX_GAIN = 16.0
"""Largest factor by which the light of a crop is changed."""
SAME_LIGHT = 0.1
"""Difference of light, as a logarithm, below which it is not corrected."""
DARK = 20.0
"""Mean grey level of the upper half below which a reference is too dark."""
DARK_PENALTY = 1e3
"""Cost of a dark reference, more than any gap between lips."""
OWN_PENALTY, TWICE_PENALTY, OTHER_PENALTY = 100.0, 30.0, 10.0
"""Costs of a frame's own mouth, of a reference that is already used, and of an open mouth instead of a closed one or
vice versa: each more than the next and than any distance between poses."""
MAX_SAMPLES = 400
"""Most frames of a track whose poses are compared."""
LIPS_CROP = CropSpec("aligned", 96)
"""Crop for the lip reader, independent of the generator."""

ReadFrames = Callable[[Iterable[int]], Iterator[tuple[int, Canvas]]]
"""Yields pictures of the source by increasing frame index."""
Spoilt = Mapping[int, frozenset[int]]
"""Track -> frames in which something is in front of its face."""
NOTHING_SPOILT: Spoilt = {}


class References(Protocol):
    """The reference of each frame that is redrawn."""

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return (size, size, 3 * references) for `face` in source frame `frame_idx`, whose own crop is `crop`.

        `picture` is the index of the picture in the whole output.
        """

    def __str__(self) -> str:
        """Return a short description."""


@runtime_checkable
class FadingReferences(References, Protocol):
    """References that change from picture to picture, and fade where they do."""

    def leaving(self, frame_idx: int, picture: int, face: Face, crop: Image) -> tuple[Image, float] | None:
        """Return the reference that is fading out, as `at` returns one, and its share; None where none is."""


@dataclass(frozen=True)
class OwnFrame:
    """References that are the frame's own crop, as in the published inference."""

    n_references: int = 1

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the crop itself, repeated."""
        return np.tile(crop, (1, 1, self.n_references))

    def __str__(self) -> str:
        return "each frame itself"


@dataclass(frozen=True)
class GivenLooks:
    """References given by the user, the same for every frame of a track."""

    looks: Mapping[int, Image]
    """Track -> (size, size, 3 * references)."""
    others: References = OwnFrame()
    """References of tracks for which none were given."""

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the given crops."""
        if face.track in self.looks:
            return self.looks[face.track]
        return self.others.at(frame_idx, picture, face, crop)

    def __str__(self) -> str:
        return "as given"


@dataclass(frozen=True)
class Reference:
    """A crop of a face that can serve as reference."""

    frame_idx: int
    crop: Image
    """(size, size, 3)"""
    pose: Floats
    """(2,); see `poses_of`."""
    parted: bool = False
    """Whether it was chosen for its open mouth rather than for a closed one."""


class Bank:
    """References of each face, and the choice of them for each frame.

    Parameters
    ----------
    looks : mapping of int to list of Reference
        References by track.
    faces : Faces
    n_references : int
    min_distance : int
        Least distance in frames between a reference and the frame that uses it.
    """

    def __init__(
        self, looks: Mapping[int, list[Reference]], faces: Faces, n_references: int = 1, min_distance: int = 5
    ) -> None:
        self._looks = {track: _well_lit(some) for track, some in looks.items() if some}
        self._n_references = n_references
        self._frames: dict[int, NDArray[np.int64]] = {}
        self._chosen: dict[int, NDArray[np.int16]] = {}
        for track, some in self._looks.items():
            frames, points = track_rows(faces, track)
            self._frames[track] = frames
            self._chosen[track] = _chosen(frames, points, some, min_distance, n_references)

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the references nearest in pose; a face without any (never clearly visible) is its own reference."""
        looks = self._looks.get(face.track)
        if looks is None:
            return np.tile(crop, (1, 1, self._n_references))
        row = min(int(np.searchsorted(self._frames[face.track], frame_idx)), len(self._frames[face.track]) - 1)
        first, *others = (looks[idx].crop for idx in self._chosen[face.track][row])
        return np.concatenate([first, *(lit_as(first, other) for other in others)], axis=-1)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(looks)} of face {track}" for track, looks in sorted(self._looks.items()))
        return f"frames of similar pose ({counts})" if counts else "each frame itself"


def poses_of(points: Floats) -> Floats:
    """Return the pose (..., 2) of faces with five points (..., 5, 2): the nose's offset in the aligned crop.

    Right and down are positive; the alignment is that of `w2l.features.crop.alignment`.
    """
    anchors = np.concatenate([points[..., :3, :], points[..., 3:, :].mean(axis=-2, keepdims=True)], axis=-2)
    source = anchors[..., 0] + 1j * anchors[..., 1]
    target = TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]
    centred = source - source.mean(axis=-1, keepdims=True)
    scale = np.maximum((np.abs(centred) ** 2).sum(axis=-1), 1e-9)
    turn = (centred.conj() * (target - target.mean())).sum(axis=-1) / scale
    nose = turn * centred[..., 2] + target.mean() - target[2]
    return np.stack([nose.real, nose.imag], axis=-1)


def light_between(crop: Image, look: Image) -> Floats | None:
    """Return factors (3,) that adapt a crop (size, size, 3) to the light of a reference; None if both have the same.

    They are measured on the upper halves. Fades, flashes and shade change the light between the two, and a generator
    with a dark face and a bright reference draws a bright mouth.
    """
    half = len(look) // 2
    here, there = (np.array(cv2.mean(image[:half])[:3]) + 1.0 for image in (crop, look[..., :3]))
    gain = np.clip(there / here, 1 / MAX_GAIN, MAX_GAIN)
    return None if np.abs(np.log(gain)).max() < SAME_LIGHT else gain


def relit(crop: Image, gain: Floats) -> Image:
    """Return a crop (size, size, 3) with each channel multiplied by its factor."""
    return np.asarray(np.clip(np.rint(crop * gain), 0, 255), dtype=np.uint8)


def lit_as(first: Image, other: Image) -> Image:
    """Return a further reference of a face adapted to the light of the first, so that both fit together."""
    light = light_between(other, first)
    return other if light is None else relit(other, light)


def gather(
    read: ReadFrames, faces: Faces, spec: CropSpec, fps: float, n_references: int = 1, spoilt: Spoilt = NOTHING_SPOILT
) -> Bank:
    """Return a bank with references of every face of a video; see `find_references`."""
    return Bank(find_references(read, faces, spec, n_references, spoilt), faces, n_references, round(OWN_MOUTH_S * fps))


def find_references(
    read: ReadFrames, faces: Faces, spec: CropSpec, n_references: int = 1, spoilt: Spoilt = NOTHING_SPOILT
) -> dict[int, list[Reference]]:
    """Return track -> references of its face: for each of its poses, the frame with the most closed mouth.

    For more than one reference, that with the most open mouth is included, too. Frames that are `spoilt` by something
    in front of the face are used only if there are no others.
    """
    users: dict[int, list[tuple[int, int]]] = {}
    for track in faces.tracks:
        for group, candidates in enumerate(_candidates(faces, track, spoilt.get(track, frozenset()))):
            for frame_idx in candidates:
                users.setdefault(frame_idx, []).append((track, group))
    states = (False, True) if n_references > 1 else (False,)
    best: dict[tuple[int, int, bool], tuple[float, Reference]] = {}
    for frame_idx, canvas in read(sorted(users)):
        here = {face.track: face for face in faces.at(frame_idx)}
        for track, group in users.get(frame_idx, ()):
            face = here[track]
            measured = cut_from(canvas, face.box, face.points, LIPS_CROP)
            gap, penalty = float(read_lips(measured[None])[0][0]), DARK_PENALTY if _light(measured) < DARK else 0.0
            for parted in states:
                cost = penalty + (-gap if parted else gap)
                if (track, group, parted) not in best or cost < best[track, group, parted][0]:
                    crop = cut_from(canvas, face.box, face.points, spec)
                    best[track, group, parted] = (cost, Reference(frame_idx, crop, poses_of(face.points), parted))
    looks: dict[int, list[Reference]] = {}
    for (track, _, _), (_, look) in sorted(best.items(), key=lambda item: item[0]):
        looks.setdefault(track, []).append(look)
    return looks


def _light(crop: Image) -> float:
    """Return the mean grey level of the upper half of a crop (size, size, 3)."""
    return float(crop[: len(crop) // 2].mean())


def _well_lit(looks: list[Reference]) -> list[Reference]:
    """Return the references that are not dark, or all if all are dark."""
    return [look for look in looks if _light(look.crop) >= DARK] or looks


def track_rows(faces: Faces, track: int, fully: bool = False) -> tuple[NDArray[np.int64], Floats]:
    """Return the frames (rows,) in which a track is redrawn, increasing, and its points (rows, 5, 2).

    With `fully`, only those in which the whole face is visible, if there are any.
    """
    rows = np.flatnonzero(faces.track == track)
    if fully and (faces.strength[rows] >= 1.0).any():
        rows = rows[faces.strength[rows] >= 1.0]
    return frames_of(faces)[rows], faces.points[rows]


def frames_of(faces: Faces) -> NDArray[np.int64]:
    """Return the frame of each row of faces, (rows,)."""
    return np.repeat(np.arange(faces.n_frames), np.diff(faces.first))


def _candidates(faces: Faces, track: int, spoilt: frozenset[int]) -> list[list[int]]:
    """Return for each pose to keep the frames nearest to it, spread over time; without `spoilt` ones if possible."""
    frames, points = track_rows(faces, track, fully=True)
    sample = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_SAMPLES)).astype(int))
    sampled, poses = frames[sample], poses_of(points[sample])
    middle = np.median(poses, axis=0)
    centres = [int(np.linalg.norm(poses - middle, axis=1).argmin())]
    while len(centres) < MAX_POSES:
        distance = np.min([np.linalg.norm(poses - poses[centre], axis=1) for centre in centres], axis=0)
        if distance.max() < MIN_POSE_STEP:
            break
        centres.append(int(distance.argmax()))
    # A face that hardly turns still needs references from two times, so that no frame has to use its own.
    parts = np.array_split(np.arange(len(sampled)), 2) if len(centres) == 1 else [np.arange(len(sampled))]
    free = ~np.isin(sampled, list(spoilt))
    found = []
    for pose, part in [(poses[centre], part) for centre in centres for part in parts if len(part)]:
        near = _nearest(sampled, poses, pose, part)
        if free.any():
            # Keep the remaining candidates, if any, so that the choice changes only where it has to.
            near = [idx for idx in near if idx not in spoilt] or _nearest(sampled, poses, pose, part[free[part]])
        found.append(near)
    return [near for near in found if near]


def _nearest(sampled: NDArray[np.int64], poses: Floats, pose: Floats, part: NDArray[np.int64]) -> list[int]:
    """Return frames of `part` whose pose is near `pose`: some of the nearest third, spread over time."""
    if not len(part):
        return []
    distance = np.linalg.norm(poses[part] - pose, axis=1)
    near = np.sort(part[np.argsort(distance, kind="stable")[: max(TAKES, len(part) // 3)]])
    spread = near[np.unique(np.linspace(0, len(near) - 1, min(len(near), TAKES)).astype(int))]
    return [int(idx) for idx in sampled[spread]]


def _chosen(
    frames: NDArray[np.int64], points: Floats, looks: list[Reference], min_distance: int, n_references: int
) -> NDArray[np.int16]:
    """Return the references (frames, n_references) of each frame of a track: closed and open mouths in turn.

    References of each kind are those of the nearest pose, without repetition if there are enough. A frame's own mouth
    is used only if there is nothing else. A reference changes only if that improves the pose clearly, so that two
    equally near ones do not alternate.
    """
    poses, taken = np.stack([look.pose for look in looks]), np.array([look.frame_idx for look in looks])
    parted = np.array([look.parted for look in looks])
    distance = np.linalg.norm(poses_of(points)[:, None] - poses[None], axis=-1)
    distance += OWN_PENALTY * (np.abs(taken[None] - frames[:, None]) < min_distance)
    chosen = np.empty((len(frames), n_references), dtype=np.int16)
    for row, away in enumerate(distance):
        for place in range(n_references):
            cost = away + OTHER_PENALTY * (parted != place % 2)
            cost[chosen[row, :place]] += TWICE_PENALTY
            if row:
                cost[chosen[row - 1, place]] -= SWITCH_GAIN
            chosen[row, place] = cost.argmin()
    return chosen
