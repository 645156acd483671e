"""Networks as after a training, for the tests of folded ones, and that folding leaves them alone."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def far_from_its_beginning(network: N) -> N:
    """Return the network in evaluation mode, with norms that are far from what they begin as."""
    random = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, NORMS):
            for value, low, high in [
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.2, 0.9), (module.weight, 0.6, 1.4),
                (module.bias, -0.2, 0.4),
            ]:  # fmt: skip
                assert value is not None
                value.data.copy_(torch.rand(value.shape, generator=random) * (high - low) + low)
    return network.eval()


def assert_left_alone(network: N, fold: Callable[[N], nn.Module]) -> nn.Module:
    """Fold the network and ruin the result, whose weights are its own and without gradient; returns that."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold(network)
    for parameter in folded.parameters():
        assert not parameter.requires_grad
        parameter.data.zero_()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(isinstance(module, NORMS) for module in folded.modules())
    return folded
