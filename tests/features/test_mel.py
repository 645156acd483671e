"""Mel spectrogram and MFCC: the published numbers, and what they must mean."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.golden import golden_seeds, golden_vectors
from w2l.core.timing import HOP_LENGTH, SAMPLE_RATE, mel_columns
from w2l.features import mel as spectral

Golden = dict[str, NDArray[Any]]


def tone(hz: float, seconds: float = 1.0, amplitude: float = 0.3) -> NDArray[np.float32]:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32)


@pytest.fixture(params=golden_seeds("audio"), ids="seed{}".format)
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def golden(seed: int) -> Golden:
    return golden_vectors(f"audio_seed{seed}")


def test_golden_signal(golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    signal = golden_rule.waveform_i16(seed)
    np.testing.assert_array_equal(signal[:16], golden["wave_first16"])
    assert np.abs(signal.astype(np.int64)).sum() == golden["wave_sum_abs"]
    np.testing.assert_array_equal(spectral.to_int16(golden_rule.waveform_f32(seed)), signal)
    emphasised = spectral._preemphasised(golden_rule.waveform_f32(seed))
    np.testing.assert_allclose(emphasised[:16], golden["preemphasis_first16"], atol=1e-12)


def test_golden_mel(golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    mel = spectral.mel_spectrogram(golden_rule.waveform_f32(seed))
    assert mel.shape == golden["mel"].shape
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, golden["mel"], atol=1e-5, rtol=0)
    assert golden["mel_complex64_max_diff"] < 1e-5


def test_golden_mel_reflects_its_ends(golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    wave = golden_rule.waveform_f32(seed)
    first, last = golden["mel_constant_pad_first4"], golden["mel_constant_pad_last4"]
    mel = spectral.mel_spectrogram(wave)
    assert np.abs(mel[:, :2] - first[:, :2]).max() > 0.1  # zeros at the ends are the wrong variant
    assert np.abs(mel[:, -2:] - last[:, -2:]).max() > 0.1
    np.testing.assert_allclose(mel[:, 2:4], first[:, 2:], atol=1e-4)
    np.testing.assert_allclose(mel[:, -4:-2], last[:, :2], atol=1e-4)
    assert golden["mel_constant_pad_max_inner_diff"] == 0
    # Silence written before the sound is what padding with zeros means.
    late = spectral.mel_spectrogram(np.concatenate([np.zeros(2 * HOP_LENGTH, np.float32), wave]))
    np.testing.assert_allclose(late[:, 2:6], first, atol=1e-4)


def test_golden_linear_spectrogram(
    golden_rule: ModuleType, golden: Golden, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the mel filters: the same arithmetic through a filter bank that changes nothing."""
    n_bins = spectral.N_FFT // 2 + 1
    monkeypatch.setattr(spectral, "N_MELS", n_bins)
    monkeypatch.setattr(spectral, "mel_filters", lambda: np.eye(n_bins, dtype=np.float32))
    linear = spectral.mel_spectrogram(golden_rule.waveform_f32(seed)).astype(np.float64)
    np.testing.assert_allclose([linear.mean(), linear.std()], golden["linear_stats"], atol=1e-4)


def test_mel_filters_are_those_of_librosa() -> None:
    filters = pytest.importorskip("librosa.filters")
    np.testing.assert_array_equal(
        spectral.mel_filters(), filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55.0, fmax=7600.0)
    )


def test_golden_mel_filters() -> None:
    first = golden_vectors(f"audio_seed{golden_seeds('audio')[0]}")
    np.testing.assert_allclose(spectral.mel_filters(), first["mel_basis"], atol=1e-8)


def test_golden_mfcc(golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    coefficients = spectral.mfcc(golden_rule.waveform_i16(seed))
    assert coefficients.dtype == np.float32
    assert coefficients.shape == golden["mfcc"].T.shape
    np.testing.assert_allclose(coefficients, golden["mfcc"].T, atol=2e-3, rtol=0)


@pytest.mark.parametrize("n_samples", [1, 199, 200, 400, 3200, 16001])
def test_mel_has_one_column_per_hop(n_samples: int) -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, n_samples).astype(np.float32)
    mel = spectral.mel_spectrogram(wave)
    assert mel.shape == (spectral.N_MELS, mel_columns(n_samples))
    assert np.isfinite(mel).all()


def test_silence_is_the_lowest_mel_value() -> None:
    mel = spectral.mel_spectrogram(np.zeros(SAMPLE_RATE, np.float32))
    np.testing.assert_array_equal(mel, -spectral.MEL_LIMIT)


def test_mel_stays_in_its_range() -> None:
    mel = spectral.mel_spectrogram(np.where(np.arange(8000) % 7 < 3, 1, -1).astype(np.float32))
    assert mel.max() <= spectral.MEL_LIMIT
    assert mel.min() >= -spectral.MEL_LIMIT


def test_mel_counts_decibels() -> None:
    """Ten times the amplitude is 20 dB, a fifth of the range of 8."""
    quiet, loud = (spectral.mel_spectrogram(tone(1000, amplitude=amplitude)) for amplitude in (0.005, 0.05))
    row = int(loud.mean(axis=1).argmax())
    np.testing.assert_allclose(loud[row, 4:-4] - quiet[row, 4:-4], 1.6, atol=1e-3)


def test_mel_row_rises_with_pitch() -> None:
    rows = [int(spectral.mel_spectrogram(tone(hz))[:, 40].argmax()) for hz in (200, 500, 1500, 4000, 7000)]
    assert rows == sorted(set(rows))


def test_mel_column_is_centred_on_its_sample() -> None:
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[40 * HOP_LENGTH] = 1
    mel = spectral.mel_spectrogram(wave)
    assert int(mel.sum(axis=0).argmax()) == 40


def test_mel_of_a_long_sound_is_that_of_its_parts() -> None:
    """Blocks leave no seam."""
    wave = np.random.default_rng(1).normal(0, 0.1, 2 * spectral.BLOCK * HOP_LENGTH + 777).astype(np.float32)
    mel = spectral.mel_spectrogram(wave)
    first = spectral.BLOCK - 20
    part = spectral.mel_spectrogram(wave[first * HOP_LENGTH : (first + 40) * HOP_LENGTH])
    np.testing.assert_allclose(mel[:, first + 3 : first + 37], part[:, 3:37], atol=1e-5)


@pytest.mark.parametrize(("n_samples", "n_frames"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (16000, 99)])
def test_mfcc_counts_the_last_part_frame(n_samples: int, n_frames: int) -> None:
    assert spectral.mfcc(np.ones(n_samples, np.int16)).shape == (spectral.N_MFCC, n_frames)


def test_mfcc_of_silence_is_finite() -> None:
    coefficients = spectral.mfcc(np.zeros(4000, np.int16))
    np.testing.assert_allclose(coefficients[0], np.log(np.finfo(np.float64).eps), rtol=1e-6)
    assert np.isfinite(coefficients).all()


def test_to_int16_clips_and_undoes_a_wav_reader() -> None:
    np.testing.assert_array_equal(spectral.to_int16(np.array([-2, -1, 0, 0.5, 2])), [-32768, -32768, 0, 16384, 32767])
    samples = np.arange(-32768, 32768, 7).astype(np.int16)
    np.testing.assert_array_equal(spectral.to_int16(samples.astype(np.float32) / 32768), samples)


@pytest.mark.parametrize("shape", [(0,), (2, 100)], ids=["empty", "stereo"])
def test_only_a_mono_signal_is_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="mono waveform"):
        spectral.mel_spectrogram(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="mono waveform"):
        spectral.mfcc(np.zeros(shape, np.int16))


def test_sound_is_left_as_it_was() -> None:
    wave = tone(300)
    before = wave.copy()
    spectral.mel_spectrogram(wave)
    np.testing.assert_array_equal(wave, before)
