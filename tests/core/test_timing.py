"""Time conversions: the published windows, and the one place where training and inference of the original disagree."""

import json
from typing import Any

import pytest

from tests.helpers.golden import vectors_file
from w2l.core import timing
from w2l.core.timing import (
    exact_div,
    generator_window_start,
    mel_columns,
    reference_window_starts,
    window_start,
)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(vectors_file("mel_windows.json").read_text())
    return content


def test_constants_fit_together() -> None:
    assert (timing.MEL_RATE, timing.WINDOW_COLUMNS, timing.SAMPLES_PER_FRAME) == (80, 16, 640)
    assert timing.WINDOW_COLUMNS * timing.HOP_LENGTH == timing.WINDOW_FRAMES * timing.SAMPLES_PER_FRAME


def test_exact_div_refuses_a_rest() -> None:
    assert exact_div(12, 4) == 3
    with pytest.raises(ValueError, match="not a multiple"):
        exact_div(13, 4)


def test_golden_inference_windows(golden: dict[str, Any]) -> None:
    for case in golden["inference"]:
        label = f"{case['fps']} fps, {case['seconds']} s"
        assert mel_columns(case["samples"]) == case["mel_frames"], label
        starts = reference_window_starts(case["mel_frames"], case["fps"])
        assert starts == case["starts"], label
        assert len(starts) == case["count"] == case["evaluation_count"] + 1, label
        assert [window_start(idx, case["fps"]) for idx in range(len(starts) - 1)] == starts[:-1], label


def test_golden_training_windows(golden: dict[str, Any]) -> None:
    cases = golden["training_fps25"]
    ids, starts = cases["ids"], cases["starts"]
    assert [window_start(idx) for idx in ids] == starts
    assert golden["mismatch_count"] == 0


def test_training_formula_agrees_at_25_fps() -> None:
    assert all(window_start(idx) == int(80 * (idx / 25)) for idx in range(20000))


def test_generator_hears_one_frame_earlier_than_the_expert() -> None:
    assert all(generator_window_start(idx) == window_start(idx - 1) for idx in range(1, 20000))


@pytest.mark.parametrize("fps", [12.5, 23.976, 24, 29.97, 30, 50, 60])
def test_generator_window_is_forty_milliseconds_early_at_any_rate(fps: float) -> None:
    for idx in range(500):
        exact = (idx / fps - 0.04) * timing.MEL_RATE
        assert exact - 1 <= generator_window_start(idx, fps) <= exact + 1e-5


def test_first_generator_windows_begin_in_the_silence_before() -> None:
    assert generator_window_start(0) == -4  # 40 ms are 3.2 columns: rounded down, away from the sound
    assert generator_window_start(1) == 0


def test_reference_windows_end_with_the_last_full_one() -> None:
    assert reference_window_starts(16, 25) == [0, 0]
    assert reference_window_starts(21, 25) == [0, 3, 5]


def test_sound_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than one window"):
        reference_window_starts(15, 25)


@pytest.mark.parametrize("fps", [0, -25])
def test_frame_rate_must_be_positive(fps: float) -> None:
    with pytest.raises(ValueError, match="fps must be positive"):
        reference_window_starts(100, fps)
