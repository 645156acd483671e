"""Boxes: overlap, suppression, bridging and smoothing, on numbers a person can check."""

import numpy as np
import pytest

from tests.helpers.golden import golden_seeds, golden_vectors
from w2l.features import boxes as bx

UNIT = np.array([[0.0, 0.0, 2.0, 2.0]])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param([0, 0, 2, 2], 1.0, id="same"),
        pytest.param([1, 0, 3, 2], 1 / 3, id="half"),
        pytest.param([0, 0, 1, 1], 1 / 4, id="inside"),
        pytest.param([2, 0, 4, 2], 0.0, id="touching"),
        pytest.param([5, 5, 6, 6], 0.0, id="apart"),
        pytest.param([1, 1, 1, 1], 0.0, id="empty"),
    ],
)
def test_iou(other: list[float], expected: float) -> None:
    assert bx.iou(UNIT, np.array([other], dtype=float))[0, 0] == pytest.approx(expected)


def test_iou_is_a_table() -> None:
    assert bx.iou(np.zeros((0, 4)), UNIT).shape == (0, 1)
    assert bx.iou(np.repeat(UNIT, 3, axis=0), np.repeat(UNIT, 2, axis=0)).shape == (3, 2)


def test_nms_keeps_the_best_of_each_heap() -> None:
    found = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [0, 0, 10, 9]], dtype=float)
    scores = np.array([0.7, 0.9, 0.5, 0.8])
    assert bx.nms(found, scores, 0.5).tolist() == [1, 2]
    assert bx.nms(found, scores, 1.0).tolist() == [1, 3, 0, 2]
    assert bx.nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_nms_over_the_smaller_box_drops_what_lies_inside() -> None:
    found = np.array([[0, 0, 10, 10], [4, 4, 6, 6]], dtype=float)
    scores = np.array([0.9, 0.8])
    assert bx.nms(found, scores, 0.7).tolist() == [0, 1]
    assert bx.nms(found, scores, 0.7, over="smaller").tolist() == [0]


def test_nms_among_equals_keeps_the_first() -> None:
    assert bx.nms(np.repeat(UNIT, 3, axis=0), np.ones(3), 0.5).tolist() == [0]


def test_clip_and_square() -> None:
    assert bx.clip(np.array([-3.0, 5.0, 40.0, 25.0]), 30, 20).tolist() == [0, 5, 30, 20]
    assert bx.square(np.array([[0.0, 0.0, 4.0, 10.0]])).tolist() == [[-3, 0, 7, 10]]


def test_interpolate_bridges_and_holds() -> None:
    known = np.array([2, 6])
    rows = np.array([[[0.0, 10.0]], [[4.0, 30.0]]])
    bridged = bx.interpolate(known, rows, np.arange(1, 9))
    assert bridged.shape == (8, 1, 2)
    assert bridged[:, 0, 0].tolist() == [0, 0, 1, 2, 3, 4, 4, 4]
    assert bridged[:, 0, 1].tolist() == [10, 10, 15, 20, 25, 30, 30, 30]


@pytest.mark.parametrize("n_frames", [1, 2, 7, 60])
def test_gaussian_keeps_what_is_still(n_frames: int) -> None:
    still = np.full((n_frames, 5, 2), 7.5)
    np.testing.assert_allclose(bx.smooth_gaussian(still, 3.0), still)


def test_gaussian_has_no_lag() -> None:
    ramp = np.arange(60.0)[:, None]
    np.testing.assert_allclose(bx.smooth_gaussian(ramp, 2.0)[10:-10], ramp[10:-10], atol=1e-9)
    pulse = np.zeros((41, 1))
    pulse[20] = 1.0
    smooth = bx.smooth_gaussian(pulse, 2.0)[:, 0]
    assert smooth.argmax() == 20
    np.testing.assert_allclose(smooth, smooth[::-1], atol=1e-12)


def test_gaussian_of_no_width_changes_nothing() -> None:
    rows = np.random.default_rng(0).random((9, 4))
    smooth = bx.smooth_gaussian(rows, 0.0)
    np.testing.assert_array_equal(smooth, rows)
    assert smooth is not rows


@pytest.mark.parametrize("seed", golden_seeds("infer"))
def test_published_smoothing(seed: int) -> None:
    golden = golden_vectors(f"infer_seed{seed}")
    jittery = golden["smooth_in"]
    np.testing.assert_array_equal(bx.smooth_boxes_reference(jittery), golden["smooth_T5"])
    np.testing.assert_array_equal(bx.smooth_boxes_reference(jittery[:4]), golden["smooth_len4_T5"])


def test_published_smoothing_leaves_its_input_alone() -> None:
    jittery = np.arange(40, dtype=np.int64).reshape(10, 4)
    smooth = bx.smooth_boxes_reference(jittery)
    assert smooth[0].tolist() == [8, 9, 10, 11]
    np.testing.assert_array_equal(jittery, np.arange(40).reshape(10, 4))
