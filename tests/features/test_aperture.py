"""What an aperture over time says, on apertures drawn by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.features.aperture import (
    articulation,
    bilabial_spans,
    closed_level,
    closure_precision,
    closure_recall,
    closures,
    correlation,
    leak,
    motion,
    speech_and_rest,
)

FPS = 25.0
ALL = np.ones(60, np.bool_)


def talking(closed: tuple[int, ...] = (10, 25, 40), n_frames: int = 60) -> NDArray[np.float64]:
    """An open mouth, 0.3, that closes for two frames from each of `closed` on."""
    gaps = np.full(n_frames, 0.3)
    for frame in closed:
        gaps[frame : frame + 2] = 0.0
    return gaps


def level_of(real: NDArray[np.float64]) -> float:
    level = closed_level(real)
    assert level is not None
    return level


def test_a_mouth_that_hardly_moves_has_no_closed_level() -> None:
    assert closed_level(np.full(60, 0.2)) is None
    assert 0 < level_of(talking()) < 0.3


def test_closures_are_found_between_openings_in_speech() -> None:
    real = talking((0, 10, 25, 58))
    speech = ALL.copy()
    assert closures(real, 0.1, speech, FPS) == [(10, 12), (25, 27)]
    speech[24] = False
    assert closures(real, 0.1, speech, FPS) == [(10, 12)]


@pytest.mark.parametrize(
    ("output", "recall", "precision"),
    [
        (talking(), 1.0, 1.0),
        (talking((11, 26, 41)), 1.0, 1.0),
        (talking((10, 25)), 2 / 3, 1.0),
        (talking((10, 25, 40, 50)), 1.0, 0.75),
        (np.full(60, 0.0), 1.0, 12 / 60),
        (np.full(60, 0.3), 0.0, None),
        (talking((17, 32, 47)), 0.0, 0.0),
    ],
    ids=["same", "a frame late", "one missed", "one too many", "always closed", "never closed", "elsewhere"],
)
def test_recall_and_precision(output: NDArray[np.float64], recall: float, precision: float | None) -> None:
    real = talking()
    level = level_of(real)
    events = closures(real, level, ALL, FPS)
    assert closure_recall(output, level, events, FPS) == pytest.approx(recall)
    assert closure_precision(output, real, level, ALL, FPS) == pytest.approx(precision)


def test_words_name_the_closures_that_count() -> None:
    real = talking()
    words = ((0.4, 0.6, "bin"), (0.95, 1.2, "red"), (1.5, 1.9, "lamp"), (1.9, 2.1, "sp"), (2.1, 2.3, "Pay"))
    assert bilabial_spans(words) == [pytest.approx((0.28, 0.46)), (1.5, 1.9), pytest.approx((1.98, 2.16))]
    # The real mouth does not close for the last one: nobody is blamed for that.
    events = closures(real, level_of(real), ALL, FPS, words)
    assert events == [(10, 11), (40, 41)]
    assert closure_recall(talking((25, 40)), level_of(real), events, FPS) == 0.5


def test_no_closures_no_recall() -> None:
    assert closure_recall(talking(), 0.1, [], FPS) is None


def test_ends_of_a_pause_are_neither_speech_nor_rest() -> None:
    paused = np.zeros(240, np.bool_)
    paused[80:160] = True
    speech, rest = speech_and_rest(paused, 80, FPS, 75)
    assert np.flatnonzero(~speech).tolist() == list(range(25, 50))
    assert np.flatnonzero(rest).tolist() == list(range(28, 47))
    paused[160:] = True
    assert np.flatnonzero(speech_and_rest(paused, 80, FPS, 75)[1]).tolist() == list(range(28, 75))


def test_frames_beyond_the_sound_count_as_neither() -> None:
    speech, rest = speech_and_rest(np.zeros(80, np.bool_), 80, FPS, 50)
    assert speech[:25].all()
    assert not speech[26:].any()
    assert not rest.any()
    assert not speech_and_rest(np.zeros(0, np.bool_), 80, FPS, 5)[0].any()


def test_motion_is_the_mean_step_inside() -> None:
    ramp = np.concatenate([np.arange(40) * 0.02, np.full(20, 0.78)])
    assert motion(ramp, (np.arange(60) > 2) & (np.arange(60) < 37)) == pytest.approx(0.02)
    assert motion(ramp, np.arange(60) > 41) == pytest.approx(0)
    assert motion(ramp, np.arange(60) < 5) is None
    assert motion(np.zeros(0), ALL[:0]) is None


def test_grain_counts_for_little() -> None:
    grain = np.random.default_rng(0).normal(0, 0.01, 1000)
    assert float(motion(grain, np.ones(1000, np.bool_)) or 1) < 0.5 * float(np.abs(np.diff(grain)).mean())


def test_leak_and_articulation_are_ratios_of_motion() -> None:
    waves = 0.2 + 0.1 * np.sin(np.arange(60) * 0.9)
    waves[30:] = 0.2 + 0.25 * (waves[30:] - 0.2)
    speech = np.arange(60) < 29
    rest = np.arange(60) > 31
    assert leak(waves, speech, rest) == pytest.approx(0.25, abs=0.03)
    assert leak(waves, speech, np.zeros(60, np.bool_)) is None
    assert articulation(0.5 * waves, waves, speech) == pytest.approx(0.5)


def test_a_frozen_mouth_has_no_leak_and_no_articulation() -> None:
    waves = 0.2 + 0.1 * np.sin(np.arange(60) * 0.9)
    trembling = 0.2 + np.random.default_rng(0).normal(0, 0.002, 60)
    assert leak(trembling, np.arange(60) < 30, np.arange(60) >= 30) is None
    assert float(articulation(trembling, waves, ALL) or 1) < 0.05
    assert articulation(waves, trembling, ALL) is None


def test_correlation() -> None:
    rng = np.random.default_rng(0)
    real = rng.random(60)
    assert correlation(0.5 * real + 0.1, real) == pytest.approx(1)
    assert correlation(np.full(60, 0.2), real) is None
    assert abs(correlation(rng.random(60), real) or 1) < 0.4
