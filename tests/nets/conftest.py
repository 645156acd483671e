"""Networks with the weights of the reference vectors."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from tests.helpers import golden

Load = Callable[[nn.Module, str, int], nn.Module]
Vectors = Callable[[int], golden.Vectors]


@pytest.fixture(scope="session")
def load_published() -> Load:
    """Loads the weights of a published network at a seed, with strict keys, and gives the network in eval mode."""

    def load(net: nn.Module, network: str, seed: int) -> nn.Module:
        net.load_state_dict(golden.published_state(network, seed), strict=True)
        return net.eval()

    return load


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """The reference vectors of the networks at a seed."""
    return lambda seed: golden.golden_vectors(f"nets_seed{seed}")


@pytest.fixture(scope="session")
def rule_input(golden_rule: ModuleType) -> Callable[[int, str, tuple[int, ...], str], Tensor]:
    """A network input of the reference vectors: (seed, name, shape, kind)."""

    def make(seed: int, name: str, shape: tuple[int, ...], kind: str) -> Tensor:
        return torch.as_tensor(golden_rule.array_for(seed, name, shape, kind))

    return make
