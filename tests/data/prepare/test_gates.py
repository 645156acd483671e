"""The gates: each refuses what it is for and nothing else, and what is measured means what it says."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.core.errors import ConfigError
from w2l.core.timing import mel_columns
from w2l.data.prepare.gates import (
    GATES,
    MEASURE_SIZE,
    OF_PIXELS,
    GateSettings,
    MouthWatch,
    commonest,
    crop_sharpness,
    refusal,
    silent_share,
)
from w2l.data.puppets import babble, draw_face, openness
from w2l.features.mel import mel_spectrogram

GOOD = {
    "length_s": 3.0, "face_px": 120.0, "score": 0.99, "yaw": 5.0, "n_faces": 1.0, "silent_share": 0.5, "blur": 0.24,
    "mouth": 0.05,
}  # fmt: skip


def puppet_crop(mouth: float = 0.3, shift: float = 0.0) -> Image:
    """A drawn face as an aligned crop."""
    image = np.full((MEASURE_SIZE, MEASURE_SIZE, 3), (70, 110, 140), np.uint8)
    draw_face(image, 48 + shift, 40, 40, mouth)
    return image


@pytest.mark.parametrize(("gate", "measure", "value", "said"), [
    ("too short", "length_s", 0.9, "0.90 s, less than 1 s"),
    ("small face", "face_px", 30.0, "30 px wide, less than 48 px"),
    ("unsure", "score", 0.5, "0.50, less than 0.6"),
    ("turned away", "yaw", 70.0, "70 degrees, more than 55"),
    ("silent", "silent_share", 0.95, "95% of it is without speech, more than 90%"),
    ("blurred", "blur", 0.05, "0.050, less than 0.09"),
    ("not speaking", "mouth", 0.002, "0.0020 during speech, less than 0.008"),
])  # fmt: skip
def test_each_gate_refuses_its_measure_and_says_so(gate: str, measure: str, value: float, said: str) -> None:
    assert refusal(GOOD, GateSettings()) is None
    refused = refusal(GOOD | {measure: value}, GateSettings())
    assert refused is not None
    assert (refused.gate, refused.of_pixels) == (gate, measure in OF_PIXELS)
    assert said in refused.reason
    assert refusal({name: known for name, known in GOOD.items() if name != measure}, GateSettings()) is None


def test_a_track_of_a_second_passes_and_one_of_a_frame_less_does_not() -> None:
    assert refusal(GOOD | {"length_s": 25 / 25}, GateSettings()) is None
    refused = refusal(GOOD | {"length_s": 24 / 25}, GateSettings())
    assert refused is not None
    assert "0.96 s, less than 1 s" in refused.reason


def test_several_faces_are_refused_only_on_demand() -> None:
    two = GOOD | {"n_faces": 2.0}
    assert refusal(two, GateSettings()) is None
    refused = refusal(two, GateSettings(one_face=True))
    assert refused is not None
    assert refused.gate == "several faces"
    assert refusal(GOOD, GateSettings(one_face=True)) is None


def test_the_limit_itself_passes() -> None:
    on_it = GOOD | {"face_px": 48.0, "yaw": 55.0, "silent_share": 0.9, "blur": 0.09, "mouth": 0.008, "score": 0.6}
    assert refusal(on_it, GateSettings()) is None


def test_gates_without_pixels_are_asked_first() -> None:
    bad = GOOD | {"length_s": 0.3, "face_px": 3.0, "blur": 0.0, "mouth": 0.0}
    refused = refusal(bad, GateSettings())
    assert refused is not None
    assert refused.gate == GATES[0]
    assert not refused.of_pixels


@pytest.mark.parametrize("settings", [{"min_track_s": 0.1}, {"max_silent": 1.2}, {"min_score": -0.1}])
def test_limits_that_make_no_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        GateSettings(**settings)  # type: ignore[arg-type]


def test_sharpness_falls_with_blur_and_ignores_light() -> None:
    crop = puppet_crop()
    blurred = [np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8) for sigma in (1.0, 2.0, 4.0)]
    values = [crop_sharpness(image) for image in (crop, *blurred)]
    assert all(first > 1.25 * second for first, second in pairwise(values))
    dark = (crop * 0.5).astype(np.uint8)
    assert crop_sharpness(dark) == pytest.approx(values[0], rel=0.15)
    assert crop_sharpness(np.full_like(crop, 90)) == 0.0


def test_a_face_of_few_pixels_counts_as_blurred() -> None:
    crop = puppet_crop()
    small = cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA)
    assert crop_sharpness(np.asarray(cv2.resize(small, (96, 96)), np.uint8)) < 0.5 * crop_sharpness(crop)


def test_silent_share_counts_windows() -> None:
    assert silent_share(mel_spectrogram(np.zeros(48000, np.float32)), 75) == 1.0
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 48000).astype(np.float32)
    assert silent_share(mel_spectrogram(noise), 75) == 0.0
    noise[24000:] = 0
    assert silent_share(mel_spectrogram(noise), 75) == pytest.approx(0.5, abs=0.06)
    assert silent_share(np.zeros((80, mel_columns(640)), np.float32), 1) == 1.0


def watched(mouths: Sequence[float], mel: NDArray[np.float32], sway: float = 0.0) -> float | None:
    watch = MouthWatch()
    for idx, mouth in enumerate(mouths):
        watch.push(puppet_crop(mouth, sway * np.sin(idx)))
    return watch.motion(mel)


def test_a_talking_mouth_is_told_from_a_still_one_and_from_a_nodding_head() -> None:
    wave = babble(2.4, seed=3)
    mel, mouths = mel_spectrogram(wave), openness(wave).tolist()
    limit = GateSettings().min_mouth
    talking = watched(mouths, mel)
    assert talking is not None
    assert talking > 2 * limit
    for sway in (0.0, 1.0):
        still = watched([0.2] * len(mouths), mel, sway)
        assert still is not None
        assert still < limit


def test_without_speech_nobody_is_judged() -> None:
    silence = mel_spectrogram(np.zeros(38400, np.float32))
    assert watched([0.2] * 60, silence) is None
    assert watched([0.2] * 3, mel_spectrogram(babble(0.2))) is None
    assert MouthWatch().motion(silence) is None


def test_the_commonest_word() -> None:
    assert commonest(["silent", "blurred", "blurred"]) == "blurred"
    assert commonest(["silent", "blurred"]) == "silent"
    assert commonest([]) == ""
