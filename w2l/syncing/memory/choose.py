"""Choose the look for each picture of an output, block by block from the start."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.models.speech_lips import shapes_in_speech
from w2l.syncing.memory.costs import MIDDLE_LEAD, audio_costs, frame_costs, joins_of, own_costs, quietness, rim_of
from w2l.syncing.memory.embed import SyncExpert
from w2l.syncing.memory.looks import Looks
from w2l.syncing.memory.path import NONE, choices
from w2l.syncing.plan import Plan
from w2l.syncing.reference_bank import OWN_MOUTH_S, poses_of, track_rows

FADE_S = 0.04
"""Seconds over which a look fades into the one that is jumped to, so that the mouth does not twitch."""
NEAR_S = 0.1
"""Seconds within which a frame is represented by an examined one."""


class Chooser:
    """Chooser of the looks of one track for an output.

    Parameters
    ----------
    looks : Looks
    plan : Plan
        The output, or a part of it.
    track : int
    expert : SyncExpert
    """

    def __init__(self, looks: Looks, plan: Plan, track: int, expert: SyncExpert) -> None:
        frames, points = track_rows(plan.faces, track)
        source = np.minimum(plan.timeline.source, plan.faces.n_frames - 1)
        place = np.minimum(np.searchsorted(frames, source), len(frames) - 1)
        self._pictures = np.flatnonzero((frames[place] == source) & (plan.gain > 0))
        self._frame_idx = source[self._pictures]
        self._pose = poses_of(points[place[self._pictures]])
        self._light = _between(self._frame_idx, looks.seen.frame_idx, looks.seen.light)
        self._known = _nearest(self._frame_idx, looks.seen.frame_idx)
        self._starts = plan.starts[self._pictures]
        self._mel = plan.mel
        self._looks = looks
        self._expert = expert
        self._rims = rim_of(looks.seen)
        self._min_distance = round(OWN_MOUTH_S * plan.info.fps)
        self._near = NEAR_S * plan.info.fps
        step = max(1, round(plan.info.fps / plan.timeline.fps))
        begins = np.diff(self._pictures, prepend=-2) != 1
        joins = joins_of(looks.measures, step, plan.timeline.fps)
        self._begins, self._after, self._gap = begins, joins.after, looks.measures.gap
        self._n_fading = round(FADE_S * plan.timeline.fps)
        self._blocks = choices(self._costs, begins, joins)
        self._chosen = np.zeros(0, dtype=np.int16)

    def at(self, picture: int) -> int:
        """Return the index of the look for one picture of the plan in which the face is redrawn."""
        row = int(np.searchsorted(self._pictures, picture))
        while row >= len(self._chosen):
            self._chosen = np.concatenate([self._chosen, next(self._blocks)])
        return int(self._chosen[row])

    def leaving(self, picture: int) -> tuple[int, float] | None:
        """Return the place of the look that was jumped from shortly before a picture, and its share there.

        It moves on as in the source, or stays where nothing follows it. None where no jump is near, and where the jump
        brings the lips nearer together: a mouth that closes must be seen to close.
        """
        self.at(picture)
        row = int(np.searchsorted(self._pictures, picture))
        for age in range(min(self._n_fading, row + 1)):
            if self._begins[row - age]:
                return None
            old, new = (int(look) for look in self._chosen[row - age - 1 : row - age + 1])
            if new not in (old, self._after[old]):
                if self._gap[new] < self._gap[old]:
                    return None
                for _ in range(age + 1):
                    old = old if self._after[old] == NONE else int(self._after[old])
                return old, 1.0 - (age + 1) / (self._n_fading + 1)
        return None

    def _costs(self, first: int, last: int) -> NDArray[np.float32]:
        """Return the costs (pictures, looks) of some pictures in which the face is redrawn."""
        rows = slice(first, last)
        measures = self._looks.measures
        match = self._expert.sounds(self._mel, self._starts[rows]) @ self._looks.sync.T
        shapes = shapes_in_speech(self._mel, self._starts[rows] + MIDDLE_LEAD)
        from_audio = audio_costs(measures, self._looks.seen, match, shapes, quietness(self._mel, self._starts[rows]))
        rim = self._rims[self._known[rows]].copy()
        away = np.abs(self._looks.seen.frame_idx[self._known[rows]] - self._frame_idx[rows])
        rim[away > self._near] = np.nan
        costs = frame_costs(measures, from_audio, self._pose[rows], self._light[rows], rim)
        return costs + own_costs(measures, self._frame_idx[rows], self._min_distance)


def _between(frame_idx: NDArray[np.int64], known: NDArray[np.int64], values: Floats) -> Floats:
    """Interpolate known values (known, columns) linearly at frames; return (frames, columns)."""
    return np.column_stack([np.interp(frame_idx, known, column) for column in values.T])


def _nearest(frame_idx: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index (frames,) of the nearest of known frames, which increase."""
    after = np.clip(np.searchsorted(known, frame_idx), 1, max(1, len(known) - 1))
    before, after = after - 1, np.minimum(after, len(known) - 1)
    return np.where(frame_idx - known[before] <= known[after] - frame_idx, before, after)
