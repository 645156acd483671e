"""Winograd's convolution: the numbers of a direct one, used only where it is faster."""

import pytest
import torch
from torch import nn

from w2l.nets.folded.layers import FoldedConv
from w2l.nets.folded.winograd import LEAST_TILES, Winograd, can_replace, is_suited


def conv(n_in: int, n_out: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias)


@pytest.mark.parametrize("shape", [(1, 5, 4, 4), (2, 5, 7, 9), (40, 5, 12, 12), (3, 5, 1, 2)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_it_equals_a_direct_convolution(shape: tuple[int, ...], bias: bool) -> None:
    """At sizes that are no multiple of its tiles, too, and for more images than are transformed together."""
    direct = conv(5, 6, bias)
    for x in (torch.randn(shape), torch.randn(shape).contiguous(memory_format=torch.channels_last)):
        expected = direct(x)
        assert torch.allclose(Winograd(direct)(x), expected, atol=1e-5 * float(expected.abs().max()) + 1e-6)


def test_which_convolutions_it_replaces() -> None:
    assert can_replace(conv(128, 384))
    others = [
        conv(64, 128), conv(512, 256), nn.Conv2d(128, 128, 1), nn.Conv2d(128, 128, 3, padding=0),
        nn.Conv2d(128, 128, 3, 2, 1), nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"), nn.Conv2d(128, 128, 3, padding=2, dilation=2),
        nn.ConvTranspose2d(128, 128, 3, padding=1), nn.Linear(128, 128),
    ]  # fmt: skip
    assert not any(map(can_replace, others))


def test_which_inputs_suit_it() -> None:
    enough = torch.zeros(LEAST_TILES, 1, 4, 4)
    assert not is_suited(enough)  # a gradient may be wanted
    with torch.inference_mode():
        assert is_suited(enough)
        assert not is_suited(enough[1:])
        assert not is_suited(enough.bfloat16())


@pytest.mark.parametrize("residual", [True, False])
def test_a_folded_layer_gives_the_same_either_way(residual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = FoldedConv(conv(128, 128), residual=residual)
    x = torch.randn(LEAST_TILES // 4, 128, 8, 8)
    used: list[torch.Tensor] = []
    call = Winograd.__call__

    def counted(faster: Winograd, given: torch.Tensor) -> torch.Tensor:
        used.append(given)
        return call(faster, given)

    monkeypatch.setattr(Winograd, "__call__", counted)
    with torch.no_grad():
        faster = layer(x)
        direct = torch.cat([layer(one[None]) for one in x])
    assert [given.shape for given in used] == [x.shape]
    assert torch.allclose(faster, direct, atol=1e-4)
    assert set(dict(layer.named_parameters())) == {"conv.weight", "conv.bias"}
