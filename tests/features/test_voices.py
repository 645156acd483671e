"""Shifted pitch: frequencies move by the factor of the semitones, and nothing moves in time."""

import numpy as np
import pytest

from w2l.core.timing import HOP_LENGTH, SAMPLE_RATE
from w2l.features import voices
from w2l.features.mel import mel_filters, mel_spectrogram
from w2l.features.voices import shift_pitch, shifted_stretch


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:  # type: ignore[type-arg]
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.2 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)


def loudest_band(wave: np.ndarray) -> int:  # type: ignore[type-arg]
    return int(mel_spectrogram(wave)[:, 8:-8].mean(axis=1).argmax())


@pytest.mark.parametrize(("hertz", "semitones"), [(200, 12), (400, -12), (1000, 3), (1000, -3.5)])
def test_a_tone_moves_by_its_semitones(hertz: float, semitones: float) -> None:
    expected = hertz * 2 ** (semitones / 12)
    shifted = shift_pitch(tone(hertz), semitones)
    assert len(shifted) == SAMPLE_RATE
    assert shifted.dtype == np.float32
    assert loudest_band(shifted) == loudest_band(tone(expected)) != loudest_band(tone(hertz))
    middle_hz = mel_filters()[loudest_band(shifted)].argmax() * SAMPLE_RATE / 800
    assert abs(middle_hz - expected) < 40


@pytest.mark.parametrize("semitones", [-4, -3, 3, 4])
@pytest.mark.parametrize("place", [8000, 8077, 12000])
def test_a_click_stays_within_a_column(semitones: float, place: int) -> None:
    wave = np.zeros(2 * SAMPLE_RATE, np.float32)
    wave[place] = 0.9
    power = shift_pitch(wave, semitones).astype(np.float64) ** 2
    assert abs((power * np.arange(len(wave))).sum() / power.sum() - place) < HOP_LENGTH


def test_no_shift_changes_nothing() -> None:
    wave = tone(300)
    np.testing.assert_array_equal(shift_pitch(wave, 0), wave)
    np.testing.assert_array_equal(shifted_stretch(wave, 5000, 9000, 0), wave[5000:9000])


def test_long_audio_is_shifted_in_blocks_that_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loudness of a steady noise does not tell where they meet."""
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE).astype(np.float32)
    whole = shift_pitch(noise, 3)
    calls: list[int] = []
    vocoded = voices._vocoded
    monkeypatch.setattr(voices, "_vocoded", lambda wave, semitones: calls.append(len(wave)) or vocoded(wave, semitones))
    monkeypatch.setattr(voices, "BLOCK", SAMPLE_RATE)
    blocks = shift_pitch(noise, 3)
    assert len(calls) == 5
    assert max(calls) < 2 * SAMPLE_RATE
    assert len(blocks) == len(whole)
    loud, usual = (mel_spectrogram(wave).mean(axis=0) for wave in (blocks, whole))
    assert np.abs(loud - usual).max() < 0.5  # of 8; a missing or doubled block differs by 0.48 to 8 over its length
    assert abs(loud.mean() - usual.mean()) < 0.02


@pytest.mark.parametrize(("semitones", "edge"), [(-3, slice(0, 800)), (3, slice(-800, None))])
def test_a_stretch_has_no_edges_of_its_own(semitones: float, edge: slice) -> None:
    """A click just outside of it, which lower pitch moves later and higher pitch earlier, counts as in the whole."""
    first, end = SAMPLE_RATE, 2 * SAMPLE_RATE
    wave = np.zeros(3 * SAMPLE_RATE, np.float32)
    wave[[first - 20, end + 20]] = 0.9
    whole, stretch = shift_pitch(wave, semitones)[first:end], shifted_stretch(wave, first, end, semitones)
    loud, expected = (np.sqrt((part[edge] ** 2).mean()) for part in (stretch, whole))
    assert expected > 0.01
    assert 0.5 < loud / expected < 2


def test_a_stretch_ends_with_the_audio() -> None:
    assert len(shifted_stretch(tone(300, 3.0), 2 * SAMPLE_RATE, 4 * SAMPLE_RATE, 3)) == SAMPLE_RATE
