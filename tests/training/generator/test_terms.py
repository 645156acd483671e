"""The terms of a generator's loss: which windows count where, and that each pulls the way its name says."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.makers import CPU, SIZE, make_expert
from tests.helpers.tiny_cache import ALIGNED
from w2l.models.lip_reader import load_lips
from w2l.training.generator.teacher import Teacher
from w2l.training.generator.terms import REST_GAP, Judges, Made, Terms

BATCH, HALF = 3, SIZE // 2


def made(generated: Tensor, target: Tensor, **facts: Any) -> Made:
    given = Made(
        target, generated, torch.zeros(len(target), 3, 5, SIZE, SIZE), torch.zeros(len(target), 5, 80, 16),
        torch.randn(len(target), 80, 16, generator=torch.Generator().manual_seed(1)),
        torch.ones(len(target), dtype=torch.bool), torch.zeros(len(target), dtype=torch.bool),
    )  # fmt: skip
    return replace(given, **facts)


def pictures(seed: int, n: int = BATCH) -> Tensor:
    return torch.rand(n, 3, 5, HALF, SIZE, generator=torch.Generator().manual_seed(seed))


def terms(**options: Any) -> Terms:
    return Terms(SIZE, HALF, 2.0, Judges(Teacher(make_expert(), ALIGNED)), CPU, **options)


def mouths(openness: list[float]) -> Tensor:
    """Lower halves (1, 3, frames, 48, 96) of skin with dark lips around a gap, as the lip reader sees best."""
    frames = torch.empty(len(openness), 3, 48, 96)
    for frame, gap in zip(frames, openness):
        frame[:] = torch.tensor([0.8, 0.62, 0.55])[:, None, None]
        half = round(2 + 8 * gap)
        frame[:, 17 - half - 3 : 17 + half + 4, 34:62] = torch.tensor([0.65, 0.3, 0.3])[:, None, None]
        if gap:
            frame[:, 17 - half + 1 : 17 + half, 38:58] = torch.tensor([0.15, 0.05, 0.05])[:, None, None]
        else:  # closed lips meet in a dark line
            frame[:, 17:18, 36:60] = torch.tensor([0.3, 0.1, 0.1])[:, None, None]
    return frames.transpose(0, 1)[None]


def test_only_terms_with_a_weight_are_computed() -> None:
    found = terms()(made(pictures(0), pictures(1)), {"l1": 1.0, "edges": 0.0, "sync": 0.0})
    assert set(found) == {"l1"}
    assert set(terms()(made(pictures(0), pictures(1)), {"l1": 1, "edges": 1, "sync": 1})) == {"l1", "edges", "sync"}


def test_what_is_drawn_costs_and_a_haze_more_than_a_spot() -> None:
    haze, spot = torch.full((BATCH, 1, 5, HALF, SIZE), 1 / 16), torch.zeros(BATCH, 1, 5, HALF, SIZE)
    spot[..., ::4, ::4] = 1
    weights = {"l1": 1.0, "drawn": 0.1}
    found = [terms()(made(pictures(0), pictures(1), drawn=shares), weights) for shares in (haze, spot)]
    assert set(found[0]) == {"l1", "drawn"}
    assert [one["drawn"].item() for one in found] == pytest.approx([1 / 4, 1 / 16], abs=2e-3)


def test_uneven_moves_cost_what_they_differ_by_in_pixels() -> None:
    even = torch.full((BATCH, 2, 5, HALF, SIZE), 0.1)
    found = terms()(made(pictures(0), pictures(1), moves=even), {"smooth": 1.0})
    assert found == {"smooth": torch.tensor(0.0)}
    sheared = even + torch.arange(SIZE) * (0.5 / SIZE)  # every pixel half a pixel farther across than the one before
    found = terms()(made(pictures(0), pictures(1), moves=sheared), {"smooth": 1.0})
    assert found["smooth"].item() == pytest.approx(0.5, rel=1e-3)


def test_the_mouth_is_free_where_the_sound_is_not_the_faces_own() -> None:
    """A changed mouth costs with own speech and nothing with another's; a changed cheek costs either way."""
    target = pictures(1, 1)
    row, column = round(0.72 * SIZE) - HALF, SIZE // 2
    mouth, cheek = target.clone(), target.clone()
    mouth[..., row - 1 : row + 2, column - 1 : column + 2] = 0
    cheek[..., 1:4, 1:4] = 0
    cost: dict[tuple[str, bool], float] = {}
    for name, generated in (("mouth", mouth), ("cheek", cheek)):
        for own in (True, False):
            given = made(generated, target, own=torch.tensor([own]))
            cost[name, own] = terms()(given, {"l1": 1.0})["l1"].item()
    assert cost["mouth", False] < 0.05 * cost["mouth", True]
    assert cost["cheek", False] > 0.5 * cost["cheek", True]


def test_edges_see_softness_that_colours_hardly_show() -> None:
    target = (torch.arange(SIZE) % 2).float().expand(1, 3, 5, HALF, SIZE) * 0.1 + 0.5
    soft, shifted = torch.full_like(target, 0.55), target + 0.05
    found = [terms()(made(each, target), {"l1": 1, "edges": 1}) for each in (soft, shifted)]
    assert found[0]["l1"].item() == pytest.approx(found[1]["l1"].item(), rel=0.02)
    assert found[0]["edges"].item() > 10 * found[1]["edges"].item()


def test_the_expert_is_not_asked_about_silence_that_was_put_in() -> None:
    generated = pictures(2).requires_grad_()
    silent = torch.tensor([False, True, False])
    given = made(generated, pictures(1), silent=silent, own=~silent)
    loss = terms()(given, {"sync": 1.0})["sync"]
    loss.backward()
    assert generated.grad is not None
    reached = generated.grad.flatten(1).abs().sum(dim=1) > 0
    assert reached.tolist() == [True, False, True]
    two = made(pictures(2)[~silent], pictures(1)[~silent], expert_mels=given.expert_mels[~silent])
    assert loss.item() == pytest.approx(terms()(two, {"sync": 1.0})["sync"].item(), rel=1e-5)
    none = made(pictures(2), pictures(1), silent=torch.ones(BATCH, dtype=torch.bool))
    assert terms()(none, {"sync": 1.0})["sync"].item() == 0


class TestLips:
    def test_lips_are_nearest_where_they_are(self) -> None:
        terms = Terms(96, 48, 0.0, Judges(lips=load_lips()), CPU)
        real = mouths([0.0, 0.4, 0.8, 0.4, 0.0])
        flat = mouths([0.0] * 5)
        cost = [terms(made(each, real), {"lips": 1.0})["lips"].item() for each in (real, flat)]
        assert cost[0] == pytest.approx(0, abs=1e-6)
        assert cost[1] > 0.03
        other = made(flat, real, own=torch.tensor([False]))
        assert terms(other, {"lips": 1.0})["lips"].item() == 0

    def test_rest_wants_a_closed_mouth_in_silence_alone(self) -> None:
        terms = Terms(96, 48, 0.0, Judges(lips=load_lips()), CPU)
        wide = mouths([0.8] * 5).requires_grad_()
        quiet = made(wide, wide.detach(), silent=torch.tensor([True]), own=torch.tensor([False]))
        cost = terms(quiet, {"rest": 1.0})["rest"]
        assert cost.item() > 0.05
        cost.backward()
        assert wide.grad is not None
        assert wide.grad.abs().sum() > 0
        assert terms(made(wide, wide), {"rest": 1.0})["rest"].item() == 0
        shut = mouths([0.0] * 5)
        closed = made(shut, shut, silent=torch.tensor([True]))
        assert terms(closed, {"rest": 1.0})["rest"].item() < 0.3 * cost.item() + REST_GAP
