"""The sync expert: reference vectors, public layout, other dimensions."""

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
from w2l.features.windows import window_columns
from w2l.nets.blocks import Norm
from w2l.nets.expert import Expert, ExpertDimensions


def mel_and_faces(dims: ExpertDimensions, batch: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    faces = torch.rand(batch, 3 * dims.n_frames, dims.size // 2, dims.size, generator=generator)
    return torch.rand(batch, 1, 80, dims.columns, generator=generator) * 8 - 4, faces


@pytest.mark.parametrize("seed", golden_seeds("nets"))
def test_embeddings_agree_with_the_reference(
    seed: int,
    load_published: Callable[..., nn.Module],
    vectors: Callable[[int], dict[str, Any]],
    rule_input: Callable[..., Tensor],
) -> None:
    net = load_published(Expert(), "expert", seed)
    faces = rule_input(seed, "expert.face", (4, 15, 48, 96), "unit")
    mel = rule_input(seed, "expert.mel", (4, 1, 80, 16), "mel")
    with torch.inference_mode():
        audio, face = net(mel, faces)
    cosine = F.cosine_similarity(audio, face)
    golden = vectors(seed)
    np.testing.assert_allclose(audio.numpy(), golden["expert_audio"], atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(face.numpy(), golden["expert_face"], atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(cosine.numpy(), golden["expert_cos"], atol=2e-5, rtol=1e-4)
    for name, target in [("ones", [1.0, 1, 1, 1]), ("zeros", [0.0, 0, 0, 0]), ("mixed", [1.0, 0, 1, 0])]:
        loss = F.binary_cross_entropy(cosine, torch.tensor(target))
        np.testing.assert_allclose(float(loss), golden[f"expert_bce_{name}"], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("size", [64, 96, 112, 128, 192, 256])
def test_shapes_at_other_sizes(size: int) -> None:
    dims = ExpertDimensions(size=size, width=4)
    with torch.inference_mode():
        audio, face = Expert(dims)(*mel_and_faces(dims))
    assert audio.shape == face.shape == (4, dims.n_features)
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(face.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("size", "n_frames", "embedding"), [(64, 1, 0), (96, 5, 0), (96, 16, 1024), (192, 5, 40)])
def test_strided_layouts_of_any_window(size: int, n_frames: int, embedding: int, norm: Norm) -> None:
    dims = ExpertDimensions(size, n_frames, 4, True, "strided", norm, embedding)
    with torch.inference_mode():
        audio, face = Expert(dims)(*mel_and_faces(dims))
    assert audio.shape == face.shape == (4, embedding or 64)
    torch.testing.assert_close(face.norm(dim=1), torch.ones(4))


def test_group_norm_sees_each_window_alone() -> None:
    net = Expert(ExpertDimensions(width=8, layout="strided", norm="group", signed=True)).train()
    mel, faces = mel_and_faces(net.dimensions)
    with torch.inference_mode():
        together, alone = net(mel, faces), net(mel[:1], faces[:1])
    for whole, one in zip(together, alone):
        torch.testing.assert_close(whole[:1], one)


def test_columns_are_those_of_the_data() -> None:
    for n_frames in range(1, 30):
        assert ExpertDimensions(n_frames=n_frames, layout="strided").columns == window_columns(n_frames)


@pytest.mark.parametrize("signed", [False, True])
def test_sign_of_the_embeddings(signed: bool) -> None:
    dims = ExpertDimensions(width=4, signed=signed)
    net = Expert(dims)
    with torch.inference_mode():
        audio, face = net(*mel_and_faces(dims))
    assert bool((audio < 0).any()) is signed
    assert bool((face < 0).any()) is signed
    assert list(net.state_dict()) == list(Expert(ExpertDimensions(width=4)).state_dict())


@pytest.mark.parametrize("signed", [False, True])
def test_every_weight_and_input_gets_a_gradient(signed: bool) -> None:
    dims = ExpertDimensions(width=4, signed=signed)
    net = Expert(dims)
    mel, faces = (tensor.requires_grad_() for tensor in mel_and_faces(dims, batch=8))
    audio, face = net(mel, faces)
    ((audio * face).sum(dim=1) * torch.arange(8.0)).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in (mel, faces))


def test_dimensions_survive_json() -> None:
    dims = ExpertDimensions(size=128, width=8, n_frames=7, signed=True, layout="strided", norm="group", embedding=96)
    assert ExpertDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize(
    "wrong",
    [{"size": 97}, {"size": 16}, {"width": 0}, {"n_frames": 0}, {"layout": "square"}, {"norm": "no"}],
    ids=str,
)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ExpertDimensions(**wrong)


@pytest.mark.parametrize("odd", [{"n_frames": 16}, {"norm": "group"}, {"embedding": 64}], ids=str)
def test_the_published_layout_stays_the_published_one(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="strided"):
        ExpertDimensions(**odd)
    ExpertDimensions(layout="strided", **odd)
