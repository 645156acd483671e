"""Mouths of drawn faces whose opening is known: read, blurred, frozen, late, and under foreign speech."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.data.puppets import POINTS, Puppet, babble, draw_face, openness
from w2l.faces.detectors.landmarks import INNER_LOWER, INNER_UPPER, LEFT_CORNER, RIGHT_CORNER, Landmarks
from w2l.features.crop import CropSpec, cut
from w2l.models.lip_reader import read_lips
from w2l.scoring.metrics.mouth import MOUTH_COLUMNS, Mouth
from w2l.scoring.metrics.view import Hearing, View

FPS = 25.0
HALF_WIDTH = 58.0
BOX = np.array([102.0, 45.0, 218.0, 195.0])
LOOKS = (
    Puppet(),
    Puppet(skin=(120, 85, 65), hair=(20, 15, 12), lips=(120, 60, 60), wall=(200, 200, 190)),
    Puppet(skin=(235, 200, 180), hair=(150, 110, 60), lips=(200, 120, 115), wall=(30, 40, 60)),
)
EDGES_S = 0.6


def speech(seed: int = 0) -> NDArray[np.float32]:
    """Three seconds of babble between two silences."""
    rest = np.zeros(round(EDGES_S * 16000), np.float32)
    return np.concatenate([rest, babble(3.0, seed), rest])


def frames(mouths: Iterable[float], look: Puppet | None = None) -> list[Image]:
    """A face that opens its mouth."""
    images = []
    for mouth in mouths:
        image = np.full((240, 320, 3), (look or Puppet()).wall, np.uint8)
        draw_face(image, 160, 120, HALF_WIDTH, float(mouth), look)
        images.append(image)
    return images


def measured(
    output: list[Image], reference: list[Image] | None, hearing: Hearing, mouth: Mouth | None = None
) -> dict[str, float]:
    """What `Mouth` says of a clip beside its reference."""
    measure = mouth or Mouth()
    points = np.array([160.0, 120.0]) + POINTS * HALF_WIDTH
    for number, image in enumerate(output):
        real = None if reference is None else reference[number]
        measure.add(View(image, real, BOX, points, number / FPS))
    return measure.finish(hearing)


WAVE = speech()
MOUTHS = openness(WAVE)
HEARING = Hearing(WAVE, FPS, own_speech=True)


@pytest.fixture(scope="module")
def real() -> list[Image]:
    """The real video: a puppet that speaks `WAVE`."""
    return frames(MOUTHS)


def blurred(images: list[Image], sigma: float = 2.0) -> list[Image]:
    """Soft around the mouth only, as generators' mouths are; `sigma` in pixels of a 96 px crop."""
    soft = []
    for image in images:
        changed = image.copy()
        changed[130:] = cv2.GaussianBlur(image, (0, 0), sigma * HALF_WIDTH * 0.8 / (0.34 * 96))[130:]
        soft.append(changed)
    return soft


@pytest.mark.parametrize("look", LOOKS, ids=["fair", "dark", "pale"])
def test_the_lip_reader_knows_how_far_an_unseen_mouth_is_open(look: Puppet) -> None:
    mouths = np.linspace(0, 1, 21)
    points = np.array([160.0, 120.0]) + POINTS * HALF_WIDTH
    crops = np.stack([cut(image, BOX, points, CropSpec("aligned", 96)) for image in frames(mouths, look)])
    gaps, lips = read_lips(crops)
    drawn = 2 * 0.17 * mouths * HALF_WIDTH / (0.8 * HALF_WIDTH)
    assert np.corrcoef(gaps, drawn)[0, 1] > 0.98
    assert np.abs(gaps - drawn).mean() < 0.04
    in_eyes = (lips[:, 4, 1] - lips[:, 3, 1]) / 0.34
    assert np.abs(in_eyes - drawn).mean() < 0.06


@pytest.mark.parametrize("side", [128, 192])
def test_crops_of_another_size_are_read_alike(side: int, real: list[Image]) -> None:
    points = np.array([160.0, 120.0]) + POINTS * HALF_WIDTH
    first, second = (
        read_lips(np.stack([cut(image, BOX, points, CropSpec("aligned", size)) for image in real[15:45]]))
        for size in (96, side)
    )
    assert np.abs(first[0] - second[0]).mean() < 0.02
    assert np.abs(first[1] - second[1]).mean() < 0.01


def test_the_real_video_beside_itself(real: list[Image]) -> None:
    found = measured(real, real, HEARING)
    assert set(found) == {column.name for column in MOUTH_COLUMNS}
    assert found["aperture_corr"] == pytest.approx(1)
    assert found["articulation"] == found["closure_recall"] == found["closure_precision"] == 1
    assert found["lmd"] == 0
    assert found["leak"] < 0.05


def test_blur_is_not_taken_for_a_lazy_mouth(real: list[Image]) -> None:
    found = measured(blurred(real), real, HEARING)
    assert 0.8 < found["articulation"] < 1.2
    assert found["aperture_corr"] > 0.97
    assert found["closure_recall"] > 0.8
    assert found["leak"] < 0.05


def test_a_mouth_that_opens_half_as_far_moves_half_as_much(real: list[Image]) -> None:
    found = measured(frames(0.5 * MOUTHS), real, HEARING)
    assert 0.35 < found["articulation"] < 0.65
    assert found["aperture_corr"] > 0.95


@pytest.mark.parametrize("opened", [0.0, 0.5])
def test_a_frozen_mouth(opened: float, real: list[Image]) -> None:
    rng = np.random.default_rng(0)
    grain = [
        np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        for image in frames([opened] * len(real))
    ]
    found = measured(grain, real, HEARING)
    assert found["articulation"] < 0.15
    assert abs(found.get("aperture_corr", 0.0)) < 0.4
    assert found["closure_recall"] == (1.0 if opened == 0 else 0.0)
    if opened == 0:
        assert found["closure_precision"] < 0.9


def test_motion_in_silence_leaks(real: list[Image]) -> None:
    chewing = np.where(MOUTHS > 0.02, MOUTHS, 0.25 + 0.25 * np.sin(np.arange(len(MOUTHS))))
    assert measured(frames(chewing), None, HEARING)["leak"] > 0.3
    assert measured(real, None, HEARING)["leak"] < 0.05


def test_a_late_mouth_is_told_from_a_punctual_one(real: list[Image]) -> None:
    late = measured(real[:4] + real[:-4], real, HEARING)
    assert late["aperture_corr"] < 0.7
    assert late["lmd"] > 1
    assert late["articulation"] == pytest.approx(1, abs=0.1)


def test_foreign_speech_is_not_compared_frame_by_frame(real: list[Image]) -> None:
    wave = speech(7)
    found = measured(frames(openness(wave)), real, Hearing(wave, FPS))
    assert set(found) == {"leak", "articulation"}
    assert 0.6 < found["articulation"] < 1.6


def test_without_pauses_or_sound_there_is_no_leak(real: list[Image]) -> None:
    assert "leak" not in measured(real, real, replace(HEARING, wave=WAVE[:0]))
    assert "leak" not in measured(real, real, replace(HEARING, wave=np.zeros_like(WAVE)))
    assert Mouth().finish(HEARING) == {}


def test_words_choose_the_closures(real: list[Image]) -> None:
    # Words at moments at which the mouth is wide open have no closure that could be missed.
    wide = int(MOUTHS.argmax()) / FPS
    spoken = replace(HEARING, words=((wide + 0.02, wide + 0.3, "red"),))
    assert "closure_recall" not in measured(real, real, spoken)


class Drawn(Landmarks):
    """Stands in for the 106 points: places lips as far apart as the darkness of the mouth's middle says."""

    def __init__(self, opening: Callable[[Image], float]) -> None:
        self._opening = opening

    def place(self, image: Image, box: Floats) -> Floats:
        """All points at the mouth, the inner rims apart."""
        gap = self._opening(image) * HALF_WIDTH
        points = np.tile([160.0, 156.0], (106, 1))
        points[LEFT_CORNER], points[RIGHT_CORNER] = (140, 156), (180, 156)
        points[list(INNER_UPPER), 1] -= gap / 2
        points[list(INNER_LOWER), 1] += gap / 2
        return points


def test_landmarks_are_used_where_they_are_given(real: list[Image]) -> None:
    landmarks = Drawn(lambda image: float(image[0, 0, 0]) / 255)
    painted = [image.copy() for image in real]
    for image, mouth in zip(painted, MOUTHS):
        image[0, 0] = round(255 * mouth)
    lazy = [image.copy() for image in painted]
    for image, mouth in zip(lazy, MOUTHS):
        image[0, 0] = round(255 * 0.5 * mouth)
    found = measured(lazy, painted, HEARING, Mouth(landmarks))
    assert found["articulation"] == pytest.approx(0.5, abs=0.01)
    assert found["aperture_corr"] == pytest.approx(1, abs=1e-3)
    assert found["lmd"] > 0
