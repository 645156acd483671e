"""The predictor of lip shapes from audio: its file, its windows, and what it makes of sound and silence."""

from pathlib import Path

import numpy as np
import pytest
import torch

from w2l.core.errors import CheckpointError
from w2l.models.speech_lips import (
    BATCH,
    BEYOND,
    WEIGHTS,
    load_speech_lips,
    relative_shapes,
    save_speech_lips,
    shapes_in_speech,
)
from w2l.nets.speech_lips import SpeechLips, SpeechLipsDimensions

MAX_BYTES = 200_000


@pytest.fixture
def untrained() -> SpeechLips:
    torch.manual_seed(0)
    return SpeechLips(SpeechLipsDimensions(columns=12, channels=4, features=4)).eval()


def test_the_shipped_one_is_small_and_opens_the_lips_for_sound() -> None:
    """A mel of silence, then of one loud vowel-like band, then silence."""
    assert WEIGHTS.stat().st_size < MAX_BYTES
    mel = np.full((80, 120), -4.0, np.float32)
    mel[5:30, 40:80] = 1.0
    opening = shapes_in_speech(mel, np.array([10, 60, 110]))[:, 0]
    assert opening[1] > max(opening[0], opening[2]) + 0.3


def test_it_comes_back_from_its_file(tmp_path: Path, untrained: SpeechLips) -> None:
    save_speech_lips(tmp_path / "a.npz", untrained, data="none", licence="none")
    again = load_speech_lips(tmp_path / "a.npz")
    assert again.dimensions == untrained.dimensions
    mel = torch.rand(2, 80, 12)
    torch.testing.assert_close(untrained(mel), again(mel), atol=2e-3, rtol=0)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.npz is not a predictor of lip shapes"):
        load_speech_lips(tmp_path / "a.npz")


def test_frames_do_not_depend_on_their_batch_and_see_only_their_window(untrained: SpeechLips) -> None:
    mel = np.random.default_rng(0).uniform(-4, 4, (80, 2000)).astype(np.float32)
    middles = np.arange(BATCH + 5) * 3
    shapes = shapes_in_speech(mel, middles, untrained)
    np.testing.assert_allclose(shapes[-2:], shapes_in_speech(mel, middles[-2:], untrained), atol=1e-5)
    half = untrained.dimensions.columns // 2
    mel[:, middles[50] + half :] = 0.0
    np.testing.assert_allclose(shapes[50], shapes_in_speech(mel, middles[50:51], untrained)[0], atol=1e-5)
    assert shapes_in_speech(mel, middles[:0], untrained).shape == (0, 2)


def test_shapes_are_relative_to_the_persons_own_range() -> None:
    """A person with twice the movement has the same shapes; beyond the range they are bounded."""
    gaps, widths = np.linspace(0, 0.2, 101), np.linspace(0.7, 1.0, 101)
    shapes = relative_shapes(gaps, widths, gaps, widths)
    np.testing.assert_allclose(shapes, relative_shapes(2 * gaps, 2 * widths, 2 * gaps, 2 * widths), atol=1e-9)
    assert shapes[10, 0] == pytest.approx(0.0)
    assert shapes[95, 1] == pytest.approx(1.0)
    far = relative_shapes(np.array([-9.0, 9.0]), np.array([-9.0, 9.0]), gaps, widths)
    np.testing.assert_allclose(far, [[-BEYOND] * 2, [1 + BEYOND] * 2])
    still = relative_shapes(gaps[:1], widths[:1], gaps[:1], widths[:1])
    assert np.isfinite(still).all()
