"""The shipped models: complete, small, and doing their job on a drawn face."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from w2l.data.puppets import babble, draw_face, openness
from w2l.data.windows import SILENCE, generator_mels
from w2l.faces.crop import cut
from w2l.spectral import mel_spectrogram
from w2l.training.checkpoint import PUBLIC_DATA, Kind
from w2l.weights import BUNDLED, load

KINDS: tuple[Kind, ...] = ("generator", "expert", "judge")
MAX_BYTES = 40_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_its_card_says_what_it_was_trained_on(kind: Kind) -> None:
    card = load("w2l", kind).card
    assert card.kind == kind
    assert card.step > 0
    assert card.data
    assert card.data != PUBLIC_DATA
    assert card.licence
    assert card.scores


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(BUNDLED).iterdir()) < MAX_BYTES


def _mouth_darkness(mel: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """How dark the generated mouth of a puppet is in each frame (frames,)."""
    model = load("w2l", "generator")
    image = np.full((240, 320, 3), (70, 110, 140), dtype=np.uint8)
    points = draw_face(image, 160, 120, 58)
    crop = cut(image, np.array([102.0, 45.0, 218.0, 195.0]), points, model.card.crop)
    face = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
    hidden = face.clone()
    hidden[:, :, face.shape[2] // 2 :] = 0
    pair = torch.cat([hidden, face], dim=1).repeat(count, 1, 1, 1)
    with torch.inference_mode():
        made = model.network(torch.from_numpy(generator_mels(mel, 0, count))[:, None], pair).numpy()
    rows, width = made.shape[-2:]
    return np.asarray(1.0 - made[:, :, rows // 6 : rows // 2, width * 3 // 8 : width * 5 // 8].mean(axis=(1, 2, 3)))


def test_the_mouth_opens_with_the_speech() -> None:
    wave = babble(3.0, seed=77)
    mouth = openness(wave)
    dark = _mouth_darkness(mel_spectrogram(wave), len(mouth))
    assert np.corrcoef(dark, mouth)[0, 1] > 0.6


def test_the_mouth_rests_in_silence() -> None:
    wave = babble(3.0, seed=77)
    speaking = _mouth_darkness(mel_spectrogram(wave), 75)
    resting = _mouth_darkness(np.full((80, 240), SILENCE, dtype=np.float32), 75)
    assert resting.std() < 0.05 * speaking.std()
    assert resting.mean() < speaking.mean()
