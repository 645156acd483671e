"""The weights that a generator begins with: its own layout's, of BGR models, of smaller sizes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from w2l.core.errors import ConfigError
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import Model, ModelCard, dimensions_of
from w2l.models.tensors import in_order
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import GeneratorDimensions, GeneratorLayout
from w2l.nets.warping import make_generator
from w2l.training.generator.initial_weights import copy_audio_encoder, start_from

SIZE = 32


def generator(layout: GeneratorLayout = "published", size: int = SIZE, width: int = 2, n_references: int = 1) -> Any:
    return make_generator(GeneratorDimensions(size, width, n_references, "lower", layout)).eval()


def model(network: Any, colour: Any = "rgb") -> Model:
    card = ModelCard("generator", dimensions_of(network), CropSpec("aligned", network.dimensions.size), colour)
    return Model(network, card, Path("init.pth"))


@pytest.mark.parametrize("layout", ["published", "warping"])
def test_weights_are_taken_over(layout: GeneratorLayout) -> None:
    torch.manual_seed(1)
    init, mine = generator(layout), generator(layout)
    start_from(mine, model(init))
    own = mine.state_dict()
    assert all(torch.equal(own[key], value) for key, value in init.state_dict().items())


def test_a_bgr_generator_becomes_an_rgb_one() -> None:
    torch.manual_seed(3)
    init, mine = generator(), generator()
    start_from(mine, model(init, "bgr"))
    mel, faces = torch.randn(2, 1, 80, 16), torch.rand(2, 6, SIZE, SIZE)
    with torch.no_grad():
        published = in_order(init(mel, in_order(faces, "bgr")), "bgr")
        torch.testing.assert_close(mine(mel, faces), published, atol=1e-6, rtol=1e-5)
    assert not torch.equal(mine.output_block[1].bias, init.output_block[1].bias)


@pytest.mark.parametrize(
    ("layout", "small", "large", "share"),
    [("warping", 64, 96, 0.0), ("warping", 96, 128, 0.99), ("warping", 96, 192, 0.9), ("published", 96, 192, 0.6)],
)
def test_coarse_to_fine(layout: GeneratorLayout, small: int, large: int, share: float) -> None:
    """All levels that both sizes have are taken, and what is left is a working generator."""
    torch.manual_seed(4)
    init, mine = generator(layout, small), generator(layout, large)
    before = {name: tensor.clone() for name, tensor in mine.state_dict().items()}
    start_from(mine, model(init))
    after = mine.state_dict()
    weights = [name for name in after if name.endswith("weight") and after[name].dim() == 4]
    changed = [name for name in weights if not torch.equal(after[name], before[name])]
    n_changed = sum(after[name].numel() for name in changed)
    assert n_changed / sum(after[name].numel() for name in weights) >= share
    generated = mine(torch.randn(1, 1, 80, 16), torch.rand(1, 6, large, large))
    assert generated.shape == (1, 3, large // 2, large)


def test_a_larger_warping_generator_begins_where_the_small_one_ended() -> None:
    """From 96 to 128 pixels no weight is new: a picture twice as fine is not yet twice as good, but no worse."""
    torch.manual_seed(5)
    init, mine = generator("warping", 96), generator("warping", 128)
    start_from(mine, model(init))
    assert all(torch.equal(value, init.state_dict()[key]) for key, value in mine.state_dict().items())


@pytest.mark.parametrize("layout", ["published", "warping"])
@pytest.mark.parametrize(("begun", "wanted"), [(1, 3), (2, 1), (3, 2)])
def test_from_another_number_of_references_it_goes_on_as_from_copies_of_one(
    layout: GeneratorLayout, begun: int, wanted: int
) -> None:
    torch.manual_seed(7)
    init, mine = generator(layout, n_references=begun), generator(layout, n_references=wanted)
    if layout == "warping":  # references that are moved alike, each with a share of its own
        torch.nn.init.normal_(init.flow.weight[:2], std=0.3)
        init.flow.weight.data = init.flow.weight[:2].repeat(begun, 1, 1, 1).detach()
        init.output.weight.data[5:] = init.output.weight[4:5].detach()
        init.output.bias.data[4:] = 0.3
    start_from(mine, model(init))
    mel, masked, picture = torch.randn(2, 1, 80, 16), torch.rand(2, 3, SIZE, SIZE), torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = init(mel, torch.cat([masked, picture.repeat(1, begun, 1, 1)], dim=1))
        found = mine(mel, torch.cat([masked, picture.repeat(1, wanted, 1, 1)], dim=1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("other", "name"),
    [({"width": 3}, "width"), ({"layout": "warping"}, "layout")],
)
def test_other_dimensions_are_refused(other: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"init init\.pth has {name}=.*set {name} to the same value") as caught:
        start_from(generator(), model(generator(**other)))
    assert "\n" not in str(caught.value)


class TestHearing:
    def expert(self, width: int = 2, layout: Any = "strided") -> Model:
        torch.manual_seed(6)
        network = Expert(ExpertDimensions(SIZE, 5, width, signed=True, layout=layout)).eval()
        return Model(network, ModelCard("expert", dimensions_of(network)), Path("expert.safetensors"))

    def test_a_generator_hears_as_the_expert_does(self) -> None:
        expert, mine = self.expert(), generator("warping")
        copy_audio_encoder(mine, expert)
        mel = torch.randn(3, 1, 80, 16)
        with torch.no_grad():
            heard = torch.nn.functional.normalize(mine.audio_encoder(mel).flatten(1), dim=1)
            torch.testing.assert_close(heard, expert.network.embed_audio(mel))  # type: ignore[operator]

    @pytest.mark.parametrize("other", [{"width": 3}, {"layout": "published"}])
    def test_an_audio_encoder_of_another_shape_is_refused(self, other: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=r"audio_encoder_init=expert: .*expert\.safetensors.*set width"):
            copy_audio_encoder(generator("warping"), self.expert(**other))


def test_an_expert_is_no_start() -> None:
    network = Expert(ExpertDimensions(SIZE, 5, 2))
    wrong = Model(network, ModelCard("expert", dimensions_of(network)), Path("expert.safetensors"))
    with pytest.raises(ConfigError, match=r"init expert\.safetensors is not a generator"):
        start_from(generator(), wrong)
