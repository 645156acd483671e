"""The patch discriminator: shapes, what its norm promises, and that a pass leaves no trace."""

import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import Tensor

from w2l.nets.patches import PatchDimensions, Patches, SteadyConv


def small(**facts: Any) -> Patches:
    torch.manual_seed(0)
    return Patches(PatchDimensions(**({"size": 32, "width": 4} | facts)))


@pytest.mark.parametrize("n_frames", [1, 5])
@pytest.mark.parametrize("size", [32, 64, 96, 112, 128, 192, 256])
def test_shapes_at_all_sizes(size: int, n_frames: int) -> None:
    net = small(size=size, n_frames=n_frames)
    faces = torch.rand(2, 3 * n_frames, size // 2, size)
    with torch.inference_mode():
        logits, features = net(faces), net.features(faces)
    assert len(logits) == len(features) == 2
    for number, (found, layers) in enumerate(zip(logits, features)):
        rows = size // 2 >> number + net.dimensions.n_halvings
        assert found.shape == (2, 1, rows, 2 * rows)
        assert len(layers) == net.dimensions.n_halvings + 1
        assert layers[-1].shape[2:] == found.shape[2:]
    assert logits[0].shape[2] >= 7


@pytest.mark.parametrize("n_scales", [1, 2, 3])
def test_each_scale_is_one_map(n_scales: int) -> None:
    net = small(size=96, n_scales=n_scales)
    assert [found.shape[2] for found in net(torch.rand(1, 15, 48, 96))] == [12, 6, 3][:n_scales]


def test_a_logit_sees_its_patch_only() -> None:
    net = small(size=96, n_scales=1).double()
    faces = torch.rand(1, 15, 48, 96, dtype=torch.double, requires_grad=True)
    net(faces)[0][0, 0, 6, 12].backward()
    assert faces.grad is not None
    seen = faces.grad[0].abs().sum(0).nonzero()
    height, width = (seen.max(0).values - seen.min(0).values + 1).tolist()
    assert height == width == 26


def test_the_gradient_has_no_checkerboard() -> None:
    """Under equal filters every inner pixel must count alike: a kernel that is no multiple of its stride fails."""
    conv = SteadyConv(1, 1, 4, 2, 1)
    torch.nn.init.constant_(conv.weight, 1.0)
    picture = torch.rand(1, 1, 16, 16, requires_grad=True)
    conv(picture).sum().backward()
    assert picture.grad is not None
    inner = picture.grad[..., 2:-2, 2:-2]
    assert inner.std() < 1e-5 * inner.mean()


class TestNorm:
    def exact(self, conv: SteadyConv) -> Tensor:
        largest: Tensor = torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2)
        return largest

    def test_the_largest_singular_value_is_divided_out(self) -> None:
        torch.manual_seed(1)
        conv = SteadyConv(6, 8, 3, 1, 0)
        conv.steady(200)
        x = torch.rand(1, 6, 3, 3)
        expected = torch.nn.functional.conv2d(x, conv.weight / self.exact(conv), conv.bias)
        torch.testing.assert_close(conv(x), expected)

    def test_the_size_of_the_weights_does_not_matter(self) -> None:
        net, x = small(n_scales=1), torch.rand(2, 15, 16, 32)
        before = net(x)[0]
        with torch.no_grad():
            for module in net.modules():
                if isinstance(module, SteadyConv):
                    module.weight.mul_(50)
        net.steady()
        torch.testing.assert_close(net(x)[0], before, rtol=0.02, atol=0.002)

    def test_it_follows_weights_that_move(self) -> None:
        torch.manual_seed(2)
        conv = SteadyConv(6, 8, 3, 1, 0)
        conv.steady(100)
        for _ in range(50):
            with torch.no_grad():
                conv.weight.add_(0.01 * torch.randn_like(conv.weight))
            conv.steady()
        estimate = torch.linalg.vector_norm(conv.weight.detach().flatten(1).mT @ conv.along)
        torch.testing.assert_close(estimate, self.exact(conv), rtol=0.02, atol=0)

    def test_weights_of_zero_give_numbers(self) -> None:
        conv = SteadyConv(3, 4, 3, 1, 1)
        torch.nn.init.zeros_(conv.weight)
        conv.steady()
        conv(torch.rand(1, 3, 8, 8)).sum().backward()
        assert torch.isfinite(conv.along).all()
        assert conv.weight.grad is not None
        assert torch.isfinite(conv.weight.grad).all()


def test_a_pass_moves_no_state_in_training_or_not() -> None:
    net, x = small().train(), torch.rand(2, 15, 16, 32)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    first = net(x)[0]
    assert torch.equal(net(x)[0], first)
    assert torch.equal(net.eval()(x)[0], first)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_pictures_of_a_batch_do_not_mix() -> None:
    net, x = small(), torch.rand(3, 15, 16, 32)
    torch.testing.assert_close(net(x)[0][1:2], net(x[1:2])[0])


def test_every_weight_and_input_gets_a_gradient() -> None:
    net, faces = small(), torch.rand(2, 15, 16, 32, requires_grad=True)
    torch.stack([found.square().sum() for found in net(faces)]).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in net.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    assert faces.grad is not None
    assert torch.isfinite(faces.grad).all()
    assert faces.grad.abs().sum() > 0


def test_dimensions_survive_json() -> None:
    dims = PatchDimensions(size=128, width=8, n_frames=1, n_scales=3)
    assert PatchDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize(
    "wrong",
    [{"size": 97}, {"size": 16}, {"width": 0}, {"n_frames": 0}, {"n_scales": 0}, {"size": 32, "n_scales": 3}],
    ids=str,
)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        PatchDimensions(**wrong)
