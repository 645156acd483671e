"""Close looks with the real detectors: a drawn face is found again near where it was, and only there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.faces.refine import can_look, look_near, region_of, small_picture
from w2l.media.coded import CodedFrame
from w2l.media.picture import Picture
from w2l.media.video import Frame

DrawFace = Callable[[Image, float, float, float], NDArray[np.float64]]
MODELS = {"yunet": "face_detection_yunet_2023mar.onnx", "insightface": "scrfd_500m_kps.onnx"}


@pytest.fixture(scope="module", params=["mtcnn", *MODELS])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "mtcnn":
        return make_detector("mtcnn")
    shared: Path = request.getfixturevalue("shared")
    return make_detector(f"{request.param}:{shared / 'models' / MODELS[request.param]}")


@pytest.mark.parametrize("half_width", [40, 110])
def test_a_face_is_found_again(detector: Detector, draw_face: DrawFace, half_width: int) -> None:
    image = np.full((480, 640, 3), (70, 110, 140), dtype=np.uint8)
    points = draw_face(image, 330, 240, half_width)
    frame = Frame(0, 0.0, image)
    (whole,) = detector.detect([image])[0]
    assert can_look(detector)
    for shift in (0.0, 0.12 * half_width):
        (sight,) = look_near(detector, frame, [whole.box + shift])
        assert sight is not None
        assert np.abs(sight.face.points - points).max() < 0.3 * half_width
        assert np.abs(sight.face.box - whole.box).max() < 0.35 * half_width
        assert sight.look.any()
    away = np.array([10.0, 10.0, 90.0, 100.0])
    assert look_near(detector, frame, [away]) == [None]
    assert look_near(detector, frame, []) == []


@pytest.mark.parametrize("box", [(3, 5, 40, 44), (-50, -20, 300, 390), (500, 400, 700, 560), (101, 51, 607, 455)])
def test_places_go_into_a_region_and_back(box: tuple[int, ...]) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:210, 300:310] = 255
    for frame in (Frame(0, 0.0, image), CodedFrame(0, 0.0, Picture.from_rgb(image))):
        region = region_of(frame, np.array(box, dtype=float))
        assert region.image.ndim == 3
        assert max(region.image.shape[:2]) <= 420
        places = np.array([[12.0, 30.0], [333.0, 201.5]])
        np.testing.assert_allclose(region.back(region.into(places)), places)
        x, y = region.into(np.array([305.0, 205.0])).astype(int)
        if 0 <= x < region.image.shape[1] and 0 <= y < region.image.shape[0]:
            assert region.image[y, x].min() > 120


@pytest.mark.parametrize("size", [(720, 1280), (61, 97), (30, 20), (1081, 607), (2, 2)])
def test_small_pictures_of_any_size(size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.stack([255 * x / size[1], 255 * y / size[0], 0 * x], axis=-1).astype(np.uint8)
    plain = small_picture(Frame(0, 0.0, image), 96)
    coded = small_picture(CodedFrame(0, 0.0, Picture.from_rgb(image)), 96)
    assert plain.shape == coded.shape or abs(plain.shape[0] - coded.shape[0]) <= 1
    assert plain.shape[1] == coded.shape[1] == 96
    assert int(plain[plain.shape[0] // 2, 48, 2]) == pytest.approx(127, abs=40)
