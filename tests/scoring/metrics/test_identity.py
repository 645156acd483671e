"""Identity: cosines against the real face, the worst moment, and how steady a face is without a real one."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.scoring.metrics.identity import IDENTITY_COLUMNS, LOOKS_PER_S, Identity, Likeness
from w2l.scoring.metrics.view import Hearing, View

HEARING = Hearing(np.zeros(16000), 25.0)
BOX, POINTS = np.array([2.0, 2, 14, 14]), np.array([[4.0, 5], [11, 5], [8, 8], [5, 11], [10, 11]])


class Compass:
    """Takes the red of a picture for an angle in degrees; counts its looks."""

    def __init__(self) -> None:
        self.looks = 0

    def embed(self, faces: list[tuple[Image, Floats]]) -> NDArray[np.float64]:
        self.looks += len(faces)
        assert all(points.shape == (5, 2) for _, points in faces)
        angles = np.radians([float(image[0, 0, 0]) for image, _ in faces])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def picture(angle: int) -> Image:
    return np.full((16, 16, 3), angle, np.uint8)


def score(angles: list[int], real: list[int] | None, fps: float = LOOKS_PER_S) -> dict[str, float]:
    identity = Identity(Compass())
    for idx, angle in enumerate(angles):
        reference = None if real is None else picture(real[idx])
        identity.add(View(picture(angle), reference, BOX, POINTS, idx / fps))
    return identity.finish(HEARING)


def test_mean_and_lowest_cosine_to_the_same_moment_of_the_real_video() -> None:
    values = score([0, 40, 100], [0, 40, 40])
    assert values["identity"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert values["identity_lowest"] == pytest.approx(0.5)
    assert set(values) == {column.name for column in IDENTITY_COLUMNS}
    real = np.cos(np.radians([[0, 40, 100]] * 3).T - np.radians([[0, 40, 40]] * 3))
    assert values["identity_any"] == pytest.approx(real.mean())


def test_a_steady_stranger_is_steady_and_still_a_stranger() -> None:
    values = score([90] * 4, [0] * 4)
    assert values["identity_steady"] == pytest.approx(1)
    assert values["identity"] == pytest.approx(0, abs=1e-9)


def test_without_a_reference_the_mean_cosine_to_the_clips_own_mean_is_left() -> None:
    angles = [10, 30, 80, 20]
    values = score(angles, None)
    units = np.exp(1j * np.radians(angles))
    mean = units.mean() / abs(units.mean())
    assert values == {"identity_steady": pytest.approx(float((units * mean.conjugate()).real.mean()))}


@pytest.mark.parametrize("fps", [5.0, 24.0, 25.0, 29.97, 60.0, 2.0])
def test_looks_are_spread_over_time_whatever_the_rate(fps: float) -> None:
    compass = Compass()
    identity = Identity(compass)
    for idx in range(round(4 * fps)):
        identity.add(View(picture(0), picture(0), BOX, POINTS, idx / fps))
    assert compass.looks / 2 == pytest.approx(4 * min(fps, LOOKS_PER_S), abs=1)


def test_a_clip_without_frames_has_no_identity() -> None:
    assert Identity(Compass()).finish(HEARING) == {}
    assert Likeness().finish(HEARING) == {}


def test_the_halves_of_the_real_video_anchor_the_cosine_at_any_time() -> None:
    identity = Identity(Compass())
    for idx, angle in enumerate([0, 60, 0, 60, 0]):
        identity.add(View(picture(angle), None, BOX, POINTS, idx / LOOKS_PER_S))
    assert identity.finish(replace(HEARING, is_real=True))["identity_any"] == pytest.approx(0.5)


def face(colour: tuple[int, int, int], flipped: bool = False) -> Image:
    """A picture with a dark and a light side."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = 20, colour
    return image[:, ::-1].copy() if flipped else image


def likeness(output: list[Image], real: list[Image] | None, is_real: bool = False) -> dict[str, float]:
    measure = Likeness()
    for idx, image in enumerate(output):
        reference = None if real is None else real[idx]
        measure.add(View(image, reference, 4 * BOX, 4 * POINTS, idx / LOOKS_PER_S))
    return measure.finish(replace(HEARING, is_real=is_real))


def test_likeness_tells_another_face_and_another_colour_without_a_recogniser() -> None:
    pale, red = face((200, 180, 160)), face((220, 90, 70))
    assert likeness([pale] * 6, [pale] * 6)["likeness"] == pytest.approx(1)
    assert likeness([pale] * 6, None, is_real=True)["likeness"] == pytest.approx(1)
    assert likeness([red] * 6, [pale] * 6)["likeness"] < 0.9
    assert likeness([face((200, 180, 160), flipped=True)] * 6, [pale] * 6)["likeness"] < 0
    assert likeness([pale] * 6, None) == {}
    assert likeness([pale], None, is_real=True) == {}
