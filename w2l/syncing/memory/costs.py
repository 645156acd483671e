"""What each look costs in each frame of an output, and each look after another; pure."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.features.windows import SILENT_LEVEL, mel_window
from w2l.syncing.memory.looks import Measures
from w2l.syncing.memory.path import NONE, Joins
from w2l.syncing.memory.usual import rim_cells

POSE_COST = 3.0
"""Of a distance between two poses, a side of the crop."""
LIGHT_COST = 0.3
"""Of a difference in light, as a logarithm, in the channel that differs most."""
RIM_COST = 0.3
"""Of a mean difference of `RIM_UNIT` on the rim of what is pasted, between the look and the frame."""
RIM_UNIT, RIM_MOST = 6.0, 3.0
"""A difference of colour in CIELAB that shows, and how many times it counts in one cell at most."""
REST_COST = 2.0
"""In pauses: of the way from the person's rest to the widest mouth that the looks show."""
REST_TEETH = 0.3
"""In pauses: of teeth that show."""
OWN_COST = 1e3
"""Of a frame's own mouth."""
JUMP_COST, JUMP_SHAPE_COST = 0.3, 0.2
"""Of any jump, and of each % of a side by which the points of the lips jump, on average."""
STAY_COST = 0.3
"""Of a look that is shown again."""
LEAST_SHOWN_S = 0.08
"""Seconds from one jump to the next."""
REST_SHARE = 10.0
"""Per cent of a person's looks whose lips are nearer together than at rest."""
MIN_RANGE = 0.02
"""Least range of gaps, in eye distances, that counts: less is what the lip reader's error makes."""
QUIET_COLUMNS = 6
"""Mel columns around a frame in which it is silent, or not: 75 ms."""
QUIET_LEAD = 3
"""Columns from the beginning of a generator's window to its frame, the second of the window."""


def joins_of(looks: Measures, step: int, fps: float) -> Joins:
    """Return what one look costs after another, when the source moves on by `step` frames from picture to picture.

    Parameters
    ----------
    looks : Measures
    step : int
        Source frames from one picture of the output to the next.
    fps : float
        Of the output.
    """
    before = following(looks.frame_idx, step)
    # A jump is smooth where the look shown is what came next anyway, and what it replaces what came before it.
    after = np.full(len(looks), NONE)
    known = np.flatnonzero(before != NONE)
    after[before[known]] = known
    next_points = looks.points[np.where(after == NONE, np.arange(len(looks)), after)]
    last_points = looks.points[np.where(before == NONE, np.arange(len(looks)), before)]
    away = (_apart(next_points, looks.points) + _apart(looks.points, last_points)) / 2
    jump = JUMP_COST + JUMP_SHAPE_COST * 100 * away + LIGHT_COST * _light_apart(looks.light, looks.light)
    return Joins(np.asarray(jump, dtype=np.float32), STAY_COST, before, max(1, round(LEAST_SHOWN_S * fps)))


def following(frame_idx: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return for each look the one of `step` frames before, or NONE; `frame_idx` rise."""
    place = np.clip(np.searchsorted(frame_idx, frame_idx - step), 0, max(0, len(frame_idx) - 1))
    return np.where(frame_idx[place] == frame_idx - step, place, NONE)


def frame_costs(
    looks: Measures, match: Floats, quiet: Floats, pose: Floats, light: Floats, rim: Floats
) -> NDArray[np.float32]:
    """Return what each look costs in each frame, (frames, looks), but for the frame's own mouth.

    Parameters
    ----------
    looks : Measures
    match : (frames, looks)
        Cosine between the sound of the frame and the look.
    quiet : (frames,)
        How much of a pause each frame is in, 0..1.
    pose : (frames, 2)
    light : (frames, 3)
        Mean RGB of the upper half of the face.
    rim : (frames, rim cells, 3)
        L, a and b on the rim of the face; NaN where they are not known.
    """
    heard = quiet[:, None] * rest_costs(looks)[None] - (1 - quiet[:, None]) * match
    away = np.linalg.norm(pose[:, None] - looks.pose[None], axis=-1)
    lit = LIGHT_COST * _light_apart(light, looks.light)
    return np.asarray(heard + POSE_COST * away + lit + rim_costs(rim, rim_of(looks)), dtype=np.float32)


def rim_of(measures: Measures) -> NDArray[np.float32]:
    """Return L, a and b (looks, rim cells, 3) on the rim of what is pasted."""
    return measures.cells[:, rim_cells(), :3]


def rim_costs(rim: NDArray[np.float32], other: NDArray[np.float32]) -> Floats:
    """Return what looks cost (frames, looks) for their rims (looks, cells, 3) beside the frames' (frames, cells, 3)."""
    costs = np.empty((len(rim), len(other)), dtype=np.float32)
    for frame, one in enumerate(rim):
        away = np.sqrt(((other - one) ** 2).sum(axis=-1)) / RIM_UNIT
        costs[frame] = RIM_COST * np.minimum(away, RIM_MOST).mean(axis=-1)
    return np.nan_to_num(costs)


def rest_costs(looks: Measures) -> Floats:
    """Return what each look (looks,) costs in a pause: the less it is like the person's mouth at rest."""
    rest, widest = np.percentile(looks.gap, [REST_SHARE, 100.0])
    away = np.abs(looks.gap - rest) / max(float(widest - rest), MIN_RANGE)
    return np.asarray(REST_COST * away + REST_TEETH * looks.teeth)


def own_costs(looks: Measures, frame_idx: NDArray[np.int64], min_distance: int) -> NDArray[np.float32]:
    """Return what looks cost for being the own mouth of the source frames (frames,): (frames, looks)."""
    near = np.abs(looks.frame_idx[None] - frame_idx[:, None]) < min_distance
    return np.asarray(OWN_COST * near, dtype=np.float32)


def quietness(mel: NDArray[np.float32], starts: NDArray[np.int64]) -> Floats:
    """Return the share of silence, (frames,) 0..1, in the audio around frames whose windows begin at `starts`.

    Pauses of `mel` (80, columns) are digital silence where they are to be rested in.
    """
    windows = [mel_window(mel, int(start) + QUIET_LEAD - QUIET_COLUMNS // 2, QUIET_COLUMNS) for start in starts]
    levels = np.stack(windows).mean(axis=1)
    return np.asarray((levels < SILENT_LEVEL).mean(axis=1))


def _apart(one: Floats, other: Floats) -> Floats:
    """Mean distance of points, (one, other), of (one, points, 2) and (other, points, 2)."""
    return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=-1).mean(axis=-1))


def _light_apart(one: Floats, other: Floats) -> Floats:
    """Difference of light as a logarithm, (one, other), of (one, 3) and (other, 3) in grey levels."""
    return np.asarray(np.abs(np.log(one + 1.0)[:, None] - np.log(other + 1.0)[None]).max(axis=-1))
