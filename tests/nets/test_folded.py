"""The folded generator gives the pictures of the one it was made from, whatever its dimensions and the rows."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.folding import assert_left_alone, far_from_its_beginning
from tests.helpers.golden import golden_seeds
from w2l.nets.folded import generator as folded_module
from w2l.nets.folded.generator import fold
from w2l.nets.generator import Generator, GeneratorDimensions

DIMENSIONS = [
    GeneratorDimensions(size, width, n_references, rows)
    for size, width, n_references in [(64, 2, 1), (96, 3, 2), (112, 2, 1), (128, 2, 3), (192, 2, 1), (256, 2, 2)]
    for rows in ("full", "lower")
]


def trained(dims: GeneratorDimensions) -> Generator:
    """A generator in eval mode whose norms and weights are far from their beginnings and whose rows differ."""
    torch.manual_seed(7)
    return far_from_its_beginning(Generator(dims))


def inputs(dims: GeneratorDimensions, batch: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    faces = torch.rand(batch, 3 * (1 + dims.n_references), dims.size, dims.size, generator=random)
    return torch.rand(batch, 1, 80, 16, generator=random) * 8 - 4, faces


@pytest.mark.parametrize("dims", DIMENSIONS, ids=lambda dims: f"{dims.size}-{dims.rows}-{dims.n_references}")
def test_it_equals_the_eager_network_from_any_row_on(dims: GeneratorDimensions) -> None:
    network, size = trained(dims), dims.size
    given = inputs(dims)
    with torch.inference_mode():
        expected = network(*given)
        assert expected.std() > 1e-2, "a test whose picture is flat says nothing"
        for first_row in (0, 1, size // 4 + 1, size // 2 - 2, size // 2, size // 2 + 5, size - 17, size - 1):
            folded = fold(network, first_row)
            made = folded(*given)
            assert folded.first_row == max(first_row, size // 2 if dims.rows == "lower" else 0)
            assert made.shape == (2, 3, size - folded.first_row, size)
            torch.testing.assert_close(made, expected[..., -made.shape[2] :, :], atol=1e-4, rtol=0)


@pytest.mark.parametrize("halo", [0, 1, folded_module.DECODER_RESIDUALS])
def test_every_row_of_the_halo_is_needed(halo: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one row less above each level the pictures change: in double precision even a trace would show."""
    dims = GeneratorDimensions(96, 2)
    network, given = trained(dims).double(), [tensor.double() for tensor in inputs(dims)]
    monkeypatch.setattr(folded_module, "DECODER_RESIDUALS", halo)
    with torch.inference_mode():
        expected = network(*given)
        spoiled = [
            float((fold(network, first_row)(*given) - expected[..., first_row:, :]).abs().max())
            for first_row in range(44, 52)
        ]
    is_exact = halo == 2
    assert (max(spoiled) < 1e-12) == is_exact
    assert (min(spoiled) < 1e-12) == is_exact or halo == 1


def test_less_is_computed_for_fewer_rows() -> None:
    dims = GeneratorDimensions(96, 2)
    multiplied = [count(fold(trained(dims), first_row), dims) for first_row in (0, 24, 48, 72)]
    assert multiplied == sorted(multiplied, reverse=True)
    assert multiplied[2] < 0.75 * multiplied[0]


def count(network: nn.Module, dims: GeneratorDimensions) -> int:
    """Multiplications of all convolutions for one frame."""
    total = [0]

    def add(module: nn.Module, given: Any, made: Tensor) -> None:
        assert isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
        pixels = given[0] if module.transposed else made
        total[0] += module.weight.numel() * pixels.shape[2] * pixels.shape[3]

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(add)
    with torch.inference_mode():
        network(*inputs(dims, 1))
    return total[0]


def test_clips_are_folded_like_frames() -> None:
    dims = GeneratorDimensions(64, 2, 2)
    mel, faces = inputs(dims, 6)
    mel, faces = mel.unflatten(0, (2, 3)), faces.unflatten(0, (2, 3)).transpose(1, 2)
    network = trained(dims)
    with torch.inference_mode():
        torch.testing.assert_close(fold(network, 32)(mel, faces), network(mel, faces)[..., 32:, :], atol=1e-4, rtol=0)


def test_the_generator_stays_as_it_was() -> None:
    assert_left_alone(trained(GeneratorDimensions(64, 2)), lambda network: fold(network, 40))


def test_a_network_in_training_is_refused() -> None:
    network = trained(GeneratorDimensions(64, 2))
    network.face_decoder_blocks[1].train()
    with pytest.raises(ValueError, match="eval"):
        fold(network)


@pytest.mark.parametrize("first_row", [-1, 64, 1000])
def test_rows_outside_the_face_are_refused(first_row: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 63"):
        fold(trained(GeneratorDimensions(64, 2)), first_row)


@pytest.mark.parametrize(("seed", "first_row"), list(zip(golden_seeds("nets"), (0, 48))))
def test_pictures_agree_with_the_reference(
    seed: int, first_row: int, golden_rule: Any, load_published: Any, vectors: Any
) -> None:
    network = load_published(Generator(), "wav2lip", seed)
    mel, faces = map(torch.as_tensor, golden_rule.wav2lip_inputs(seed))
    with torch.inference_mode():
        made = fold(network, first_row)(mel, faces).numpy()
    row = vectors(seed)["wav2lip4_row"]
    assert abs(made[0, :, 48 - first_row, :] - row).max() < 1e-4
