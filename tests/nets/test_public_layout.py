"""At their default dimensions the networks have the tensors of the published checkpoints, by name, shape and order."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.golden import published_keys
from w2l.nets.discriminator import Discriminator
from w2l.nets.expert import Expert
from w2l.nets.generator import Generator
from w2l.nets.judge import Judge

NETWORKS = [
    pytest.param(Generator, "wav2lip", 36_298_035, id="generator"),
    pytest.param(Expert, "expert", 16_435_072, id="expert"),
    pytest.param(Discriminator, "disc_qual", 14_113_793, id="discriminator"),
    pytest.param(Judge, "syncnet_v2", 13_631_616, id="judge"),
]
DTYPES = {"float32": torch.float32, "int64": torch.int64}


def on_paper(build: Callable[[], nn.Module]) -> nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return build()


def on_paper_state(network: str) -> dict[str, Tensor]:
    """The published tensors without memory for their values."""
    keys = published_keys(network)
    return {key: torch.empty(shape, dtype=DTYPES[dtype], device="meta") for key, shape, dtype in keys}


@pytest.mark.parametrize(("build", "network", "n_parameters"), NETWORKS)
def test_number_of_parameters(build: Callable[[], nn.Module], network: str, n_parameters: int) -> None:
    assert sum(parameter.numel() for parameter in on_paper(build).parameters()) == n_parameters


@pytest.mark.parametrize(("build", "network", "n_parameters"), NETWORKS)
def test_names_shapes_types_and_order(build: Callable[[], nn.Module], network: str, n_parameters: int) -> None:
    ours, published = on_paper(build).state_dict(), on_paper_state(network)
    assert [(k, v.shape, v.dtype) for k, v in ours.items()] == [(k, v.shape, v.dtype) for k, v in published.items()]


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "module."])
@pytest.mark.parametrize(("build", "network", "n_parameters"), NETWORKS)
def test_strict_loading(build: Callable[[], nn.Module], network: str, n_parameters: int, wrapped: bool) -> None:
    """Also with the prefix that a parallel wrapper leaves on every name."""
    net, state = on_paper(build), on_paper_state(network)
    if wrapped:
        net, state = nn.ModuleDict({"module": net}), {f"module.{key}": value for key, value in state.items()}
    net.load_state_dict(state, strict=True, assign=True)
