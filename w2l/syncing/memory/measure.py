"""Measure the faces of a video: pose, lips, light and appearance of the lower half."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from w2l.core.arrays import Canvas, Floats, Image
from w2l.core.prefetch import ahead
from w2l.faces.follow import Face, Faces, yaw_of
from w2l.features.crop import CropSpec, cut_each
from w2l.models.lip_reader import BATCH, Mouths, read_mouths
from w2l.syncing.memory.looks import Measures, compress
from w2l.syncing.memory.sampling import shares, stretches
from w2l.syncing.memory.strokes import STROKES_SIDE
from w2l.syncing.memory.usual import cells_of
from w2l.syncing.reference_bank import LIPS_CROP, ReadFrames, poses_of, track_rows

FINE_CROP = CropSpec("aligned", STROKES_SIDE)
"""How the crop is cut on which thin strokes are measured."""
MOST_SEEN = 750
"""Frames of a video that are looked at, all tracks together: half a minute of it."""
STRETCH = 32
"""Frames in a row that are looked at in a long video."""
DECODE_AHEAD = 8
"""Pictures decoded ahead of the measuring."""


@dataclass
class Sightings:
    """Measurements of one track, collected frame by frame."""

    spec: CropSpec | None = None
    """How the crops are cut that are kept; None: none are."""
    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    lower: list[Image] = field(default_factory=list)
    """Lower halves of aligned crops, where crops are kept."""
    crops: list[bytes] = field(default_factory=list)
    _aligned: list[Image] = field(default_factory=list)
    """Aligned crops whose lips are still to be read."""
    _measured: list[tuple[float, Floats, Floats]] = field(default_factory=list)
    """Sharpness, light and cells."""
    _mouths: list[Mouths] = field(default_factory=list)

    def add(self, frame_idx: int, face: Face, canvas: Canvas) -> None:
        """Cut and measure the face in one frame."""
        specs = (LIPS_CROP, FINE_CROP) if self.spec is None else (LIPS_CROP, FINE_CROP, self.spec)
        aligned, fine, *kept = cut_each(canvas, face.box, face.points, specs)
        half = len(aligned) // 2
        self.frames.append(frame_idx)
        self.faces.append(face)
        light = aligned[:half].reshape(-1, 3).mean(axis=0)
        self._measured.append((sharpness(aligned[half:]), light, cells_of(aligned, fine)))
        for crop in kept:
            self.lower.append(aligned[half:])
            self.crops.append(compress(crop))
        self._aligned.append(aligned)
        if len(self._aligned) == BATCH:
            self._read()

    def measures(self) -> Measures:
        """Return all measurements."""
        self._read()
        points = np.stack([face.points for face in self.faces])
        return Measures(
            frame_idx=np.array(self.frames, dtype=np.int64),
            pose=poses_of(points),
            points=np.concatenate([mouths.points for mouths in self._mouths]),
            gap=np.concatenate([mouths.gaps for mouths in self._mouths]),
            width=np.concatenate([mouths.widths for mouths in self._mouths]),
            teeth=np.concatenate([mouths.teeth for mouths in self._mouths]),
            covered=np.concatenate([mouths.covered for mouths in self._mouths]),
            sharpness=np.array([sharp for sharp, _, _ in self._measured]),
            light=np.stack([light for _, light, _ in self._measured]),
            cells=np.stack([cells for _, _, cells in self._measured]).astype(np.float32),
        )

    def yaw(self) -> Floats:
        """Return how far the head is turned in each frame, degrees."""
        return yaw_of(np.stack([face.points for face in self.faces]))

    def _read(self) -> None:
        """Read the lips of the crops that wait."""
        if self._aligned:
            self._mouths.append(read_mouths(np.stack(self._aligned)))
            self._aligned.clear()


def sharpness(image: Image) -> float:
    """Return the mean size of the Laplacian of an image (rows, columns, 3), grey levels."""
    grey = image.mean(axis=-1)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(around - 4 * grey[1:-1, 1:-1]).mean())


def look_at(read: ReadFrames, faces: Faces, spec: CropSpec | None = None) -> dict[int, Sightings]:
    """Measure each track in all its frames, or in sections of a long video; crops are kept if `spec` is given."""
    rows = {track: track_rows(faces, track, fully=True)[0] for track in faces.tracks}
    wanted: dict[int, list[int]] = {}
    for (track, frames), most in zip(rows.items(), shares([len(one) for one in rows.values()], MOST_SEEN, 2 * STRETCH)):
        for place in stretches(len(frames), most, STRETCH):
            wanted.setdefault(int(frames[place]), []).append(track)
    seen = {track: Sightings(spec) for track in rows}
    for frame_idx, face, canvas in shown(read, faces, wanted):
        seen[face.track].add(frame_idx, face, canvas)
    return {track: one for track, one in seen.items() if one.frames}


def shown(read: ReadFrames, faces: Faces, wanted: Mapping[int, Collection[int]]) -> Iterator[tuple[int, Face, Canvas]]:
    """Yield the wanted faces of a video with their pictures: by frame, the tracks."""

    def pictures() -> Iterator[tuple[int, Canvas]]:
        if wanted:
            yield from read(sorted(wanted))

    for frame_idx, canvas in ahead(pictures(), DECODE_AHEAD):
        for face in faces.at(frame_idx):
            if face.track in wanted[frame_idx]:
                yield frame_idx, face, canvas
