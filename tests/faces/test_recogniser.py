"""The recogniser on networks made on the spot: alignment, colours and range, batches, and files that are none."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from w2l.core.errors import CheckpointError
from w2l.faces.recogniser import SIDE, TEMPLATE, Recogniser, aligned

GRID = 8
"""Cells each way of what the made network sees."""


def made_recogniser(
    file: Path, *, batch: int | str = "faces", side: int = SIDE, own_range: bool = False, cells: int = GRID
) -> Path:
    """A network whose embedding is the mean of each colour in cells of the picture."""
    nodes, constants, seen = [], [], "face"
    if own_range:
        constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in
                     (("middle", 127.5), ("scale", 1 / 127.5))]  # fmt: skip
        nodes = [helper.make_node("Sub", ["face", "middle"], ["low"]), helper.make_node("Mul", ["low", "scale"], ["x"])]
        seen = "x"
    step = side // cells
    nodes += [
        helper.make_node("AveragePool", [seen], ["means"], kernel_shape=[step] * 2, strides=[step] * 2),
        helper.make_node("Flatten", ["means"], ["embedding"], axis=1),
    ]
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, [batch, 3, side, side])
    answer = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, 3 * cells**2])
    graph = helper.make_graph(nodes, "recogniser", [face], [answer], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))
    return file


def picture(seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).uniform(0, 255, (SIDE, SIDE, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    return np.clip(np.rint(128 + 12 * (smooth - 127.5)), 0, 255).astype(np.uint8)


def turned(face: NDArray[np.uint8], degrees: float, zoom: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The face somewhere in a larger picture, and where its five points are then."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, zoom)
    matrix[:, 2] += 100
    image = cv2.warpAffine(face, matrix, (400, 400), flags=cv2.INTER_CUBIC)
    return np.asarray(image), TEMPLATE @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize(("degrees", "zoom"), [(0, 1.0), (25, 1.6), (-70, 2.0)])
def test_a_face_is_found_again_however_it_lies_in_the_picture(degrees: float, zoom: float) -> None:
    image, points = turned(picture(), degrees, zoom)
    middle = slice(10, -10)
    difference = aligned(image, points)[middle, middle].astype(int) - picture()[middle, middle]
    assert np.abs(difference).mean() < 2


def test_the_network_gets_rgb_between_minus_one_and_one(tmp_path: Path) -> None:
    face = np.zeros((SIDE, SIDE, 3), np.uint8)
    face[..., 0], face[..., 1] = 255, 127
    (embedding,) = Recogniser(made_recogniser(tmp_path / "r.onnx")).embed([(face, TEMPLATE)])
    red, green, blue = embedding.reshape(3, GRID, GRID)[:, 4, 4] / np.abs(embedding).max()
    assert (red, green, blue) == pytest.approx((1, -0.5 / 127.5, -1), abs=1e-3)
    assert np.linalg.norm(embedding) == pytest.approx(1)


@pytest.mark.parametrize("own_range", [False, True])
@pytest.mark.parametrize("batch", ["faces", 1])
def test_every_kind_of_export_gives_the_same(tmp_path: Path, batch: int | str, own_range: bool) -> None:
    faces = [turned(picture(seed), 10 * seed, 1.5) for seed in range(3)]
    plain = Recogniser(made_recogniser(tmp_path / "plain.onnx")).embed(faces)
    other = Recogniser(made_recogniser(tmp_path / "other.onnx", batch=batch, own_range=own_range)).embed(faces)
    assert other.shape == (3, 3 * GRID**2)
    np.testing.assert_allclose(other, plain, atol=1e-5)


def test_the_same_face_is_nearer_than_another_one(tmp_path: Path) -> None:
    recogniser = Recogniser(made_recogniser(tmp_path / "r.onnx"))
    same, again, other = recogniser.embed(
        [turned(picture(0), 0, 1), turned(picture(0), 30, 1.7), turned(picture(1), 0, 1)]
    )
    assert same @ again > 0.95
    assert same @ other < 0.7


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.onnx does not exist"):
        Recogniser(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(CheckpointError, match=r"text\.onnx: not a readable ONNX model"):
        Recogniser(tmp_path / "text.onnx")
    for kind in ({"side": 96}, {"cells": 1}):
        with pytest.raises(CheckpointError, match="not a face recogniser"):
            Recogniser(made_recogniser(tmp_path / "age.onnx", **kind))  # type: ignore[arg-type]
