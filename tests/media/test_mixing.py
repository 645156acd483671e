"""Sounds mixed into one file: the sum, its length, its level."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.helpers.made_media import make_sound
from w2l.core.errors import MediaError
from w2l.media.audio import write_wav
from w2l.media.mixing import PIECE, RATE, mix


def tone(hertz: float, seconds: float, rate: int, level: float = 0.3) -> NDArray[np.float32]:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.asarray(wave, np.float32)


def test_the_sum_is_as_long_as_the_longest(tmp_path: Path) -> None:
    left = tone(300, 2.5, RATE)
    make_sound(tmp_path / "a.wav", np.stack([left, 0 * left]), RATE, "pcm_s16le")
    write_wav(tmp_path / "b.wav", tone(700, 1.2, 16000))
    mix([tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "mix.flac")
    made, rate = soundfile.read(tmp_path / "mix.flac")
    assert (rate, made.shape) == (RATE, (round(2.5 * RATE), 2))
    assert 2.5 * RATE > 2 * PIECE
    spectrum = np.abs(np.fft.rfft(made[:RATE], axis=0)) / (RATE / 2)
    np.testing.assert_allclose(spectrum[[300, 700]], [[0.3, 0.0], [0.3, 0.3]], atol=0.01)
    assert np.abs(made[round(1.3 * RATE) :, 1]).max() < 1e-3


def test_what_would_clip_is_turned_down(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_wav(tmp_path / f"{name}.wav", tone(440, 0.5, 16000, 0.9))
    mix([tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "mix.flac")
    made, _ = soundfile.read(tmp_path / "mix.flac")
    assert 0.97 < np.abs(made).max() < 1.0
    spectrum = np.abs(np.fft.rfft(made[: RATE // 4, 0]))
    assert spectrum.argmax() == 110
    assert spectrum[330] < 0.01 * spectrum[110]


def test_a_file_without_sound_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(MediaError):
        mix([tmp_path / "a.wav"], tmp_path / "mix.flac")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
