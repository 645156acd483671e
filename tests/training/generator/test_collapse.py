"""Made curves of runs that collapse and of runs that do not: what is said, when, and how often."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from w2l.core.errors import ConfigError, TrainingError
from w2l.models.checkpoint import load_state, save_state
from w2l.training.generator.collapse import ADVICE, FIGURES, TITLES, CollapseSettings, CollapseWatch, copying

LN2 = math.log(2)
SETTINGS = CollapseSettings(patience=1000, window=50)
EVERY = 250
"""Steps from one validation to the next."""
Curve = Callable[[int], float]
Said = list[tuple[int, str]]


def run(
    terms: Mapping[str, Curve],
    scores: Mapping[str, Curve] | None = None,
    steps: int = 3000,
    settings: CollapseSettings = SETTINGS,
    chance: float | None = LN2,
    kill_at: int = 0,
) -> Said:
    """Warnings, with their steps, of a run with these curves; killed and taken up again at a step that was saved."""
    rng = np.random.default_rng(0)
    scores = scores or {}
    watch, said = CollapseWatch(settings, chance), Said()
    for step in range(1, steps + 1):
        watch.push(step, {name: curve(step) * rng.uniform(0.9, 1.1) for name, curve in terms.items()})
        if step % EVERY == 0:
            found = {name: curve(step) for name, curve in scores.items()}
            said += [(step, words) for words in watch.check(step, found, found.pop("copied", None))]
        if step == kill_at:
            left = watch.state_dict()
            watch = CollapseWatch(settings, chance)
            watch.load_state_dict(left)
    return said


def titles(said: Said) -> list[str]:
    """What was said to be wrong."""
    return [next(name for name, title in TITLES.items() if title in words) for _, words in said]


def still(value: float) -> Curve:
    """A curve that stands still."""
    return lambda step: value


def falling(start: float, end: float, length: float = 500.0) -> Curve:
    """A curve that falls and flattens."""
    return lambda step: end + (start - end) * math.exp(-step / length)


HEALTHY = {"sync": falling(5, 0.4), "disc_real": still(0.45), "disc_fake": still(0.5), "l1": still(0.02)}
MOVING = {"articulation": still(0.8), "copied": still(0.45)}


def test_a_healthy_run_hears_nothing() -> None:
    assert run(HEALTHY, MOVING) == []


@pytest.mark.parametrize(
    ("name", "terms", "scores", "figures"),
    [
        ("won", {"disc_real": still(0.01), "disc_fake": still(0.005)}, {}, ("disc_real 0.01", "at chance 0.69")),
        ("chance", {"disc_real": still(LN2), "disc_fake": still(LN2)}, {}, ("(disc_real 0.", "at chance 0.69")),
        ("sync", {"sync": still(4.2)}, {}, ("(4.", "at the beginning 4.")),
        ("still", {}, {"articulation": still(0.12)}, ("articulation 0.12",)),
        ("copies", {}, {"copied": still(0.93)}, ("0.93 of the way",)),
    ],
    ids=["won", "chance", "sync", "still", "copies"],
)
def test_a_collapsed_run_hears_what_is_wrong_and_what_to_change(
    name: str, terms: dict[str, Curve], scores: dict[str, Curve], figures: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    said = run({**HEALTHY, **terms}, {**MOVING, **scores})
    assert titles(said) == [name]  # once, although it stays wrong for 3000 steps
    ((step, words),) = said
    assert 1000 <= step <= 1000 + 2 * EVERY
    assert words.startswith(f"step {step}: ")
    assert "\n" not in words
    assert ADVICE[name] in words
    assert not [figure for figure in figures if figure not in words], words
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [words]


def test_everything_has_words() -> None:
    assert set(TITLES) == set(FIGURES) == set(ADVICE)


@pytest.mark.parametrize(
    ("terms", "scores"),
    [
        ({"disc_real": still(0.01), "disc_fake": still(0.3)}, {}),
        ({"disc_real": still(0.2), "disc_fake": still(1.2)}, {}),
        ({name: lambda step: 0.01 if step % 800 < 600 else 0.3 for name in ("disc_real", "disc_fake")}, {}),
        ({"sync": falling(4, 1.5)}, {}),
        ({"sync": still(0.2)}, {}),
        ({"sync": lambda step: 4.0 if step < 700 else 2.0}, {}),
        ({}, {"articulation": lambda step: 0.05 if step < 900 else 0.5}),
        ({}, {"copied": lambda step: 1.0 if step < 900 else 0.5}),
    ],
    ids=["one of two", "mean at chance", "now and then", "falls a little", "good from the start", "falls late",
         "moves late", "copies at first"],
)  # fmt: skip
def test_what_looks_bad_but_is_not(terms: dict[str, Curve], scores: dict[str, Curve]) -> None:
    assert run({**HEALTHY, **terms}, {**MOVING, **scores}) == []


def test_what_is_right_again_and_then_wrong_is_said_again() -> None:
    articulation = {"articulation": lambda step: 0.8 if 1500 < step <= 2000 else 0.1}
    said = run(HEALTHY, articulation, steps=4000)
    assert [step for step, _ in said] == [1250, 3250]


def test_what_cannot_be_measured_is_neither_right_nor_wrong() -> None:
    """Every second validation has no figure for the mouth: the patience goes on from the others."""
    watch = CollapseWatch(SETTINGS)
    said = [watch.check(step, {"articulation": 0.1} if step % 500 == 0 else {}) for step in range(250, 2001, 250)]
    assert [bool(words) for words in said] == [False] * 5 + [True] + [False] * 2


@pytest.mark.parametrize(("chance", "level"), [(0.25, 0.25), (1.0, 1.0)], ids=["squares", "hinge"])
def test_other_losses_have_another_chance(chance: float, level: float) -> None:
    terms = {"disc_real": still(level), "disc_fake": still(level)}
    assert titles(run(terms, chance=chance)) == ["chance"]
    assert run(terms, chance=LN2) == []
    won = {"disc_real": still(0.02 * chance), "disc_fake": still(0.02 * chance)}
    assert titles(run(won, chance=chance)) == ["won"]


def test_terms_of_a_pair_discriminator_count_together() -> None:
    halves = {"disc_real": still(0.25), "disc_fake": still(0.125), "disc_off": still(0.125)}
    assert titles(run(halves, chance=0.25)) == ["chance"]
    assert run({**halves, "disc_off": still(0.05)}, chance=0.25) == []


def test_without_a_discriminator_its_terms_are_not_looked_at() -> None:
    assert run({"disc_real": still(0.0), "disc_fake": still(0.0)}, chance=None) == []


def test_terms_that_begin_late_are_watched_from_there() -> None:
    watch = CollapseWatch(SETTINGS)
    said: Said = []
    for step in range(1, 4001):
        watch.push(step, {"l1": 0.1, **({"sync": 4.0} if step > 2000 else {})})
        if step % EVERY == 0:
            said += [(step, words) for words in watch.check(step, {})]
    assert titles(said) == ["sync"]
    assert said[0][0] == 3250  # 2000, a window and the patience, at the next validation


@pytest.mark.parametrize("kill_at", [1, 30, 49, 50, 777, 1100, 1250, 1499, 2000])
def test_stopping_leaves_no_trace(kill_at: int) -> None:
    terms = {"sync": still(4.0), "disc_real": lambda step: 0.01 if step > 400 else 0.4, "disc_fake": still(0.01)}
    scores = {"articulation": lambda step: 0.8 if 1500 < step <= 2000 else 0.1, "copied": still(0.9)}
    whole = run(terms, scores, steps=3500)
    assert len(whole) == 5
    assert run(terms, scores, steps=3500, kill_at=kill_at) == whole


def test_its_state_fits_a_checkpoint(tmp_path: Path) -> None:
    watch = CollapseWatch(SETTINGS)
    for step in range(1, 1101):
        watch.push(step, {"sync": 4.0, "disc_real": 0.7, "disc_fake": 0.7})
    assert watch.check(1100, {"articulation": 0.1})
    save_state(tmp_path / "state.pt", watch.state_dict())
    again = CollapseWatch(SETTINGS)
    again.load_state_dict(load_state(tmp_path / "state.pt"))
    assert again.state_dict() == watch.state_dict()
    assert max(len(values) for values in watch.state_dict()["values"].values()) == SETTINGS.window


def test_it_can_be_turned_off() -> None:
    off = CollapseSettings(patience=0)
    assert run({"sync": still(4.0)}, {"articulation": still(0.0)}, settings=off) == []


def test_it_ends_a_run_only_where_it_is_told_to() -> None:
    stop = CollapseSettings(patience=1000, window=50, stop=True)
    with pytest.raises(TrainingError, match=r"hardly moves.*the last saved state is kept \(watchdog\.stop=false"):
        run(HEALTHY, {"articulation": still(0.1)}, settings=stop)
    assert run(HEALTHY, MOVING, settings=stop) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [({"patience": -1}, "at least 0"), ({"window": 1}, "window at least 2"),
     ({"patience": 49, "window": 50}, "at least the window, 50, got 49")],
)  # fmt: skip
def test_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CollapseSettings(**given)  # type: ignore[arg-type]


class TestCopying:
    @staticmethod
    def faces(seed: int, batch: int = 3, size: int = 48, n_references: int = 1) -> torch.Tensor:
        """Smooth pictures, (batch, 3 * references, frames, rows, width)."""
        coarse = torch.rand(batch, 3 * n_references, 5, 6, 12, generator=torch.Generator().manual_seed(seed))
        return F.interpolate(coarse, (5, size // 2, size), mode="trilinear")

    @pytest.mark.parametrize("size", [16, 48, 96])
    def test_it_is_the_share_of_the_way_to_the_reference(self, size: int) -> None:
        target, reference = self.faces(1, size=size), self.faces(2, size=size)
        for share in (0.0, 0.3, 1.0):
            made = share * reference + (1 - share) * target
            assert copying(made, reference, target) == pytest.approx(share, abs=1e-4)

    def test_what_resembles_neither_is_no_copy(self) -> None:
        target, reference = self.faces(1), self.faces(2)
        assert copying(torch.full_like(target, 0.5), reference, target) == pytest.approx(0.5, abs=0.1)
        assert copying(torch.ones_like(target), reference, target) < 0.75

    def test_grain_and_softness_do_not_hide_a_copy(self) -> None:
        target, reference = self.faces(1), self.faces(2)
        noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
        assert copying(reference + 0.1 * noise, reference, target) > 0.9
        assert copying(F.avg_pool3d(reference, (1, 3, 3), 1, (0, 1, 1)), reference, target) > 0.8

    def test_of_several_references_the_copied_one_counts(self) -> None:
        target, references = self.faces(1), self.faces(2, n_references=3)
        for number in range(3):
            copied = references[:, 3 * number : 3 * number + 3]
            assert copying(copied, references, target) == pytest.approx(1, abs=1e-4)
        assert copying(target, references, target) == pytest.approx(0, abs=1e-4)

    def test_windows_whose_reference_is_like_the_target_hardly_count(self) -> None:
        target, reference = self.faces(1), self.faces(2)
        made = target.clone()
        made[0] = reference[0]
        reference[1:] = target[1:] + 1e-3
        assert copying(made, reference, target) > 0.95

    def test_a_clip_that_stands_still_says_nothing(self) -> None:
        target = self.faces(1)
        assert copying(target + 0.1, target, target) == 0.0
