"""The generator: reference vectors, public layout, other dimensions."""

import dataclasses
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.golden import golden_seeds
from w2l.nets.generator import Generator, GeneratorDimensions

BLOCK_NAMES = [*(f"face_encoder_blocks.{i}" for i in range(7)), "audio_encoder"]
BLOCK_NAMES += [*(f"face_decoder_blocks.{i}" for i in range(7)), "output_block.0"]


def faces_and_mel(dims: GeneratorDimensions, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    faces = torch.rand(batch, 3 * (1 + dims.n_references), dims.size, dims.size, generator=generator)
    return torch.rand(batch, 1, 80, 16, generator=generator) * 8 - 4, faces


def stats(block: Tensor) -> list[float]:
    flat = block.double().flatten()
    one = block[1].flatten()
    return [float(flat.mean()), float(flat.std(correction=0)), float(flat.abs().max()), float(one[0]), float(one[-1])]


@pytest.mark.parametrize("seed", golden_seeds("nets"))
def test_pictures_agree_with_the_reference(
    seed: int,
    golden_rule: ModuleType,
    load_published: Callable[..., nn.Module],
    vectors: Callable[[int], dict[str, Any]],
) -> None:
    net = load_published(Generator(), "wav2lip", seed)
    mel, faces = map(torch.as_tensor, golden_rule.wav2lip_inputs(seed))
    seen: dict[str, list[float]] = {}
    for name in BLOCK_NAMES:
        net.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: stats(out)}))
    with torch.inference_mode():
        generated = net(mel, faces).numpy()
        embedding = net.audio_encoder(mel).numpy()
    golden = vectors(seed)
    np.testing.assert_allclose(golden_rule.subsample(generated), golden["wav2lip4_out"], atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(generated[0, :, 48, :], golden["wav2lip4_row"], atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(embedding, golden["wav2lip4_audio_embedding"], atol=2e-5, rtol=1e-4)
    for name, expected in zip(golden["wav2lip4_block_names"], golden["wav2lip4_block_stats"], strict=True):
        np.testing.assert_allclose(seen[str(name)], expected, atol=1e-4, rtol=1e-3, err_msg=str(name))


@pytest.mark.parametrize("seed", golden_seeds("nets"))
def test_clips_agree_with_the_reference(
    seed: int,
    golden_rule: ModuleType,
    load_published: Callable[..., nn.Module],
    vectors: Callable[[int], dict[str, Any]],
) -> None:
    net = load_published(Generator(), "wav2lip", seed)
    mel, faces = map(torch.as_tensor, golden_rule.wav2lip_inputs(seed, batch=2, frames=3))
    with torch.inference_mode():
        generated = net(mel, faces).numpy()
    golden = vectors(seed)
    assert generated.shape == (2, 3, 3, 96, 96)
    np.testing.assert_allclose(golden_rule.subsample(generated), golden["wav2lip5_out"], atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(generated[1, :, :, 48, :], golden["wav2lip5_row"], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("rows", ["full", "lower"])
@pytest.mark.parametrize("size", [64, 96, 112, 128, 192, 256])
def test_shapes_at_other_sizes(size: int, rows: Any) -> None:
    dims = GeneratorDimensions(size=size, width=2, n_references=2, rows=rows)
    with torch.inference_mode():
        generated = Generator(dims)(*faces_and_mel(dims))
    assert generated.shape == (2, 3, size if rows == "full" else size // 2, size)
    assert generated.min() >= 0
    assert generated.max() <= 1


@pytest.mark.parametrize("rows", ["full", "lower"])
def test_a_clip_equals_its_frames(rows: Any) -> None:
    dims = GeneratorDimensions(width=2, rows=rows)
    net = Generator(dims).eval()
    mel, faces = faces_and_mel(dims, batch=6)
    clip_mel, clip_faces = mel.unflatten(0, (2, 3)), faces.unflatten(0, (2, 3)).transpose(1, 2)
    with torch.inference_mode():
        single = net(mel, faces)
        clips = net(clip_mel, clip_faces)
    torch.testing.assert_close(clips.transpose(1, 2).flatten(0, 1), single)


@pytest.mark.parametrize("rows", ["full", "lower"])
def test_every_weight_and_input_gets_a_gradient(rows: Any) -> None:
    dims = GeneratorDimensions(width=4, n_references=2, rows=rows)
    net = Generator(dims)
    mel, faces = (tensor.requires_grad_() for tensor in faces_and_mel(dims, batch=4))
    net(mel, faces).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in (mel, faces))


def test_lower_rows_share_the_weights_of_full_ones() -> None:
    full = Generator(GeneratorDimensions(width=2)).eval()
    lower = Generator(GeneratorDimensions(width=2, rows="lower")).eval()
    lower.load_state_dict(full.state_dict(), strict=True)
    inputs = faces_and_mel(full.dimensions)
    with torch.inference_mode():
        whole, half = full(*inputs), lower(*inputs)
    # Away from the cut the two are nearly the same picture: only what leaks down from the missing rows differs.
    torch.testing.assert_close(half[..., -12:, :], whole[..., -12:, :], atol=2e-2, rtol=0)


def test_dimensions_survive_json() -> None:
    dims = GeneratorDimensions(size=128, width=8, n_references=3, rows="lower")
    assert GeneratorDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize(
    "wrong", [{"size": 100}, {"size": 8}, {"width": 0}, {"n_references": 0}, {"rows": "upper"}], ids=str
)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GeneratorDimensions(**wrong)
