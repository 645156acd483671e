"""The faces to redraw in every frame, their strength, and the reason where none is redrawn."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.intervals import fade, runs
from w2l.faces.select import Choice, Chosen, choose, steady_tracks
from w2l.faces.tracker import Scan, Track, smooth_track
from w2l.features import boxes as bx

Mask = NDArray[np.bool_]
Smoothing = Literal["gaussian", "published"]

REDRAWN, NO_FACE, UNSURE, TURNED, NOT_CHOSEN, COVERED, LYING = range(7)
"""Reason why a frame is or is not redrawn; see `WHY`."""
WHY = ("redrawn", "no face", "unsure", "turned away", "not chosen", "something covers the mouth or chin",
       "lying or upside down")  # fmt: skip
"""The reasons in words."""
MIN_SURE = 0.7
"""Score above which a face starts to be redrawn."""
KEEP_SURE = 0.55
"""Score down to which it continues to be redrawn."""
MIN_ALIKE = 0.25
"""Likeness to its typical appearance below which a face counts as covered or half outside the picture."""
MAX_YAW = 55.0
"""Largest turn of the head from the camera, in degrees, at which a face starts to be redrawn."""
KEEP_YAW = 65.0
"""Largest turn, in degrees, up to which it continues to be redrawn."""
MAX_ROLL = 50.0
"""Largest roll of a head, in degrees, at which a face fits an upright box."""
NOSE_DEPTH = 0.6
"""Distance of the nose tip in front of the eyes, in eye distances."""
BRIDGE_S = 0.2
"""Longest gap, in seconds, between two sure stretches that is redrawn anyway."""
MIN_RUN_S = 0.2
"""Shortest redrawn stretch, in seconds, between two longer ones that are not."""
FADE_S = 0.12
"""Seconds in which a face that appears or disappears within a shot is faded in or out."""
HAND_POINTS = np.array([[0.27, 0.386], [0.73, 0.386], [0.50, 0.584], [0.30, 0.778], [0.70, 0.778]])
"""Positions of eyes, nose and mouth corners in a face box of side 1: the mean over GRID's speakers, symmetrised."""


@dataclass(frozen=True)
class Face:
    """A face to redraw in one frame."""

    track: int
    """The number of its track."""
    box: Floats
    """(4,) x1, y1, x2, y2 in pixels, smoothed."""
    points: Floats
    """(5, 2) x, y in pixels, smoothed."""
    strength: float = 1.0
    """Opacity, 0 (exclusive) to 1: below 1 where it appears or disappears."""


@dataclass(frozen=True)
class Faces:
    """The faces to redraw in every frame of the source; the last frame also stands for all after it."""

    first: NDArray[np.int64]
    """(frames + 1,): the faces of frame k are the rows from `first[k]` to `first[k + 1]` (exclusive)."""
    track: NDArray[np.int64]
    """(rows,): track number."""
    boxes: Floats
    """(rows, 4)"""
    points: Floats
    """(rows, 5, 2)"""
    strength: Floats
    """(rows,): opacity above 0, up to 1."""
    why: NDArray[np.int8]
    """(frames,): REDRAWN, or the reason why not; see `WHY`."""

    @property
    def n_frames(self) -> int:
        """Number of frames of the source that were searched."""
        return len(self.why)

    @property
    def tracks(self) -> list[int]:
        """Numbers of the tracks that are redrawn in any frame."""
        return [int(number) for number in np.unique(self.track)]

    def at(self, frame_idx: int) -> tuple[Face, ...]:
        """Return the faces to redraw in one frame."""
        frame = min(max(frame_idx, 0), self.n_frames - 1)
        return tuple(
            Face(int(self.track[row]), self.boxes[row], self.points[row], float(self.strength[row]))
            for row in range(self.first[frame], self.first[frame + 1])
        )

    def passed(self) -> dict[str, int]:
        """Return the number of source frames that pass through unchanged, by reason in words."""
        return {WHY[code]: int((self.why == code).sum()) for code in range(1, len(WHY)) if (self.why == code).any()}


def follow(
    scan: Scan,
    smooth_s: float,
    choice: Choice | Chosen | None = None,
    hold: bool = False,
    smoothing: Smoothing = "gaussian",
) -> Faces:
    """Return the positions of the chosen faces in every frame, smoothed over time.

    Nothing is carried across a cut, and nothing lags: boxes and points are averaged over the time around each frame.

    Parameters
    ----------
    scan : Scan
    smooth_s : float
        Standard deviation in seconds of the Gaussian that smooths boxes and points.
    choice : Choice or Chosen
        The faces to redraw; by default the one that is visible longest and largest in each shot. A portrait must have
        been resolved before (`choose`). A video without faces gives no rows; a choice that matches none raises
        NoFaceError.
    hold : bool
        Whether a chosen face that is not reliably visible is redrawn at its last position until it is back in the same
        shot; otherwise such frames are unchanged.
    smoothing : str
        `gaussian`, or `published`: boxes are averaged as in the public tool.
    """
    if not isinstance(choice, Chosen):
        tracks = steady_tracks(scan)
        if not tracks:
            return _gather(scan, [], np.full(scan.n_frames, NO_FACE, dtype=np.int8))
        choice = choose(tracks, scan, choice or Choice())
    why = np.full(scan.n_frames, NO_FACE, dtype=np.int8)
    for number, track in enumerate(choice.tracks):
        if number not in choice.numbers:
            frames = np.flatnonzero(track.seen) + track.start
            why[frames[why[frames] == NO_FACE]] = NOT_CHOSEN
    rows = []
    stretches = choice.stretches or ((0, scan.n_frames),) * len(choice.faces)
    for face, stretch in zip(choice.faces, stretches, strict=True):
        rows.append(_follow_face(scan, choice.tracks, face, stretch, smooth_s, hold, smoothing, why))
    return _gather(scan, rows, why)


def fixed_face(box: tuple[float, float, float, float], n_frames: int = 1) -> Faces:
    """Return the same box (x1, y1, x2, y2) in every frame, with the typical five points of a face in it."""
    corners = np.asarray(box, dtype=np.float64)
    points = corners[:2] + HAND_POINTS * (corners[2:] - corners[:2])
    return Faces(
        first=np.arange(n_frames + 1, dtype=np.int64),
        track=np.zeros(n_frames, dtype=np.int64),
        boxes=np.repeat(corners[None], n_frames, axis=0),
        points=np.repeat(points[None], n_frames, axis=0),
        strength=np.ones(n_frames),
        why=np.full(n_frames, REDRAWN, dtype=np.int8),
    )


def no_faces(n_frames: int) -> Faces:
    """Return the result for frames without a face to redraw."""
    fixed = fixed_face((0.0, 0.0, 1.0, 1.0), 0)
    return replace(fixed, first=np.zeros(n_frames + 1, np.int64), why=np.full(n_frames, NO_FACE, np.int8))


def without(faces: Faces, covered: Mapping[int, Mask], n_fade: int, reason: int = COVERED) -> Faces:
    """Return the faces without the rows of tracks in which something covers them, faded over `n_fade` rows.

    `covered` (rows of the track,) has one value for each row of a track, in order.
    """
    strength = faces.strength.copy()
    for track, hidden in covered.items():
        rows = np.flatnonzero(faces.track == track)
        strength[rows] = np.minimum(strength[rows], fade(~hidden, n_fade))
    kept = strength > 0
    before = np.concatenate([[0], np.cumsum(kept)])
    first = before[faces.first]
    why = np.where((faces.why == REDRAWN) & (np.diff(first) == 0), reason, faces.why).astype(np.int8)
    return Faces(first, faces.track[kept], faces.boxes[kept], faces.points[kept], strength[kept], why)


def without_lying(faces: Faces, n_fade: int) -> tuple[Faces, float]:
    """Return the faces without those that lie or stand on their head, and the roll of these, in degrees; 0 for none.

    The roll counts clockwise, from -180 to 180.
    """
    across = faces.points[:, 1] - faces.points[:, 0]
    roll = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    lying = np.abs(roll) > MAX_ROLL
    if not lying.any():
        return faces, 0.0
    by_track = {track: lying[faces.track == track] for track in faces.tracks}
    usual = float(np.degrees(np.angle(np.exp(1j * np.radians(roll[lying])).mean())))
    return without(faces, by_track, n_fade, LYING), usual


def yaw_of(points: Floats) -> Floats:
    """Return the estimated turn to either side, in degrees 0..90, of heads with five points (..., 5, 2).

    It grows with the distance of the nose from the middle between the eyes, along the line of the eyes.
    """
    eyes = points[..., 1, :] - points[..., 0, :]
    distance = np.maximum(np.linalg.norm(eyes, axis=-1), 1e-6)
    nose = points[..., 2, :] - (points[..., 0, :] + points[..., 1, :]) / 2
    shift = np.abs((nose * eyes).sum(axis=-1)) / distance**2
    return np.asarray(np.degrees(np.arctan(shift / NOSE_DEPTH)))


def hysteresis(enter: Mask, stay: Mask) -> Mask:
    """Return True from where `enter` is, in both directions as long as `stay` is; (frames,) each."""
    on = enter.copy()
    for order in (range(1, len(on)), range(len(on) - 2, -1, -1)):
        step = 1 if order.step > 0 else -1
        for idx in order:
            on[idx] |= on[idx - step] and stay[idx]
    return on


@dataclass(frozen=True)
class _Rows:
    """One face in the frames where it is redrawn."""

    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    boxes: Floats
    points: Floats
    strength: Floats


def _follow_face(
    scan: Scan,
    tracks: tuple[Track, ...],
    face: tuple[int, ...],
    stretch: tuple[int, int],
    smooth_s: float,
    hold: bool,
    smoothing: Smoothing,
    why: NDArray[np.int8],
) -> _Rows:
    """Follow one face while it is chosen in its shot; set `why` (frames,) where it is not redrawn."""
    first, stop = next(shot for shot in scan.shots if shot[0] <= tracks[face[0]].start < shot[1])
    n_frames = stop - first
    owner = np.full(n_frames, -1, dtype=np.int64)
    boxes, points = np.zeros((n_frames, 4)), np.zeros((n_frames, 5, 2))
    sure = np.zeros(n_frames, dtype=np.bool_)
    for number in face:
        track = tracks[number]
        here = slice(track.start - first, track.stop - first)
        steady = _steadied(track, smooth_s * scan.fps, smoothing)
        owner[here], boxes[here], points[here] = number, steady.boxes, steady.points
        sure[here], because = _sureness(track, scan.fps)
        away = (np.arange(track.start, track.stop) < stretch[0]) | (np.arange(track.start, track.stop) >= stretch[1])
        because = np.where(away & track.seen, NOT_CHOSEN, because)
        whys = why[track.start : track.stop]
        whys[:] = np.where(because != REDRAWN, np.where(whys == REDRAWN, whys, because), whys)
    sure[: max(0, stretch[0] - first)] = False
    sure[max(0, stretch[1] - first) :] = False
    if hold:
        held = np.maximum.accumulate(np.where(sure, np.arange(n_frames), -1))
        last = int(np.flatnonzero(sure)[-1]) if sure.any() else -1
        missing = (held >= 0) & ~sure & (np.arange(n_frames) < last)
        owner[missing], boxes[missing], points[missing] = (part[held[missing]] for part in (owner, boxes, points))
        sure |= missing
    strength = fade(sure, max(1, round(FADE_S * scan.fps)))
    drawn = np.flatnonzero(sure)
    why[drawn + first] = REDRAWN
    return _Rows(drawn + first, owner[drawn], boxes[drawn], points[drawn], strength[drawn])


def _steadied(track: Track, sigma_frames: float, smoothing: Smoothing) -> Track:
    if smoothing == "gaussian":
        return smooth_track(track, sigma_frames)
    boxes = bx.smooth_boxes_reference(track.boxes.astype(np.int64)).astype(np.float64)
    return replace(track, boxes=boxes)


def _sureness(track: Track, fps: float) -> tuple[Mask, NDArray[np.int8]]:
    """Return where a track is reliable enough to be redrawn, and why not (REDRAWN where it is); (frames,) both."""
    yaw = bx.smooth_gaussian(yaw_of(track.points), 1.0)
    plain = track.alike >= MIN_ALIKE
    steady = (track.scores >= KEEP_SURE) & (yaw <= KEEP_YAW) & track.seen & plain
    sure = hysteresis(steady & (track.scores >= MIN_SURE) & (yaw <= MAX_YAW), steady)
    n_bridge, n_least = max(1, round(BRIDGE_S * fps)), max(1, round(MIN_RUN_S * fps))
    for start, stop in runs(~sure):
        if start > 0 and stop < len(sure) and stop - start <= n_bridge:
            sure[start:stop] = True
    for start, stop in runs(sure):
        if stop - start < n_least and (start > 0 or stop < len(sure)):
            sure[start:stop] = False
    because = np.where(~track.seen, NO_FACE, np.where(yaw > MAX_YAW, TURNED, UNSURE))
    return sure, np.where(sure, REDRAWN, because).astype(np.int8)


def _gather(scan: Scan, rows: list[_Rows], why: NDArray[np.int8]) -> Faces:
    """Return all faces, sorted by frame."""
    none = _Rows(
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0)
    )  # fmt: skip
    rows = [none, *rows]
    frame = np.concatenate([part.frame for part in rows])
    order = np.argsort(frame, kind="stable")
    return Faces(
        first=np.searchsorted(frame[order], np.arange(scan.n_frames + 1)).astype(np.int64),
        track=np.concatenate([part.track for part in rows])[order],
        boxes=np.concatenate([part.boxes for part in rows])[order],
        points=np.concatenate([part.points for part in rows])[order],
        strength=np.concatenate([part.strength for part in rows])[order],
        why=why,
    )
