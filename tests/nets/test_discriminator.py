"""The quality discriminator: reference vectors, public layout, other dimensions."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.helpers.golden import golden_seeds
from w2l.nets.blocks import fold_time, lower_half
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions


@pytest.mark.parametrize("seed", golden_seeds("nets"))
def test_probabilities_agree_with_the_reference(
    seed: int,
    load_published: Callable[..., nn.Module],
    vectors: Callable[[int], dict[str, Any]],
    rule_input: Callable[..., Tensor],
) -> None:
    net = load_published(Discriminator(), "disc_qual", seed)
    faces = lower_half(fold_time(rule_input(seed, "disc.face", (2, 3, 5, 96, 96), "unit")))
    with torch.inference_mode():
        probability, logits = net(faces), net.logits(faces)
    golden = vectors(seed)
    np.testing.assert_allclose(probability.numpy(), golden["disc_pred"], atol=2e-5, rtol=1e-4)
    perceptual = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    np.testing.assert_allclose(float(perceptual), golden["disc_perceptual"], rtol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 5])
@pytest.mark.parametrize("size", [64, 96, 112, 128, 192, 256])
def test_shapes_at_other_sizes(size: int, n_frames: int) -> None:
    net = Discriminator(DiscriminatorDimensions(size=size, width=2, n_frames=n_frames))
    faces = torch.rand(2, 3 * n_frames, size // 2, size)
    with torch.inference_mode():
        probability, logits = net(faces), net.logits(faces)
    assert probability.shape == logits.shape == (2, 1)
    torch.testing.assert_close(probability, torch.sigmoid(logits))


def test_every_weight_and_input_gets_a_gradient() -> None:
    net = Discriminator(DiscriminatorDimensions(width=4))
    faces = torch.rand(2, 3, 48, 96, requires_grad=True)
    net.logits(faces).square().sum().backward()
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in net.parameters())
    assert faces.grad is not None
    assert faces.grad.abs().sum() > 0


def test_dimensions_survive_json() -> None:
    dims = DiscriminatorDimensions(size=128, width=8, n_frames=5)
    assert DiscriminatorDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize("wrong", [{"size": 97}, {"size": 16}, {"width": 0}, {"n_frames": 0}], ids=str)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiscriminatorDimensions(**wrong)
