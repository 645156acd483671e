"""The shipped models: complete, small, and doing their job on a drawn face."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from w2l.data.puppets import babble, draw_face, openness
from w2l.features.crop import cut
from w2l.features.masks import hidden_pixels
from w2l.features.mel import mel_spectrogram
from w2l.features.windows import SILENCE, generator_mels
from w2l.models.checkpoint import PUBLIC_DATA, Kind
from w2l.models.lip_reader import shipped_lips
from w2l.models.registry import BUNDLED, load_by_name
from w2l.models.tensors import masked
from w2l.nets.lips import mouth_of_lower

KINDS: tuple[Kind, ...] = ("generator", "expert", "judge")
MAX_BYTES = 40_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_its_card_says_what_it_was_trained_on(kind: Kind) -> None:
    card = load_by_name("w2l", kind).card
    assert card.kind == kind
    assert card.step > 0
    assert card.data
    assert card.data != PUBLIC_DATA
    assert card.licence
    assert card.scores


def test_the_generator_names_its_teachers() -> None:
    """By file and by weights, so that the guard of `score` holds when another expert is shipped."""
    teachers = load_by_name("w2l", "generator").card.teachers
    assert teachers
    for teacher in teachers:
        assert teacher.name
        assert len(teacher.sha256) == len(teacher.weights) == 64


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(BUNDLED).iterdir()) < MAX_BYTES


def _apertures(mel: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """How far the generated mouth of a puppet is open in each frame (frames,), in eye distances."""
    model = load_by_name("w2l", "generator")
    image = np.full((240, 320, 3), (70, 110, 140), dtype=np.uint8)
    points = draw_face(image, 160, 120, 58)
    crop = cut(image, np.array([102.0, 45.0, 218.0, 195.0]), points, model.card.crop)
    face = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
    black = masked(face, torch.from_numpy(hidden_pixels(len(crop), model.card.mask)))
    shown = torch.cat([black, *[face] * model.card.dimensions["n_references"]], dim=1).repeat(count, 1, 1, 1)
    with torch.inference_mode():
        made = model.network(torch.from_numpy(generator_mels(mel, 0, count))[:, None], shown)
        return np.asarray(shipped_lips().read(mouth_of_lower(made[:, :, -len(crop) // 2 :]))[1].double().numpy())


def test_the_mouth_opens_with_the_speech() -> None:
    wave = babble(3.0, seed=77)
    mouth = openness(wave)
    assert np.corrcoef(_apertures(mel_spectrogram(wave), len(mouth)), mouth)[0, 1] > 0.6


def test_the_mouth_rests_in_silence() -> None:
    wave = babble(3.0, seed=77)
    speaking = _apertures(mel_spectrogram(wave), 75)
    resting = _apertures(np.full((80, 240), SILENCE, dtype=np.float32), 75)
    assert resting.std() < 0.05 * speaking.std()
    assert resting.mean() < speaking.mean()


def test_a_generator_is_loaded_without_pytorchs_compiler() -> None:
    """Its import takes two seconds, and arithmetic on the meta device, where sizes are checked, needs it."""
    code = (
        "import sys; from w2l.models import registry; from pathlib import Path; import torch;"
        "registry.load_by_name('w2l', 'generator', None, torch.device('cpu')); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
