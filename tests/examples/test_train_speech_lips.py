"""The script that trains the predictor of lip shapes: on made clips it learns what goes with the sound."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from examples.research import train_speech_lips as script
from tests.helpers.tiny_cache import talking_cache
from w2l.features.crop import CropSpec
from w2l.models.speech_lips import load_speech_lips


def made_clips(count: int) -> list[script.Clip]:
    """Clips whose lips are as open as the sound is loud, and as wide as it is high."""
    clips = []
    for number in range(count):
        rng = np.random.default_rng(number)
        opening, width = (np.repeat(rng.random(20), 3) for _ in range(2))
        column = np.minimum((np.arange(192) / 3.2).astype(int), 59)
        mel = np.full((80, 192), -4.0)
        mel[:40] += 6 * opening[column] * (1 - width[column])
        mel[40:] += 6 * opening[column] * width[column]
        clips.append(script.Clip(f"c{number}", f"p{number % 3}", mel.astype(np.float32), np.stack([opening, width], 1)))
    return clips


def test_it_learns_what_goes_with_the_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "MOST_SHIFT", 1)
    network = script.train(made_clips(30), 150, seed=0)
    opening, _ = script.correlations(made_clips(33)[30:], network)
    assert opening > 0.6


def test_the_script_reads_a_cache_and_writes_a_predictor(tmp_path: Path) -> None:
    talking_cache(tmp_path / "cache", n_clips=2, crop=CropSpec("aligned", 96))
    out = tmp_path / "out.npz"
    done = CliRunner().invoke(script.main, [str(tmp_path / "cache"), str(out), "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert "opening" in done.output
    load_speech_lips(out)
