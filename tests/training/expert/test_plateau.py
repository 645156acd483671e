"""The watchdog fires on runs that stand still and on no other, and says what to try."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.errors import ConfigError, TrainingError
from w2l.training.expert.data_check import CheckFinding
from w2l.training.expert.plateau import Plateau, PlateauSettings, RunFacts, diagnosis, overfit_test

SETTINGS = PlateauSettings(patience=1000, window=200)
FACTS = RunFacts("contrastive", 3e-4, 64, 5)


def noisy(curve: NDArray[np.float64], seed: int) -> list[float]:
    """Values of single batches: at ln 2 they scatter by 0.1, lower ones by less, as in `docs/results.md`."""
    rng = np.random.default_rng(seed)
    return np.abs(curve + rng.normal(0, 0.02 + 0.12 * curve)).tolist()


def fires(values: list[float], settings: PlateauSettings = SETTINGS, warm_up: int = 0) -> int | None:
    """The step at which the watchdog ends the run."""
    return feed(Plateau(settings, FACTS, warm_up=warm_up), values)


def feed(plateau: Plateau, values: list[float], first: int = 0) -> int | None:
    for step in range(first, len(values)):
        try:
            plateau.push(step, values[step])
        except TrainingError:
            return step
    return None


STEPS = np.arange(4000)


class TestPlateau:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_flat_curve_ends_the_run_when_patience_does(self, seed: int) -> None:
        step = fires(noisy(np.full(4000, math.log(2)), seed))
        assert step is not None
        assert 1000 <= step < 1300

    @pytest.mark.parametrize("level", [0.85, 1.5])
    def test_worse_than_chance_is_no_better(self, level: float) -> None:
        assert fires(noisy(np.full(2000, level), 0)) is not None

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(
        "curve",
        [
            0.12 + 0.6 * np.exp(-STEPS / 130),
            0.12 + 0.6 * np.exp(-np.clip(STEPS - 800, 0, None) / 130),
            0.69 - 0.25 * STEPS / 4000,
            0.64 + 0.05 * np.exp(-STEPS / 300),
            np.concatenate([[0.84, 0.59, 0.8, 0.61] * 25, 0.15 + 0.3 * np.exp(-STEPS[:-100] / 300)]),
        ],
        ids=["quick", "late", "slow", "little", "rough"],
    )
    def test_a_run_that_learns_goes_on(self, curve: NDArray[np.float64], seed: int) -> None:
        assert fires(noisy(curve, seed)) is None

    @pytest.mark.parametrize("seed", range(5))
    def test_a_slow_start_that_falls_is_waited_for(self, seed: int) -> None:
        """Still at chance by its level when patience ends, but on its way down."""
        curve = np.where(STEPS < 1000, 0.73 - 0.05 * STEPS / 1000, 0.68 - 0.1 * (STEPS - 1000) / 1000)
        assert fires(noisy(curve, seed)) is None

    def test_the_warm_up_does_not_count(self) -> None:
        flat = noisy(np.full(4000, math.log(2)), 1)
        step = fires(flat, warm_up=1500)
        assert step is not None
        assert 2500 <= step < 2800

    def test_a_run_that_forgets_ends_too(self) -> None:
        curve = np.where(STEPS < 1500, 0.2, math.log(2))
        step = fires(noisy(curve, 2))
        assert step is not None
        assert 2500 <= step < 3000

    def test_it_can_be_turned_off(self) -> None:
        assert fires(noisy(np.full(4000, math.log(2)), 0), PlateauSettings(patience=0)) is None

    @pytest.mark.parametrize("stop", [1, 150, 399, 777, 1000])
    def test_stopping_leaves_no_trace(self, stop: int) -> None:
        values = noisy(np.full(2000, math.log(2)), 3)
        first, second = Plateau(SETTINGS, FACTS), Plateau(SETTINGS, FACTS)
        for step in range(stop):
            first.push(step, values[step])
        second.load_state_dict(first.state_dict())
        assert feed(second, values, stop) == fires(values) is not None

    def test_its_memory_is_bounded(self) -> None:
        plateau = Plateau(PlateauSettings(500, 200), FACTS)
        for step in range(900):
            plateau.push(step, 0.1)
        assert len(plateau.state_dict()["values"]) == 500

    @pytest.mark.parametrize(
        ("given", "said"),
        [({"patience": -1}, "at least 0"), ({"window": 1}, "window at least 2"), ({"margin": 0}, "margin above 0"),
         ({"patience": 199, "window": 200}, "at least the window, 200, got 199")],
    )  # fmt: skip
    def test_refused(self, given: dict[str, float], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            PlateauSettings(**given)  # type: ignore[arg-type]


class TestDiagnosis:
    def test_it_says_what_was_checked_and_what_to_try_in_order(self, caplog: pytest.LogCaptureFixture) -> None:
        asked: list[int] = []

        def findings() -> list[CheckFinding]:
            asked.append(1)
            return [
                CheckFinding("note", "sample", "examined 200 of 849 tracks"),
                CheckFinding("warning", "copies", "12 tracks are copies", "remove copies"),
                CheckFinding("error", "lag", "mouths move with the audio at +4 frames", "run w2l audit"),
            ]

        plateau = Plateau(SETTINGS, RunFacts("bce", 5e-3, 16, 1), findings)
        plateau.load_state_dict({"values": noisy(np.full(1000, math.log(2)), 0), "since": 0})
        plateau.push(999, 0.7)
        assert not asked  # looking takes seconds
        with pytest.raises(TrainingError, match="nothing was learned in 1000 steps: at step 1000 pair is") as raised:
            plateau.push(1000, 0.7)
        assert "\n" not in str(raised.value)  # the command line ends with this one line
        (record,) = caplog.records
        assert record.levelname == "ERROR"  # shown even with -q
        text = record.getMessage()
        assert text.count("\n") >= 9  # a finding and a cause a line
        assert "examined 200 of 849 tracks" in text
        causes = text[text.index("Likely") :]
        expected = ["+4 frames", "copies", "1 frames away", "loss=auto", "0.005 is high", "16 windows"]
        places = [causes.index(words) for words in expected]
        assert places == sorted(places)

    def test_settings_that_are_sound_are_not_doubted(self) -> None:
        text = diagnosis([], FACTS)
        assert "only the curve" in text
        assert not [word for word in ("learning rate", "frames away", "loss=", "windows per batch") if word in text]
        assert "w2l audit" in text
        assert "watchdog.patience=0" in text


class TestOverfit:
    @staticmethod
    def batch(values: Iterator[float]) -> CheckFinding:
        return overfit_test(lambda step: {"contrastive": 3.0, "pair": next(values)}, 100)

    def test_it_ends_as_soon_as_the_batch_is_learnt(self) -> None:
        asked: list[int] = []

        def step(number: int) -> dict[str, float]:
            asked.append(number)
            return {"pair": 0.69 * 0.9**number}

        found = overfit_test(step, 100)
        assert found.severity == "note"
        assert asked == list(range(len(asked)))
        assert len(asked) < 20
        assert f"in {len(asked)} steps" in found.figure

    def test_one_lucky_value_is_not_enough(self) -> None:
        found = self.batch(iter([0.69, 0.01, 0.69, 0.69] * 25))
        assert found.severity == "error"

    def test_a_batch_that_cannot_be_learnt(self) -> None:
        found = self.batch(iter([0.71] + [0.69] * 99))
        assert found.severity == "error"
        assert "went from 0.710 to 0.690 in 100 steps" in found.figure
        assert "lr" in found.advice

    def test_no_number_ends_it(self) -> None:
        found = self.batch(iter([0.7, math.nan]))
        assert found.severity == "error"
        assert "nan in 2 steps" in found.figure
