"""LPIPS against its definition with a plain AlexNet, and its properties."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.nets.lpips import MIN_SIDE, WIDTHS, Lpips


@pytest.fixture(scope="module")
def network() -> Lpips:
    torch.manual_seed(3)
    network = Lpips().eval().requires_grad_(False)
    for number in range(len(WIDTHS)):
        network.get_parameter(f"lin{number}").uniform_(0, 1)
    return network


def published(network: Lpips, first: Tensor, second: Tensor) -> Tensor:
    """The formula of the paper, layer by layer, on AlexNet as torchvision writes it down."""
    names = {0: "0", 3: "3", 6: "6", 8: "8", 10: "10"}
    pool = nn.MaxPool2d(3, 2)
    layout = [network.features[names[i]] if i in names else pool if i in (2, 5) else nn.ReLU() for i in range(12)]
    total = torch.zeros(len(first))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    one, other = ((((x + 1) / 2) - mean[:, None, None]) / std[:, None, None] for x in (first, second))
    layer = 0
    for number, module in enumerate(layout):
        one, other = module(one), module(other)
        if number in (1, 4, 7, 9, 11):
            difference = F.normalize(one, dim=1) - F.normalize(other, dim=1)
            weight = network.get_parameter(f"lin{layer}")[0, :, 0, 0]
            total += torch.einsum("bchw,c->bhw", difference**2, weight).mean(dim=(1, 2))
            layer += 1
    return total


@pytest.mark.parametrize("size", [(64, 64), (MIN_SIDE, 80)])
def test_it_is_the_published_formula(network: Lpips, size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    first, second = (torch.rand(2, 3, *size) * 2 - 1 for _ in range(2))
    assert torch.allclose(network(first, second), published(network, first, second), rtol=1e-4)


def test_equal_pictures_have_no_distance_and_order_does_not_matter(network: Lpips) -> None:
    torch.manual_seed(2)
    first = torch.rand(2, 3, 64, 64) * 2 - 1
    weak, strong = first + 0.1 * torch.randn_like(first), first + 0.6 * torch.randn_like(first)
    assert network(first, first).abs().max() == 0
    assert torch.allclose(network(first, weak), network(weak, first), rtol=1e-4)
    assert (network(first, weak) < network(first, strong)).all()


def test_names_of_its_weights_are_those_of_the_public_files() -> None:
    names = set(Lpips().state_dict())
    convolutions = {f"features.{number}.{kind}" for number in (0, 3, 6, 8, 10) for kind in ("weight", "bias")}
    assert names == convolutions | {f"lin{number}" for number in range(5)}
