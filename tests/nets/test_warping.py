"""The warping generator: what it gives at its start, how far and where pixels move, and that all of it learns."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import REACH, FlowBlur, WarpingGenerator, level_width, make_generator, mixture, n_halvings
from w2l.training.losses import roughness

ALL = 20.0
"""Before a softmax: a share that leaves the others nothing."""


def warping(size: int = 64, width: int = 2, n_references: int = 1) -> GeneratorDimensions:
    return GeneratorDimensions(size, width, n_references, "lower", "warping")


def inputs(dims: GeneratorDimensions, batch: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    faces = torch.rand(batch, 3 * (1 + dims.n_references), dims.size, dims.size, generator=random)
    return torch.rand(batch, 1, 80, 16, generator=random) * 8 - 4, faces


def shares(n_references: int, which: int, size: int) -> Tensor:
    """What says that all is taken from `which`: 0 the drawn colours, here grey, else a reference."""
    drawn = torch.zeros(1, 4 + n_references, size // 2, size)
    drawn[:, 3 + which] = ALL
    return drawn


@pytest.mark.parametrize("n_references", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [16, 96, 112, 128, 192, 256])
def test_it_gives_the_lower_half_at_any_size(size: int, n_references: int) -> None:
    dims = warping(size, 1, n_references)
    with torch.inference_mode():
        generated = WarpingGenerator(dims).eval()(*inputs(dims))
    assert generated.shape == (2, 3, size // 2, size)
    assert generated.min() >= 0
    assert generated.max() <= 1


def test_a_clip_equals_its_frames() -> None:
    dims = warping(n_references=2)
    network = WarpingGenerator(dims).eval()
    mel, faces = inputs(dims, 6)
    clips = mel.unflatten(0, (2, 3)), faces.unflatten(0, (2, 3)).transpose(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(network(*clips).transpose(1, 2).flatten(0, 1), network(mel, faces))


@pytest.mark.parametrize("n_references", [1, 3])
def test_without_a_flow_a_reference_stays_as_it_is(n_references: int) -> None:
    dims = warping(96, 1, n_references)
    faces = inputs(dims, 1)[1]
    still = torch.zeros(1, 2 * n_references, 48, 96)
    for which in range(1, n_references + 1):
        made = mixture(faces[:, 3:], still, shares(n_references, which, 96))
        torch.testing.assert_close(made, faces[:, 3 * which : 3 * which + 3, 48:], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(5, 0), (0, 7), (-4, -9), (11, -3)])
def test_pixels_come_from_where_the_flow_says(right: int, down: int) -> None:
    """The flow is `tanh` of what is given, times the reach, in sides of the face; first across, then down."""
    size = 96
    faces = inputs(warping(size), 1)[1]
    wanted = torch.tensor([right, down]) / (REACH * size)
    flow = torch.atanh(wanted).reshape(1, 2, 1, 1).expand(1, 2, size // 2, size)
    made = mixture(faces[:, 3:], flow, shares(1, 1, size))
    rows = np.arange(size // 2, size)
    columns = np.arange(size)
    expected = faces[:, 3:, (rows + down).clip(0, size - 1)][..., (columns + right).clip(0, size - 1)]
    torch.testing.assert_close(made, expected, atol=1e-3, rtol=0)


def test_no_flow_reaches_farther_than_it_may() -> None:
    size = 64
    column = torch.arange(size).float().div(size - 1).expand(1, 6, size, size)
    made = mixture(column[:, 3:], torch.full((1, 2, size // 2, size), 1e3), shares(1, 1, size))
    moved = (made[0, 0, 0, : size // 2] - column[0, 0, 0, : size // 2]) * (size - 1)
    torch.testing.assert_close(moved, torch.full_like(moved, REACH * size), atol=1e-3, rtol=0)


@pytest.mark.parametrize("times", [2, 3])
def test_finer_references_give_a_finer_picture(times: int) -> None:
    """At rest they are shown as they are, and a move is the same share of the face."""
    size = 32
    fine = torch.rand(1, 3, times * size, times * size)
    still = mixture(fine, torch.zeros(1, 2, size // 2, size), shares(1, 1, size))
    torch.testing.assert_close(still, fine[:, :, times * size // 2 :], atol=1e-5, rtol=0)
    flow = torch.zeros(1, 2, size // 2, size)
    flow[:, 0] = float(np.arctanh(2 / size / REACH))  # two pixels of the coarse face
    moved = mixture(fine, flow, shares(1, 1, size))
    kept = times * (size - 2)
    torch.testing.assert_close(moved[..., :kept], still[..., 2 * times :], atol=1e-4, rtol=0)


def test_finer_references_keep_their_detail_when_moved() -> None:
    """By half a pixel, which linear interpolation blurs most, and within the range of colours."""
    size = 32
    wave = 0.5 + 0.5 * torch.sin(torch.arange(2 * size) * torch.pi / 2 + 0.3)  # four pixels long
    fine = wave.expand(1, 3, 2 * size, -1)
    flow = torch.zeros(1, 2, size // 2, size)
    flow[:, 0] = float(np.arctanh(0.25 / size / REACH))  # half a pixel of the finer picture
    moved = mixture(fine, flow, shares(1, 1, size))
    linear = (fine[:, :, size:, :-1] + fine[:, :, size:, 1:]) / 2
    assert moved.std() > 1.2 * linear.std()
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


def test_unseen_drawn_colours_are_left_out_face_by_face() -> None:
    """A face is the same whatever the other faces of its batch."""
    size = 32
    generator = torch.Generator().manual_seed(0)
    fine, flow = torch.rand(2, 3, 2 * size, 2 * size, generator=generator), torch.zeros(2, 2, size // 2, size)
    drawn = torch.zeros(2, 5, size // 2, size)
    drawn[0, 4] = 12.0  # next to nothing is drawn
    both = mixture(fine, flow, drawn)
    alone = torch.cat([mixture(fine[one, None], flow[one, None], drawn[one, None]) for one in (0, 1)])
    torch.testing.assert_close(both, alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(both[0], fine[0, :, size:], atol=1e-5, rtol=0)
    assert (both[1] - fine[1, :, size:]).abs().max() > 0.1


def test_drawn_colours_take_their_share() -> None:
    faces = torch.zeros(1, 6, 32, 32)
    drawn = torch.zeros(1, 5, 16, 32)  # grey colours, half and half with a black reference
    made = mixture(faces[:, 3:], torch.zeros(1, 2, 16, 32), drawn)
    torch.testing.assert_close(made, torch.full_like(made, 0.25))


def test_how_pixels_were_made_is_told_where_asked() -> None:
    dims = warping(64, 4, 2)
    network = WarpingGenerator(dims).eval()
    mel, faces = inputs(dims, 2)
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.copy_(torch.tensor([-9.0, -9.0, -9.0, 1.0, 0.0, 0.0]))
        network.flow.bias.copy_(torch.tensor([0.5, -0.5, 0.0, 9.0]))
        told = network(mel, torch.ones_like(faces), with_parts=True)  # drawn in black over white references
        plain = network(mel, torch.ones_like(faces))
    torch.testing.assert_close(told[:, :3], plain)
    torch.testing.assert_close(told[:, 3], torch.full_like(told[:, 3], np.e / (np.e + 2)))
    for channel, flow in enumerate((0.5, -0.5, 0.0, 9.0), 4):
        torch.testing.assert_close(told[:, channel], torch.full_like(told[:, 3], REACH * np.tanh(flow)))
    torch.testing.assert_close(told[:, 3], 1 - plain[:, 0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("n_references", [1, 4])
def test_every_weight_and_input_gets_a_gradient(n_references: int) -> None:
    dims = warping(64, 4, n_references)
    network = WarpingGenerator(dims)
    mel, faces = (tensor.requires_grad_() for tensor in inputs(dims, 4))
    with torch.no_grad():
        network.flow.weight.normal_(0, 0.1)  # at 0 it would let nothing through to what is before it
    network(mel, faces).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if not name.endswith(".conv_block.0.bias"):  # a norm takes the mean off again
            assert parameter.grad.abs().sum() > 0, name
    for tensor in (mel, faces):
        assert tensor.grad is not None
        assert tensor.grad.abs().flatten(1).sum(dim=1).min() > 0


def test_at_the_start_nothing_moves_and_the_flow_still_learns() -> None:
    dims = warping()
    network = WarpingGenerator(dims)
    mel, faces = inputs(dims)
    network(mel, faces).square().mean().backward()
    assert not network.flow.weight.any()
    assert network.flow.weight.grad is not None
    assert network.flow.weight.grad.abs().sum() > 0


def test_at_the_start_there_is_no_checkerboard() -> None:
    """The four pixels that one coarser place gives are drawn alike; a plain start would make them differ."""
    network = WarpingGenerator(warping(64, 4))
    seen: list[Tensor] = []
    network.finest.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))

    def unevenness() -> float:
        with torch.inference_mode():
            network(*inputs(network.dimensions))
        blocks = nn.functional.pixel_unshuffle(seen.pop(), 2).unflatten(1, (-1, 4))
        return float(blocks.std(dim=2).mean() / blocks.std())

    assert unevenness() == 0
    network.to_pixels.reset_parameters()
    assert unevenness() > 0.1


def test_the_sound_and_every_reference_are_seen() -> None:
    dims = warping(64, 4, 2)
    network = WarpingGenerator(dims)  # in training mode: norms that have seen nothing would hardly let anything through
    mel, faces = inputs(dims)
    with torch.inference_mode():
        before = network(mel, faces)
        assert (network(-mel, faces) - before).abs().max() > 1e-3
        for number in range(3):
            other = faces.clone()
            other[:, 3 * number : 3 * number + 3] = 1 - other[:, 3 * number : 3 * number + 3]
            assert (network(mel, other) - before).abs().max() > 1e-3


@pytest.mark.parametrize(("size", "halvings"), [(96, 4), (128, 4), (112, 4), (192, 5), (256, 5), (16, 1)])
def test_levels(size: int, halvings: int) -> None:
    assert n_halvings(size) == halvings
    network = WarpingGenerator(warping(size, 3))
    assert len(network.encoder) == halvings
    assert [level_width(3, level) for level in range(6)] == [36, 24, 12, 6, 3, 3]


def test_weights_of_the_coarse_levels_fit_a_larger_face() -> None:
    small, large = WarpingGenerator(warping(96)), WarpingGenerator(warping(192))
    fitting = {name for name, value in large.state_dict().items() if _fits(small.state_dict().get(name), value)}
    assert {name for name in fitting if name.startswith("encoder.")}
    assert all(name in fitting for name in large.state_dict() if name.startswith(("decoder.1.", "decoder.2.")))
    assert all(name in fitting for name in large.state_dict() if name.startswith(("sound.", "bottom.", "audio_")))


def _fits(ours: Tensor | None, theirs: Tensor) -> bool:
    return ours is not None and ours.shape == theirs.shape


def torn(dims: GeneratorDimensions) -> Tensor:
    """The displacements of a generator whose flow differs from pixel to pixel."""
    torch.manual_seed(3)
    network = WarpingGenerator(dims).eval()
    nn.init.normal_(network.flow.weight, 0, 0.5)
    with torch.inference_mode():
        return network(*inputs(dims), with_parts=True)[:, 4:]


@pytest.mark.parametrize("size", [64, 128])
def test_a_smoothed_flow_is_even(size: int) -> None:
    """As even as the Gaussian makes it, whatever the size; its mean stays where no border is near."""
    rough, smooth = (torn(replace(warping(size), flow_blur=blur)) for blur in (0.0, 0.04))
    assert roughness(smooth) < 0.5 * roughness(rough)
    inner = (..., slice(size // 8, -size // 8), slice(size // 8, -size // 8))
    torch.testing.assert_close(smooth[inner].mean(), rough[inner].mean(), atol=0.01, rtol=0.3)


def test_an_even_flow_is_left_as_it_is_by_smoothing() -> None:
    blur = FlowBlur(replace(warping(96), flow_blur=0.04))
    flow = torch.full((1, 2, 25, 48), 0.3)
    torch.testing.assert_close(blur(flow), flow)
    assert not list(blur.state_dict()), "files of weights hold none of it"


def test_smoothing_spreads_a_point_as_a_gaussian() -> None:
    flow = torch.zeros(1, 2, 25, 48)
    flow[0, 0, 12, 24] = 1.0
    spread = FlowBlur(replace(warping(96), flow_blur=2 / 48))(flow)[0, 0]
    assert float(spread[12, 26] / spread[12, 24]) == pytest.approx(float(np.exp(-0.5)), rel=1e-4)
    assert float(spread[14, 24] / spread[12, 24]) == pytest.approx(float(np.exp(-0.5)), rel=1e-4)


def test_smoothing_keeps_the_precision_of_a_flow() -> None:
    blur = FlowBlur(replace(warping(96), flow_blur=0.04)).half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert blur(torch.zeros(1, 2, 25, 48)).dtype == torch.float32


def test_without_smoothing_the_flow_is_the_network_s() -> None:
    flow = torch.rand(1, 2, 25, 48)
    assert FlowBlur(warping(96))(flow) is flow


@pytest.mark.parametrize(
    "wrong", [{"rows": "full"}, {"size": 100}, {"n_references": 0}, {"flow_blur": -0.1}, {"flow_blur": 0.3}], ids=str
)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_generator(GeneratorDimensions(**{"rows": "lower", "layout": "warping", **wrong}))
