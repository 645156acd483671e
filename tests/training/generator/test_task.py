"""Training of a generator on drawn mouths, taught by a tiny expert: every recipe learns, and resumes exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.helpers.makers import CPU, SAMPLING, SIZE, TINY, make_expert, task_for
from tests.helpers.tiny_cache import ALIGNED, talking_cache
from tests.helpers.training_runs import break_at
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.generator import GeneratorSampling
from w2l.features.crop import CropSpec
from w2l.features.masks import hidden_pixels
from w2l.models.checkpoint import Model, ModelCard, dimensions_of, load_model
from w2l.models.lineage import TaughtBy, weights_mark
from w2l.models.registry import as_teacher
from w2l.models.tensors import in_order, masked, pictures
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator, make_generator
from w2l.training.data import open_training_data
from w2l.training.generator.models import TrainedModels
from w2l.training.generator.sample_video import SourceSound
from w2l.training.generator.settings import DiscriminatorSettings, GeneratorSettings, Schedule
from w2l.training.generator.task import GeneratorTask
from w2l.training.generator.validation import ends_of
from w2l.training.loop import Surroundings, fit
from w2l.training.run_folder import Destination

L1 = replace(TINY, sync=0.0)
LATE = Schedule(sync=(0, 4), adversarial=(2, 0), features=(2, 2), contrast=(2, 0))
GAN = replace(TINY, adversarial=0.07, schedule=LATE)
FULL = replace(TINY, rows="full", sampling=GeneratorSampling(2, 2, "consecutive", shuffle=0.5))
LIPGAN = replace(L1, contrast=0.01, schedule=LATE, discriminator=DiscriminatorSettings("pairs", width=2))
W2L = replace(
    TINY, layout="warping", edges=1.0, lips=0.2, rest=0.2, adversarial=0.01, features=0.1, ema=0.9, mask="jaw",
    mouth_focus=3.0, drawn=0.1, smooth=0.1, schedule=LATE, discriminator=DiscriminatorSettings("patches", width=4),
    sampling=GeneratorSampling(4, 2, distance=5, repeat=0.3, resting=0.5, apart=1.0, swap=0.3, silence=0.3,
                               bilabials=0.5, spread=0.5,
                               augment=AugmentSettings(shift=0.03, bend=0.02, paint=0.3, mouth=0.2)),
)  # fmt: skip
RECIPES = {
    "l1": L1, "lipgan": LIPGAN, "lipgan, whole faces": replace(LIPGAN, rows="full"), "wav2lip": TINY, "full": FULL,
    "wav2lip-gan": GAN,
    "per-frame": replace(GAN, discriminator=DiscriminatorSettings(frames=1, width=2)), "w2l": W2L,
    "in parts": replace(W2L, accumulate=2, precision="bf16"),
}  # fmt: skip
STOPPED_TWICE = ("l1", "wav2lip-gan", "in parts")
WORDS = {"clip1": ((0.4, 0.6, "bin"), (0.6, 1.0, "at"))}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("generator") / "cache", 6)


def train(cache: Cache, folder: Path, settings: GeneratorSettings, stop: int = 0) -> GeneratorTask:
    task = task_for(cache, settings, words=WORDS)
    break_at(task, stop)
    destination = Destination(folder, {"seed": settings.seed})
    fit(task, destination, settings.loop, settings.rates, Surroundings(others=task.others))
    return task


@pytest.mark.parametrize(("layout", "rows", "n_steps"), [
    pytest.param("published", "lower", 25, marks=pytest.mark.slow), ("published", "full", 25), ("warping", "lower", 45),
])  # fmt: skip
def test_one_batch_can_be_overfitted(layout: Any, rows: Any, n_steps: int, cache: Cache) -> None:
    task = task_for(cache, replace(L1, layout=layout, rows=rows, width=4, lr=1e-2))
    batch = task.batch(0)
    losses = [task.step(step, batch)["l1"] for step in range(n_steps)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("name", RECIPES)
def test_stopping_leaves_no_trace(name: str, cache: Cache, tmp_path: Path) -> None:
    settings = RECIPES[name]
    whole = train(cache, tmp_path / "whole", settings)
    for stop in (3, 5) if name in STOPPED_TWICE else (5,):
        with pytest.raises(KeyboardInterrupt):
            train(cache, tmp_path / "stopped", settings, stop)
    resumed = train(cache, tmp_path / "stopped", settings)
    for name, network in whole.networks.items():
        other = resumed.networks[name].state_dict()
        assert all(torch.equal(other[key], value) for key, value in network.state_dict().items())
    for name, optimiser in whole.optimisers.items():
        other = resumed.optimisers[name].state_dict()["state"]
        for number, state in optimiser.state_dict()["state"].items():
            assert all(torch.equal(other[number][key], value) for key, value in state.items())
    names = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*"))
    models = {name.name for name in names if name.suffix == ".safetensors"}
    kinds = {"generator"} | ({"discriminator"} if settings.adversary else set())
    assert models == {f"{kind}-{tag}.safetensors" for kind in kinds for tag in ("best", "latest")}
    for name in names:
        if name.name != "state.pt":
            assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


class TestModelFiles:
    def test_the_card_says_what_the_generator_needs(self, cache: Cache, tmp_path: Path) -> None:
        settings = replace(W2L, schedule=replace(LATE, sync=(1, 10)))
        train(cache, tmp_path, settings)
        model = load_model(tmp_path / "generator-latest.safetensors", "generator")
        card = model.card
        assert isinstance(model.network, WarpingGenerator)
        assert card.schedule["sync"] == pytest.approx(0.1 * 5 / 10)
        assert (card.schedule["lips"], card.schedule["features"]) == (0.2, 0.1)
        assert (card.step, card.references, card.crop, card.mask) == (6, "still", ALIGNED, "jaw")
        assert card.dimensions == {
            "size": SIZE, "width": 2, "n_references": 2, "rows": "lower", "layout": "warping", "flow_blur": 0.0,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "kind"), [("wav2lip-gan", "discriminator"), ("lipgan", "pairs"), ("w2l", "patches")]
    )
    def test_what_was_trained_against_it_is_kept(self, name: str, kind: Any, cache: Cache, tmp_path: Path) -> None:
        train(cache, tmp_path, RECIPES[name])
        assert load_model(tmp_path / "discriminator-latest.safetensors", kind).card.step == 6

    def test_consecutive_references_mean_the_same_frame_at_inference(self, cache: Cache) -> None:
        assert task_for(cache, FULL).exports(1, {})["generator"][1].references == "same"

    def test_the_average_is_what_is_kept(self, cache: Cache) -> None:
        task = task_for(cache, replace(L1, ema=0.9, lr=0.1))
        for step in range(3):
            task.step(step, task.batch(step))
        kept = task.exports(3, {})["generator"][0].state_dict()
        moving = task.networks["generator"].state_dict()
        name = "output_block.1.weight"
        assert not torch.equal(kept[name], moving[name])


class TestSteps:
    def test_terms_come_and_go_with_their_weights(self, cache: Cache) -> None:
        task = task_for(cache, replace(GAN, schedule=replace(LATE, sync=(1, 0))))
        names = [set(task.step(step, task.batch(step))) for step in range(3)]
        assert names[0] == {"l1", "grad_norm"}
        assert names[1] == {"l1", "sync", "grad_norm"}
        assert names[2] == names[1] | {"adversarial", "disc_real", "disc_fake", "disc_grad_norm"}

    @pytest.mark.parametrize(
        "kind", ["published", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("patches", "pairs"))]
    )
    def test_the_discriminator_learns(self, kind: Any, cache: Cache) -> None:
        """Against a generator that stands still."""
        term = {"contrast": 0.1, "adversarial": 0.0} if kind == "pairs" else {"adversarial": 0.1}
        chosen = DiscriminatorSettings(kind, width=8, lr=3e-3)
        task = task_for(cache, replace(L1, **term, lr=1e-12, discriminator=chosen))
        batch = task.batch(0)
        found = [task.step(step, batch) for step in range(25 if kind == "published" else 40)]
        losses = [sum(value for name, value in terms.items() if name in ("disc_real", "disc_fake")) for terms in found]
        assert min(losses) < 0.6 * losses[0]

    def test_the_sync_loss_reaches_the_generator(self, cache: Cache) -> None:
        """With nearly all the weight on sync, one batch's sync loss falls."""
        task = task_for(cache, replace(TINY, l1=0.01, sync=0.99, schedule=Schedule(sync=(0, 0)), lr=1e-2))
        batch = task.batch(0)
        losses = [task.step(step, batch)["sync"] for step in range(20)]
        assert losses[-1] < losses[0] - 0.02

    def test_the_other_network_gets_nothing_from_a_step_of_one(self, cache: Cache) -> None:
        """Neither do the generator's terms move the discriminator, nor its own the generator."""
        still = replace(GAN, schedule=Schedule(), discriminator=DiscriminatorSettings(width=2, lr=1e-12))
        task = task_for(cache, still)
        before = {key: value.clone() for key, value in task.networks["discriminator"].state_dict().items()}
        task.step(0, task.batch(0))
        after = task.networks["discriminator"].state_dict()
        assert all(torch.allclose(before[key], value, atol=1e-9) for key, value in after.items())

    def test_parts_add_up_to_the_batch(self, cache: Cache) -> None:
        """Two parts with the same window: the gradient is that of one such part."""
        one, two = task_for(cache, L1), task_for(cache, replace(L1, accumulate=2))
        single = one.batch(0).parts(2)[0]
        double = replace(
            single, **{name: torch.cat([tensor, tensor]) for name, tensor in single.tensors().items()},
            clips=single.clips * 2,
        )  # fmt: skip
        assert one.step(0, single)["grad_norm"] == pytest.approx(two.step(0, double)["grad_norm"], rel=1e-4)

    def test_a_message_can_name_the_clips(self, cache: Cache) -> None:
        task = task_for(cache, L1)
        batch = task.batch(0)
        assert set(task.describe(batch).split(", ")) == set(batch.clips)


class TestMask:
    @pytest.mark.parametrize("mask", ["lower-half", "jaw"])
    def test_the_generator_never_sees_what_is_hidden(self, mask: Any, cache: Cache) -> None:
        task = task_for(cache, replace(L1, mask=mask))
        batch = task.batch(0)
        hides = hidden_pixels(SIZE, mask)
        other = batch.target.clone()
        other[:, :, torch.from_numpy(hides)] = 77
        one, two = (task.make(each).generated for each in (batch, replace(batch, target=other)))
        assert torch.equal(one, two)

    def test_masked_hides_in_a_copy(self) -> None:
        faces = torch.ones(1, 3, 2, 6, 4)
        below = torch.arange(6)[:, None].expand(6, 4) >= 3
        black = masked(faces, below)
        assert black[..., :3, :].min() == 1
        assert black[..., 3:, :].max() == 0
        assert faces.min() == 1


class TestValidation:
    def validate(self, task: GeneratorTask, step: int, folder: Path) -> Any:
        for network in task.networks.values():
            network.eval()
        with torch.no_grad():
            return task.validate(step, folder)

    def test_scores_and_a_sheet(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, replace(TINY, sampling=replace(SAMPLING, batch_size=3)))
        found = self.validate(task, 7, tmp_path)
        assert set(found.scores) == {"l1", "sync"}
        assert found.quality == pytest.approx(-(TINY.l1 * found.scores["l1"] + 0.1 * found.scores["sync"]))
        sheet = cv2.imread(str(tmp_path / "step000000007.png"))
        assert sheet is not None
        assert sheet.shape == (3 * SIZE, (1 + 3 * 5) * SIZE, 3)
        # Masked faces are black below, real ones are not, and the upper half of a made one is real.
        black, made, real = (sheet[:SIZE, SIZE * k : SIZE * (k + 1)] for k in (1, 6, 11))
        half = SIZE // 2
        assert black[half:].max() == 0
        np.testing.assert_array_equal(made[:half], real[:half])
        assert real[half:].min() > 0

    def test_the_sheet_hides_what_the_generator_did_not_see(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, replace(L1, mask="jaw"))
        self.validate(task, 7, tmp_path)
        sheet = cv2.imread(str(tmp_path / "step000000007.png"))
        assert sheet is not None
        seen, real = (sheet[:SIZE, SIZE * k : SIZE * (k + 1)] for k in (1, 11))
        jaw = hidden_pixels(SIZE, "jaw")
        assert seen[jaw].max() == 0
        np.testing.assert_array_equal(seen[~jaw], real[~jaw])

    def test_a_model_from_before_all_terms_count_is_never_the_best(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, GAN)
        early, late = (self.validate(task, step, tmp_path).quality for step in (1, 5))
        assert early < -100 < late

    def test_it_is_the_same_every_time(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, TINY)
        assert self.validate(task, 1, tmp_path).scores == self.validate(task, 2, tmp_path).scores

    def test_mouths_of_whole_stretches_and_a_video(self, cache: Cache, tmp_path: Path) -> None:
        """The drawn bars of this cache are no lips that the reader knows: it is the way there that is tested."""
        task = task_for(cache, replace(L1, validation_tracks=1))
        self.validate(task, 3, tmp_path)
        assert (tmp_path / "step000000003.mp4").stat().st_size > 0

    def test_boxes_have_a_video_too(self, cache: Cache, tmp_path: Path) -> None:
        task = task_for(cache, replace(L1, validation_tracks=1))
        task.validation.crop = CropSpec("box", SIZE)
        assert set(self.validate(task, 3, tmp_path).scores) == {"l1"}
        assert (tmp_path / "step000000003.mp4").stat().st_size > 0

    def test_a_source_that_broke_since_makes_the_video_silent(
        self, cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "broken.mp4").write_text("no video\n")
        task = task_for(cache, replace(L1, validation_tracks=1))
        task.validation.sound = lambda *_: SourceSound(tmp_path / "broken.mp4", 0.0)
        self.validate(task, 3, tmp_path)
        assert (tmp_path / "step000000003.mp4").stat().st_size > 0
        assert "the sample video is silent: " in caplog.text

    @pytest.mark.parametrize("n_references", [1, 2, 4])
    def test_references_of_a_stretch_keep_away_from_its_windows(self, n_references: int) -> None:
        for start in range(71):
            found = ends_of(75, start, n_references, distance=5)
            assert len(found) == n_references
            for places in found:
                assert len(places) == 5
                assert len(set(places)) == 1
                assert max(start - places[0], places[0] - (start + 4)) >= 5
        assert ends_of(6, 0, n_references, distance=5) == ((5,) * 5,) * n_references  # the farthest there is

    def test_words_count_from_where_a_track_begins(self, cache: Cache) -> None:
        task = task_for(cache, L1, words={"clip0": ((1.0, 1.2, "b"),), "clip5": ((1.0, 1.2, "b"),)})
        check = task.validation
        track = next(number for number, name in enumerate(check.tracks.names) if name in check.words)
        check.tracks._spoken_from[track] = 10
        ((start_s, end_s, word),) = check._words_of(track)
        assert (start_s, end_s, word) == (pytest.approx(0.6), pytest.approx(0.8), "b")


class TestHearing:
    def test_a_run_begins_with_the_experts_ears(self, cache: Cache) -> None:
        torch.manual_seed(8)
        network = Expert(ExpertDimensions(SIZE, 5, 2, signed=True, layout="strided")).eval()
        card = ModelCard("expert", dimensions_of(network), CropSpec("aligned", SIZE))
        expert = Model(network, card, Path("expert.safetensors"))
        task = task_for(cache, replace(TINY, layout="warping", audio_encoder_init="expert"), expert)
        ears = task.networks["generator"].audio_encoder.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(ears[key], value) for key, value in network.audio_encoder.state_dict().items())
        task.step(0, task.batch(0))
        assert not all(torch.equal(ears[key], value) for key, value in network.audio_encoder.state_dict().items())


class TestInit:
    def test_a_run_begins_with_the_weights_of_another(self, cache: Cache) -> None:
        torch.manual_seed(3)
        network = Generator(GeneratorDimensions(SIZE, 2)).eval()
        init = Model(network, ModelCard("generator", dimensions_of(network), ALIGNED), Path("init.pth"))
        mine = task_for(cache, replace(L1, seed=9), init=init).networks["generator"].state_dict()
        assert all(torch.equal(mine[key], value) for key, value in network.state_dict().items())

    @pytest.mark.parametrize(("asked", "expected"), [(None, 0.04), (0.0, 0.0), (0.02, 0.02)])
    def test_the_flow_is_smoothed_as_before_unless_set(
        self, cache: Cache, asked: float | None, expected: float
    ) -> None:
        """Tuning a generator to a person must not make its lips tear."""
        network = make_generator(GeneratorDimensions(SIZE, 2, 1, "lower", "warping", 0.04)).eval()
        init = Model(network, ModelCard("generator", dimensions_of(network), ALIGNED), Path("init.pth"))
        settings = replace(L1, rows="lower", layout="warping", flow_blur=asked)
        _, card = task_for(cache, settings, init=init).exports(0, {})["generator"]
        assert card.dimensions["flow_blur"] == expected

    def test_its_card_names_its_teacher_and_those_of_what_it_began_as(self, cache: Cache) -> None:
        """Each once, the last one last; tuned without an expert, it was taught all the same."""
        network = Generator(GeneratorDimensions(SIZE, 2)).eval()
        expert = make_expert(ancestors=("fe" * 32,))
        teacher, earlier = as_teacher(expert), TaughtBy("earlier", "ab" * 32)
        card = ModelCard("generator", dimensions_of(network), ALIGNED, teachers=(teacher, earlier))
        init = Model(network, card, Path("init.pth"))
        tuned = task_for(cache, L1, init=init).exports(0, {})["generator"][1]
        assert tuned.teachers == (teacher, earlier)
        again = task_for(cache, TINY, expert, init).exports(0, {})
        assert all(card.teachers == (earlier, teacher) for _, card in again.values())
        assert {"fe" * 32, weights_mark(expert.network)} <= teacher.marks


def task_on(cache: Cache, settings: GeneratorSettings, crop: CropSpec) -> GeneratorTask:
    """A task on crops that are said to be cut as `crop`."""
    data = replace(open_training_data(cache, ALIGNED), crop=crop)
    return GeneratorTask(settings, data, TrainedModels(), CPU)


def test_sync_needs_an_expert(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="requires an expert"):
        GeneratorTask(TINY, open_training_data(cache, ALIGNED), TrainedModels(), CPU)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"lips": 0.1}, "lips"), ({"mask": "jaw"}, "mask=jaw"), ({"mouth_focus": 2.0}, "mouth_focus"),
     ({"sampling": replace(L1.sampling, swap=0.2)}, "sampling.swap"),
     ({"sampling": replace(L1.sampling, augment=AugmentSettings(mouth=0.1))}, "augment.mouth")],
)  # fmt: skip
def test_box_crops_have_no_place_for_the_mouth(given: dict[str, Any], named: str, cache: Cache) -> None:
    with pytest.raises(ConfigError, match=f"{named} requires aligned crops, the cache contains box crops"):
        task_on(cache, replace(L1, **given), CropSpec("box", SIZE))


def test_a_crop_size_without_a_generator(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="no generator fits these crops: size must be"):
        task_on(cache, L1, CropSpec("aligned", 90))


def test_pictures() -> None:
    frames = torch.arange(2 * 5 * 2 * 3 * 6, dtype=torch.uint8).reshape(2, 5, 2, 3, 6)
    rgb, bgr = pictures(frames), pictures(frames, "bgr")
    assert rgb.shape == (2, 6, 5, 2, 3)
    assert rgb[1, 4, 3, 1, 2] == frames[1, 3, 1, 2, 4] / 255
    torch.testing.assert_close(bgr[:, [2, 1, 0, 5, 4, 3]], rgb)
    torch.testing.assert_close(in_order(bgr, "bgr"), rgb)
