"""LipGAN's discriminator of sound and face: shapes, unit embeddings, distances."""

import dataclasses
import json
from typing import Any

import pytest
import torch

from w2l.nets.pairs import PairDimensions, Pairs, pair_distances


@pytest.mark.parametrize("rows", ["lower", "full"])
@pytest.mark.parametrize("size", [32, 64, 96, 112, 128, 192, 256])
def test_shapes_at_all_sizes(size: int, rows: Any) -> None:
    net = Pairs(PairDimensions(size, 2, rows))
    with torch.inference_mode():
        audio, face = net(torch.randn(3, 1, 80, 16), torch.rand(3, 3, size // 2 if rows == "lower" else size, size))
    assert audio.shape == face.shape == (3, 32)
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(face.norm(dim=1), torch.ones(3))


def test_the_default_has_the_layers_of_lipgan() -> None:
    """Channels and kernels of the table of the public code's discriminator, the sound's strides being ours."""
    net = Pairs(PairDimensions(rows="full"))

    def convolutions(part: torch.nn.Module) -> list[tuple[int, int]]:
        found = [module for module in part.modules() if isinstance(module, torch.nn.Conv2d)]
        return [(module.out_channels, module.kernel_size[0]) for module in found]

    assert convolutions(net.face_encoder) == [(64, 7), (128, 5), (256, 3), (512, 3), (512, 3), (512, 3)]
    assert convolutions(net.audio_encoder) == [(32, 3), (64, 3), (128, 3), (256, 3), (512, 3), (512, 1)]


def test_embeddings_point_anywhere() -> None:
    torch.manual_seed(0)
    audio, face = Pairs(PairDimensions(32, 4))(torch.randn(8, 1, 80, 16), torch.rand(8, 3, 16, 32))
    assert (audio < 0).any()
    assert (face < 0).any()


def test_pictures_of_a_batch_do_not_mix() -> None:
    net, mel, faces = Pairs(PairDimensions(32, 2)), torch.randn(3, 1, 80, 16), torch.rand(3, 3, 16, 32)
    torch.testing.assert_close(net(mel, faces)[1][1:2], net(mel[1:2], faces[1:2])[1])


def test_distances_by_hand() -> None:
    right, up = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    found = pair_distances(torch.stack([right, right, right]), torch.stack([right, up, -right]))
    torch.testing.assert_close(found, torch.tensor([0.0, 2**0.5, 2.0]))


def test_no_distance_has_a_gradient_that_is_a_number() -> None:
    audio = torch.tensor([[1.0, 0.0]], requires_grad=True)
    pair_distances(audio, torch.tensor([[1.0, 0.0]])).sum().backward()  # type: ignore[no-untyped-call]
    assert audio.grad is not None
    assert torch.isfinite(audio.grad).all()


def test_every_weight_and_input_gets_a_gradient() -> None:
    net = Pairs(PairDimensions(32, 2))
    mel, faces = torch.randn(3, 1, 80, 16, requires_grad=True), torch.rand(3, 3, 16, 32, requires_grad=True)
    pair_distances(*net(mel, faces)).sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in net.parameters())
    for given in (mel, faces):
        assert given.grad is not None
        assert given.grad.abs().sum() > 0


def test_dimensions_survive_json() -> None:
    dims = PairDimensions(128, 8, "full")
    assert PairDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize("wrong", [{"size": 97}, {"size": 16}, {"width": 0}, {"rows": "upper"}], ids=str)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PairDimensions(**wrong)
