"""One suite for every face detector: what the protocol promises, on drawn faces whose points are known."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from w2l.core.arrays import Image
from w2l.core.errors import CheckpointError, ConfigError
from w2l.faces.detectors import mtcnn
from w2l.faces.detectors.base import INSIGHTFACE_VARIABLE, Detection, Detector, best_first
from w2l.faces.detectors.factory import make_detector
from w2l.faces.detectors.insightface import LARGEST_SIDE, _searched_size
from w2l.faces.detectors.landmarks import Landmarks, five_points, mouth_openness
from w2l.models.onnx_session import open_session

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


@pytest.mark.parametrize("shape", [(240, 320), (39, 39), (8, 300), (300, 8), (2, 2), (1, 1), (1, 900)], ids=str)
def test_finds_nothing_where_nothing_is(detector: Detector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detector.detect([noise, np.zeros_like(noise), np.full_like(noise, 255)]) == [[], [], []]


def promises(face: Detection, image: Image) -> bool:
    """Whether what is said of one face can be true of any."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = face.box
    inside = 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    left_eye, right_eye, nose, left_corner, right_corner = face.points
    as_seen = left_eye[0] < right_eye[0] and left_corner[0] < right_corner[0]
    upright = max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])
    types = face.box.dtype == face.points.dtype == np.float64 and face.points.shape == (5, 2)
    return bool(inside and as_seen and upright and types and 0 < face.score <= 1)


@pytest.mark.parametrize(("shape", "half_width"), [
    ((97, 131), 25), ((501, 333), 60), ((1080, 1920), 120), ((1920, 1080), 300), ((2160, 3840), 500), ((300, 2000), 80),
], ids=str)  # fmt: skip
def test_pictures_of_odd_and_huge_sizes(
    detector: Detector, draw_face: DrawFace, shape: tuple[int, int], half_width: int
) -> None:
    """A face of any size is found once, at its place, in pixels of the picture."""
    image = np.full((*shape, 3), 120, dtype=np.uint8)
    points = draw_face(image, shape[1] * 0.45, shape[0] * 0.5, half_width)
    ((face,),) = detector.detect([image])
    assert promises(face, image)
    assert np.abs(face.points - points).max() < 0.25 * half_width


def test_large_pictures_are_brought_down_before_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """4K has nine times the pixels of 720p, of which the first network is shown at most twice as many."""
    n_shown = 0
    forward = mtcnn.ProposalNet.forward

    def counted(net: mtcnn.ProposalNet, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal n_shown
        n_shown += pictures.shape[2] * pictures.shape[3]
        return forward(net, pictures)

    monkeypatch.setattr(mtcnn.ProposalNet, "forward", counted)
    detector, counts = make_detector("mtcnn"), []
    for height, width in ((720, 1280), (2160, 3840)):
        n_shown = 0
        detector.detect([np.full((height, width, 3), 120, dtype=np.uint8)])
        counts.append(n_shown)
    assert 0 < counts[1] <= 2 * counts[0]


def test_a_face_that_fills_the_picture(detector: Detector, draw_face: DrawFace) -> None:
    image = np.full((200, 150, 3), 120, dtype=np.uint8)
    draw_face(image, 75, 100, 65)
    ((face,),) = detector.detect([image])
    assert promises(face, image)
    assert face.box[2] - face.box[0] > 90


@pytest.mark.parametrize("look", ["grey", "dark", "mirrored", "not contiguous", "read only"])
def test_looks_of_a_picture(detector: Detector, draw_face: DrawFace, wall: Image, look: str) -> None:
    points = draw_face(wall, 150, 120, 55)
    if look == "grey":
        wall = np.repeat(cv2.cvtColor(wall, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.uint8)
    elif look == "dark":
        wall = (wall * 0.4).astype(np.uint8)
    elif look == "mirrored":
        wall = wall[:, ::-1]
        points = np.array([319.0, 0.0]) + points[[1, 0, 2, 4, 3]] * np.array([-1.0, 1.0])
    elif look == "not contiguous":
        wall = np.asfortranarray(wall)
    else:
        wall.setflags(write=False)
    ((face,),) = detector.detect([wall])
    assert promises(face, wall)
    assert np.abs(face.points - points).max() < 0.3 * 55


def test_the_same_picture_gives_the_same_faces(spec: str, detector: Detector, draw_face: DrawFace, wall: Image) -> None:
    draw_face(wall, 150, 120, 55)
    small = cv2.resize(wall, (160, 120)).astype(np.uint8)
    first = detector.detect([wall])[0][0]
    detector.detect([small])  # another size in between
    for again in (detector, make_detector(spec)):
        face = again.detect([wall])[0][0]
        np.testing.assert_array_equal(face.box, first.box)
        np.testing.assert_array_equal(face.points, first.points)
        assert face.score == first.score


@pytest.mark.parametrize(("shape", "half_width", "asked"), [((240, 320), 8.5, 14), ((720, 1280), 24, 40)], ids=str)
def test_faces_as_small_as_asked_for_are_found(
    spec: str, draw_face: DrawFace, shape: tuple[int, int], half_width: float, asked: int
) -> None:
    image = np.full((*shape, 3), 120, dtype=np.uint8)
    draw_face(image, shape[1] * 0.6, shape[0] * 0.4, half_width)
    ((face,),) = make_detector(spec, min_face=asked).detect([image])
    assert promises(face, image)
    assert make_detector(spec, min_face=80).detect([image]) == [[]]


@pytest.mark.parametrize("fixed", [None, 640])
@pytest.mark.parametrize("needed", [0.05, 0.5, 1.7, 20])
@pytest.mark.parametrize("size", [(1, 1), (320, 240), (1920, 1080), (1080, 1920), (3840, 2160), (4000, 3)], ids=str)
def test_the_size_at_which_a_picture_is_searched(size: tuple[int, int], needed: float, fixed: int | None) -> None:
    searched, zoom = _searched_size(*size, needed, fixed)
    limit = fixed or LARGEST_SIDE
    assert 1 <= min(searched) <= max(searched) <= limit
    np.testing.assert_allclose(zoom * searched, size)
    assert max(searched) >= min(limit, needed * max(size)) - 1
    if needed <= 0.5:
        assert max(searched) <= max(640, max(size) // 2)
        assert searched == size or max(size) > 640


def test_a_box_without_an_inside_is_no_face() -> None:
    box = np.array([0.0, 100.0, 0.0, 200.0])
    assert best_first([Detection(box, 0.9, np.zeros((5, 2)))], 40) == []


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


@pytest.mark.parametrize("spec", ["", "haar", "yunet", "yunet:", "insightface:", "mtcnn:", "mtcnn:file"])
def test_unknown_names_are_refused_with_the_known(spec: str) -> None:
    with pytest.raises(ConfigError, match="insightface:PATH"):
        make_detector(spec)


def test_insightface_without_a_model_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(INSIGHTFACE_VARIABLE, raising=False)
    for models in (None, tmp_path / "models"):
        with pytest.raises(ConfigError, match="w2l weights fetch buffalo_l"):
            make_detector("insightface", models=models)


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


def test_nothing_heavy_is_imported_and_nothing_is_said(spec: str) -> None:
    """Neither TensorFlow for MTCNN, nor all of insightface for one of its files."""
    heavy = ("tensorflow", "keras", "mtcnn", "insightface", "scipy", "skimage", "requests")
    script = (
        f"import sys; from w2l.faces.detectors.factory import make_detector; make_detector({spec!r}); "
        f"sys.exit(','.join(name for name in sys.modules if name in {heavy!r}) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_scrfd_is_read_as_its_authors_do(shared: Path, draw_face: DrawFace) -> None:
    """Boxes, points and scores equal those of the insightface package, where that is there."""
    zoo = pytest.importorskip("insightface.model_zoo")
    file = shared / "models" / MODEL_FILES["insightface"]
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    image = np.full((640, 640, 3), 120, dtype=np.uint8)
    for x, half_width in ((150, 60), (450, 110)):
        draw_face(image, x, 300, half_width)
    reference = zoo.get_model(str(file), providers=["CPUExecutionProvider"])
    reference.prepare(ctx_id=0, input_size=(640, 640), det_thresh=0.5, nms_thresh=0.4)
    boxes, points = reference.detect(np.ascontiguousarray(image[:, :, ::-1]))
    (faces,) = make_detector(f"insightface:{file}").detect([image])
    assert len(faces) == len(boxes) == 2
    for face, box, five in zip(faces, boxes, points):
        np.testing.assert_allclose(face.box, box[:4], atol=0.01)
        np.testing.assert_allclose(face.points, five, atol=0.01)
        assert face.score == pytest.approx(box[4], abs=1e-4)


def made_scrfd(file: Path) -> Path:
    """A network of any size with SCRFD's outputs that sees a face, three cells each way, at every white cell."""
    floats = {"none": [0.0], "of4": [3.0] * 4, "of10": [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]}
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in floats.items()]
    constants.append(numpy_helper.from_array(np.array([-1, 1], np.int64), "column"))
    nodes = [helper.make_node("ReduceMean", ["image"], ["level"], axes=[1], keepdims=1)]
    for stride in (8, 16, 32):
        n = str(stride)
        nodes += [
            helper.make_node("AveragePool", ["level"], [f"mean{n}"], kernel_shape=[stride] * 2, strides=[stride] * 2),
            helper.make_node("Concat", [f"mean{n}"] * 2, [f"both{n}"], axis=1),
            helper.make_node("Transpose", [f"both{n}"], [f"last{n}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"last{n}", "column"], [f"flat{n}"]),
            helper.make_node("Mul", [f"flat{n}", "none"], [f"zero{n}"]),
            helper.make_node("Identity", [f"flat{n}" if stride == 8 else f"zero{n}"], [f"score{n}"]),
            *(helper.make_node("Add", [f"zero{n}", f"of{width}"], [f"values{width}_{n}"]) for width in (4, 10)),
        ]  # fmt: skip
    names = [[f"score{n}" for n in (8, 16, 32)], *([f"values{w}_{n}" for n in (8, 16, 32)] for w in (4, 10))]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["cells", width])
        for width, level in zip((1, 4, 10), names) for name in level
    ]  # fmt: skip
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "scrfd", [image], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))
    return file


@pytest.mark.parametrize(
    ("shape", "zoom"), [((200, 333), 1), ((90, 620), 1), ((720, 1280), 2), ((1280, 720), 2)], ids=str
)
def test_scrfd_of_any_size_looks_at_the_picture_alone(tmp_path: Path, shape: tuple[int, int], zoom: int) -> None:
    """The models of the packs take pictures of any whole number of cells, so that no square has to be filled up."""
    detector = make_detector(f"insightface:{made_scrfd(tmp_path / 'det_made.onnx')}")
    image = np.zeros((*shape, 3), dtype=np.uint8)
    cell = 8 * zoom
    places = [(5, 4), (20, 7)]
    for column, row in places:
        image[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 255
    (faces,) = detector.detect([image])
    found = sorted(face.box.tolist() for face in faces)
    expected = [[column - 3, row - 3, column + 3, row + 3] for column, row in places]
    np.testing.assert_allclose(found, np.array(expected) * cell, atol=1e-6)
    assert all(face.score == pytest.approx(127.5 / 128, abs=1e-3) for face in faces)
    np.testing.assert_allclose(faces[0].points[2], (faces[0].box[:2] + faces[0].box[2:]) / 2, atol=1e-6)
    assert promises(faces[0], image)


def made_landmarks(file: Path, points: NDArray[np.float64], side: int = 192) -> Path:
    """A network that sees `points` (106, 2), in -1..1 of its square, shifted by a tenth where the square is bright."""
    batch = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, side, side])
    answer = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["n", points.size])
    base = numpy_helper.from_array(points.reshape(1, -1).astype(np.float32), "base")
    tenth = numpy_helper.from_array(np.array([[0.1 / 255]], np.float32), "tenth")
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["level"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["level", "tenth"], ["shift"]),
        helper.make_node("Add", ["base", "shift"], ["fc1"]),
    ]
    graph = helper.make_graph(nodes, "points", [batch], [answer], [base, tenth])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(file))
    return file


def plausible(openness: float = 0.2) -> NDArray[np.float64]:
    """106 points of an upright face in -1..1, its mouth open by `openness` of its width."""
    points = np.zeros((106, 2))
    for eye, x in ((slice(33, 43), -0.27), (slice(87, 97), 0.27)):
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        points[eye] = np.stack([x + 0.08 * np.cos(angle), -0.19 + 0.03 * np.sin(angle)], axis=1)
    points[86] = (0, 0.13)
    points[52], points[61] = (-0.24, 0.4), (0.24, 0.4)
    for upper, lower, x in ((66, 54, -0.1), (62, 60, 0.0), (70, 57, 0.1)):
        points[upper], points[lower] = (x, 0.4 - 0.24 * openness), (x, 0.4 + 0.24 * openness)
    return points


def test_points_of_the_106_come_back_to_the_picture(tmp_path: Path) -> None:
    """The square around the box is half as large again; what is black there comes back unshifted."""
    landmarks = Landmarks(made_landmarks(tmp_path / "2d106det.onnx", plausible()))
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    box = np.array([100.0, 50.0, 180.0, 150.0])
    points = landmarks.place(image, box)
    np.testing.assert_allclose(points, np.array([140.0, 100.0]) + plausible() * 75, atol=1e-4)
    brighter = landmarks.place(np.full_like(image, 255), np.array([190.0, 140.0, 210.0, 160.0]))
    np.testing.assert_allclose(brighter, np.array([200.0, 150.0]) + (plausible() + 0.1) * 15, atol=1e-4)
    np.testing.assert_allclose(
        five_points(points), np.array([140, 100]) + 75 * np.array([[-0.27, -0.19], [0.27, -0.19], [0, 0.13],
        [-0.24, 0.4], [0.24, 0.4]]), atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("openness", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0])
def test_openness_is_gap_over_width_however_the_head_leans(openness: float, angle: float) -> None:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert mouth_openness(plausible(openness) @ turn * 37 + 5) == pytest.approx(openness)


@pytest.fixture
def pack(shared: Path, tmp_path: Path) -> Path:
    """A folder with the detector and made 106 points."""
    file = shared / "models" / MODEL_FILES["insightface"]
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    folder = tmp_path / "pack"
    folder.mkdir()
    shutil.copyfile(file, folder / "det_500m.onnx")
    made_landmarks(folder / "2d106det.onnx", plausible(0.3))
    return folder


def test_sessions_compute_in_as_many_threads_as_pytorch(tmp_path: Path) -> None:
    file = tmp_path / "2d106det.onnx"
    made_landmarks(file, plausible(0.3))
    before = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            session, _ = open_session(file, "cpu")
            assert session.get_session_options().intra_op_num_threads == count
    finally:
        torch.set_num_threads(before)


def test_the_106_points_of_a_pack_place_the_five(pack: Path, draw_face: DrawFace, wall: Image) -> None:
    points = draw_face(wall, 160, 120, 60)
    alone = make_detector(f"insightface:{pack / 'det_500m.onnx'}")
    both = make_detector(f"insightface:{pack}")
    assert both.fingerprint != alone.fingerprint
    ((face,),), ((plain,),) = both.detect([wall]), alone.detect([wall])
    np.testing.assert_array_equal(face.box, plain.box)
    assert plain.openness is None
    assert face.openness == pytest.approx(0.3, abs=1e-3)
    assert promises(face, wall)
    assert np.abs(face.points - plain.points).max() > 0.5
    assert np.abs(face.points - points).max() < 0.3 * 60
    before = both.fingerprint
    made_landmarks(pack / "2d106det.onnx", plausible(0.1))
    assert make_detector(f"insightface:{pack}").fingerprint != before


def test_points_that_lie_elsewhere_are_not_believed(pack: Path, draw_face: DrawFace, wall: Image) -> None:
    draw_face(wall, 160, 120, 60)
    made_landmarks(pack / "2d106det.onnx", plausible() * 0.2 + 0.6)
    ((face,),) = make_detector(f"insightface:{pack}").detect([wall])
    ((plain,),) = make_detector(f"insightface:{pack / 'det_500m.onnx'}").detect([wall])
    np.testing.assert_array_equal(face.points, plain.points)
    assert face.openness is None


def test_wrong_106_point_models_are_refused(pack: Path) -> None:
    file = pack / "2d106det.onnx"
    made_landmarks(file, plausible()[:68])
    with pytest.raises(CheckpointError, match="not a model of 106"):
        make_detector(f"insightface:{pack}")
    file.write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"2d106det\.onnx: not a readable"):
        make_detector(f"insightface:{pack}")
    shutil.copyfile(pack / "det_500m.onnx", file)
    with pytest.raises(CheckpointError, match="not a model of 106"):
        make_detector(f"insightface:{pack}")
