"""The folded judge gives the embeddings of the one it was made from, in both precisions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.folding import assert_left_alone, far_from_its_beginning
from tests.helpers.golden import golden_seeds
from w2l.nets.folded.judge import STEM_WINDOWS, fold_judge
from w2l.nets.judge import Judge, JudgeDimensions


def trained(dims: JudgeDimensions) -> Judge:
    """A judge in evaluation mode whose norms are far from their beginnings."""
    torch.manual_seed(7)
    return far_from_its_beginning(Judge(dims))


def one_after_the_other(frames: Tensor) -> Tensor:
    """(batch, 3, 5, rows, columns) -> (batch, 15, rows, columns)."""
    return frames.transpose(1, 2).flatten(1, 2)


def windows(size: int, batch: int) -> Tensor:
    return torch.randint(0, 256, (batch, 3, 5, size, size), generator=torch.Generator().manual_seed(1)).float()


@pytest.mark.parametrize("seed", golden_seeds("nets"))
def test_embeddings_agree_with_the_reference(
    seed: int,
    load_published: Callable[..., nn.Module],
    vectors: Callable[[int], dict[str, Any]],
    rule_input: Callable[..., Tensor],
) -> None:
    judge = load_published(Judge(), "syncnet_v2", seed)
    assert isinstance(judge, Judge)
    net = fold_judge(judge)
    frames = one_after_the_other(rule_input(seed, "sv2.lip", (3, 3, 5, 224, 224), "byte"))
    mfcc = 20 * rule_input(seed, "sv2.aud", (3, 1, 13, 20), "normal")
    with torch.inference_mode():
        seen = {"sv2_lip": net.forward_lip(frames), "sv2_aud": net.forward_aud(mfcc)}
        seen["sv2_lipfeat"] = net.forward_lipfeat(frames)
    for name, tensor in seen.items():
        np.testing.assert_allclose(tensor.numpy(), vectors(seed)[name], atol=2e-3, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("size", [96, 112, 224])
@pytest.mark.parametrize("batch", [1, STEM_WINDOWS, 2 * STEM_WINDOWS + 1])
def test_it_equals_the_eager_judge(size: int, batch: int) -> None:
    judge = trained(JudgeDimensions(size=size, width=6))
    frames, mfcc = windows(size, batch), 20 * torch.randn(batch, 1, 13, 20)
    with torch.inference_mode():
        sound, lips = judge(mfcc, frames)
        assert lips.std() > 1e-2, "a test whose embeddings are flat says nothing"
        folded = fold_judge(judge)
        made_sound, made_lips = folded(mfcc, one_after_the_other(frames))
        torch.testing.assert_close(made_sound, sound, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(made_lips, lips, atol=1e-4, rtol=1e-4)
        # Bytes, as the embedder gives them, are the same numbers.
        as_bytes = folded.forward_lip(one_after_the_other(frames).to(torch.uint8))
        torch.testing.assert_close(as_bytes, made_lips, atol=0, rtol=0)


def test_less_is_left_to_do() -> None:
    """No norm is left, nothing has a third dimension, and the judge itself stays as it was."""

    def folded(judge: Judge) -> nn.Module:
        found = fold_judge(judge)
        found.halve_lips()
        return found

    left = assert_left_alone(trained(JudgeDimensions(size=96, width=6)), folded)
    assert not {nn.Conv3d, nn.MaxPool3d} & {type(module) for module in left.modules()}


def test_half_precision_loses_little() -> None:
    """Also where the first layer answers to brightness, as a judge that was trained on 0..255 may."""
    judge = trained(JudgeDimensions(size=96, width=6))
    conv, norm = judge.netcnnlip[0], judge.netcnnlip[1]
    assert isinstance(conv, nn.Conv3d)
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    conv.weight.data.add_(0.02)
    norm.running_mean.copy_(127.5 * conv.weight.sum(dim=(1, 2, 3, 4)))
    norm.running_var.fill_(3000)
    frames = one_after_the_other(windows(96, 6)).to(torch.uint8)
    whole, half = fold_judge(judge), fold_judge(judge)
    half.halve_lips()
    half.halve_lips()  # no second time
    with torch.inference_mode():
        expected, made = whole.forward_lip(frames), half.forward_lip(frames)
    assert made.dtype == torch.float32
    assert 0 < float((made - expected).abs().max()) < 4e-3 * float(expected.abs().max())


def test_a_judge_in_training_is_refused() -> None:
    judge = trained(JudgeDimensions(size=96, width=6))
    judge.netfclip[1].train()
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_judge(judge)


def test_unknown_layers_are_refused() -> None:
    judge = trained(JudgeDimensions(size=96, width=6))
    judge.netcnnlip.append(nn.Softplus().eval())
    with pytest.raises(TypeError, match="Softplus cannot be folded"):
        fold_judge(judge)
