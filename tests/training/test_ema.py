"""The moving average of weights, and of the statistics of batch norms: follows, and forgets its beginning."""

import pytest
import torch
from torch import nn

from w2l.training.ema import Average, decay_at


def network(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    return net


def test_weights_follow_as_computed_by_hand() -> None:
    average = Average(network(0.0), 0.9)
    average.update(network(1.0), 1000)
    average.update(network(2.0), 1001)
    expected = (0 * 0.9 + 0.1 * 1.0) * 0.9 + 0.1 * 2.0
    for parameter in average.network.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, expected))
        assert not parameter.requires_grad


def test_statistics_of_batch_norms_follow_as_weights_do() -> None:
    net = network(1.0)
    average = Average(net, 0.99)
    before = {name: buffer.clone() for name, buffer in average.network.named_buffers()}
    net(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    average.update(net, 5)
    followed = 0
    for name, theirs in net.named_buffers():
        if theirs.is_floating_point():
            expected = torch.lerp(before[name], theirs, 1 - decay_at(0.99, 5))
            torch.testing.assert_close(average.network.get_buffer(name), expected)
            followed += int(not torch.equal(expected, before[name]))
    assert followed


def test_the_network_itself_is_left_alone() -> None:
    net = network(1.0)
    average = Average(net, 0.9)
    with torch.no_grad():
        net[0].weight.fill_(5.0)  # type: ignore[index,union-attr,operator]
    assert float(average.network[0].weight.max()) == 1.0  # type: ignore[index,union-attr,operator]
    average.update(net, 100)
    assert all(bool((parameter == parameter.flatten()[0]).all()) for parameter in net.parameters())


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (90, 0.91), (10_000, 0.999), (10**6, 0.999)])
def test_the_beginning_is_soon_forgotten(step: int, decay: float) -> None:
    assert decay_at(0.999, step) == pytest.approx(decay, abs=1e-3)
