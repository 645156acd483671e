"""The experiment that shows what the audit is worth: what it does to the sound, and how it counts."""

from dataclasses import replace

import numpy as np

from examples.research import audit_grid as grid
from w2l.training.audit.lag import Lag
from w2l.training.audit.verdicts import AuditSettings, LagMeasurement

SURE = Lag(offset=0.0, confidence=3.0, margin=2.0, odds=2.0, n_voiced=50, at_edge=False)


def test_sound_that_runs_ahead_comes_earlier() -> None:
    wave = np.arange(1, 3201, dtype=np.float32)
    ahead, behind = grid.shift_sound(wave, 2), grid.shift_sound(wave, -2)
    assert ahead[0] == wave[1280]
    assert not ahead[-1280:].any()
    assert behind[1280] == wave[0]
    assert not behind[:1280].any()
    assert len(ahead) == len(behind) == len(wave)


def test_shifts_are_even_and_the_same_every_time() -> None:
    clips = [f"c{number}" for number in range(1000)]
    shifts = grid.draw_shifts(clips, 0.3, 0)
    assert shifts == grid.draw_shifts(clips[::-1], 0.3, 0) != grid.draw_shifts(clips, 0.3, 1)
    assert len(shifts) == 300
    assert set(shifts.values()) == {*range(-10, -1), *range(2, 11)}


def test_what_counts_as_found() -> None:
    """Of four shifted clips one is found, one is a frame off by its own lag, one is missed, one is set aside."""
    lags = {"found": 5.0, "own": -3.0, "missed": 0.0, "aside": 6.0, "good": 0.0, "moved": 4.0}
    measured = {clip: LagMeasurement(50, replace(SURE, offset=lag)) for clip, lag in lags.items()}
    measured["aside"] = LagMeasurement(50, replace(SURE, offset=6.0, odds=-3.0))
    truth = {"found": 5, "own": -4, "missed": 3, "aside": 6}
    clean = {"found": LagMeasurement(50, SURE), "own": LagMeasurement(50, replace(SURE, offset=1.0))}
    found = grid.compare(measured, truth, AuditSettings(), clean)
    assert (found.shifted, found.exact, found.within_1, found.missed, found.aside) == (4, 0.25, 0.5, 0.25, 0.25)
    assert (found.exact_own, found.others, found.others_shifted, found.others_aside) == (1.0, 2, 0.5, 0.0)
