"""What the objectives promise, against numbers worked out by hand and by an optimiser."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from w2l.core.errors import ConfigError
from w2l.training.expert.objectives import MAX_SCALE, Bce, Contrastive, PairwiseSigmoid, make_objective
from w2l.training.losses import CHANCE, OBJECTIVES

NAMES = ("bce", "contrastive", "sigmoid")
NOT_SILENT = torch.zeros(3, dtype=torch.bool)


def batch(size: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Partner (the neighbour within pairs), coin, and no silence."""
    generator = torch.Generator().manual_seed(seed)
    partner = torch.arange(size) ^ 1
    return partner, torch.rand(size, generator=generator) < 0.5, torch.zeros(size, dtype=torch.bool)


def contrastive(table: Tensor, scale: float, silent: Tensor) -> Tensor:
    some = torch.arange(len(table)).roll(1)
    terms: dict[str, Tensor] = Contrastive(scale)(table, some, silent, silent)
    return terms["contrastive"]


class TestAll:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_loss_comes_first_under_its_name_and_has_a_gradient(self, name: str) -> None:
        table = torch.rand(6, 6, requires_grad=True)
        terms = make_objective(name)(table, *batch(6))
        assert list(terms) == [name, "pair"]
        assert not terms["pair"].requires_grad
        terms[name].backward()
        assert table.grad is not None
        assert float(table.grad.abs().sum()) > 0

    @pytest.mark.parametrize("name", NAMES)
    def test_who_tells_nothing_is_at_ln_2(self, name: str) -> None:
        terms = make_objective(name)(torch.full((8, 8), 0.5), *batch(8))
        assert float(terms["pair"]) == pytest.approx(math.log(2), rel=1e-5)
        assert pytest.approx(math.log(2)) == CHANCE

    @pytest.mark.parametrize("name", NAMES)
    def test_the_choice_falls_when_own_sounds_are_more_alike(self, name: str) -> None:
        objective, (partner, in_sync, silent) = make_objective(name), batch(6)
        table = torch.full((6, 6), 0.2) + 0.6 * torch.eye(6)
        better, worse = objective(table, partner, in_sync, silent), objective(1 - table, partner, in_sync, silent)
        assert float(better["pair"]) < 0.1 < math.log(2) < float(worse["pair"])
        assert float(better[name].detach()) < float(worse[name].detach())

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_similarities_under_autocast(self, name: str, dtype: torch.dtype) -> None:
        table = torch.rand(8, 8)
        expected = make_objective(name)(table.to(dtype).float(), *batch(8))
        with torch.autocast("cpu", torch.bfloat16):
            found = make_objective(name)(table.to(dtype), *batch(8))
        for key, value in expected.items():
            assert found[key].dtype == torch.float32
            assert float(found[key].detach()) == pytest.approx(float(value.detach()), rel=1e-6)

    @pytest.mark.parametrize("name", NAMES)
    def test_arguments_stay_as_they_are(self, name: str) -> None:
        table, (partner, in_sync, _) = torch.rand(4, 4), batch(4)
        silent = torch.tensor([True, True, False, True])
        before = [tensor.clone() for tensor in (table, partner, in_sync, silent)]
        make_objective(name)(table, partner, in_sync, silent)
        assert all(torch.equal(one, other) for one, other in zip((table, partner, in_sync, silent), before))

    @pytest.mark.parametrize("name", NAMES)
    def test_extreme_similarities_stay_finite(self, name: str) -> None:
        table = torch.tensor([[1 + 1e-6, 0.0], [-1e-7, -1.0]], requires_grad=True)
        terms = make_objective(name)(table, torch.tensor([1, 0]), torch.tensor([True, False]), torch.zeros(2).bool())
        terms[name].backward()
        assert all(math.isfinite(float(term.detach())) for term in terms.values())
        assert table.grad is not None
        assert bool(table.grad.isfinite().all())

    @pytest.mark.parametrize("name", NAMES)
    def test_embeddings_learn_to_tell_their_own(self, name: str) -> None:
        """Free unit vectors find a place where the diagonal is told from the rest."""
        torch.manual_seed(1)
        objective = make_objective(name)
        audio, face = (torch.nn.Parameter(torch.randn(8, 16)) for _ in range(2))
        optimiser = torch.optim.Adam([audio, face, *objective.parameters()], lr=0.03)
        pair = 1.0
        for number in range(150):
            one, other = (F.normalize(F.softplus(x) if name == "bce" else x, dim=1) for x in (audio, face))
            terms = objective(one @ other.T, *batch(8, number))
            optimiser.zero_grad()
            terms[name].backward()
            optimiser.step()
            pair = float(terms["pair"])
        assert pair < 0.1

    def test_names(self) -> None:
        assert OBJECTIVES == NAMES
        assert [make_objective(name).signed for name in NAMES] == [False, True, True]
        with pytest.raises(ConfigError, match="'l2' is unknown; choose bce, contrastive or sigmoid"):
            make_objective("l2")

    def test_a_state_is_taken_up(self) -> None:
        one, other = PairwiseSigmoid(3.0, -2.0), make_objective("sigmoid")
        other.load_state_dict(one.state_dict())
        table = torch.rand(4, 4)
        assert torch.equal(one(table, *batch(4))["sigmoid"], other(table, *batch(4))["sigmoid"])
        assert not list(make_objective("bce").parameters())


class TestBce:
    """The published loss: one pair a face, the cosine is the probability."""

    def test_the_coin_chooses_the_sound(self) -> None:
        table = torch.tensor([[0.9, 0.1], [0.3, 0.6]])  # rows: sounds
        terms = Bce()(table, torch.tensor([1, 0]), torch.tensor([True, False]), torch.zeros(2).bool())
        assert float(terms["bce"]) == pytest.approx(-(math.log(0.9) + math.log(1 - 0.1)) / 2, rel=1e-5)

    def test_the_choice_by_probabilities(self) -> None:
        table = torch.tensor([[0.9, 0.1], [0.3, 0.6]])
        own = 0.9 * 0.7 / (0.9 * 0.7 + 0.3 * 0.1)  # own in sync and partner not, against the reverse
        other = 0.6 * 0.9 / (0.6 * 0.9 + 0.1 * 0.4)
        terms = Bce()(table, torch.tensor([1, 0]), torch.ones(2).bool(), torch.zeros(2).bool())
        assert float(terms["pair"]) == pytest.approx(-(math.log(own) + math.log(other)) / 2, rel=1e-4)

    def test_silence_is_a_pair_as_published(self) -> None:
        table, partner, in_sync = torch.rand(4, 4), torch.tensor([1, 0, 3, 2]), torch.tensor([True, False] * 2)
        quiet, loud = (Bce()(table, partner, in_sync, torch.full((4,), value))["bce"] for value in (True, False))
        assert torch.equal(quiet, loud)


class TestContrastive:
    def test_chance_is_the_logarithm_of_the_batch(self) -> None:
        loss = contrastive(torch.full((7, 7), 0.4), 20.0, torch.zeros(7, dtype=torch.bool))
        assert float(loss.detach()) == pytest.approx(math.log(7), rel=1e-5)

    def test_both_directions_count(self) -> None:
        table = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 3.0]])
        rows = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(table.tolist())]
        columns = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(table.T.tolist())]
        expected = (sum(rows) + sum(columns)) / 6
        assert float(contrastive(table, 1.0, NOT_SILENT).detach()) == pytest.approx(expected, rel=1e-5)

    def test_silent_windows_are_no_negatives_of_each_other(self) -> None:
        table = torch.tensor([[1.0, 9.0, 0.0], [9.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        one_negative = math.log(math.exp(1) + 1) - 1
        two_negatives = math.log(math.exp(1) + 2) - 1
        expected = (2 * one_negative + two_negatives) / 3
        found = contrastive(table, 1.0, torch.tensor([True, True, False]))
        assert float(found.detach()) == pytest.approx(expected, rel=1e-5)

    def test_all_silent_gives_no_gradient_and_no_nan(self) -> None:
        table = torch.randn(4, 4, requires_grad=True)
        loss = contrastive(table, 5.0, torch.ones(4, dtype=torch.bool))
        loss.backward()
        assert float(loss.detach()) == 0
        assert table.grad is not None
        assert float(table.grad.abs().max()) == 0

    def test_the_temperature_has_a_ceiling(self) -> None:
        table = torch.randn(3, 3)
        assert torch.equal(contrastive(table, 1e4, NOT_SILENT), contrastive(table, MAX_SCALE, NOT_SILENT))

    def test_the_temperature_is_learnt(self) -> None:
        objective = Contrastive(2.0)
        objective(torch.eye(4), *batch(4))["contrastive"].backward()
        assert objective.log_scale.grad is not None
        assert float(objective.log_scale.grad) < 0  # a clear diagonal asks for more contrast


class TestSigmoid:
    def test_each_pair_by_itself(self) -> None:
        table = torch.tensor([[0.8, -0.2], [0.1, 0.5]])
        terms = PairwiseSigmoid(4.0, -1.0)(table, torch.tensor([1, 0]), torch.ones(2).bool(), torch.zeros(2).bool())
        costs = [math.log(1 + math.exp(-sign * (4 * value - 1))) for value, sign in
                 ((0.8, 1), (-0.2, -1), (0.1, -1), (0.5, 1))]  # fmt: skip
        assert float(terms["sigmoid"].detach()) == pytest.approx(sum(costs) / 2, rel=1e-5)

    def test_pairs_of_silent_windows_do_not_count(self) -> None:
        silent = torch.tensor([True, False, True, False])
        table = torch.rand(4, 4, requires_grad=True)
        PairwiseSigmoid()(table, *batch(4)[:2], silent)["sigmoid"].backward()
        assert table.grad is not None
        untouched = table.grad == 0
        expected = silent[:, None] & silent[None] & ~torch.eye(4, dtype=torch.bool)
        assert torch.equal(untouched, expected)

    def test_scale_and_bias_are_learnt(self) -> None:
        objective = PairwiseSigmoid()
        objective(torch.rand(4, 4), *batch(4))["sigmoid"].backward()
        assert all(parameter.grad is not None and float(parameter.grad) for parameter in objective.parameters())
