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

from w2l.nets.expert import Expert, ExpertDimensions


def mel_and_faces(dims: ExpertDimensions, batch: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    faces = torch.rand(batch, 3 * dims.n_frames, dims.size // 2, dims.size, generator=generator)
    return torch.rand(batch, 1, 80, 16, generator=generator) * 8 - 4, faces


@pytest.mark.parametrize("seed", [0, 1])
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
    dims = ExpertDimensions(size=size, width=4, n_frames=3)
    with torch.inference_mode():
        audio, face = Expert(dims)(*mel_and_faces(dims))
    assert audio.shape == face.shape == (4, dims.embedding)
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(face.norm(dim=1), torch.ones(4))


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
    dims = ExpertDimensions(size=128, width=8, n_frames=7, signed=True)
    assert ExpertDimensions(**json.loads(json.dumps(dataclasses.asdict(dims)))) == dims


@pytest.mark.parametrize("wrong", [{"size": 97}, {"size": 16}, {"width": 0}, {"n_frames": 0}], ids=str)
def test_impossible_dimensions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ExpertDimensions(**wrong)
