"""Paste-back: what shows, what stays as it was, and that pasting undoes cutting."""

import numpy as np
import pytest

from w2l.compose import MAX_TINT, blend, hard_weight, overwrite, rim_tint, soft_weight
from w2l.faces.crop import TEMPLATE, CropSpec, Placement, cut, place

SIZE = 96


def smooth_image(height: int = 240, width: int = 320) -> np.ndarray:
    """(height, width, 3): slow waves, so that resampling loses next to nothing."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(x / (40 + 9 * c)) * np.cos(y / (50 - 7 * c)) for c in range(3)]
    return np.stack(waves, axis=-1).round().astype(np.uint8)


def placement(weight: np.ndarray, grey: float) -> Placement:
    """A grey patch in the middle of a picture."""
    height, width = weight.shape
    patch = np.full((height, width, 3), grey, dtype=np.float32)
    return Placement(slice(10, 10 + height), slice(20, 20 + width), patch, weight.astype(np.float32))


def test_soft_weight_shows_the_mouth_and_nothing_of_the_upper_half() -> None:
    weight = soft_weight(SIZE)
    mouth_y = round(TEMPLATE[3, 1] * SIZE)
    assert (weight[: SIZE // 2] == 0).all()
    assert (weight[mouth_y - 8 : mouth_y + 14, 30:66] > 0.99).all()
    assert weight.min() == 0
    assert weight.max() == 1


def test_soft_weight_fades_at_every_edge_and_is_symmetric() -> None:
    weight = soft_weight(SIZE)
    for edge in (weight[SIZE // 2], weight[-1], weight[:, 0], weight[:, -1]):
        assert edge.max() < 0.02
    np.testing.assert_allclose(weight, weight[:, ::-1], atol=1e-6)
    assert np.abs(np.diff(weight, axis=0)).max() < 0.25


@pytest.mark.parametrize("rows", ["full", "lower"])
def test_hard_weight_is_what_was_generated(rows: str) -> None:
    weight = hard_weight(SIZE, rows)  # type: ignore[arg-type]
    assert weight[SIZE // 2 :].min() == 1
    assert weight[: SIZE // 2].max() == (1 if rows == "full" else 0)


def test_blend_mixes_by_weight_and_leaves_its_input_alone() -> None:
    image = np.full((60, 80, 3), 100, dtype=np.uint8)
    before = image.copy()
    result = blend(image, placement(np.array([[0.0, 0.5, 1.0]]), 200.0))
    assert result[10, 20:23, 0].tolist() == [100, 150, 200]
    assert (np.delete(result.reshape(-1, 3), [10 * 80 + 21, 10 * 80 + 22], axis=0) == 100).all()
    np.testing.assert_array_equal(image, before)


def test_blend_clips_a_tinted_patch() -> None:
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    result = blend(image, placement(np.ones((1, 1)), 250.0), np.array([12.0, 0.0, -255.0]))
    assert result[10, 20].tolist() == [255, 250, 0]


@pytest.mark.parametrize(("grey", "expected"), [(95.0, 5.0), (108.0, -8.0), (30.0, MAX_TINT)])
def test_rim_tint_matches_colours_where_the_two_fade_over(grey: float, expected: float) -> None:
    image = np.full((120, 120, 3), 100, dtype=np.uint8)
    np.testing.assert_allclose(rim_tint(image, placement(soft_weight(64), grey)), expected, atol=1e-4)


def test_rim_tint_is_nothing_without_a_rim() -> None:
    image = np.full((60, 80, 3), 100, dtype=np.uint8)
    assert rim_tint(image, placement(np.ones((4, 4)), 10.0)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["aligned", "box"])
@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_pasting_an_unchanged_crop_changes_nothing_visible(kind: str, turn: float) -> None:
    image = smooth_image()
    spec = CropSpec(kind, SIZE)  # type: ignore[arg-type]
    centre, rotation = np.array([160.0, 120.0]), np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.array([[-20, -16], [20, -16], [0, 6], [-14, 30], [14, 30]]) @ rotation.T + centre
    box = np.array([110.0, 60.0, 214.0, 182.0])
    crop = cut(image, box, points, spec)
    placed = place(crop, soft_weight(SIZE), box, points, spec, 320, 240)
    assert placed is not None
    result = blend(image, placed)
    assert np.abs(result.astype(int) - image).max() <= 6
    assert np.abs(result.astype(int) - image).mean() < 0.1
    assert (result[:90] == image[:90]).all()


def test_overwrite_replaces_the_box_exactly() -> None:
    image = smooth_image()
    patch = np.full((SIZE, SIZE, 3), 7, dtype=np.uint8)
    result = overwrite(image, patch, (25, 37, 113, 141))
    assert (result[37:141, 25:113] == 7).all()
    outside = np.ones(image.shape[:2], dtype=bool)
    outside[37:141, 25:113] = False
    np.testing.assert_array_equal(result[outside], image[outside])
    assert (image[37:141, 25:113] != 7).any()
