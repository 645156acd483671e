"""Cutting faces out and placing them back: each undoes the other, exactly where the points say."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import cv2
import numpy as np
import pytest

from w2l.core.arrays import Floats, Image
from w2l.core.errors import ConfigError
from w2l.features.crop import (
    JUDGE_BORDER,
    TEMPLATE,
    CropSpec,
    FineCrop,
    alignment,
    coarser,
    cut,
    cut_each,
    cut_from,
    footprint,
    padded_box,
    side_in_frame,
)
from w2l.media.picture import Picture, RgbPicture

BOX = np.array([60.0, 40.0, 180.0, 190.0])


def smooth_image(height: int = 240, width: int = 320) -> Image:
    """Slow waves of colour, so that resampling itself loses nothing."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 23 + y / 41), np.cos(x / 37 - y / 29), np.sin((x + 2 * y) / 53)]
    return np.rint(127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def five_points(scale: float, angle: float, x: float, y: float) -> Floats:
    """The template's five points turned by `angle`, `scale` pixels wide, its corner at (x, y)."""
    mouth = TEMPLATE[3] + np.array([[-0.14, 0.0], [0.14, 0.0]])
    template = np.concatenate([TEMPLATE[:3], mouth])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return template @ turn.T * scale + np.array([x, y])


class Placed(NamedTuple):
    """A patch and its weight in the coordinates of their frame."""

    rows: slice
    columns: slice
    patch: Floats
    weight: Floats


def place(
    patch: Floats, weight: Floats, box: Floats, points: Floats, spec: CropSpec, width: int, height: int
) -> Placed | None:
    """The inverse of `cut`; None when nothing of the patch shows."""
    found = footprint(weight, box, points, spec, width, height)
    if found is None:
        return None
    return Placed(found.rows, found.columns, np.clip(found.moved(patch), 0, 255), found.moved_weight(weight))


def blend(image: Image, placed: Placed) -> Image:
    """The image with the patch in it."""
    return RgbPicture(image).painted(*placed).image


POINTS = five_points(120, 0.2, 90, 40)


@pytest.mark.parametrize("angle", [0.0, -0.6, 2.5])
@pytest.mark.parametrize("scale", [20.0, 96.0, 700.0])
def test_alignment_brings_a_moved_template_home(scale: float, angle: float) -> None:
    points = five_points(scale, angle, 250.0, -30.0)
    transform = alignment(points, 96)
    moved = points @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(moved[:3], TEMPLATE[:3] * 96, atol=1e-9)
    np.testing.assert_allclose(moved[3:].mean(axis=0), TEMPLATE[3] * 96, atol=1e-9)
    assert transform[0, 0] == pytest.approx(transform[1, 1])
    assert transform[0, 1] == pytest.approx(-transform[1, 0])
    assert np.hypot(*transform[:, 0]) == pytest.approx(96 / scale)


def test_a_widening_mouth_does_not_move_the_crop() -> None:
    wide = POINTS.copy()
    wide[3:] += (wide[3:] - wide[3:].mean(axis=0)) * 0.5
    np.testing.assert_allclose(alignment(wide, 96), alignment(POINTS, 96), atol=1e-12)


@pytest.mark.parametrize("kind", ["aligned", "box", "judge"])
def test_the_face_is_where_the_crop_says(kind: str) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    nose = np.rint(POINTS[2]).astype(int)
    image[nose[1] - 4 : nose[1] + 5, nose[0] - 4 : nose[0] + 5] = (255, 0, 0)
    crop = cut(image, BOX, POINTS, CropSpec(kind, 96))  # type: ignore[arg-type]
    assert crop.shape == (96, 96, 3)
    assert crop.dtype == np.uint8
    y, x = (float(axis.mean()) for axis in np.nonzero((crop[..., 0] > 60) & (crop[..., 1] < 60)))
    half = (BOX[3] - BOX[1]) / 2
    centre = (BOX[:2] + BOX[2:]) / 2
    expected = {
        "aligned": TEMPLATE[2] * 96,
        "box": (nose - BOX[:2]) / (BOX[2:] - BOX[:2]) * 96,
        "judge": (nose - centre + np.array([1.4, 1.0]) * half) / (2.8 * half) * 96,
    }[kind]
    np.testing.assert_allclose([x, y], expected, atol=1.2)


@pytest.mark.parametrize(("spec", "scale"), [
    (CropSpec("aligned", 96), 120.0),
    (CropSpec("aligned", 96), 60.0),
    (CropSpec("aligned", 64), 190.0),
    (CropSpec("box", 96), 120.0),
    (CropSpec("box", 96, (10, 20, 5, 0)), 120.0),
], ids=str)  # fmt: skip
def test_placing_undoes_cutting(spec: CropSpec, scale: float) -> None:
    image = smooth_image()
    points = five_points(scale, 0.2, 90, 20)
    patch = cut(image, BOX, points, spec)
    placement = place(patch, np.ones((spec.size, spec.size), np.float32), BOX, points, spec, 320, 240)
    assert placement is not None
    seen = image[placement.rows, placement.columns].astype(float)
    assert placement.patch.shape == seen.shape
    assert placement.weight.shape == seen.shape[:2]
    inner = cv2.erode((placement.weight > 0.99).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert inner.sum() > 0.5 * (scale - 20) ** 2
    error = np.abs(placement.patch - seen)[inner]
    assert error.mean() < 0.7
    assert error.max() < 4.0
    assert np.abs(blend(image, placement).astype(int) - image)[placement.rows, placement.columns][inner].max() < 5


@pytest.mark.parametrize(("side", "size"), [(66, 192), (110, 192), (180, 192), (250, 288), (500, 576)])
def test_fine_crops_keep_detail_there_and_back(side: float, size: int) -> None:
    """Contrast of what is a few pixels wide; linear interpolation halves some of it."""
    rng = np.random.default_rng(0)
    grainy = cv2.GaussianBlur(rng.standard_normal((560, 560)), (0, 0), 1.0) * 120 + 127
    image = np.repeat(np.clip(np.rint(grainy), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    points, box = five_points(side, 0.1, 30.4, 30.7), np.zeros(4)

    def contrast(spec: CropSpec) -> float:
        placed = place(cut(image, box, points, spec), np.ones((size, size), np.float32), box, points, spec, 560, 560)
        assert placed is not None
        inside = placed.weight > 0.999
        shown = image[placed.rows, placed.columns]
        return float(placed.patch[inside].std() / shown[inside].std())

    assert contrast(FineCrop("aligned", size)) == pytest.approx(1, abs=0.06)
    assert contrast(CropSpec("aligned", size)) < contrast(FineCrop("aligned", size)) - 0.03


def test_nothing_is_placed_outside_the_crop() -> None:
    spec = CropSpec("aligned", 96)
    placement = place(np.full((96, 96, 3), 255.0), np.ones((96, 96)), BOX, POINTS, spec, 320, 240)
    assert placement is not None
    black = np.zeros((240, 320, 3), np.uint8)
    changed = blend(black, placement).max(axis=-1) > 0
    y, x = np.mgrid[:240, :320]
    transform = alignment(POINTS, 96)
    in_crop = np.einsum("ij,jhw->ihw", transform[:, :2], np.stack([x, y])) + transform[:, 2, None, None]
    assert not changed[(in_crop < -1).any(axis=0) | (in_crop > 96).any(axis=0)].any()
    assert changed[((in_crop > 0) & (in_crop < 95)).all(axis=0)].all()


@pytest.mark.parametrize("scale", [250.0, 700.0, 1500.0])
def test_large_faces_are_not_aliased(scale: float) -> None:
    image = np.zeros((1700, 1700, 3), np.uint8)
    image[:, ::2] = 255  # a grid too fine for the crop: only its mean may be left
    crop = cut(image, BOX, five_points(scale, 0.0, 80, 80), CropSpec("aligned", 96))[4:-4, 4:-4]
    assert abs(float(crop.mean()) - 127.5) < 3
    assert float(crop.std()) < 30


def test_large_and_small_faces_are_cut_at_the_same_place() -> None:
    image = smooth_image(300, 300)
    points = five_points(150, 0.1, 70, 60)
    large = cv2.resize(image, (1500, 1500), interpolation=cv2.INTER_CUBIC)
    crops = [cut(image, BOX, points, CropSpec()), cut(large, BOX, (points + 0.5) * 5 - 0.5, CropSpec())]
    assert np.abs(crops[0].astype(int) - crops[1]).max() <= 3


@pytest.mark.parametrize("side", [60, 100, 120])
def test_small_faces_get_a_patch_without_aliasing(side: float) -> None:
    patch = np.zeros((256, 256, 3), np.float32)
    patch[:, ::2] = 255
    points = five_points(side, 0.0, 100, 100)
    placement = place(patch, np.ones((256, 256)), BOX, points, CropSpec("aligned", 256), 320, 240)
    assert placement is not None
    inner = placement.patch[placement.weight > 0.99]
    assert abs(float(inner.mean()) - 127.5) < 5
    assert float(inner.std()) < 30


@pytest.mark.parametrize("kind", ["aligned", "box"])
@pytest.mark.parametrize("corner", [(-70.0, -40.0), (250.0, 150.0), (-40.0, 170.0)])
def test_a_face_partly_outside_the_frame(kind: str, corner: tuple[float, float]) -> None:
    image = smooth_image()
    spec = CropSpec(kind, 96)  # type: ignore[arg-type]
    points = five_points(120, 0.1, *corner)
    box = np.array([*corner, corner[0] + 120, corner[1] + 130])
    patch = cut(image, box, points, spec)
    assert patch.shape == (96, 96, 3)
    placement = place(patch, np.ones((96, 96)), box, points, spec, 320, 240)
    assert placement is not None
    seen = image[placement.rows, placement.columns].astype(float)
    assert placement.patch.shape == seen.shape
    inner = cv2.erode((placement.weight > 0.99).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert inner.any()
    assert np.abs(placement.patch - seen)[inner].max() < 4.0


@pytest.mark.parametrize("scale", [100.0, 600.0])
def test_a_face_quite_outside_the_frame(scale: float) -> None:
    points = five_points(scale, 0.0, 2000, 2000)
    assert cut(smooth_image(), BOX, points, CropSpec()).shape == (96, 96, 3)
    assert place(np.zeros((96, 96, 3)), np.ones((96, 96)), BOX, points, CropSpec(), 320, 240) is None


def test_judge_crops_are_grey_outside_the_picture_and_cannot_be_placed() -> None:
    spec = CropSpec("judge", 64)
    crop = cut(np.zeros((240, 320, 3), np.uint8), np.array([-20.0, -10.0, 100.0, 110.0]), POINTS, spec)
    assert (crop[:5, :10] == JUDGE_BORDER).all()
    assert (crop[40:, 40:] == 0).all()
    with pytest.raises(ConfigError, match="cannot be pasted back"):
        place(crop, np.ones((64, 64)), BOX, POINTS, spec, 320, 240)


@pytest.mark.parametrize("box", [
    (10.6, 20.2, 70.9, 90.1), (-30.5, -20.7, 45.5, 60.5), (250.0, 150.0, 350.0, 260.0), (100.3, 100.3, 100.9, 100.9),
])  # fmt: skip
def test_judge_crops_follow_the_published_arithmetic(box: tuple[float, ...]) -> None:
    image = smooth_image()
    half = max(box[3] - box[1], box[2] - box[0], 2) / 2
    border = int(half * 1.8)
    padded = np.pad(image, ((border, border), (border, border), (0, 0)), constant_values=JUDGE_BORDER)
    y, x = (box[1] + box[3]) / 2 + border, (box[0] + box[2]) / 2 + border
    face = padded[int(y - half) : int(y + 1.8 * half), int(x - 1.4 * half) : int(x + 1.4 * half)]
    by_area = face.shape[0] > 64
    expected = cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA if by_area else cv2.INTER_LINEAR)
    np.testing.assert_array_equal(cut(image, np.array(box), POINTS, CropSpec("judge", 64)), expected)


def test_a_coarser_crop_has_the_means() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (96, 96, 6), dtype=np.uint8)
    assert coarser(crop, 1) is crop
    expected = crop.reshape(32, 3, 32, 3, 6).mean(axis=(1, 3))
    assert np.abs(coarser(crop, 3) - expected).max() <= 0.51
    assert (coarser(np.full((96, 96, 3), 255, np.uint8), 2) == 255).all()


@pytest.mark.parametrize("times", [0.5, 1.0, 3.7])
def test_a_crop_s_side_in_the_frame_grows_with_the_face(times: float) -> None:
    points = np.stack([POINTS, times * POINTS + 9])
    boxes = np.array([[10.0, 20, 50, 70], [0, 0, 50 * times, 40 * times]])
    aligned = side_in_frame(boxes, points, CropSpec("aligned", 96))
    assert aligned[1] == pytest.approx(times * aligned[0])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert side_in_frame(boxes, points @ turn, CropSpec("aligned", 192)) == pytest.approx(aligned)
    assert side_in_frame(boxes, points, CropSpec("box", 96)).tolist() == [50, 50 * times]
    padded = side_in_frame(boxes, points, CropSpec("box", 96, (5, 20, 0, 0)))
    assert padded.tolist() == [75, max(50 * times, 40 * times + 25)]


@pytest.mark.parametrize(("box", "pads", "expected"), [
    ((10.9, 20.9, 50.9, 60.9), (0, 0, 0, 0), (10, 20, 50, 60)),
    ((10, 20, 50, 60), (1, 2, 3, 4), (7, 19, 54, 62)),
    ((-9, -9, 400, 400), (5, 5, 5, 5), (0, 0, 320, 240)),
    ((500, 500, 600, 600), (0, 0, 0, 0), (318, 238, 320, 240)),
    ((-90, -90, -50, -50), (0, 0, 0, 0), (0, 0, 2, 2)),
])  # fmt: skip
def test_padded_boxes(box: tuple[float, ...], pads: tuple[int, int, int, int], expected: tuple[int, ...]) -> None:
    assert padded_box(np.array(box), pads, 320, 240) == expected


@pytest.mark.parametrize(("wrong", "said"), [
    ({"kind": "round"}, "choose aligned"),
    ({"size": 97}, "even"),
    ({"size": 16}, "at least 32"),
    ({"pads": (0, 10)}, "four"),
    ({"smooth_s": -0.1}, "negative"),
])  # fmt: skip
def test_what_cannot_be_cut_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CropSpec(**wrong)  # type: ignore[arg-type]


def test_a_spec_read_from_a_file_equals_the_one_written() -> None:
    read: Callable[..., CropSpec] = CropSpec
    assert read(kind="box", pads=[0, 10, 0, 0]) == CropSpec("box", 96, (0, 10, 0, 0))


@pytest.mark.parametrize("kinds", [("aligned", "aligned"), ("aligned", "box"), ("box", "judge")])
def test_several_crops_of_one_face_are_those_cut_one_by_one(kinds: tuple[Literal["aligned", "box", "judge"], ...]):
    picture = Picture.from_rgb(smooth_image())
    points = five_points(120, 0.2, 70, 60)
    specs = tuple(CropSpec(kind, 96 + 32 * place) for place, kind in enumerate(kinds))
    together = cut_each(picture, BOX, points, specs)
    for crop, spec in zip(together, specs, strict=True):
        np.testing.assert_array_equal(crop, cut_from(picture, BOX, points, spec))
