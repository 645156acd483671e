"""What the mouth hears: the same mel in blocks, windows by time, pauses by frame."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from w2l.core.errors import MediaError
from w2l.core.timing import generator_window_start, mel_columns
from w2l.features.mel import mel_spectrogram
from w2l.features.speech import mel_of_pieces, mel_starts, quiet_frames, reference_starts, speech_mel
from w2l.media.audio import write_wav
from w2l.syncing.hearing import hear


@pytest.mark.parametrize("n_samples", [3200, 819_000, 819_200, 819_400, 900_001])
def test_mel_in_blocks_equals_the_mel_at_once(n_samples: int) -> None:
    wave = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32) * 0.1
    np.testing.assert_array_equal(speech_mel(wave), mel_spectrogram(wave))


@pytest.mark.parametrize("n_samples", [3200, 819_200, 820_000, 900_001, 1_700_000])
@pytest.mark.parametrize("size", [777, 160_000, 819_200])
def test_the_mel_is_the_same_however_the_sound_comes(n_samples: int, size: int) -> None:
    wave = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32) * 0.1
    mel, counted = mel_of_pieces(wave[start : start + size] for start in range(0, n_samples, size))
    assert counted == n_samples
    np.testing.assert_array_equal(mel, mel_spectrogram(wave))


def test_a_long_sound_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty minutes of sound are 77 MB; their mel is 31, and is put together once."""
    made = np.zeros((80, 5000), np.float32)
    monkeypatch.setattr("w2l.features.speech.mel_spectrogram", lambda wave: made[:, : mel_columns(len(wave))])
    tracemalloc.start()
    mel, n_samples = mel_of_pieces(np.zeros(1600, np.float32) for _ in range(12_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (mel.shape, n_samples) == ((80, mel_columns(19_200_000)), 19_200_000)
    assert peak < mel.nbytes + 12e6


@pytest.mark.parametrize("fps", [23.976, 25.0, 29.97, 60.0])
def test_frames_hear_what_they_heard_in_training(fps: float) -> None:
    starts = mel_starts(np.arange(200) / fps)
    assert starts == [generator_window_start(idx, fps) for idx in range(200)]


def test_an_uneven_video_hears_by_time_and_not_by_number() -> None:
    times = np.array([0.0, 0.04, 0.5, 0.54, 2.0])
    even = mel_starts(np.arange(51) / 25)
    assert mel_starts(times)[:2] == even[:2]
    assert mel_starts(times)[-1] == even[50]


def test_reference_alignment_is_the_published_loop() -> None:
    starts = reference_starts(np.arange(250) / 25, 801, 25.0)
    assert starts[:3] == [0, 3, 6]
    assert starts[246:] == [785] * 4, "what lies behind the published loop hears its last window"


def test_frames_in_a_pause_and_behind_the_end_are_quiet() -> None:
    paused = np.zeros(160, dtype=bool)
    paused[40:80] = True
    quiet = quiet_frames(paused, np.arange(75) / 25)
    assert np.flatnonzero(quiet).tolist() == [*range(13, 25), *range(50, 75)]


def test_too_short_a_sound_is_named(tmp_path: Path) -> None:
    path = tmp_path / "blip.wav"
    write_wav(path, np.zeros(800, np.float32))
    with pytest.raises(MediaError, match=r"blip\.wav: the speech lasts 0\.050 s"):
        hear(path)
    write_wav(path, np.zeros(16000, np.float32))
    heard = hear(path)
    assert (heard.mel.shape, heard.duration_s) == ((80, 81), 1.0)
