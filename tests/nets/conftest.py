"""Networks with the weights of the reference vectors."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Load = Callable[[nn.Module, str, int], nn.Module]
Vectors = Callable[[int], dict[str, NDArray[Any]]]


@pytest.fixture(scope="session")
def load_published(shared: Path, golden_rule: ModuleType) -> Load:
    """Loads the weights of a published network at a seed, with strict keys, and gives the network in eval mode."""

    def load(net: nn.Module, network: str, seed: int) -> nn.Module:
        spec = json.loads((shared / "reference" / "checkpoints" / f"{network}.json").read_text())
        arrays = golden_rule.state_dict_for(network, seed, spec)
        net.load_state_dict({key: torch.as_tensor(array) for key, array in arrays.items()}, strict=True)
        return net.eval()

    return load


@pytest.fixture(scope="session")
def vectors(shared: Path) -> Vectors:
    """The reference vectors of the networks at a seed."""
    cache: dict[int, dict[str, NDArray[Any]]] = {}

    def read(seed: int) -> dict[str, NDArray[Any]]:
        if seed not in cache:
            with np.load(shared / "reference" / "golden" / f"nets_seed{seed}.npz") as archive:
                cache[seed] = {name: archive[name] for name in archive.files}
        return cache[seed]

    return read


@pytest.fixture(scope="session")
def rule_input(golden_rule: ModuleType) -> Callable[[int, str, tuple[int, ...], str], Tensor]:
    """A network input of the reference vectors: (seed, name, shape, kind)."""

    def make(seed: int, name: str, shape: tuple[int, ...], kind: str) -> Tensor:
        return torch.as_tensor(golden_rule.array_for(seed, name, shape, kind))

    return make
