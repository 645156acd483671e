"""Gradients that are no numbers change nothing and are counted; memory that is used up is told in one line."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from w2l.core.errors import ConfigError, TrainingError
from w2l.training.guards import GradientGuard, is_out_of_memory, memory_errors

BAD = (math.nan, math.inf, -math.inf)
HUGE = 10**15
"""Bytes that no machine has."""


class Learner:
    """Four weights and an optimiser with a memory of past gradients."""

    def __init__(self, guard: GradientGuard) -> None:
        torch.manual_seed(0)
        self.net = nn.Linear(4, 1, bias=False)
        self.optimiser: torch.optim.Optimizer = torch.optim.Adam(self.net.parameters(), 0.1)
        self.guard = guard

    def update(self, gradient: float, name: str = "generator") -> float:
        self.net.weight.grad = torch.full_like(self.net.weight, gradient)
        return float(self.guard.update(name, self.optimiser, self.net.parameters()))

    @property
    def weights(self) -> list[float]:
        return [float(value) for value in self.net.weight.detach().flatten()]


@pytest.fixture
def learner() -> Learner:
    return Learner(GradientGuard(1.0, most_in_a_row=3))


class TestGradients:
    def test_a_good_one_counts(self, learner: Learner) -> None:
        before = learner.weights
        assert learner.update(0.25) == pytest.approx(0.5)  # of four: sqrt(4 * 0.25^2)
        assert learner.weights != before
        assert learner.guard.terms() == {}

    def test_a_large_one_is_scaled_down(self) -> None:
        learner = Learner(GradientGuard(1.0))
        learner.optimiser = torch.optim.SGD(learner.net.parameters(), 1.0)
        before = np.array(learner.weights)
        assert learner.update(1e6) == pytest.approx(2e6)
        assert np.linalg.norm(np.array(learner.weights) - before) == pytest.approx(1.0, rel=1e-4)

    @pytest.mark.parametrize("bad", BAD)
    def test_a_bad_one_leaves_no_trace(self, bad: float, learner: Learner) -> None:
        """The updates around it are as if it had never come."""
        other = Learner(GradientGuard(1.0))
        for guarded in (learner, other):
            guarded.update(0.25)
        assert learner.update(bad) == 0.0
        assert learner.weights == other.weights
        for guarded in (learner, other):
            guarded.update(-0.5)
        assert learner.weights == other.weights
        assert learner.guard.terms() == {"skipped": 1.0}

    def test_one_bad_weight_is_enough(self, learner: Learner) -> None:
        before = learner.weights
        learner.net.weight.grad = torch.tensor([[0.1, 0.1, math.nan, 0.1]])
        learner.guard.update("generator", learner.optimiser, learner.net.parameters())
        assert learner.weights == before

    def test_too_many_in_a_row_end_the_run(self, learner: Learner) -> None:
        for gradient in (math.nan, math.nan, 0.1, math.inf, math.nan):
            learner.update(gradient)
        with pytest.raises(
            TrainingError, match=r"gradient of the generator .* 3 consecutive steps.*learning rate"
        ) as caught:
            learner.update(math.nan)
        assert "\n" not in str(caught.value)

    def test_networks_are_counted_apart(self, learner: Learner) -> None:
        for _ in range(2):
            learner.update(math.nan, "generator")
            learner.update(math.nan, "discriminator")
        assert learner.guard.skipped == 4

    def test_a_stop_does_not_begin_the_count_anew(self, learner: Learner) -> None:
        learner.update(math.nan)
        learner.update(math.nan)
        again = Learner(GradientGuard(1.0, most_in_a_row=3))
        again.guard.load_state_dict(learner.guard.state_dict())
        assert again.guard.skipped == 2
        with pytest.raises(TrainingError):
            again.update(math.nan)

    def test_with_a_scale_for_small_numbers(self, learner: Learner) -> None:
        """The scaler leaves the update out itself and halves its scale; the count is the same."""
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        before = learner.weights
        for gradient, scale in ((math.inf, 512.0), (0.25, 512.0)):
            learner.net.weight.grad = torch.full_like(learner.net.weight, gradient * scaler.get_scale())
            scaler.scale(torch.zeros(()))
            scaler.unscale_(learner.optimiser)
            norm = learner.guard.update("generator", learner.optimiser, learner.net.parameters(), scaler)
            scaler.update()
            assert scaler.get_scale() == scale
            assert (learner.weights == before) == (gradient == math.inf)
        assert float(norm) == pytest.approx(0.5)
        assert learner.guard.skipped == 1

    @pytest.mark.parametrize(("clip_norm", "most"), [(0.0, 3), (math.nan, 3), (-1.0, 3), (1.0, 0)])
    def test_limits_that_make_no_sense(self, clip_norm: float, most: int) -> None:
        with pytest.raises(ConfigError):
            GradientGuard(clip_norm, most)

    def test_no_limit(self) -> None:
        assert Learner(GradientGuard(math.inf)).update(1e6) == pytest.approx(2e6)


class TestMemory:
    def test_of_pytorch_on_the_cpu(self) -> None:
        """As PyTorch itself says it, whatever the version."""
        said = "run a, step 7: out of memory; reduce width"
        with pytest.raises(TrainingError, match=said) as caught, memory_errors(lambda: "run a, step 7", "width"):
            torch.empty(HUGE, dtype=torch.uint8)
        assert "\n" not in str(caught.value)

    def test_of_numpy(self) -> None:
        with pytest.raises(TrainingError, match="out of memory"), memory_errors(lambda: "here", "width"):
            np.empty(HUGE, np.uint8)

    def test_of_a_gpu(self) -> None:
        with pytest.raises(TrainingError, match="out of GPU memory"), memory_errors(lambda: "here", "width"):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    @pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("no"), TrainingError("else")])
    def test_other_errors_pass(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught, memory_errors(lambda: "here", "width"):
            raise error
        assert caught.value is error
        assert not is_out_of_memory(error)
