"""Windows: which mel columns and which source frames belong to which frame."""

import numpy as np
import pytest

from w2l.core.timing import SAMPLES_PER_FRAME, WINDOW_COLUMNS, mel_columns, window_start
from w2l.features.windows import (
    SILENCE,
    VOICED_LEVEL,
    expert_mel,
    generator_mels,
    is_silent,
    judge_mfcc,
    mel_window,
    n_windows,
    nearest_frames,
    silent_windows,
    voiced_windows,
    window_columns,
    window_counts,
)
from w2l.media.video import Frame, at_fps

NUMBERED = np.tile(np.arange(200, dtype=np.float32), (80, 1))
"""A mel whose values are the numbers of its columns."""


@pytest.mark.parametrize("n_columns", [0, 15, 16, 17, 18, 19, 20, 35, 36, 99, 100, 101, 102, 103, 104])
def test_windows_are_counted_while_their_mel_is_complete(n_columns: int) -> None:
    complete = 0
    while window_start(complete) + WINDOW_COLUMNS <= n_columns:
        complete += 1
    assert n_windows(1000, n_columns) == complete
    for n_frames in (0, 4, 5, 6, 20):
        assert n_windows(n_frames, n_columns) == max(0, min(n_frames - 4, complete))


def test_a_clip_with_its_sound_has_a_window_for_every_frame_but_the_last_four() -> None:
    for n_frames in range(5, 3000):
        assert n_windows(n_frames, mel_columns(n_frames * SAMPLES_PER_FRAME)) == n_frames - 4


@pytest.mark.parametrize(("n_frames", "n_columns"), [(1, 4), (5, 16), (10, 32), (16, 52), (25, 80)])
def test_windows_of_other_lengths_have_all_columns_of_their_frames(n_frames: int, n_columns: int) -> None:
    assert window_columns(n_frames) == n_columns
    assert n_columns - 1 < n_frames * 3.2 <= n_columns
    mel = expert_mel(NUMBERED, 3, n_frames)
    assert mel[0].tolist() == list(range(9, 9 + n_columns))


@pytest.mark.parametrize("length", [1, 5, 7, 16])
def test_windows_of_any_length_are_counted_while_their_mel_is_complete(length: int) -> None:
    lengths = np.arange(0, 200)
    complete = [0] * len(lengths)
    for n_columns in lengths:
        while window_start(complete[n_columns]) + window_columns(length) <= n_columns:
            complete[n_columns] += 1
    for n_frames in (0, 16, 40, 1000):
        expected = [max(0, min(n_frames - length + 1, count)) for count in complete]
        assert window_counts(np.full(len(lengths), n_frames), lengths, length).tolist() == expected
        assert [n_windows(n_frames, int(n_columns), length) for n_columns in lengths] == expected


@pytest.mark.parametrize(("start", "first", "last"), [
    (0, 0, 15), (7, 7, 22), (184, 184, 199), (190, 190, SILENCE), (-3, SILENCE, 12), (300, SILENCE, SILENCE),
    (-40, SILENCE, SILENCE), (200, SILENCE, SILENCE), (-16, SILENCE, SILENCE), (-15, SILENCE, 0),
])  # fmt: skip
def test_outside_the_sound_is_silence(start: int, first: float, last: float) -> None:
    window = mel_window(NUMBERED, start)
    assert window.shape == (80, 16)
    assert (window[:, 0] == first).all()
    assert (window[:, -1] == last).all()
    for k in range(16):
        inside = 0 <= start + k < 200
        assert window[0, k] == (start + k if inside else SILENCE)


def test_a_very_short_mel() -> None:
    window = mel_window(NUMBERED[:, :3], -2)
    assert window[0].tolist() == [SILENCE, SILENCE, 0, 1, 2] + [SILENCE] * 11


def test_the_generator_hears_each_frame_one_frame_early() -> None:
    assert [int(expert_mel(NUMBERED, k)[0, 0]) for k in range(6)] == [0, 3, 6, 9, 12, 16]
    mels = generator_mels(NUMBERED, 4)
    assert mels.shape == (5, 80, 16)
    for k, mel in enumerate(mels):
        np.testing.assert_array_equal(mel, expert_mel(NUMBERED, 3 + k))
    assert generator_mels(NUMBERED, 0)[0, 0].tolist() == [SILENCE] * 4 + list(range(12))


def test_the_judge_hears_two_tenths_of_a_second() -> None:
    mfcc = np.tile(np.arange(50, dtype=np.float32), (13, 1))
    assert judge_mfcc(mfcc, 2)[0].tolist() == list(range(8, 28))
    assert judge_mfcc(mfcc, 10)[0].tolist() == [*range(40, 50), *[49] * 10]


def test_silence() -> None:
    mels = np.full((4, 80, 16), SILENCE, np.float32)
    mels[1] += 0.9
    mels[2, :, 7] = 0.0  # one loud column is speech
    mels[3] = 0.0
    assert is_silent(mels).tolist() == [True, True, False, False]
    assert bool(is_silent(mels[2])) is False


@pytest.mark.parametrize("length", [5, 16])
def test_silence_of_all_windows_at_once(length: int) -> None:
    rng = np.random.default_rng(0)
    loudness = np.repeat(rng.choice([-3.6, -3.2, -1.0], 60), 40)
    mel = np.maximum(SILENCE, loudness + rng.normal(0, 0.3, (80, 2400))).astype(np.float32)
    count = n_windows(1000, 2400, length)
    windows = [expert_mel(mel, start, length) for start in range(count)]
    silent, voiced = silent_windows(mel, count, length), voiced_windows(mel, count, length)
    assert silent.tolist() == [bool(is_silent(window)) for window in windows]
    assert voiced.tolist() == [bool(window.mean() >= VOICED_LEVEL) for window in windows]
    assert 0.1 < silent.mean() < 0.9
    assert 0.1 < voiced.mean() < 0.9
    assert not (silent & voiced).any()
    assert (~silent & ~voiced).any()


def jittered(rate: float, n_frames: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    times = np.arange(n_frames) / rate + np.random.default_rng(seed).uniform(0, 0.4 / rate, n_frames)
    return times - times[0]


@pytest.mark.parametrize("rate", [5.0, 12.5, 15, 24, 25, 29.97, 30, 50, 59.94, 60, 120])
@pytest.mark.parametrize("n_frames", [1, 2, 7, 100])
def test_nearest_frames_are_those_of_the_video_reader(rate: float, n_frames: int) -> None:
    times = np.arange(n_frames) / rate
    image = np.zeros((1, 1, 3), np.uint8)
    frames = (Frame(idx, float(time_s), np.full_like(image, idx)) for idx, time_s in enumerate(times))
    expected = [int(frame.image[0, 0, 0]) for frame in at_fps(frames, 25)]
    found = nearest_frames(times, 25).tolist()
    assert abs(len(found) - len(expected)) <= (rate > 50)  # a rest of under half a frame is dropped, or not
    length = min(len(found), len(expected))
    assert found[:length] == expected[:length]


@pytest.mark.parametrize("rate", [10.0, 25.0, 30.0, 90.0])
def test_nearest_frames_of_uneven_times(rate: float) -> None:
    times = jittered(rate, 80, 3)
    nearest = nearest_frames(times, 25)
    grid = np.arange(len(nearest)) / 25
    best = np.abs(times[None] - grid[:, None]).min(axis=1)
    np.testing.assert_allclose(np.abs(times[nearest] - grid), best, atol=1e-8)
    assert (np.diff(nearest) >= 0).all()
    assert abs(len(nearest) / 25 - (2 * times[-1] - times[-2])) <= 0.02 + 1e-9


def test_nearest_frames_of_times_that_stand_still() -> None:
    assert nearest_frames(np.zeros(5), 25).tolist() in ([0], [4])
    assert nearest_frames(np.array([0.0, 0.04, 0.04, 0.04, 0.16]), 25)[-1] == 4
