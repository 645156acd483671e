"""What the generator copies a face's looks from: other frames of like pose, or what a user gives.

The published inference shows the generator the very frame that it redraws, whose mouth then leaks into the result. Here
a small bank of looks is gathered for each face before anything is drawn; every frame takes from it the looks whose pose
is nearest to its own and that were seen at another time. The first shows a closed mouth, by the lip reader's word; a
generator that sees more of them is shown an open one next, for teeth and tongue are best copied.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Floats, Image
from w2l.faces.follow import Face, Faces
from w2l.features.crop import TEMPLATE, CropSpec, cut_from
from w2l.models.lip_reader import read_lips

MAX_POSES = 4
"""Most poses of one face that a bank holds."""
MIN_POSE_STEP = 0.08
"""Least distance between two poses of a bank, in sides of an aligned crop."""
TAKES = 10
"""Frames looked at for each pose; the one with the most closed mouth is kept."""
OWN_MOUTH_S = 0.2
"""A look from less than this many seconds away shows the frame's own mouth and is not used for it."""
SWITCH_GAIN = 0.02
"""How much nearer in pose another look must be before a face changes to it: no flicker between two."""
MAX_GAIN = 16.0
"""Most by which the light of a crop is changed, as a factor."""
SAME_LIGHT = 0.1
"""A smaller difference of light, as a logarithm, is left to the generator."""
DARK = 20.0
"""Mean grey level of the eyes' half under which a look is too dark to copy from."""
DARK_PENALTY = 1e3
"""What a dark look costs: more than any gap between lips."""
OWN_PENALTY, TWICE_PENALTY, OTHER_PENALTY = 100.0, 30.0, 10.0
"""What a frame's own mouth costs, a look that is shown already, and a closed mouth instead of an open one, or an
open in that of a closed: each more than the next and than any distance between poses."""
MAX_SAMPLES = 400
"""Most frames of a track whose poses are compared."""
LIPS_CROP = CropSpec("aligned", 96)
"""The crop on which lips are read, whatever the generator wants."""

ReadFrames = Callable[[Iterable[int]], Iterator[tuple[int, Canvas]]]
"""Gives pictures of the source by rising frame index."""


class References(Protocol):
    """The reference of each frame that is redrawn."""

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """(size, size, 3 * references) for `face` in source frame `frame_idx`, whose own crop is `crop`.

        `picture` is the picture of the output, counted from the first of the whole output.
        """

    def __str__(self) -> str:
        """Return a short description."""


@dataclass(frozen=True)
class OwnFrame:
    """The frame's own crop, as the published inference has it."""

    n_references: int = 1

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the crop itself, repeated."""
        return np.tile(crop, (1, 1, self.n_references))

    def __str__(self) -> str:
        return "each frame itself"


@dataclass(frozen=True)
class GivenLooks:
    """The same looks for every frame of a track, given by the user."""

    looks: Mapping[int, Image]
    """By track, (size, size, 3 * references)."""
    others: References = OwnFrame()
    """For tracks that none were given for."""

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the given crops."""
        if face.track in self.looks:
            return self.looks[face.track]
        return self.others.at(frame_idx, picture, face, crop)

    def __str__(self) -> str:
        return "as given"


@dataclass(frozen=True)
class Reference:
    """One crop of a face that can serve as reference."""

    frame_idx: int
    crop: Image
    """(size, size, 3)"""
    pose: Floats
    """(2,); see `poses_of`."""
    parted: bool = False
    """Whether it was taken for its open mouth, not for its closed one."""


class Bank:
    """Looks of each face, and which of them each frame takes.

    Parameters
    ----------
    looks : mapping of int to list of Reference
        By track.
    faces : Faces
    n_references : int
    min_distance : int
        Frames by which a look must be away from the frame that uses it.
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
        """Return the looks nearest in pose; a face without any (never clearly visible) is its own reference."""
        looks = self._looks.get(face.track)
        if looks is None:
            return np.tile(crop, (1, 1, self._n_references))
        row = min(int(np.searchsorted(self._frames[face.track], frame_idx)), len(self._frames[face.track]) - 1)
        first, *others = (looks[idx].crop for idx in self._chosen[face.track][row])
        return np.concatenate([first, *(lit_as(first, other) for other in others)], axis=-1)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(looks)} of face {track}" for track, looks in sorted(self._looks.items()))
        return f"frames of like pose ({counts})" if counts else "each frame itself"


def poses_of(points: Floats) -> Floats:
    """Where faces with five points (..., 5, 2) look, (..., 2): the nose's place in the aligned crop less its usual one.

    Right and down count up; the alignment is that of `w2l.features.crop.alignment`.
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
    """Factors (3,) that bring a crop (size, size, 3) to the light of a look; None where both have the same.

    Measured on the upper halves. Fades, flashes and shade change the light between the two, and a generator that sees
    a bright face beside a dark one pastes a bright mouth.
    """
    half = len(look) // 2
    here, there = (image[:half].reshape(-1, 3).mean(axis=0, dtype=np.float64) + 1.0 for image in (crop, look[..., :3]))
    gain = np.clip(there / here, 1 / MAX_GAIN, MAX_GAIN)
    return None if np.abs(np.log(gain)).max() < SAME_LIGHT else gain


def relit(crop: Image, gain: Floats) -> Image:
    """Return a crop (size, size, 3) in another light: each channel times its factor."""
    return np.asarray(np.clip(np.rint(crop * gain), 0, 255), dtype=np.uint8)


def lit_as(first: Image, other: Image) -> Image:
    """Another look of a face in the light of the first: what is copied from both must fit together."""
    light = light_between(other, first)
    return other if light is None else relit(other, light)


def gather(read: ReadFrames, faces: Faces, spec: CropSpec, fps: float, n_references: int = 1) -> Bank:
    """Return a bank with looks of every face of a video; see `find_references`."""
    return Bank(find_references(read, faces, spec, n_references), faces, n_references, round(OWN_MOUTH_S * fps))


def find_references(
    read: ReadFrames, faces: Faces, spec: CropSpec, n_references: int = 1
) -> dict[int, list[Reference]]:
    """Return looks of every face by its track: its poses, and of each the frame with the most closed mouth.

    For more than one reference also that with the most open one.
    """
    users: dict[int, list[tuple[int, int]]] = {}
    for track in faces.tracks:
        for group, candidates in enumerate(_candidates(faces, track)):
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
    """Mean level of the upper half of a crop (size, size, 3), grey levels."""
    return float(crop[: len(crop) // 2].mean())


def _well_lit(looks: list[Reference]) -> list[Reference]:
    """Those looks that are not dark, or all where none is."""
    return [look for look in looks if _light(look.crop) >= DARK] or looks


def track_rows(faces: Faces, track: int, fully: bool = False) -> tuple[NDArray[np.int64], Floats]:
    """Return the frames (rows,) in which a track is redrawn, increasing, and its points (rows, 5, 2) there.

    `fully`: only those in which all of it shows, if there are any.
    """
    rows = np.flatnonzero(faces.track == track)
    if fully and (faces.strength[rows] >= 1.0).any():
        rows = rows[faces.strength[rows] >= 1.0]
    frame_of = np.repeat(np.arange(faces.n_frames), np.diff(faces.first))
    return frame_of[rows], faces.points[rows]


def _candidates(faces: Faces, track: int) -> list[list[int]]:
    """For each pose worth keeping, the frames nearest to it, spread over time."""
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
    # A face that hardly turns still needs looks from two times, so that no frame has to use its own.
    parts = np.array_split(np.arange(len(sampled)), 2) if len(centres) == 1 else [np.arange(len(sampled))]
    return [_nearest(sampled, poses, poses[centre], part) for centre in centres for part in parts if len(part)]


def _nearest(sampled: NDArray[np.int64], poses: Floats, pose: Floats, part: NDArray[np.int64]) -> list[int]:
    """Frames of `part` whose pose is near `pose`: of the nearest third, some spread over time."""
    distance = np.linalg.norm(poses[part] - pose, axis=1)
    near = np.sort(part[np.argsort(distance, kind="stable")[: max(TAKES, len(part) // 3)]])
    spread = near[np.unique(np.linspace(0, len(near) - 1, min(len(near), TAKES)).astype(int))]
    return [int(idx) for idx in sampled[spread]]


def _chosen(
    frames: NDArray[np.int64], points: Floats, looks: list[Reference], min_distance: int, n_references: int
) -> NDArray[np.int16]:
    """For each frame of a track its looks, (frames, n_references): a closed mouth, an open one, and so on in turn.

    Of each kind those of the nearest pose, no look twice; where there are too few, those that there are come again. A
    frame's own mouth is shown only where there is nothing else. A look changes only where that gains much, so that two
    that are equally near do not take turns.
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
