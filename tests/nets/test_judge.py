"""The judge: reference vectors, public layout, other dimensions."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.golden import golden_seeds
from w2l.nets.judge import Judge, JudgeDimensions


@pytest.mark.parametrize("seed", golden_seeds("nets"))
def test_embeddings_agree_with_the_reference(
    seed: int,
    load_published: Callable[..., nn.Module],
    vectors: Callable[[int], dict[str, Any]],
    rule_input: Callable[..., Tensor],
) -> None:
    net = load_published(Judge(), "syncnet_v2", seed)
    frames = rule_input(seed, "sv2.lip", (3, 3, 5, 224, 224), "byte")
    mfcc = 20 * rule_input(seed, "sv2.aud", (3, 1, 13, 20), "normal")
    with torch.inference_mode():
        seen = {"sv2_lip": net.forward_lip(frames), "sv2_aud": net.forward_aud(mfcc)}
        seen["sv2_lipfeat"] = net.forward_lipfeat(frames)
    for name, tensor in seen.items():
        np.testing.assert_allclose(tensor.numpy(), vectors(seed)[name], atol=2e-3, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(("size", "grid"), [(96, 2), (112, 2), (128, 3), (224, 6)])
def test_shapes_at_other_sizes(size: int, grid: int) -> None:
    dims = JudgeDimensions(size=size, width=6)
    assert dims.lip_grid == grid
    net = Judge(dims)
    audio, lips = net(torch.randn(4, 1, 13, 20), torch.rand(4, 3, 5, size, size))
    assert audio.shape == lips.shape == (4, dims.embedding) == (4, 64)
    (audio - lips).square().sum().backward()
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_dimensions_survive_json() -> None:
    dims = JudgeDimensions(size=112, width=48)
    assert JudgeDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize("wrong", [{"size": 50}, {"width": 0}], ids=str)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JudgeDimensions(**wrong)
