"""Gather the looks of every face to redraw in one pass over a video, or over sections of a long one."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.faces.follow import Faces
from w2l.features.crop import CropSpec
from w2l.syncing.memory.embed import SyncExpert, windows_around
from w2l.syncing.memory.hidden import over_face
from w2l.syncing.memory.looks import Looks, Measures
from w2l.syncing.memory.measure import Sightings, look_at
from w2l.syncing.memory.sampling import shares, spanning
from w2l.syncing.reference_bank import DARK, ReadFrames

MOST_KEPT = 300
"""Most looks kept of a video, over all tracks; more are rarely chosen and slow down the choice."""
LEAST_KEPT = 24
"""Fewest of these per track, if it has that many."""
HALF_TURNED = 45.0
"""Yaw in degrees from which a head is turned too far for its lips to be used in other frames."""
BLURRED = 0.4
"""Share of the track's median sharpness below which a look is blurred."""
SPAN_UNITS = (0.05, 0.05, 0.08, 0.3)
"""Unit step in pose (sides of the crop), gap and width (eye distances) and light (logarithm)."""


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
    seen = look_at(read, faces, spec)
    kept = dict(zip(seen, shares([len(one.frames) for one in seen.values()], MOST_KEPT, LEAST_KEPT)))
    return {track: _kept(one, kept[track], times, expert) for track, one in seen.items()}


def thinned(looks: Looks, most: int) -> Looks:
    """Return at most `most` of the looks that span the range of all of them."""
    return looks.only(spanning(_features(looks.measures), looks.measures.frame_idx, most))


def usable(measures: Measures, yaw: Floats) -> NDArray[np.int64]:
    """Return the looks usable in other frames: sharp, lit, not turned away, with mouth and chin uncovered."""
    sharp = measures.sharpness >= BLURRED * np.median(measures.sharpness)
    lit = measures.light.mean(axis=-1) >= DARK
    return np.flatnonzero(sharp & lit & (yaw < HALF_TURNED) & ~over_face(measures))


def _kept(seen: Sightings, most: int, times: Floats, expert: SyncExpert) -> Looks:
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
