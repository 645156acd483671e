"""One suite for every face detector: what the protocol promises, on drawn faces whose points are known."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.errors import CheckpointError, ConfigError
from w2l.faces import mtcnn
from w2l.faces.detector import INSIGHTFACE_VARIABLE, Detector, make_detector

Image = NDArray[np.uint8]
DrawFace = Callable[[Image, float, float, float], NDArray[np.float64]]

MODEL_FILES = {"insightface": "scrfd_500m_kps.onnx", "yunet": "face_detection_yunet_2023mar.onnx"}
POINT_TOLERANCE = {"mtcnn": 0.06, "insightface": 0.12, "yunet": 0.22}
"""Largest error of a point on a drawn face, in half widths of the face; about twice what was seen."""


@pytest.fixture(scope="module", params=["mtcnn", "insightface", "yunet"])
def spec(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name == "mtcnn":
        return name
    file = request.getfixturevalue("shared") / "models" / MODEL_FILES[name]
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    return f"{name}:{file}"


@pytest.fixture(scope="module")
def detector(spec: str) -> Detector:
    return make_detector(spec)


@pytest.mark.parametrize("half_width", [30, 50, 70])
def test_finds_a_face_and_its_points(detector: Detector, draw_face: DrawFace, wall: Image, half_width: int) -> None:
    points = draw_face(wall, 160, 120, half_width)
    (faces,) = detector.detect([wall])
    assert len(faces) == 1
    x1, y1, x2, y2 = faces[0].box
    assert x2 - x1 == pytest.approx(1.9 * half_width, rel=0.15)
    assert x1 < points[:, 0].min() < points[:, 0].max() < x2
    assert y1 < points[:, 1].min() < points[:, 1].max() < y2
    error = np.abs(faces[0].points - points).max() / half_width
    assert error < POINT_TOLERANCE[detector.name]


def test_best_face_first(detector: Detector, draw_face: DrawFace) -> None:
    image = np.full((300, 560, 3), 120, dtype=np.uint8)
    draw_face(image, 140, 150, 60)
    draw_face(image, 420, 150, 50)
    (faces,) = detector.detect([image])
    assert sorted(round((face.box[0] + face.box[2]) / 280) for face in faces) == [1, 3]
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert all(face.box.shape == (4,) and face.points.shape == (5, 2) for face in faces)


def test_pictures_do_not_influence_each_other(detector: Detector, draw_face: DrawFace, wall: Image) -> None:
    empty = wall[:120].copy()
    draw_face(wall, 150, 120, 55)
    before = wall.copy()
    together = detector.detect([empty, wall, empty])
    assert [len(faces) for faces in together] == [0, 1, 0]
    (alone,) = detector.detect([wall])
    np.testing.assert_allclose(together[1][0].box, alone[0].box, atol=1e-3)
    np.testing.assert_array_equal(wall, before)
    assert detector.detect([]) == []


@pytest.mark.parametrize("shape", [(240, 320), (39, 39), (8, 300), (2, 2)], ids=str)
def test_finds_nothing_where_nothing_is(detector: Detector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detector.detect([noise, np.zeros_like(noise)]) == [[], []]


def test_a_face_cut_by_the_edge_keeps_its_box_inside(detector: Detector, draw_face: DrawFace, wall: Image) -> None:
    draw_face(wall, 160, 35, 60)
    (faces,) = detector.detect([wall])
    for face in faces:
        assert (face.box >= 0).all()
        assert (face.box <= [320, 240, 320, 240]).all()
    assert len(faces) == 1


def test_small_faces_are_left_out(spec: str, draw_face: DrawFace, wall: Image) -> None:
    draw_face(wall, 160, 120, 40)
    assert len(make_detector(spec, min_face=50).detect([wall])[0]) == 1
    assert make_detector(spec, min_face=150).detect([wall]) == [[]]


def test_fingerprint_tells_settings_apart(spec: str, detector: Detector) -> None:
    assert make_detector(spec).fingerprint == detector.fingerprint
    assert make_detector(spec, min_face=41).fingerprint != detector.fingerprint
    assert detector.fingerprint.startswith(detector.name)


def test_real_faces(detector: Detector, shared: Path) -> None:
    """Box and points of a portrait, read off by eye."""
    file = shared / "media" / "stills" / "obama.jpg"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    picture = cv2.imread(str(file))
    assert picture is not None
    (faces,) = detector.detect([np.asarray(picture[:, :, ::-1], dtype=np.uint8)])
    assert len(faces) == 1
    expected = [[138, 97], [185, 96], [161, 124], [133, 147], [189, 145]]
    np.testing.assert_allclose(faces[0].points, expected, atol=8)


@pytest.mark.parametrize("spec", ["", "haar", "yunet", "yunet:", "insightface:", "mtcnn:file"])
def test_unknown_names_are_refused_with_the_known(spec: str) -> None:
    with pytest.raises(ConfigError, match="insightface:PATH"):
        make_detector(spec)


@pytest.mark.parametrize("name", ["insightface", "yunet"])
def test_wrong_paths(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        make_detector(f"{name}:{tmp_path / 'missing.onnx'}")
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(ConfigError, match=r"no \.onnx.*readme\.txt"):
        make_detector(f"{name}:{tmp_path}")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        make_detector(f"{name}:{tmp_path}")


def test_a_model_of_another_kind_is_refused(shared: Path) -> None:
    for name, other in (("insightface", "yunet"), ("yunet", "insightface")):
        file = shared / "models" / MODEL_FILES[other]
        if not file.is_file():
            pytest.skip(f"{file.name} is not here")
        with pytest.raises(CheckpointError, match="not a"):
            make_detector(f"{name}:{file}")


def test_auto_takes_mtcnn_unless_a_model_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(INSIGHTFACE_VARIABLE, raising=False)
    assert make_detector("auto").name == "mtcnn"
    monkeypatch.setenv(INSIGHTFACE_VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="missing"):
        make_detector("auto")


def test_smallest_face_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="min_face 0"):
        make_detector("mtcnn", min_face=0)


def test_foreign_weights_are_never_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mtcnn, "_weights_folder", lambda: tmp_path)
    with pytest.raises(CheckpointError, match=r"pnet\.lz4: cannot read"):
        mtcnn.load_networks()
    (tmp_path / "pnet.lz4").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(CheckpointError, match="sha256"):
        mtcnn.load_networks()


def test_mtcnn_needs_no_tensorflow() -> None:
    script = (
        "import sys; from w2l.faces.detector import make_detector; make_detector('mtcnn'); "
        "sys.exit(any(name.split('.')[0] in ('tensorflow', 'keras', 'mtcnn') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
