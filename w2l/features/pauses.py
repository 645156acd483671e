"""Pauses: stretches of a mel without speech become digital silence, so that the mouth rests; pure functions."""

import numpy as np
from numpy.typing import NDArray

from w2l.core.intervals import runs
from w2l.core.timing import MEL_RATE
from w2l.features.windows import SILENCE

FLOOR_PERCENTILE = 5.0
SPEECH_PERCENTILE = 90.0
"""Percentiles of the columns' mean level that represent the noise floor and speech."""
MIN_RANGE = 1.0
"""With less between floor and speech (12.5 dB), pauses and speech cannot be distinguished."""
ENTER_SHARE = 0.33
"""A pause begins where the level falls below this share of the way from floor to speech..."""
LEAVE_SHARE = 0.43
"""... and ends where it rises above this one."""
EDGE_S = 0.025
"""Seconds at each end of a pause that are unchanged: the tail and the onset of speech."""
ALL_SILENT = -3.5
"""Audio whose speech level is below this contains no speech."""


def pauses(mel: NDArray[np.float32], min_pause_s: float = 0.2) -> NDArray[np.bool_]:
    """Return which columns (columns,) of a mel (80, columns) lie in a pause of at least `min_pause_s`.

    Levels are relative to the audio's own noise floor and speech level, with hysteresis.
    """
    level = mel.mean(axis=0)
    if not level.size:
        return np.zeros(0, dtype=np.bool_)
    floor, speech = np.percentile(level, [FLOOR_PERCENTILE, SPEECH_PERCENTILE])
    if speech < ALL_SILENT:
        return np.ones(len(level), dtype=np.bool_)
    if speech - floor < MIN_RANGE:
        return np.asarray(level <= SILENCE)
    quiet = _hysteresis(level, floor + ENTER_SHARE * (speech - floor), floor + LEAVE_SHARE * (speech - floor))
    paused = np.zeros(len(level), dtype=np.bool_)
    edge = round(EDGE_S * MEL_RATE)
    for start, stop in runs(quiet):
        if stop - start >= min_pause_s * MEL_RATE:
            paused[start + edge * (start > 0) : stop - edge * (stop < len(level))] = True
    return paused


def gate_silence(mel: NDArray[np.float32], min_pause_s: float = 0.2) -> NDArray[np.float32]:
    """Return a copy of a mel (80, columns) in which pauses of at least `min_pause_s` are digital silence."""
    gated = mel.copy()
    gated[:, pauses(mel, min_pause_s)] = SILENCE
    return gated


def _hysteresis(level: NDArray[np.float32], enter: float, leave: float) -> NDArray[np.bool_]:
    """Return True from a value below `enter` up to, excluding, the next one above `leave`."""
    mark = np.where(level < enter, 1, np.where(level > leave, 0, -1))
    decided = np.maximum.accumulate(np.where(mark >= 0, np.arange(len(mark)), -1))
    return np.asarray((decided >= 0) & (mark[decided] == 1))
