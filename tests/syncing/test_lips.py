"""Where lips are found in crops and patches, and the maps that are made of them."""

from typing import Literal

import numpy as np
import pytest

from w2l.core.arrays import Image
from w2l.data.puppets import Puppet, draw_face
from w2l.faces.follow import Face
from w2l.features.crop import CropSpec, crop_to_frame, cut
from w2l.syncing.lips import LipPair, lip_map, read_pairs

WIDTH, HEIGHT, HALF = 320, 240, 60.0
Kind = Literal["aligned", "box"]


def drawn(mouth: float, look: Puppet | None = None) -> tuple[Image, Face]:
    """Return a picture of a face and where it is."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    points = draw_face(image, 160, 110, HALF, mouth, look)
    return image, Face(0, np.array([100.0, 40.0, 220.0, 190.0]), points, 1.0)


def read(source: Image, patch: Image, face: Face, spec: CropSpec) -> LipPair:
    """Return the lips of a face before and after."""
    crops = [cut(image, face.box, face.points, spec)[None] for image in (source, patch)]
    return read_pairs(crops[0], crops[1].astype(np.float32), [face], [(WIDTH, HEIGHT)], spec)[0]


@pytest.mark.parametrize("spec", [CropSpec("aligned", 96), CropSpec("aligned", 288), CropSpec("box", 96),
                                  CropSpec("box", 96, (0, 10, 0, 0))], ids=str)  # fmt: skip
def test_lips_are_found_where_they_are_in_source_and_patch(spec: CropSpec) -> None:
    (source, face), (patch, _) = drawn(0.0), drawn(1.0)
    pair = read(source, patch, face, spec)
    to_frame = crop_to_frame(face.box, face.points, spec, WIDTH, HEIGHT)
    for mouth, points in ((0.0, pair.source), (1.0, pair.patch)):
        assert points is not None
        placed = (points * spec.size - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]
        middle, half = 110 + HALF * (0.62 + 0.08 * mouth), HALF * (0.1 + 0.16 * mouth)
        expected = np.array([middle - half, middle + half])
        np.testing.assert_allclose(placed[[2, 5], 1], expected, atol=0.09 * HALF)
        np.testing.assert_allclose(placed[:2].mean(axis=0)[0], 160, atol=0.05 * HALF)


def test_no_faces_give_no_lips() -> None:
    assert read_pairs(np.zeros((0, 96, 96, 3), np.uint8), np.zeros((0, 96, 96, 3), np.float32), [], [],
                      CropSpec("aligned", 96)) == []  # fmt: skip


@pytest.mark.parametrize("value", [0.0, 255.0, 1e9, -1e9])
def test_what_shows_no_mouth_ends_well(value: float) -> None:
    face = drawn(0.0)[1]
    patches = np.full((1, 96, 96, 3), value, np.float32)
    noise = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    pair = read_pairs(noise, patches, [face], [(WIDTH, HEIGHT)], CropSpec("aligned", 96))[0]
    for points in (pair.source, pair.patch):
        assert points is None or np.isfinite(points).all()


def test_the_map_holds_the_lips_and_little_else() -> None:
    places = (np.arange(96) + 0.5) / 96
    points = np.array([[0.35, 0.70], [0.65, 0.70], [0.5, 0.64], [0.5, 0.67], [0.5, 0.73], [0.5, 0.78]])
    found = lip_map(points, places, places)
    assert (found[64:74, 40:56] == 1).all()
    for x, y in (*points, (0.42, 0.76), (0.58, 0.65)):
        assert found[round(y * 96 - 0.5), round(x * 96 - 0.5)] > 0.95
    assert not found[:52].any()
    assert not found[84:].any()
    assert not found[:, :24].any()
    assert np.abs(np.diff(found, axis=0)).max() < 0.6
    np.testing.assert_allclose(found, found[:, ::-1], atol=1e-5)


def test_a_map_turns_with_the_mouth() -> None:
    places = (np.arange(96) + 0.5) / 96
    level = np.array([[-0.15, 0.0], [0.15, 0.0], [0.0, -0.06], [0.0, -0.02], [0.0, 0.02], [0.0, 0.08]])
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    middle = np.array([0.5, 0.7])
    turned = lip_map(level @ turn + middle, places, places)
    assert turned.sum() == pytest.approx(lip_map(level + middle, places, places).sum(), rel=0.02)
    assert (turned * places[:, None])[:, 60:].sum() / turned[:, 60:].sum() > 0.71


@pytest.mark.parametrize("points", [np.zeros((6, 2)), np.full((6, 2), 0.5)])
def test_a_mouth_without_size_is_mapped(points: np.ndarray) -> None:
    places = (np.arange(96) + 0.5) / 96
    assert np.isfinite(lip_map(points, places, places)).all()
