"""Pauses of a speech become digital silence; speech and short gaps stay as they are."""

from pathlib import Path

import numpy as np
import pytest

from w2l.core.timing import HOP_LENGTH, MEL_RATE
from w2l.features.mel import mel_spectrogram
from w2l.features.pauses import gate_silence, pauses
from w2l.media.audio import read_audio

RATE = 16000


def bursts(spans: list[tuple[float, float]], length_s: float = 3.0, noise: float = 1e-3) -> np.ndarray:
    """(samples,): a buzz rich in overtones in each span, over soft noise."""
    times = np.arange(round(length_s * RATE)) / RATE
    wave = noise * np.random.default_rng(0).standard_normal(len(times))
    buzz = sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 40)) * 0.2
    for start, stop in spans:
        inside = (times >= start) & (times < stop)
        wave[inside] += buzz[inside]
    return wave.astype(np.float32)


def paused_spans(mel: np.ndarray) -> list[tuple[float, float]]:
    """Seconds of each pause that was found."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], pauses(mel).astype(int), [0]])))
    return [(start / MEL_RATE, stop / MEL_RATE) for start, stop in zip(edges[::2], edges[1::2])]


@pytest.mark.parametrize("noise", [0.0, 1e-4, 3e-3], ids=["digital", "studio", "room"])
def test_long_pauses_are_found_to_within_a_frame(noise: float) -> None:
    mel = mel_spectrogram(bursts([(0.5, 1.2), (1.8, 2.6)], noise=noise))
    found = paused_spans(mel)
    assert len(found) == 3
    for (start, stop), (true_start, true_stop) in zip(found, [(0, 0.5), (1.2, 1.8), (2.6, 3.0)]):
        assert true_start - 0.01 <= start <= true_start + 0.08
        assert true_stop - 0.08 <= stop <= true_stop + 0.02


def test_gaps_shorter_than_a_pause_are_left() -> None:
    mel = mel_spectrogram(bursts([(0.0, 1.0), (1.12, 2.0), (2.5, 3.0)]))
    assert [round(start, 1) for start, _ in paused_spans(mel)] == [2.0]


def test_gating_writes_silence_into_pauses_and_nothing_elsewhere() -> None:
    mel = mel_spectrogram(bursts([(0.5, 1.2), (1.8, 2.6)]))
    before = mel.copy()
    gated = gate_silence(mel)
    paused = pauses(mel)
    assert (gated[:, paused] == -4).all()
    np.testing.assert_array_equal(gated[:, ~paused], mel[:, ~paused])
    np.testing.assert_array_equal(mel, before)


def test_level_of_the_recording_does_not_matter() -> None:
    wave = bursts([(0.5, 1.2), (1.8, 2.6)], noise=1e-2)
    loud, soft = pauses(mel_spectrogram(wave * 0.9)), pauses(mel_spectrogram(wave * 0.1))
    assert (loud != soft).mean() < 0.02


def test_a_sound_of_one_level_is_left_as_it_is() -> None:
    mel = mel_spectrogram(bursts([(0.0, 3.0)]))
    assert not pauses(mel).any()


def test_digital_silence_is_all_pause() -> None:
    assert pauses(np.full((80, 40), -4.0, dtype=np.float32)).all()


def test_real_speech_pauses_where_it_is_quiet(shared: Path) -> None:
    wave = read_audio(shared / "media" / "speech" / "jfk.flac")
    paused = pauses(mel_spectrogram(wave))
    spans = paused_spans(mel_spectrogram(wave))
    assert any(start < 2.4 and stop > 3.1 for start, stop in spans)  # "And so, my fellow Americans, [...]"
    assert any(start < 4.7 and stop > 5.3 for start, stop in spans)
    assert 0.15 < paused.mean() < 0.4
    columns = wave[: (len(paused) - 1) * HOP_LENGTH].reshape(-1, HOP_LENGTH)
    power = (columns.astype(np.float64) ** 2).mean(axis=1)
    quieter_db = 10 * np.log10(power[~paused[:-1]].mean() / power[paused[:-1]].mean())
    assert quieter_db > 20
