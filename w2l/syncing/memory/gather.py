"""Gather the looks of every face to redraw in one pass over a video, or over sections of a long one."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Floats, Image
from w2l.core.intervals import runs
from w2l.core.prefetch import ahead
from w2l.faces.follow import Face, Faces, yaw_of
from w2l.features.crop import CropSpec, cut_each
from w2l.models.lip_reader import BATCH, Mouths, read_mouths
from w2l.syncing.memory.embed import SyncExpert, windows_around
from w2l.syncing.memory.looks import Looks, Measures, compress
from w2l.syncing.memory.sampling import shares, spanning, stretches
from w2l.syncing.memory.usual import cells_of, explaining, much_else, oddness, something_else, usual_of
from w2l.syncing.reference_bank import DARK, LIPS_CROP, ReadFrames, poses_of, track_rows

MOST_SEEN = 750
"""Most frames examined of a video, over all tracks: half a minute."""
MOST_KEPT = 300
"""Most looks kept of a video, over all tracks; more are rarely chosen and slow down the choice."""
LEAST_KEPT = 24
"""Fewest of these per track, if it has that many."""
STRETCH = 32
"""Consecutive frames examined in each section of a long video."""
COVERED = 0.5
"""Probability from which lips count as covered."""
LEAST_HIDDEN = 3
"""Fewest consecutive frames that must be covered."""
HALF_TURNED = 45.0
"""Yaw in degrees from which a head is turned too far for its lips to be used in other frames."""
BLURRED = 0.4
"""Share of the track's median sharpness below which a look is blurred."""
DECODE_AHEAD = 8
"""Pictures decoded ahead of the measurements."""
SPAN_UNITS = (0.05, 0.05, 0.08, 0.3)
"""Unit step in pose (sides of the crop), gap and width (eye distances) and light (logarithm)."""


@dataclass
class _Seen:
    """Measurements of one track, collected frame by frame."""

    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    aligned: list[Image] = field(default_factory=list)
    """Aligned crops whose lips are not read yet."""
    lower: list[Image] = field(default_factory=list)
    """Lower halves of aligned crops."""
    measured: list[tuple[float, Floats, Floats]] = field(default_factory=list)
    """Sharpness, light and cells."""
    mouths: list[Mouths] = field(default_factory=list)
    crops: list[bytes] = field(default_factory=list)

    def add(self, frame_idx: int, face: Face, canvas: Canvas, spec: CropSpec) -> None:
        """Cut and measure the face in one frame."""
        aligned, crop = cut_each(canvas, face.box, face.points, (LIPS_CROP, spec))
        half = len(aligned) // 2
        self.frames.append(frame_idx)
        self.faces.append(face)
        self.lower.append(aligned[half:])
        light = aligned[:half].reshape(-1, 3).mean(axis=0)
        self.measured.append((sharpness(aligned[half:]), light, cells_of(aligned)))
        self.crops.append(compress(crop))
        self.aligned.append(aligned)
        if len(self.aligned) == BATCH:
            self.read()

    def read(self) -> None:
        """Read the lips of the pending crops."""
        if self.aligned:
            self.mouths.append(read_mouths(np.stack(self.aligned)))
            self.aligned.clear()

    def measures(self) -> Measures:
        """Return all measurements."""
        self.read()
        points = np.stack([face.points for face in self.faces])
        return Measures(
            frame_idx=np.array(self.frames, dtype=np.int64),
            pose=poses_of(points),
            points=np.concatenate([mouths.points for mouths in self.mouths]),
            gap=np.concatenate([mouths.gaps for mouths in self.mouths]),
            width=np.concatenate([mouths.widths for mouths in self.mouths]),
            teeth=np.concatenate([mouths.teeth for mouths in self.mouths]),
            covered=np.concatenate([mouths.covered for mouths in self.mouths]),
            sharpness=np.array([sharp for sharp, _, _ in self.measured]),
            light=np.stack([light for _, light, _ in self.measured]),
            cells=np.stack([cells for _, _, cells in self.measured]).astype(np.float32),
        )

    def yaw(self) -> Floats:
        """Return the yaw of the head in each frame, in degrees."""
        return yaw_of(np.stack([face.points for face in self.faces]))


def gather_looks(read: ReadFrames, faces: Faces, times: Floats, spec: CropSpec, expert: SyncExpert) -> dict[int, Looks]:
    """Return the looks of each track of a video; a track may have none.

    Parameters
    ----------
    read : callable
        Yields pictures of the source.
    faces : Faces
    times : (source frames,)
        Seconds.
    spec : CropSpec
        Specification of the crops to keep.
    expert : SyncExpert
    """
    seen = _look_at(read, faces, spec)
    kept = dict(zip(seen, shares([len(one.frames) for one in seen.values()], MOST_KEPT, LEAST_KEPT)))
    return {track: _kept(one, kept[track], times, expert) for track, one in seen.items()}


def thinned(looks: Looks, most: int) -> Looks:
    """Return at most `most` of the looks that span the range of all of them."""
    return looks.only(spanning(_features(looks.measures), looks.measures.frame_idx, most))


def sharpness(image: Image) -> float:
    """Return the mean magnitude of the Laplacian of an image (rows, columns, 3), in grey levels."""
    grey = image.mean(axis=-1)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(around - 4 * grey[1:-1, 1:-1]).mean())


def usable(measures: Measures, yaw: Floats) -> NDArray[np.int64]:
    """Return the looks usable in other frames: sharp, lit, not turned away, with mouth and chin uncovered."""
    sharp = measures.sharpness >= BLURRED * np.median(measures.sharpness)
    lit = measures.light.mean(axis=-1) >= DARK
    return np.flatnonzero(sharp & lit & (yaw < HALF_TURNED) & ~over_face(measures))


def over_face(measures: Measures) -> NDArray[np.bool_]:
    """Return the frames of a track in which something covers mouth or chin: a hand, a cup, a subtitle."""
    return np.asarray(something_else(_oddness(measures)) | (measures.covered >= COVERED))


def hidden_faces(measures: Measures) -> NDArray[np.bool_]:
    """Return the frames in which mouth or chin is covered so much that they should not be redrawn.

    Single frames do not count, as objects stay in front of a face for several frames.
    """
    much = much_else(_oddness(measures)) | (measures.covered >= COVERED)
    found = np.zeros(len(much), dtype=np.bool_)
    for start, stop in runs(much):
        found[start:stop] = stop - start >= LEAST_HIDDEN
    return found


def _oddness(measures: Measures) -> Floats:
    """Return by how much each cell differs from its usual appearance; see `w2l.syncing.memory.usual.oddness`."""
    by = explaining(measures.gap, measures.pose)
    return oddness(usual_of(measures.cells, by), measures.cells, by)


def _look_at(read: ReadFrames, faces: Faces, spec: CropSpec) -> dict[int, _Seen]:
    """Measure each track in the examined frames."""
    rows = {track: track_rows(faces, track, fully=True)[0] for track in faces.tracks}
    wanted: dict[int, list[int]] = {}
    for (track, frames), most in zip(rows.items(), shares([len(one) for one in rows.values()], MOST_SEEN, 2 * STRETCH)):
        for place in stretches(len(frames), most, STRETCH):
            wanted.setdefault(int(frames[place]), []).append(track)
    seen: dict[int, _Seen] = {track: _Seen() for track in rows}

    def pictures() -> Iterator[tuple[int, Canvas]]:
        yield from read(sorted(wanted))

    for frame_idx, canvas in ahead(pictures(), DECODE_AHEAD):
        for face in faces.at(frame_idx):
            if face.track in wanted[frame_idx]:
                seen[face.track].add(frame_idx, face, canvas, spec)
    return {track: one for track, one in seen.items() if one.frames}


def _kept(seen: _Seen, most: int, times: Floats, expert: SyncExpert) -> Looks:
    """Return looks that span the usable frames of a track."""
    measures = seen.measures()
    good = usable(measures, seen.yaw())
    chosen = good[spanning(_features(measures.only(good)), measures.frame_idx[good], most)]
    windows = windows_around(times[measures.frame_idx], chosen)
    sync = expert.faces(np.stack(seen.lower), windows)
    return Looks(measures.only(chosen), sync, tuple(seen.crops[look] for look in chosen), measures)


def _features(measures: Measures) -> Floats:
    """Return pose, opening, shape and light (looks, 5) in comparable units."""
    light = np.log(measures.light.mean(axis=-1) + 1.0)
    columns = (measures.pose, measures.gap, measures.width, light)
    return np.column_stack([column / unit for column, unit in zip(columns, SPAN_UNITS)])
