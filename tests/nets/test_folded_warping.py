"""The folded warping generator gives the pictures of the one it was made from."""

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.folding import assert_left_alone
from w2l.nets.blocks import ConvBlock
from w2l.nets.folded.generator import fold
from w2l.nets.folded.layers import FoldedJoin, TorchOperations
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import WarpingGenerator

SIZES = [(16, 1), (96, 1), (96, 4), (112, 2), (128, 3), (192, 2), (256, 1)]


def trained(size: int = 64, n_references: int = 1, width: int = 2, flow_blur: float = 0.0) -> WarpingGenerator:
    """One in eval mode whose norms are far from their beginnings and whose pixels move."""
    torch.manual_seed(7)
    network = WarpingGenerator(GeneratorDimensions(size, width, n_references, "lower", "warping", flow_blur))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.2, 0.9)
            nn.init.uniform_(module.weight, 0.6, 1.4)
            nn.init.uniform_(module.bias, -0.2, 0.4)
    nn.init.normal_(network.flow.weight, 0, 0.3)
    nn.init.normal_(network.to_pixels.weight, 0, 0.3)
    return network.eval()


def inputs(network: WarpingGenerator, batch: int = 2) -> tuple[Tensor, Tensor]:
    dims = network.dimensions
    random = torch.Generator().manual_seed(1)
    faces = torch.rand(batch, 3 * (1 + dims.n_references), dims.size, dims.size, generator=random)
    return torch.rand(batch, 1, 80, 16, generator=random) * 8 - 4, faces


@pytest.mark.parametrize(("size", "n_references"), SIZES)
def test_it_equals_the_eager_network_from_any_row_on(size: int, n_references: int) -> None:
    network = trained(size, n_references)
    given = inputs(network)
    with torch.inference_mode():
        expected = network(*given)
        assert expected.std() > 1e-2, "a test whose picture is flat says nothing"
        for first_row in (0, size // 2, size // 2 + 3, size - 1):
            folded = fold(network, first_row)
            made = folded(*given)
            assert folded.first_row == max(first_row, size // 2)
            assert made.shape == (2, 3, size - folded.first_row, size)
            torch.testing.assert_close(made, expected[..., -made.shape[2] :, :], atol=2e-4, rtol=0)


@pytest.mark.parametrize("n_references", [1, 3])
def test_a_smoothed_flow_is_folded_too(n_references: int) -> None:
    network = trained(96, n_references, flow_blur=0.04)
    given = inputs(network)
    with torch.inference_mode():
        expected = network(*given)
        torch.testing.assert_close(fold(network, 0)(*given), expected, atol=2e-4, rtol=0)
        assert (trained(96, n_references)(*given) - expected).abs().max() > 0.01


def test_in_double_precision_hardly_a_trace_differs() -> None:
    """What is left is the float32 of the mixture alone."""
    network = trained(96, 2).double()
    given = [tensor.double() for tensor in inputs(network)]
    with torch.inference_mode():
        assert float((fold(network)(*given) - network(*given)).abs().max()) < 2e-5


def test_clips_are_folded_like_frames() -> None:
    network = trained(64, 2)
    mel, faces = inputs(network, 6)
    mel, faces = mel.unflatten(0, (2, 3)), faces.unflatten(0, (2, 3)).transpose(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(fold(network, 32)(mel, faces), network(mel, faces), atol=2e-4, rtol=0)


def test_the_generator_stays_as_it_was() -> None:
    assert_left_alone(trained(), lambda network: fold(network, 40))


def test_half_precision_stays_within_a_grey_level() -> None:
    """Flow and mixture are float32 then, too: half precision would move pixels by tenths of a pixel."""
    network = trained(96, 2)
    mel, faces = inputs(network)
    smooth = nn.functional.avg_pool2d(faces, 9, 1, 4)  # noise would show the slightest move
    with torch.inference_mode():
        made = fold(network).half()(mel.half(), smooth.half())
        expected = fold(network)(mel.half().float(), smooth.half().float())
    assert made.dtype == torch.float32
    assert float((made - expected).abs().mean()) < 1 / 255


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="eval"):
        fold(trained().train())


def test_the_parts_of_a_join_add_up() -> None:
    torch.manual_seed(0)
    block = ConvBlock(3 + 5, 4, 1).eval()
    join = FoldedJoin(block, 3)
    x, sound, do = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 1, 1), TorchOperations()
    with torch.inference_mode():
        expected = block(torch.cat([x, sound.expand(-1, -1, 6, 6)], dim=1))
        made = do.add_relu(do.convolve(join.features, x), do.convolve(join.sound, sound))
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("block", [ConvBlock(8, 4, 3, 1, 1), ConvBlock(8, 8, 1, ending="residual")])
def test_what_cannot_be_taken_apart_is_refused(block: ConvBlock) -> None:
    with pytest.raises(TypeError, match="1 x 1"):
        FoldedJoin(block, 3)
