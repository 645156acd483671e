"""Mouths that stay still and mouths that twitch: found in made traces, and not where lips move as in speech."""

import numpy as np

from examples.research import steady_mouths as script


def traced(moved: np.ndarray) -> script.Traced:
    """Six points that are all moved down by so much, percent of a side, in frames at 25 fps."""
    points = np.zeros((len(moved), 6, 2))
    points[..., 1] = moved[:, None]
    return script.Traced(np.arange(len(moved)), points, np.repeat(moved[:, None, None] * 2, 12, axis=1), 25.0)


def test_lips_that_stay_are_held_and_slow_ones_are_not() -> None:
    speech = 2 * np.sin(np.arange(50) * 0.8)
    assert script.held_times(traced(speech)) == []
    still = np.concatenate([speech[:20], np.full(15, 5.0), speech[20:]])
    assert script.held_times(traced(still)) == [(20, 35)]
    assert script.held_times(traced(np.arange(50) * 0.1)) == []  # opens slowly
    shown = script.row_of(traced(still))
    assert shown["longest, s"] == 0.6
    assert shown["held, share of frames"] == 15 / 65


def test_a_single_frame_that_differs_from_both_neighbours_is_a_twitch() -> None:
    moved = np.sin(np.arange(50) * 0.3)
    assert script.twitches(traced(moved), traced(moved).points, script.TWITCH_LIPS) == 0
    moved[20] += 3.0
    one = traced(moved)
    assert script.twitches(one, one.points, script.TWITCH_LIPS) == 1
    assert script.twitches(one, one.pictures, script.TWITCH_PICTURE) == 1
    stepped = traced(np.where(np.arange(50) < 20, 0.0, 3.0))
    assert script.twitches(stepped, stepped.points, script.TWITCH_LIPS) == 0


def test_frames_without_a_face_between_them_are_no_neighbours() -> None:
    one = traced(np.array([0.0, 0, 5, 0, 0]))
    apart = script.Traced(np.array([0, 1, 3, 4, 5]), one.points, one.pictures, 25.0)
    assert script.twitches(one, one.points, script.TWITCH_LIPS) == 1
    assert script.twitches(apart, apart.points, script.TWITCH_LIPS) == 0


def test_fast_openings_are_those_of_one_frame_in_a_hundred() -> None:
    points = np.zeros((201, 6, 2))
    points[100:, script.LOWER, 1] = np.minimum(np.arange(101), 4) * 2.0  # opens by 2 % a frame for four frames
    one = script.Traced(np.arange(201), points, np.zeros((201, 2, 2)), 25.0)
    row = script.row_of(one)
    assert row["fast opening, %"] == 2.0
    assert row["fast closing, %"] == 0.0
    apart = script.Traced(np.arange(201) * 2, points, one.pictures, 25.0)
    assert len(script.gap_steps(apart)) == 0


def test_the_table_has_means_of_outputs_and_of_real_videos() -> None:
    row = script.row_of(traced(np.zeros(50)))
    lines = script.table([("clips/a", "output", row), ("clips/a", "real", row)]).splitlines()
    assert lines[2].startswith("| clips/a | output | 1.00 | 2.00 |")
    assert lines[-1].startswith("| mean | real | 1.00 | 2.00 |")
