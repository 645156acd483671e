"""The expert as a loss: frozen, calibrated, of any size, and refused where it heard or saw something else."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.helpers.makers import SIZE, TINY, make_expert, task_for
from tests.helpers.tiny_cache import ALIGNED, talking_cache
from w2l.core.errors import ConfigError
from w2l.features.crop import CropSpec
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.training.generator.teacher import Teacher


def test_it_does_not_move(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = talking_cache(tmp_path_factory.mktemp("teacher") / "cache", 6)
    expert = make_expert()
    before = {key: value.clone() for key, value in expert.network.state_dict().items()}
    task = task_for(cache, TINY, expert)
    for step in range(3):
        task.step(step, task.batch(step))
    assert not expert.network.training
    assert all(parameter.grad is None for parameter in expert.network.parameters())
    assert all(torch.equal(before[key], value) for key, value in expert.network.state_dict().items())


def test_an_expert_in_training_mode_is_put_into_eval_mode() -> None:
    expert = make_expert()
    expert.network.train()
    assert not Teacher(expert, ALIGNED).expert.training


def test_its_loss_is_the_cross_entropy_of_the_calibrated_probability() -> None:
    expert = make_expert()
    mel, faces = torch.randn(3, 1, 80, 16), torch.rand(3, 15, SIZE // 2, SIZE)
    with torch.no_grad():
        cosine = F.cosine_similarity(*expert.network(mel, faces))
        loss = Teacher(expert, ALIGNED).sync_loss(mel, faces)
    torch.testing.assert_close(loss, -torch.log(torch.sigmoid(4 * cosine - 1)).mean())


def test_a_published_expert_sees_bgr_and_its_cosine_is_the_probability() -> None:
    expert = make_expert()
    rgb = replace(expert, card=replace(expert.card, calibrated=False))
    bgr = replace(expert, card=replace(expert.card, calibrated=False, colour="bgr"))
    mel, faces = torch.randn(3, 1, 80, 16), torch.rand(3, 15, SIZE // 2, SIZE)
    flipped = faces.reshape(3, 5, 3, SIZE // 2, SIZE).flip(2).flatten(1, 2)
    with torch.no_grad():
        cosine = F.cosine_similarity(*expert.network(mel, flipped)).clamp(0, 1)
        loss = Teacher(bgr, ALIGNED).sync_loss(mel, faces)
        assert loss == Teacher(rgb, ALIGNED).sync_loss(mel, flipped)
    torch.testing.assert_close(loss, F.binary_cross_entropy(cosine, torch.ones(3)))


def test_larger_crops_are_brought_to_the_experts_size() -> None:
    """Twice as fine, and each pixel repeated: what the expert sees is the small crop again."""
    expert, mel, faces = make_expert(), torch.randn(2, 1, 80, 16), torch.rand(2, 15, SIZE // 2, SIZE)
    fine = faces.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3).requires_grad_()
    small = Teacher(expert, ALIGNED).sync_loss(mel, faces)
    large = Teacher(expert, CropSpec("aligned", 2 * SIZE)).sync_loss(mel, fine)
    assert large.item() == pytest.approx(small.item(), rel=0.05)
    large.backward()  # type: ignore[no-untyped-call]
    assert fine.grad is not None
    assert fine.grad.abs().sum() > 0


def test_an_expert_of_longer_windows_is_refused() -> None:
    longer = Expert(ExpertDimensions(96, 16, 2, layout="strided"))
    with pytest.raises(ConfigError, match=r"windows of 16 frames.*n_frames=5"):
        Teacher(replace(make_expert(), network=longer), ALIGNED)


def test_other_crops_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"was trained on aligned .* train an expert on this cache"):
        Teacher(make_expert(), CropSpec("box", SIZE))


def test_other_sounds_are_refused() -> None:
    refused = r"expert\.safetensors takes mels other-40x20, .* train an expert on this cache"
    with pytest.raises(ConfigError, match=refused):
        Teacher(make_expert(mel="other-40x20"), ALIGNED)
