"""The loss terms against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from w2l.training.losses import (
    adversarial,
    around_mouth,
    bce_cosine,
    calibrated_bce,
    edge_l1,
    focused_l1,
    mouth_focus,
    ramp,
)


def test_the_cosine_is_the_probability() -> None:
    loss = bce_cosine(torch.tensor([0.9, 0.2, 0.5]), torch.tensor([True, False, True]))
    assert float(loss) == pytest.approx(-(math.log(0.9) + math.log(0.8) + math.log(0.5)) / 3, rel=1e-6)


@pytest.mark.parametrize("cosine", [1 + 1e-6, -0.3])
def test_cosines_outside_the_range_of_a_probability_are_clamped(cosine: float) -> None:
    for in_sync in (True, False):
        loss = bce_cosine(torch.tensor([cosine]), torch.tensor([in_sync]))
        right = in_sync == (cosine > 0.5)
        assert float(loss) == (0 if right else 100)  # PyTorch's logarithm ends at -100


def test_a_cosine_that_is_no_number_is_seen_in_the_loss() -> None:
    assert math.isnan(float(bce_cosine(torch.tensor([0.5, math.nan]), torch.tensor([True, False]))))


def test_its_gradient_is_that_of_pytorchs_cross_entropy() -> None:
    mine, theirs = (torch.tensor([0.9, 0.2, 0.5], requires_grad=True) for _ in range(2))
    labels = torch.tensor([True, False, False])
    bce_cosine(mine, labels).backward()  # type: ignore[no-untyped-call]
    F.binary_cross_entropy(theirs, labels.float()).backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_the_calibrated_probability() -> None:
    cosine, labels = torch.tensor([0.8, -0.1]), torch.tensor([True, False])
    p = [1 / (1 + math.exp(-(6 * c - 2))) for c in (0.8, -0.1)]
    expected = -(math.log(p[0]) + math.log(1 - p[1])) / 2
    assert float(calibrated_bce(cosine, labels, 6.0, -2.0)) == pytest.approx(expected, rel=1e-5)
    assert math.isfinite(float(calibrated_bce(cosine, labels, 1e4, 0.0)))


@pytest.mark.parametrize("real", [True, False])
def test_adversarial_is_the_cross_entropy_of_the_probability(real: bool) -> None:
    logits = torch.tensor([[0.3], [-2.0]])
    expected = F.binary_cross_entropy(torch.sigmoid(logits), torch.full_like(logits, float(real)))
    assert float(adversarial(logits, real)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("values", [torch.tensor([300.0, -300.0])])
def test_adversarial_stays_finite(values: Tensor) -> None:
    assert math.isfinite(float(adversarial(values, True)))


class TestEdges:
    def test_by_hand(self) -> None:
        """One step up across, of 0.5, in two rows of three pixels: one of two differences across, none down."""
        generated, target = torch.zeros(1, 1, 1, 2, 3), torch.zeros(1, 1, 1, 2, 3)
        generated[..., 1:] = 0.5
        assert float(edge_l1(generated, target, torch.ones(2, 3))) == pytest.approx(0.25)
        assert float(edge_l1(generated, target, torch.zeros(2, 3))) == 0

    def test_another_brightness_costs_nothing(self) -> None:
        target = torch.rand(2, 3, 5, 16, 32)
        assert float(edge_l1(target + 0.1, target, torch.ones(16, 32))) == pytest.approx(0, abs=1e-6)


def test_around_the_mouth_its_pixels_are_free() -> None:
    around, inside = around_mouth(96, 48), mouth_focus(96, 48, 4.0)
    assert float(around.mean()) == pytest.approx(1, rel=1e-5)
    assert float(around.flatten()[inside.argmax()]) < 1e-3
    assert float(around[0, 0]) > 1


class TestFocus:
    @pytest.mark.parametrize("rows", [48, 96])
    def test_no_focus_is_the_plain_mean(self, rows: int) -> None:
        one, two = torch.rand(2, 3, 5, rows, 96), torch.rand(2, 3, 5, rows, 96)
        torch.testing.assert_close(focused_l1(one, two, mouth_focus(96, rows, 0.0)), F.l1_loss(one, two))

    @pytest.mark.parametrize("rows", [48, 96])
    def test_the_mouth_weighs_most_and_the_mean_is_one(self, rows: int) -> None:
        focus = mouth_focus(96, rows, 4.0)
        assert focus.shape == (rows, 96)
        assert float(focus.mean()) == pytest.approx(1, rel=1e-5)
        row, column = divmod(int(focus.argmax()), 96)
        assert 0.65 < (row + 96 - rows) / 96 < 0.8
        assert column in (47, 48)
        assert float(focus.max() / focus.min()) == pytest.approx(5, rel=0.02)
        torch.testing.assert_close(focus, focus.flip(1))

    def test_both_kinds_of_rows_weigh_the_lower_half_alike(self) -> None:
        lower, full = mouth_focus(96, 48, 4.0), mouth_focus(96, 96, 4.0)[48:]
        torch.testing.assert_close(lower / lower[-1, 0], full / full[-1, 0])


@pytest.mark.parametrize(
    ("step", "start", "length", "expected"),
    [(0, 0, 0, 1), (0, 0, 10, 0), (5, 0, 10, 0.5), (10, 0, 10, 1), (99, 100, 10, 0), (100, 100, 0, 1), (99, 100, 0, 0),
     (103, 100, 10, 0.3), (1000, 100, 10, 1)],
)  # fmt: skip
def test_ramp(step: int, start: int, length: int, expected: float) -> None:
    assert ramp(step, start, length) == pytest.approx(expected)
