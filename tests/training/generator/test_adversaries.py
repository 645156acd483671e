"""Adversaries: one suite over every kind, then the formulas of each; all on made pictures and sounds."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, load_state, save_model, save_state
from w2l.training.generator.adversaries import (
    Adversary,
    AdversaryShape,
    PairAdversary,
    ShownFaces,
    contrastive,
    feature_distance,
    least_squares,
    make_adversary,
)

CPU = torch.device("cpu")
KINDS: dict[str, tuple[Any, int]] = {
    "published1": ("published", 1), "published5": ("published", 5),
    "patches1": ("patches", 1), "patches5": ("patches", 5), "pairs": ("pairs", 5),
}  # fmt: skip
TERMS = {"published": {"adversarial"}, "patches": {"adversarial", "features"}, "pairs": {"contrast"}}


def made(name: str, size: int = 32, width: int = 4, **options: Any) -> Adversary:
    torch.manual_seed(3)
    kind, n_frames = KINDS[name]
    rows = options.pop("rows", "lower")
    return make_adversary(AdversaryShape(kind, size, width, n_frames, rows), CPU, **options)


def seen(seed: int = 0, batch: int = 4, size: int = 32) -> ShownFaces:
    """A bright bar at a height that the sound's loudest bands tell, another for neighbours; made frames are dark."""
    random = torch.Generator().manual_seed(seed)
    first, step = torch.randint(0, 4, (1,), generator=random), 1 + 2 * torch.randint(0, 2, (1,), generator=random)
    height = (first + step * torch.arange(batch)) % 4
    frames = 0.5 + 0.1 * torch.randn(batch, 3, 5, size // 2, size, generator=random)
    real, mels = frames.clone(), torch.full((batch, 5, 80, 16), -4.0)
    for i, place in enumerate(height.tolist()):
        rows = size // 8
        real[i, :, :, place * rows : (place + 1) * rows, size // 4 : -size // 4] += 0.4
        mels[i, :, 20 * place : 20 * (place + 1)] = 2.0
    generated = (0.3 * frames.clamp(0, 1)).requires_grad_()
    return ShownFaces(0.7 + 0.3 * real.clamp(0, 1), generated, mels, torch.ones(batch, dtype=torch.bool))


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def optimiser_of(adversary: Adversary) -> torch.optim.Adam:
    return torch.optim.Adam(adversary.network.parameters(), lr=1e-3, betas=(0.5, 0.999))


def update(adversary: Adversary, optimiser: torch.optim.Optimizer, step: int) -> dict[str, float]:
    """One training step of the generator's side, whose gradients are thrown away, and of the adversary's own."""
    given = seen(step)
    total(adversary.generator_terms(given)).backward()  # type: ignore[no-untyped-call]
    terms = adversary.own_terms(given)
    optimiser.zero_grad(set_to_none=True)
    total(terms).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(adversary.network.parameters(), 1.0)
    optimiser.step()
    return {name: float(term.detach()) for name, term in terms.items()}


@pytest.fixture(scope="module")
def trained() -> Callable[[str], Adversary]:
    """Gives a copy of an adversary after some steps, which are done once."""
    kept: dict[str, Adversary] = {}

    def train(name: str) -> Adversary:
        if name not in kept:
            kept[name] = made(name)
            optimiser = optimiser_of(kept[name])
            for step in range(36):
                update(kept[name], optimiser, step)
        return copy.deepcopy(kept[name])

    return train


@pytest.mark.parametrize("name", KINDS)
class TestEveryKind:
    def test_terms_are_finite_numbers_under_their_names(self, name: str) -> None:
        adversary, given = made(name), seen()
        mine, own = adversary.generator_terms(given), adversary.own_terms(given)
        assert set(mine) == TERMS[KINDS[name][0]]
        assert set(own) == {"disc_real", "disc_fake"} | ({"disc_off"} if name == "pairs" else set())
        for term in (*mine.values(), *own.values()):
            assert term.shape == ()
            assert math.isfinite(float(term.detach()))
            assert float(term.detach()) >= 0

    def test_the_generators_terms_reach_the_generated_frames_only(self, name: str) -> None:
        adversary, given = made(name), seen()
        total(adversary.generator_terms(given)).backward()  # type: ignore[no-untyped-call]
        assert given.generated.grad is not None
        assert torch.isfinite(given.generated.grad).all()
        assert (given.generated.grad.abs().sum(dim=(1, 3, 4)) > 0).all(), "every frame of every window counts"
        assert all(parameter.grad is None for parameter in adversary.network.parameters())
        assert all(parameter.requires_grad for parameter in adversary.network.parameters())

    def test_its_own_terms_reach_its_weights_only(self, name: str) -> None:
        adversary, given = made(name), seen()
        total(adversary.own_terms(given)).backward()  # type: ignore[no-untyped-call]
        assert given.generated.grad is None
        assert all(parameter.grad is not None for parameter in adversary.network.parameters())

    def test_its_own_terms_may_come_before_the_generator_is_followed_back(self, name: str) -> None:
        adversary, given = made(name), seen()
        mine, own = total(adversary.generator_terms(given)), total(adversary.own_terms(given))
        again = total(adversary.own_terms(given))
        for loss in (own, again, mine):
            loss.backward()  # type: ignore[no-untyped-call]

    def test_it_learns_to_tell_real_from_made(self, name: str, trained: Callable[[str], Adversary]) -> None:
        before, after = (total(one.own_terms(seen(1000, 8))).item() for one in (made(name), trained(name)))
        assert after < made(name).undecided < before

    def test_frames_that_follow_it_become_real_to_it(self, name: str, trained: Callable[[str], Adversary]) -> None:
        adversary, given = trained(name), seen(1000)
        key = next(iter(TERMS[KINDS[name][0]] - {"features"}))
        start = adversary.generator_terms(given)[key].item()
        mover = torch.optim.Adam([given.generated], lr=0.05)
        for _ in range(20):
            mover.zero_grad()
            adversary.generator_terms(given)[key].backward()  # type: ignore[no-untyped-call]
            mover.step()
        assert adversary.generator_terms(given)[key].item() < 0.5 * start

    def test_stopping_leaves_no_trace(self, name: str, tmp_path: Path) -> None:
        whole = made(name)
        optimiser = optimiser_of(whole)
        logged = [update(whole, optimiser, step) for step in range(6)]
        stopped = made(name)
        first = optimiser_of(stopped)
        assert [update(stopped, first, step) for step in range(3)] == logged[:3]
        save_state(tmp_path / "state.pt", {"net": stopped.network.state_dict(), "optimiser": first.state_dict()})
        torch.manual_seed(99)
        resumed = make_adversary(AdversaryShape(KINDS[name][0], 32, 4, KINDS[name][1]), CPU)
        second, state = optimiser_of(resumed), load_state(tmp_path / "state.pt")
        resumed.network.load_state_dict(state["net"])
        second.load_state_dict(state["optimiser"])
        assert [update(resumed, second, step) for step in range(3, 6)] == logged[3:]
        for key, value in whole.network.state_dict().items():
            assert torch.equal(resumed.network.state_dict()[key], value), key

    def test_no_random_number_is_drawn_after_it_was_made(self, name: str) -> None:
        adversary, given = made(name), seen()
        before = torch.get_rng_state()
        first = adversary.generator_terms(given)
        adversary.own_terms(given)
        assert torch.equal(torch.get_rng_state(), before)
        assert {key: term.item() for key, term in adversary.generator_terms(given).items()} == pytest.approx(
            {key: term.item() for key, term in first.items()}, rel=1e-2
        )

    def test_its_model_file_gives_the_same_network(self, name: str, tmp_path: Path) -> None:
        adversary, given = made(name), seen()
        update(adversary, optimiser_of(adversary), 0)
        path = tmp_path / "discriminator.safetensors"
        save_model(path, adversary.network, ModelCard(adversary.kind, dimensions_of(adversary.network)))
        model = load_model(path, adversary.kind)
        other = copy.copy(adversary)
        other.network = model.network  # type: ignore[misc]
        assert total(other.own_terms(given)).item() == pytest.approx(total(adversary.own_terms(given)).item(), rel=1e-5)

    @pytest.mark.parametrize("size", [64, 96, 128])
    def test_sizes(self, name: str, size: int) -> None:
        adversary, given = made(name, size, 2), seen(0, 2, size)
        assert math.isfinite(total(adversary.own_terms(given) | adversary.generator_terms(given)).item())

    def test_half_precision_is_near(self, name: str) -> None:
        given = seen()
        full, half = (made(name, precision=precision).own_terms(given) for precision in ("fp32", "bf16"))
        for key, term in full.items():
            assert half[key].dtype == torch.float32
            assert half[key].item() == pytest.approx(term.item(), abs=0.03)


class TestFormulas:
    def test_contrastive_by_hand(self) -> None:
        apart = torch.tensor([0.0, 0.4, 1.0, 1.5])
        torch.testing.assert_close(contrastive(apart, in_sync=True), torch.tensor([0.0, 0.16, 1.0, 2.25]))
        torch.testing.assert_close(contrastive(apart, in_sync=False), torch.tensor([1.0, 0.36, 0.0, 0.0]))

    def test_each_scale_weighs_alike(self) -> None:
        maps = [torch.zeros(1, 1, 4, 8), torch.full((1, 1, 2, 4), 2.0)]
        assert least_squares(maps, 1.0).item() == 1.0
        assert least_squares(maps, 0.0).item() == 2.0

    def test_feature_distance_by_hand(self) -> None:
        mine = [[torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 2, 2)], [torch.ones(1, 2, 2, 2)]]
        theirs = [[torch.full((1, 2, 4, 4), 3.0), torch.zeros(1, 4, 2, 2)], [torch.ones(1, 2, 2, 2)]]
        assert feature_distance(mine, theirs).item() == 1.0

    def test_features_of_the_real_frames_themselves_are_no_distance(self) -> None:
        given, adversary = seen(), made("patches5")
        same = ShownFaces(given.real, given.real.clone().requires_grad_(), given.mels, given.own)
        assert adversary.generator_terms(same)["features"].item() == 0
        assert adversary.generator_terms(given)["features"].item() > 0

    def test_the_norm_follows_the_weights_once_an_update(self) -> None:
        adversary, given = made("patches5"), seen()
        before = {key: value.clone() for key, value in adversary.network.state_dict().items()}
        adversary.generator_terms(given)
        adversary.own_terms(given)
        assert all(torch.equal(before[key], value) for key, value in adversary.network.state_dict().items())
        adversary.settle()
        moved = {key for key, value in adversary.network.state_dict().items() if not torch.equal(before[key], value)}
        assert moved
        assert all(key.endswith("along") for key in moved)

    @pytest.mark.parametrize("name", ["patches1", "patches5"])
    def test_only_faces_with_their_own_sound_have_features_to_match(self, name: str) -> None:
        given, adversary = seen(), made(name)
        own = torch.tensor([True, False, False, True])
        rest = [
            ShownFaces(given.real[i : i + 1], given.generated[i : i + 1], given.mels[i : i + 1], own[:1])
            for i in (0, 3)
        ]
        found = adversary.generator_terms(ShownFaces(given.real, given.generated, given.mels, own))["features"]
        alone = [adversary.generator_terms(one)["features"].item() for one in rest]
        assert found.item() == pytest.approx(sum(alone) / 2, rel=1e-5)
        none = adversary.generator_terms(ShownFaces(given.real, given.generated, given.mels, ~own & own))["features"]
        assert none.item() == 0

    @pytest.mark.parametrize("name", ["published5", "patches5"])
    def test_undecided_is_what_equal_frames_cost_at_best(self, name: str) -> None:
        """Trained on real against real, a network can only tell nothing."""
        adversary = made(name)
        optimiser = optimiser_of(adversary)
        for step in range(25):
            given = seen(step)
            terms = adversary.own_terms(ShownFaces(given.real, given.real, given.mels, given.own))
            optimiser.zero_grad()
            total(terms).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        assert total(terms).item() == pytest.approx(2 * adversary.undecided, rel=0.1)


class Compass(nn.Module):
    """Stands for the network of pairs: embeddings that a test can choose, as an angle in units of a right angle."""

    def embed_audio(self, mel: Tensor) -> Tensor:
        """From the first value of a mel."""
        return self._direction(mel[:, 0, 0, 0])

    def embed_faces(self, faces: Tensor) -> Tensor:
        """From the first value of a face."""
        return self._direction(faces[:, 0, 0, 0])

    def _direction(self, angle: Tensor) -> Tensor:
        return torch.stack([torch.cos(angle * math.pi / 2), torch.sin(angle * math.pi / 2)], dim=1)


class TestPairs:
    def seen(self, real: list[float], generated: list[float], sounds: list[float], own: list[bool]) -> ShownFaces:
        def frames(values: list[float]) -> Tensor:
            return torch.tensor(values)[:, None, None, None, None].expand(-1, 3, 2, 4, 8).clone()

        mels = torch.tensor(sounds)[:, None, None, None].expand(-1, 2, 80, 16).clone()
        return ShownFaces(frames(real), frames(generated), mels, torch.tensor(own))

    def terms(self, given: ShownFaces) -> dict[str, float]:
        adversary = PairAdversary(Compass())  # type: ignore[arg-type]
        found = adversary.own_terms(given) | adversary.generator_terms(given)
        return {name: round(term.item(), 4) for name, term in found.items()}

    def test_a_perfect_judge_pays_nothing_and_the_generator_all(self) -> None:
        """Faces lie at their sounds; generated ones and neighbours' sounds at a right angle, beyond the margin."""
        given = self.seen([0, 1], [1, 0], [0, 1], [True, True])
        assert self.terms(given) == {"disc_real": 0, "disc_fake": 0, "disc_off": 0, "contrast": 2}

    def test_a_generator_that_fits_its_sound_fools_it(self) -> None:
        given = self.seen([0, 1], [0, 1], [0, 1], [True, True])
        assert self.terms(given) == {"disc_real": 0, "disc_fake": 0.5, "disc_off": 0, "contrast": 0}

    def test_a_judge_that_sees_no_difference(self) -> None:
        given = self.seen([0.2, 0.2], [0.2, 0.2], [0.2, 0.20001], [True, True])
        found = self.terms(given)
        assert found["disc_fake"] + found["disc_off"] == pytest.approx(1, abs=1e-3)

    def test_real_faces_with_another_sound_are_no_pair_in_sync(self) -> None:
        given = self.seen([1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 1], [False, True, True, True])
        assert self.terms(given)["disc_real"] == 0
        alone = self.seen([1, 0], [0, 0], [0, 1], [False, False])
        assert self.terms(alone)["disc_real"] == 0

    def test_neighbours_with_the_same_sound_are_not_off(self) -> None:
        given = self.seen([0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0.5], [True] * 4)
        apart = 2 * math.sin(math.pi / 8)
        assert self.terms(given)["disc_off"] == pytest.approx(((1 - apart) ** 2 + 1) / 2 / 2, abs=1e-3)

    @pytest.mark.parametrize("batch", [1, 2, 3, 5])
    def test_any_batch(self, batch: int) -> None:
        adversary, given = made("pairs"), seen(0, batch)
        terms = adversary.own_terms(given)
        assert math.isfinite(total(terms).item())
        if batch == 1:
            assert terms["disc_off"].item() == 0

    def test_processes_with_even_shares_pair_as_one_would(self) -> None:
        given, adversary = seen(5, 8), made("pairs")

        def part(rows: slice) -> ShownFaces:
            return ShownFaces(given.real[rows], given.generated[rows], given.mels[rows], given.own[rows])

        whole, parts = adversary.own_terms(given), [adversary.own_terms(part(slice(i, i + 2))) for i in (0, 2, 4, 6)]
        for name, term in whole.items():
            assert term.item() == pytest.approx(sum(share[name].item() for share in parts) / 4, rel=1e-5)

    def test_whole_faces_as_in_lipgan(self) -> None:
        adversary = made("pairs", rows="full")
        given = seen()
        faces = given.real.repeat(1, 1, 1, 2, 1)
        assert math.isfinite(total(adversary.own_terms(ShownFaces(faces, faces, given.mels, given.own))).item())


@pytest.mark.parametrize(
    ("kind", "size", "n_frames", "said"),
    [("published", 97, 5, "size"), ("patches", 16, 5, "size"), ("pairs", 33, 1, "size"), ("patches", 96, 0, "n_frames"),
     ("gan", 96, 5, "published, patches, pairs")],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(kind: Any, size: int, n_frames: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_adversary(AdversaryShape(kind, size, 4, n_frames), CPU)
