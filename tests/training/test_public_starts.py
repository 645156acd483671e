"""Training that begins with public networks, which see BGR: on RGB they do what they did, and others are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from stages import cli
from tests.helpers.golden import golden_rule, golden_seeds, golden_vectors, published_state
from tests.helpers.tiny_cache import ALIGNED, noise_clip, talking_cache
from tests.helpers.training_runs import options, refused
from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, load_state, save_model
from w2l.models.tensors import in_order
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.nets.patches import PatchDimensions, Patches
from w2l.training.data import open_training_data
from w2l.training.expert.settings import ExpertSettings
from w2l.training.expert.task import ExpertTask
from w2l.training.generator.initial_weights import begin_discriminator
from w2l.training.generator.models import load_models
from w2l.training.generator.settings import DiscriminatorSettings, GeneratorSettings

SEED = golden_seeds("nets")[0]
CPU = torch.device("cpu")
SIZE = ALIGNED.size


def saved(path: Path, network: Any, kind: Any, colour: Any = "bgr") -> Path:
    save_model(path, network, ModelCard(kind, dimensions_of(network), CropSpec("box", SIZE), colour))
    return path


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("loss", ["bce", "sigmoid"])
def test_an_expert(loss: Any, colour: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = Expert(ExpertDimensions(SIZE, 5, 2)).eval()
    init = load_model(saved(tmp_path / "init.safetensors", network, "expert", colour), "expert")
    cache = talking_cache(tmp_path / "cache", 4)
    settings = ExpertSettings(layout="published", width=2, loss=loss, n_clips=2, per_clip=2, gap=1)
    task = ExpertTask(settings, open_training_data(cache, ALIGNED), CPU)
    task.start_from(init)
    mel, faces = torch.randn(3, 1, 80, 16), torch.rand(3, 15, SIZE // 2, SIZE)
    with torch.no_grad():
        expected = network(mel, in_order(faces, colour))
        for started in (task.networks["network"], task.networks["average"]):
            audio, face = started.eval()(mel, faces)
            if loss == "bce":
                torch.testing.assert_close((audio, face), expected, atol=1e-5, rtol=1e-4)
            else:  # signed: without the last ReLU
                for mine, published in zip((audio, face), expected):
                    torch.testing.assert_close(normalize(mine.relu()), published, atol=1e-5, rtol=1e-4)
    wider = ExpertSettings(layout="published", width=3, n_clips=2, per_clip=2, gap=1)
    other = ExpertTask(wider, open_training_data(cache, ALIGNED), CPU)
    with pytest.raises(ConfigError, match="set layout, width, n_frames"):
        other.start_from(init)


def test_a_judge_keeps_its_colours(tmp_path: Path) -> None:
    """Ours are trained on BGR, as the published one was."""
    crop = CropSpec("judge", 52)
    network = Judge(JudgeDimensions(52, 2))
    init = load_model(saved(tmp_path / "init.safetensors", network, "judge"), "judge")
    settings = ExpertSettings(arch="judge", width=2, n_clips=2, per_clip=2, gap=1)
    task = ExpertTask(settings, open_training_data(talking_cache(tmp_path / "cache", 4, crop=crop), crop), CPU)
    task.start_from(init)
    begun = task.networks["network"].state_dict()
    assert all(torch.equal(begun[key], value) for key, value in network.state_dict().items())


def test_the_public_discriminator_sees_rgb(tmp_path: Path) -> None:
    torch.save({"state_dict": published_state("disc_qual", SEED)}, tmp_path / "visual_quality_disc.pth")
    chosen = DiscriminatorSettings(frames=1, init=str(tmp_path / "visual_quality_disc.pth"))
    settings = GeneratorSettings(sync=0.0, adversarial=0.07, discriminator=chosen)
    init = load_models(settings, Cache.open(tmp_path / "cache", create=True), CPU).discriminator
    assert init is not None
    network = Discriminator()
    begin_discriminator(network, init)
    faces = torch.as_tensor(golden_rule().array_for(SEED, "disc.face", (2, 3, 5, 96, 96), "unit"))
    faces = faces.permute(2, 0, 1, 3, 4).flatten(0, 1)[..., 48:, :]
    with torch.no_grad():
        seen = network(in_order(faces, "bgr")).numpy()
    np.testing.assert_allclose(seen, golden_vectors(f"nets_seed{SEED}")["disc_pred"], atol=2e-5)
    for other in (DiscriminatorDimensions(96, 32, 5), DiscriminatorDimensions(96, 8), DiscriminatorDimensions(64)):
        with pytest.raises(ConfigError, match=r"visual_quality_disc\.pth is a discriminator with .* not "):
            begin_discriminator(Discriminator(other), init)
    with pytest.raises(ConfigError, match=r"discriminator\.kind"):
        begin_discriminator(Patches(PatchDimensions(96, 32, 1)), init)


def test_settings_say_what_is_of_no_use() -> None:
    with pytest.raises(ConfigError, match=r"discriminator\.init x has no effect without a discriminator"):
        GeneratorSettings(discriminator=DiscriminatorSettings(init="x"))
    plain, started = (
        GeneratorSettings(adversarial=0.1, discriminator=DiscriminatorSettings(init=init)).identity()["discriminator"]
        for init in ("", "x")
    )
    assert "init" not in plain
    assert started["init"] == "x"


def test_both_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = Cache.open(tmp_path / "cache", create=True)
    for number in range(4):
        noise_clip(cache, f"clip{number}", ALIGNED)
    expert = saved(tmp_path / "expert.safetensors", Expert(ExpertDimensions(SIZE, 5, 2)), "expert")
    disc = saved(tmp_path / "disc.safetensors", Discriminator(DiscriminatorDimensions(SIZE, 2, 1)), "discriminator")
    given = ["--cache", str(cache.root), "--device", "cpu"]
    small = ["loop.steps=1", "loop.log_every=1", "loop.validate_every=1", "loop.checkpoint_every=1", "width=2"]
    experts = [*small, "layout=published", "n_clips=2", "per_clip=2", "check=false", "lr=1e-9", "ema=0"]
    cli.main(["train-expert", *given, "--init", str(expert), *options(experts)])
    made = load_model(cache.run_folder("expert") / "expert-latest.safetensors", "expert").network.state_dict()
    key = "face_encoder.0.conv_block.0.weight"
    begun = load_model(expert, "expert").network.state_dict()[key]
    torch.testing.assert_close(made[key], in_order(begun, "bgr"), atol=1e-6, rtol=0)
    generators = [
        *small, "sync=0", "adversarial=0.1", "discriminator.width=2", "discriminator.frames=1", "discriminator.lr=1e-9",
        "sampling.batch_size=2", "validation_batches=1", "validation_tracks=0",
    ]  # fmt: skip
    command = ["train", *given, "--discriminator-init", str(disc), *options(generators)]
    cli.main(command)
    made = load_model(cache.run_folder("generator") / "discriminator-latest.safetensors", None).network.state_dict()
    key = "face_encoder_blocks.0.0.conv_block.0.weight"
    begun = load_model(disc, None).network.state_dict()[key]
    torch.testing.assert_close(made[key], in_order(begun, "bgr"), atol=1e-6, rtol=0)
    assert load_state(cache.run_folder("generator") / "state.pt")
    capsys.readouterr()
    assert "is of kind expert, not discriminator" in refused(capsys, [*command, "--discriminator-init", str(expert)], 1)


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    settings = GeneratorSettings(sync=0.0, adversarial=0.1, discriminator=DiscriminatorSettings(init="none"))
    cache = Cache.open(tmp_path / "cache", create=True)
    with pytest.raises(CheckpointError, match="no discriminator named 'none'"):
        load_models(settings, cache, CPU)
