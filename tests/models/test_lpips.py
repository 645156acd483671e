"""Reading LPIPS from the public files' layouts, made on the spot with random weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from w2l.core.errors import CheckpointError
from w2l.models.lpips import load_lpips
from w2l.nets.lpips import Lpips

SLICES = {"0": 1, "3": 2, "6": 3, "8": 4, "10": 5}


@pytest.fixture(scope="module")
def network() -> Lpips:
    torch.manual_seed(0)
    network = Lpips().eval().requires_grad_(False)
    for number in range(5):
        network.get_parameter(f"lin{number}").uniform_(0, 1)
    return network


def alexnet(network: Lpips) -> dict[str, Tensor]:
    """As torchvision writes it, a part of the classifier included."""
    weights = {name: value for name, value in network.state_dict().items() if name.startswith("features")}
    return weights | {"classifier.6.bias": torch.zeros(1000)}


def layers(network: Lpips, form: str = "lin{}.model.1.weight") -> dict[str, Tensor]:
    return {form.format(number): network.state_dict()[f"lin{number}"] for number in range(5)}


def whole(network: Lpips, prefix: str = "") -> dict[str, Tensor]:
    """As the lpips package writes its whole network, its two names for each layer included."""
    weights = {
        f"net.slice{SLICES[name.split('.')[1]]}.{name.partition('.')[2]}": value
        for name, value in alexnet(network).items() if name.startswith("features")
    }  # fmt: skip
    weights |= layers(network) | layers(network, "lins.{}.model.1.weight")
    weights |= {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    return {prefix + name: value for name, value in weights.items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def agrees(found: Lpips, network: Lpips) -> bool:
    torch.manual_seed(5)
    first, second = torch.rand(2, 1, 3, 48, 48)
    return bool(torch.equal(found(first, second), network(first, second)))


def test_two_files_in_any_order(tmp_path: Path, network: Lpips) -> None:
    net, lin = saved(tmp_path / "alexnet.pth", alexnet(network)), saved(tmp_path / "alex.pth", layers(network))
    for files in ([net, lin], [lin, net]):
        found = load_lpips(files)
        assert agrees(found, network)
        assert not found.training


@pytest.mark.parametrize("prefix", ["", "module."])
def test_one_file_with_everything(tmp_path: Path, network: Lpips, prefix: str) -> None:
    plain = saved(tmp_path / "plain.pth", whole(network, prefix))
    wrapped = saved(tmp_path / "wrapped.pth", {"state_dict": whole(network, prefix), "epoch": 5})
    assert agrees(load_lpips([plain]), network)
    assert agrees(load_lpips([wrapped]), network)


def test_files_that_lack_something_are_refused_and_the_other_half_asked_for(tmp_path: Path, network: Lpips) -> None:
    net, lin = saved(tmp_path / "alexnet.pth", alexnet(network)), saved(tmp_path / "alex.pth", layers(network))
    with pytest.raises(CheckpointError, match=r"alexnet\.pth: .*layer weights"):
        load_lpips([net])
    with pytest.raises(CheckpointError, match=r"alex\.pth: .*with AlexNet"):
        load_lpips([lin])
    with pytest.raises(CheckpointError, match="no file"):
        load_lpips([])


def test_other_files_are_refused_by_name(tmp_path: Path, network: Lpips) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth do not exist"):
        load_lpips([tmp_path / "none.pth"])
    (tmp_path / "text.pth").write_text("AlexNet")
    with pytest.raises(CheckpointError, match=r"text\.pth is damaged"):
        load_lpips([tmp_path / "text.pth"])
    vgg = saved(tmp_path / "vgg.pth", layers(network) | {"lin1.model.1.weight": torch.ones(1, 128, 1, 1)})
    with pytest.raises(CheckpointError, match=r"vgg\.pth: lin1 .*another network"):
        load_lpips([saved(tmp_path / "alexnet.pth", alexnet(network)), vgg])
    negative = {name: value for name, value in whole(network).items() if not name.startswith("lins")}
    negative["lin0.model.1.weight"] = -torch.ones(1, 64, 1, 1)
    with pytest.raises(CheckpointError, match=r"negative\.pth: .*must not be negative"):
        load_lpips([saved(tmp_path / "negative.pth", negative)])


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path / "evil.pth", {"features.0.weight": Path(".")})
    with pytest.raises(CheckpointError, match="more than weights"):
        load_lpips([path])
