"""Drawn faces: detectors find them, and their mouths follow the sound."""

import numpy as np
import pytest

from w2l.core.timing import SAMPLE_RATE
from w2l.data.puppets import POINTS, babble, draw_face, openness, talk
from w2l.faces.detectors.factory import make_detector
from w2l.features.mel import mel_spectrogram


def test_a_puppet_is_found_where_it_was_drawn() -> None:
    image = np.full((240, 320, 3), 120, dtype=np.uint8)
    points = draw_face(image, 160, 120, 58, mouth=0.3)
    found = make_detector("mtcnn").detect([image])[0]
    assert found
    assert np.abs(found[0].points - points).max() < 0.15 * 58
    assert points == pytest.approx(np.array([160, 120]) + 58 * POINTS)


def test_babble_has_speech_and_pauses_and_is_the_same_every_time() -> None:
    wave = babble(3.0, seed=5)
    assert len(wave) == 3 * SAMPLE_RATE
    assert np.array_equal(wave, babble(3.0, seed=5))
    assert not np.array_equal(wave, babble(3.0, seed=6))
    level = mel_spectrogram(wave).mean(axis=0)
    assert level.max() - level.min() > 1.5


def test_the_mouth_opens_with_the_sound() -> None:
    wave = np.zeros(SAMPLE_RATE, dtype=np.float32)
    wave[8000:12000] = 0.5
    mouth = openness(wave)
    assert len(mouth) == 25
    assert mouth[:12].max() == 0
    assert mouth[13:18].min() == 1


def test_frames_change_only_where_the_mouth_and_head_move() -> None:
    frames = list(talk(babble(0.4, seed=1)))
    assert len(frames) == 10
    assert frames[0].shape == (240, 320, 3)
    assert all(np.array_equal(frame[0], frames[0][0]) for frame in frames)
