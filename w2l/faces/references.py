"""What the generator copies a face's looks from: other frames of like pose with the mouth closed, or what a user gives.

The published inference shows the generator the very frame that it redraws, whose mouth then leaks into the result. Here
a small bank of looks is gathered for each face before anything is drawn; every frame takes from it the looks whose pose
is nearest to its own and that were seen at another time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from w2l.faces.crop import TEMPLATE, CropSpec, Floats, Image, alignment, cut_from
from w2l.faces.following import Face, Faces
from w2l.media.picture import Canvas

MAX_POSES = 4
"""Most poses of one face that a bank holds."""
MIN_POSE_STEP = 0.05
"""Least distance between two poses of a bank, in sides of an aligned crop."""
TAKES = 4
"""Frames looked at for each pose; the one with the most closed mouth is kept."""
OWN_MOUTH_S = 0.2
"""A look from less than this many seconds away shows the frame's own mouth and is not used for it."""
SWITCH_GAIN = 0.02
"""How much nearer in pose another look must be before a face changes to it: no flicker between two."""
MAX_GAIN = 16.0
"""Most by which the light of a crop is changed, as a factor."""
SAME_LIGHT = 0.1
"""A smaller difference of light, as a logarithm, is left to the generator."""
MAX_SAMPLES = 400
"""Most frames of a track whose poses are compared."""
MOUTH_ROWS, MOUTH_COLUMNS = (0.57, 0.80), (0.30, 0.70)
"""Where the mouth lies in an aligned crop, as shares of its side."""
MEASURED = CropSpec("aligned", 96)
"""The crop on which mouths are compared, whatever the generator wants."""

ReadFrames = Callable[[Iterable[int]], Iterator[tuple[int, Canvas]]]
"""Gives pictures of the source by rising frame index."""


class References(Protocol):
    """The reference of each frame that is redrawn."""

    def at(self, frame_idx: int, face: Face, crop: Image) -> Image:
        """(size, size, 3 * references) for `face` in source frame `frame_idx`, whose own crop is `crop`."""


@dataclass(frozen=True)
class OwnFrame:
    """The frame's own crop, as the published inference has it."""

    n_references: int = 1

    def at(self, frame_idx: int, face: Face, crop: Image) -> Image:
        """The crop itself, repeated."""
        return np.tile(crop, (1, 1, self.n_references))


@dataclass(frozen=True)
class GivenLooks:
    """The same looks for every frame, given by the user."""

    looks: Image
    """(size, size, 3 * references)"""

    def at(self, frame_idx: int, face: Face, crop: Image) -> Image:
        """What was given."""
        return self.looks


@dataclass(frozen=True)
class Look:
    """One crop of a face that can serve as reference."""

    frame_idx: int
    crop: Image
    """(size, size, 3)"""
    pose: NDArray[np.float64]
    """(2,); see `pose_of`."""


class Bank:
    """Looks of each face, and which of them each frame takes.

    Parameters
    ----------
    looks : mapping of int to list of Look
        By track.
    faces : Faces
    n_references : int
    min_distance : int
        Frames by which a look must be away from the frame that uses it.
    """

    def __init__(
        self, looks: Mapping[int, list[Look]], faces: Faces, n_references: int = 1, min_distance: int = 5
    ) -> None:
        self._looks = looks
        self._n_references = n_references
        self._chosen = {
            track: _choose(rows, looks[track], min_distance)
            for track, rows in _rows(faces).items()
            if looks.get(track)
        }

    def at(self, frame_idx: int, face: Face, crop: Image) -> Image:
        """The looks nearest in pose; a face that has none (it was never seen well) is its own reference."""
        chosen = self._chosen.get(face.track, {})
        order = chosen.get(frame_idx, next(reversed(chosen.values()), None)) if chosen else None
        if order is None:
            return np.tile(crop, (1, 1, self._n_references))
        looks = self._looks[face.track]
        return np.concatenate([looks[idx].crop for idx in np.resize(order, self._n_references)], axis=-1)


def pose_of(points: Floats) -> NDArray[np.float64]:
    """Where a face looks, (2,): the nose's place in the aligned crop less its usual one; right and down count up."""
    transform = alignment(points, 1)
    return np.asarray(transform[:, :2] @ points[2] + transform[:, 2] - TEMPLATE[2], dtype=np.float64)


def mouth_contrast(crop: Image) -> float:
    """How much the mouth of an aligned crop (size, size, 3) differs within itself, in grey levels.

    A dark gap or teeth raise it; of one face in one pose the lowest is the most closed mouth.
    """
    size = len(crop)
    rows, columns = (slice(round(low * size), round(high * size)) for low, high in (MOUTH_ROWS, MOUTH_COLUMNS))
    low, high = np.percentile(crop[rows, columns].mean(axis=-1), [3, 97])
    return float(high - low)


def light_between(crop: Image, look: Image) -> NDArray[np.float64] | None:
    """Factors (3,) that bring a crop (size, size, 3) to the light of a look; None where both have the same.

    Told from the upper halves. Fades, flashes and shade change the light between the two, and a generator that sees
    a bright face beside a dark one pastes a bright mouth.
    """
    half = len(look) // 2
    here, there = (image[:half].reshape(-1, 3).mean(axis=0, dtype=np.float64) + 1.0 for image in (crop, look[..., :3]))
    gain = np.clip(there / here, 1 / MAX_GAIN, MAX_GAIN)
    return None if np.abs(np.log(gain)).max() < SAME_LIGHT else gain


def relit(crop: Image, gain: NDArray[np.float64]) -> Image:
    """A crop (size, size, 3) in another light: each channel times its factor."""
    return np.asarray(np.clip(np.rint(crop * gain), 0, 255), dtype=np.uint8)


def gather(
    read: ReadFrames, faces: Faces, spec: CropSpec, fps: float, n_references: int = 1
) -> Bank:
    """A bank with looks of every face of a video: its poses, and of each the frame with the most closed mouth."""
    rows = _rows(faces)
    wanted = {track: _candidates(seen) for track, seen in rows.items()}
    users: dict[int, list[tuple[int, int]]] = {}
    for track, groups in wanted.items():
        for group, candidates in enumerate(groups):
            for frame_idx in candidates:
                users.setdefault(frame_idx, []).append((track, group))
    best: dict[tuple[int, int], tuple[float, Look]] = {}
    for frame_idx, canvas in read(sorted(users)):
        for track, group in users.get(frame_idx, ()):
            face = rows[track][frame_idx]
            contrast = mouth_contrast(cut_from(canvas, face.box, face.points, MEASURED))
            if (track, group) not in best or contrast < best[track, group][0]:
                crop = cut_from(canvas, face.box, face.points, spec)
                best[track, group] = (contrast, Look(frame_idx, crop, pose_of(face.points)))
    looks: dict[int, list[Look]] = {}
    for (track, _), (_, look) in sorted(best.items()):
        looks.setdefault(track, []).append(look)
    return Bank(looks, faces, n_references, round(OWN_MOUTH_S * fps))


def _rows(faces: Faces) -> dict[int, dict[int, Face]]:
    """By track, the faces by frame index that are fully redrawn, or all of a track that never is."""
    rows: dict[int, dict[int, Face]] = {}
    for frame_idx in range(faces.n_frames):
        for face in faces.at(frame_idx):
            rows.setdefault(face.track, {})[frame_idx] = face
    return rows


def _candidates(seen: Mapping[int, Face]) -> list[list[int]]:
    """For each pose worth keeping, the frames nearest to it, spread over time."""
    sure = [idx for idx, face in seen.items() if face.strength >= 1.0] or list(seen)
    sampled = np.array(sure)[np.unique(np.linspace(0, len(sure) - 1, min(len(sure), MAX_SAMPLES)).astype(int))]
    poses = np.stack([pose_of(seen[int(idx)].points) for idx in sampled])
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


def _nearest(
    sampled: NDArray[np.int64], poses: NDArray[np.float64], pose: NDArray[np.float64], part: NDArray[np.int64]
) -> list[int]:
    """Frames of `part` whose pose is near `pose`: of the nearest third, some spread over time."""
    distance = np.linalg.norm(poses[part] - pose, axis=1)
    near = np.sort(part[np.argsort(distance, kind="stable")[: max(TAKES, len(part) // 3)]])
    spread = near[np.unique(np.linspace(0, len(near) - 1, min(len(near), TAKES)).astype(int))]
    return [int(idx) for idx in sampled[spread]]


def _choose(rows: Mapping[int, Face], looks: list[Look], min_distance: int) -> dict[int, NDArray[np.int64]]:
    """For each frame of a track the looks, best first, that are not its own; changes only where it gains much."""
    chosen: dict[int, NDArray[np.int64]] = {}
    poses = np.stack([look.pose for look in looks])
    taken = np.array([look.frame_idx for look in looks])
    last = -1
    for frame_idx, face in rows.items():
        distance = np.linalg.norm(poses - pose_of(face.points), axis=1)
        if last >= 0:
            distance[last] -= SWITCH_GAIN
        distance = distance + 10.0 * (np.abs(taken - frame_idx) < min_distance)
        order = np.argsort(distance, kind="stable")
        last = int(order[0])
        chosen[frame_idx] = order
    return chosen
