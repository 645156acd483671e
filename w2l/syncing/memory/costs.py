"""Costs of looks in each frame of an output, and of each look after another."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.features.windows import SILENT_LEVEL, mel_window
from w2l.models.speech_lips import relative_shapes
from w2l.syncing.memory.looks import Measures
from w2l.syncing.memory.path import NONE, Joins, following_of
from w2l.syncing.memory.usual import rim_cells

POSE_COST, POSE_UNIT = 0.25, 0.02
"""Cost of a distance between two poses of one unit, in sides of the crop; it grows with the square.

Lips and chin of a nodded or turned head do not fit another pose; within a unit there is more to choose from."""
LIGHT_COST = 0.3
"""Cost of a difference in light, as a logarithm, in the channel that differs most."""
RIM_COST = 0.3
"""Cost of a mean difference of `RIM_UNIT` on the rim of the pasted part, between the look and the frame."""
RIM_UNIT, RIM_MOST = 6.0, 3.0
"""A visible colour difference in CIELAB, and the largest multiple of it that counts in one cell."""
REST_COST = 2.0
"""Cost in pauses of the widest mouth among the looks, relative to the person's mouth at rest."""
REST_TEETH = 0.3
"""Cost in pauses of visible teeth."""
OPENING_COST, WIDTH_COST = 1.0, 0.5
"""Cost in speech of lips that differ from the shape that goes with the audio by the person's whole range."""
SHAPE_TOLERANCE = 0.2
"""Difference that costs nothing: about the error of the prediction."""
TEETH_GAIN = 0.2
"""Negative cost in speech of visible teeth: predicted shapes are means, which are less wide than toothy mouths."""
OWN_COST = 1e3
"""Cost of a frame's own mouth."""
JUMP_COST, JUMP_SHAPE_COST = 0.2, 0.2
"""Cost of any jump, and of each percent of a side by which the points of the lips move, on average."""
MOTION_COST = 0.05
"""Cost of each percent of a side by which the motion of the points per frame changes at a jump, on average."""
REPLAY_COST, REPLAY_S = 0.3, 0.32
"""Cost of a jump to a look that is near the last one in the source, and how near: the mouth would seem to stutter."""
STAY_COST = 0.3
"""Cost of repeating a look."""
LEAST_SHOWN_S = 0.08
"""Least seconds from one jump to the next."""
REST_SHARE = 10.0
"""Percentage of a person's looks whose lips are closer together than at rest."""
MIN_RANGE = 0.02
"""Least range of gaps, in eye distances, that exceeds the error of the lip reader."""
QUIET_COLUMNS = 6
"""Mel columns around a frame in which silence is measured: 75 ms."""
QUIET_LEAD, MIDDLE_LEAD = 3, 5
"""Mel columns from the start of a generator's window to the start and to the middle of its frame, the second one."""


def joins_of(looks: Measures, step: int, fps: float) -> Joins:
    """Return the costs of one look after another, if the source advances by `step` frames per picture.

    Parameters
    ----------
    looks : Measures
    step : int
        Source frames from one picture of the output to the next.
    fps : float
        Frame rate of the output.
    """
    before = following(looks.frame_idx, step)
    # A jump is smooth if each of the two looks resembles the natural neighbour of the other in the source.
    after = following_of(before)
    next_points = looks.points[np.where(after == NONE, np.arange(len(looks)), after)]
    last_points = looks.points[np.where(before == NONE, np.arange(len(looks)), before)]
    away = (_apart(next_points, looks.points) + _apart(looks.points, last_points)) / 2
    jump = JUMP_COST + JUMP_SHAPE_COST * 100 * away + LIGHT_COST * _light_apart(looks.light, looks.light)
    came, going = looks.points - last_points, next_points - looks.points
    came_or_going = np.where((before == NONE)[:, None, None], going, came)
    going_or_came = np.where((after == NONE)[:, None, None], came, going)
    jump += MOTION_COST * 100 * _apart(came_or_going, going_or_came)
    near = np.abs(looks.frame_idx[None] - looks.frame_idx[:, None]) <= round(REPLAY_S * fps) * step
    jump += REPLAY_COST * near
    return Joins(np.asarray(jump, dtype=np.float32), STAY_COST, before, max(1, round(LEAST_SHOWN_S * fps)))


def following(frame_idx: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return for each look the one `step` frames before, or NONE; `frame_idx` increase."""
    place = np.clip(np.searchsorted(frame_idx, frame_idx - step), 0, max(0, len(frame_idx) - 1))
    return np.where(frame_idx[place] == frame_idx - step, place, NONE)


def frame_costs(looks: Measures, from_audio: Floats, pose: Floats, light: Floats, rim: Floats) -> NDArray[np.float32]:
    """Return the cost of each look in each frame, (frames, looks), without that of the frame's own mouth.

    Parameters
    ----------
    looks : Measures
    from_audio : (frames, looks)
        See `audio_costs`.
    pose : (frames, 2)
    light : (frames, 3)
        Mean RGB of the upper half of the face.
    rim : (frames, rim cells, 3)
        L, a and b on the rim of the face; NaN if unknown.
    """
    away = np.linalg.norm(pose[:, None] - looks.pose[None], axis=-1)
    lit = LIGHT_COST * _light_apart(light, looks.light)
    return np.asarray(
        from_audio + POSE_COST * (away / POSE_UNIT) ** 2 + lit + rim_costs(rim, rim_of(looks)), dtype=np.float32
    )


def audio_costs(looks: Measures, seen: Measures, match: Floats, shapes: Floats, quiet: Floats) -> Floats:
    """Return the cost (frames, looks) of each look beside the audio of each frame.

    Parameters
    ----------
    looks : Measures
    seen : Measures
        All examined frames of the person, which give the range of openings and widths.
    match : (frames, looks)
        Cosine between the audio of the frame and the look.
    shapes : (frames, 2)
        Opening and width that go with the audio, see `w2l.models.speech_lips.shapes_in_speech`.
    quiet : (frames,)
        Share of silence around each frame, 0..1.
    """
    shown = relative_shapes(looks.gap, looks.width, seen.gap, seen.width)
    beyond = np.maximum(np.abs(shapes[:, None] - shown[None]) - SHAPE_TOLERANCE, 0.0)
    spoken = beyond @ np.array([OPENING_COST, WIDTH_COST]) - TEETH_GAIN * looks.teeth - match
    return np.asarray(quiet[:, None] * rest_costs(looks)[None] + (1 - quiet[:, None]) * spoken)


def rim_of(measures: Measures) -> NDArray[np.float32]:
    """Return L, a and b (looks, rim cells, 3) on the rim of the pasted part."""
    return measures.cells[:, rim_cells(), :3]


def rim_costs(rim: NDArray[np.float32], other: NDArray[np.float32]) -> Floats:
    """Return the costs (frames, looks) of differences between rims (looks, cells, 3) and (frames, cells, 3)."""
    costs = np.empty((len(rim), len(other)), dtype=np.float32)
    for frame, one in enumerate(rim):
        away = np.sqrt(((other - one) ** 2).sum(axis=-1)) / RIM_UNIT
        costs[frame] = RIM_COST * np.minimum(away, RIM_MOST).mean(axis=-1)
    return np.nan_to_num(costs)


def rest_costs(looks: Measures) -> Floats:
    """Return the cost (looks,) of each look in a pause, by its difference from the person's mouth at rest."""
    rest, widest = np.percentile(looks.gap, [REST_SHARE, 100.0])
    away = np.abs(looks.gap - rest) / max(float(widest - rest), MIN_RANGE)
    return np.asarray(REST_COST * away + REST_TEETH * looks.teeth)


def own_costs(looks: Measures, frame_idx: NDArray[np.int64], min_distance: int) -> NDArray[np.float32]:
    """Return the cost (frames, looks) of looks that are the own mouth of source frames (frames,)."""
    near = np.abs(looks.frame_idx[None] - frame_idx[:, None]) < min_distance
    return np.asarray(OWN_COST * near, dtype=np.float32)


def quietness(mel: NDArray[np.float32], starts: NDArray[np.int64]) -> Floats:
    """Return the share of silence, (frames,) 0..1, in the audio around frames whose windows start at `starts`.

    Pauses in which the mouth is to rest are digital silence in `mel` (80, columns).
    """
    windows = [mel_window(mel, int(start) + QUIET_LEAD - QUIET_COLUMNS // 2, QUIET_COLUMNS) for start in starts]
    levels = np.stack(windows).mean(axis=1)
    return np.asarray((levels < SILENT_LEVEL).mean(axis=1))


def _apart(one: Floats, other: Floats) -> Floats:
    """Return the mean distance (one, other) between points (one, points, 2) and (other, points, 2)."""
    return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=-1).mean(axis=-1))


def _light_apart(one: Floats, other: Floats) -> Floats:
    """Return the difference of light (one, other), as a logarithm, of (one, 3) and (other, 3) in grey levels."""
    return np.asarray(np.abs(np.log(one + 1.0)[:, None] - np.log(other + 1.0)[None]).max(axis=-1))
