"""Training of a generator on drawn mouths, taught by a tiny expert: terms, weights, frozen teacher, exact resume."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_cache import ALIGNED, talking_cache

from w2l.cache import Cache
from w2l.data.augment import AugmentSettings
from w2l.data.dataset import open_splits
from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.training.checkpoint import Model, ModelCard, dimensions_of, load_model
from w2l.training.generator_task import GeneratorSettings, GeneratorTask, start_from
from w2l.training.loop import LoopSettings, fit
from w2l.training.teacher import Teacher
from w2l.training.tensors import in_order, masked, pictures

CPU = torch.device("cpu")
OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
TINY = GeneratorSettings(
    width=2, batch_size=2, sync=0.1, sync_ramp=4, lr=2e-3, warm_up=2, augment=OFF, validation_batches=1,
    discriminator_width=2, loop=LoopSettings(6, 1, 3, 2),
)  # fmt: skip
L1_ONLY = replace(TINY, sync=0.0)
GAN = replace(TINY, adversarial=0.07, adversarial_start=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("generator") / "cache", 6)


SIZE = ALIGNED.size


def make_expert(size: int = SIZE, **facts: Any) -> Model:
    torch.manual_seed(7)
    network = Expert(ExpertDimensions(size, 5, 2, signed=True))
    for module in network.modules():  # statistics that a training step would move
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
    card = ModelCard(
        "expert", dimensions_of(network), CropSpec("aligned", size), calibrated=True, scale=4.0, bias=-1.0, **facts
    )
    return Model(network.eval(), card, Path("expert.safetensors"))


def task_for(cache: Cache, settings: GeneratorSettings, expert: Model | None = None, **options: Any) -> GeneratorTask:
    teacher = expert or make_expert() if settings.sync else None
    return GeneratorTask(settings, *open_splits(cache, ALIGNED), ALIGNED, teacher, CPU, **options)


def train(cache: Cache, folder: Path, settings: GeneratorSettings, stop: int = 0) -> GeneratorTask:
    task = task_for(cache, settings)
    step = task.step

    def breaking(number: int, batch: Any) -> dict[str, float]:
        if stop and number == stop:
            raise KeyboardInterrupt
        return step(number, batch)

    task.step = breaking  # type: ignore[method-assign]
    fit(task, folder, settings.loop, {"seed": settings.seed}, settings.warm_up)
    return task


@pytest.mark.parametrize("rows", ["lower", "full"])
def test_one_batch_can_be_overfitted(rows: Any, cache: Cache) -> None:
    task = task_for(cache, replace(L1_ONLY, rows=rows, width=4, lr=1e-2))
    batch = task.batch(0)
    losses = [task.step(step, batch)["l1"] for step in range(50)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    "settings",
    [TINY, replace(TINY, rows="full", references="consecutive", n_references=2, augment=AugmentSettings()),
     replace(GAN, discriminator_frames=5), replace(GAN, discriminator_frames=1)],
    ids=["sync", "full", "gan5", "gan1"],
)  # fmt: skip
def test_stopping_leaves_no_trace(settings: GeneratorSettings, cache: Cache, tmp_path: Path) -> None:
    whole = train(cache, tmp_path / "whole", settings)
    for stop in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            train(cache, tmp_path / "stopped", settings, stop)
    resumed = train(cache, tmp_path / "stopped", settings)
    for name, network in whole.networks.items():
        other = resumed.networks[name].state_dict()
        assert all(torch.equal(other[key], value) for key, value in network.state_dict().items())
    names = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*"))
    assert len([name for name in names if name.suffix == ".safetensors"]) == 2 * len(whole.networks)
    for name in names:
        if name.name != "state.pt":
            assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


class TestTerms:
    def test_the_weights_are_stored_with_the_model(self, cache: Cache, tmp_path: Path) -> None:
        train(cache, tmp_path, replace(GAN, sync=0.03, sync_start=1, sync_ramp=10))
        card = load_model(tmp_path / "generator-latest.safetensors", "generator").card
        assert card.schedule == pytest.approx({"l1": 1 - 0.015 - 0.07, "sync": 0.03 * 5 / 10, "adversarial": 0.07})
        assert (card.step, card.references, card.crop) == (6, "still", ALIGNED)
        assert card.dimensions == {"size": SIZE, "width": 2, "n_references": 1, "rows": "lower"}
        disc = load_model(tmp_path / "discriminator-latest.safetensors", "discriminator").card
        assert disc.dimensions == {"size": SIZE, "width": 2, "n_frames": 5}

    @pytest.mark.parametrize("step", [0, 3, 10, 10**6])
    def test_the_weights_sum_to_one(self, step: int, cache: Cache) -> None:
        weights = task_for(cache, GAN).weights(step)
        assert sum(weights.values()) == pytest.approx(1)
        assert weights["adversarial"] == (0.07 if step >= 2 else 0)

    def test_terms_come_and_go_with_their_weights(self, cache: Cache) -> None:
        task = task_for(cache, replace(GAN, sync_start=1, sync_ramp=0))
        names = [set(task.step(step, task.batch(step))) for step in range(3)]
        assert names[0] == {"l1", "grad_norm"}
        assert names[1] == {"l1", "sync", "grad_norm"}
        assert names[2] == names[1] | {"adversarial", "disc_real", "disc_fake", "disc_grad_norm"}

    def test_consecutive_references_mean_the_same_frame_at_inference(self, cache: Cache) -> None:
        task = task_for(cache, replace(L1_ONLY, references="consecutive"))
        assert task.exports(1, {})["generator"][1].references == "same"

    @pytest.mark.parametrize("n_frames", [1, 5])
    def test_the_discriminator_learns(self, n_frames: int, cache: Cache) -> None:
        """Against a generator that stands still."""
        settings = replace(GAN, adversarial_start=0, sync=0.0, lr=1e-12, discriminator_lr=3e-3, discriminator_width=8)
        task = task_for(cache, replace(settings, discriminator_frames=n_frames))
        batch = task.batch(0)
        found = [task.step(step, batch) for step in range(40)]
        losses = [terms["disc_real"] + terms["disc_fake"] for terms in found]
        assert min(losses) < 0.6 * losses[0]

    def test_the_sync_loss_reaches_the_generator(self, cache: Cache) -> None:
        """With nearly all the weight on sync, one batch's sync loss falls."""
        task = task_for(cache, replace(TINY, sync=0.99, sync_ramp=0, lr=1e-2))
        batch = task.batch(0)
        losses = [task.step(step, batch)["sync"] for step in range(20)]
        assert losses[-1] < losses[0] - 0.02


class TestTeacher:
    def test_it_does_not_move(self, cache: Cache) -> None:
        expert = make_expert()
        before = {key: value.clone() for key, value in expert.network.state_dict().items()}
        task = task_for(cache, TINY, expert)
        for step in range(3):
            task.step(step, task.batch(step))
        assert not expert.network.training
        assert all(parameter.grad is None for parameter in expert.network.parameters())
        assert all(torch.equal(before[key], value) for key, value in expert.network.state_dict().items())

    def test_an_expert_in_training_mode_is_put_into_eval_mode(self) -> None:
        expert = make_expert()
        expert.network.train()
        assert not Teacher(expert, ALIGNED).expert.training

    def test_its_loss_is_the_cross_entropy_of_the_calibrated_probability(self) -> None:
        expert = make_expert()
        mel, faces = torch.randn(3, 1, 80, 16), torch.rand(3, 15, SIZE // 2, SIZE)
        with torch.no_grad():
            cosine = F.cosine_similarity(*expert.network(mel, faces))
            loss = Teacher(expert, ALIGNED).sync_loss(mel, faces)
        torch.testing.assert_close(loss, -torch.log(torch.sigmoid(4 * cosine - 1)).mean())

    def test_a_published_expert_sees_bgr_and_its_cosine_is_the_probability(self) -> None:
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

    def test_an_expert_of_longer_windows_is_refused(self) -> None:
        longer = Expert(ExpertDimensions(96, 16, 2, layout="strided"))
        with pytest.raises(ConfigError, match=r"windows of 16 frames.*n_frames=5"):
            Teacher(replace(make_expert(), network=longer), ALIGNED)

    @pytest.mark.parametrize(
        ("expert", "crop"),
        [(make_expert(64), ALIGNED), (make_expert(), CropSpec("box", SIZE)), (make_expert(), CropSpec("aligned", 64))],
        ids=["size", "kind", "crop"],
    )
    def test_other_crops_are_refused(self, expert: Model, crop: CropSpec) -> None:
        with pytest.raises(ConfigError, match=r"expert\.safetensors was trained on .* train an expert on this cache"):
            Teacher(expert, crop)

    def test_sync_needs_an_expert(self, cache: Cache) -> None:
        with pytest.raises(ConfigError, match="an expert is needed"):
            GeneratorTask(TINY, *open_splits(cache, ALIGNED), ALIGNED, None, CPU)


class TestInit:
    def init(self, colour: Any = "rgb", width: int = 2) -> Model:
        torch.manual_seed(3)
        network = Generator(GeneratorDimensions(SIZE, width)).eval()
        return Model(network, ModelCard("generator", dimensions_of(network), ALIGNED, colour), Path("init.pth"))

    def test_weights_are_taken_over(self, cache: Cache) -> None:
        init = self.init()
        mine = task_for(cache, replace(L1_ONLY, seed=9), init=init).generator.state_dict()
        assert all(torch.equal(mine[key], value) for key, value in init.network.state_dict().items())

    def test_a_bgr_generator_becomes_an_rgb_one(self) -> None:
        init, mine = self.init("bgr"), Generator(GeneratorDimensions(SIZE, 2)).eval()
        start_from(mine, init)
        mel, faces = torch.randn(2, 1, 80, 16), torch.rand(2, 6, SIZE, SIZE)
        with torch.no_grad():
            published = in_order(init.network(mel, in_order(faces, "bgr")), "bgr")
            torch.testing.assert_close(mine(mel, faces), published, atol=1e-6, rtol=1e-5)
        assert not torch.equal(mine.output_block[1].bias, init.network.output_block[1].bias)  # type: ignore[union-attr,index]

    def test_other_dimensions_are_refused(self, cache: Cache) -> None:
        with pytest.raises(ConfigError, match=r"has other dimensions.*set width alike") as caught:
            task_for(cache, L1_ONLY, init=self.init(width=3))
        assert "\n" not in str(caught.value)


class TestValidation:
    def test_scores_and_a_sheet(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, replace(TINY, batch_size=3))
        for network in task.networks.values():
            network.eval()
        with torch.no_grad():
            found = task.validate(7, tmp_path)
        assert set(found.scores) == {"l1", "sync"}
        assert found.quality == pytest.approx(-(found.scores["l1"] + 0.1 * found.scores["sync"]))
        sheet = cv2.imread(str(tmp_path / "step000000007.png"))
        assert sheet is not None
        assert sheet.shape == (3 * SIZE, (1 + 3 * 5) * SIZE, 3)
        # Masked faces are black below, real ones are not, and the upper half of a made one is real.
        hidden, made, real = (sheet[:SIZE, SIZE * k : SIZE * (k + 1)] for k in (1, 6, 11))
        half = SIZE // 2
        assert hidden[half:].max() == 0
        np.testing.assert_array_equal(made[:half], real[:half])
        assert real[half:].min() > 0

    def test_it_is_the_same_every_time(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, TINY)
        for network in task.networks.values():
            network.eval()
        with torch.no_grad():
            assert task.validate(1, tmp_path) == task.validate(2, tmp_path)


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"rows": "upper"}, "choose full or lower"),
            ({"references": "none"}, "choose still or consecutive"),
            ({"precision": "fp16"}, "choose fp32 or bf16"),
            ({"discriminator_frames": 3}, "must be 1 or 5"),
            ({"sync": -0.1}, "at least 0"),
            ({"mouth_focus": -1.0}, "at least 0"),
            ({"sync": 0.5, "adversarial": 0.5}, "together less than 1"),
            ({"batch_size": 0}, "at least 1"),
            ({"validation_batches": 0}, "at least 1"),
            ({"width": 0}, "at least 1"),
            ({"n_references": 0}, "at least 1"),
            ({"lr": 0.0}, "above 0"),
            ({"discriminator_lr": -1.0}, "above 0"),
            ({"seed": -1}, "at least 0"),
            ({"warm_up": -1}, "at least 0"),
        ],
    )
    def test_refused(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            GeneratorSettings(**given)

    def test_a_crop_size_without_a_generator(self, cache: Cache) -> None:
        with pytest.raises(ConfigError, match="no generator fits these crops: size must be"):
            GeneratorTask(L1_ONLY, *open_splits(cache, ALIGNED), CropSpec("aligned", 90), None, CPU)


class TestTensors:
    def test_pictures(self) -> None:
        frames = torch.arange(2 * 5 * 2 * 3 * 6, dtype=torch.uint8).reshape(2, 5, 2, 3, 6)
        rgb, bgr = pictures(frames), pictures(frames, "bgr")
        assert rgb.shape == (2, 6, 5, 2, 3)
        assert rgb[1, 4, 3, 1, 2] == frames[1, 3, 1, 2, 4] / 255
        torch.testing.assert_close(bgr[:, [2, 1, 0, 5, 4, 3]], rgb)
        torch.testing.assert_close(in_order(bgr, "bgr"), rgb)

    def test_masked_hides_the_lower_half_of_a_copy(self) -> None:
        faces = torch.ones(1, 3, 2, 6, 4)
        hidden = masked(faces)
        assert hidden[..., :3, :].min() == 1
        assert hidden[..., 3:, :].max() == 0
        assert faces.min() == 1
