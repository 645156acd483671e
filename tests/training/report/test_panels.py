"""Panels: every curve is drawn once, beside those that it belongs to."""

import numpy as np
import pytest

from w2l.training.losses import CHANCE
from w2l.training.report.panels import SECTIONS, Panel, panels_of, spans_decades

EXPERT = [
    "sigmoid", "pair", "grad_norm", "val/accuracy", "val/in_sync", "val/auc", "val/gap_1", "val/gap_5", "val/offset_5",
    "val/offset_within_1", "val/speaker_worst", "val/threshold", "val/scale", "val/bias", "val/bce",
]  # fmt: skip
GENERATOR = [
    "l1", "edges", "sync", "adversarial", "features", "contrast", "lips", "rest", "grad_norm", "disc_real", "disc_fake",
    "disc_off", "disc_grad_norm", "skipped", "lr", "lr/discriminator", "val/l1", "val/sync",
    "val/articulation", "val/closure", "val/leak", "val/aperture_r",
]  # fmt: skip
ODD = [
    "val/grad_norm",
    "val/disc_real",
    "val/",
    "",
    "gap_1",
    "val/skipped",
    "disc_",
    "lr_end",
    "VAL/l1",
]


def panel_of(name: str, names: list[str]) -> Panel:
    return next(panel for panel in panels_of(names) if name in panel.names)


@pytest.mark.parametrize("seed", range(20))
def test_each_curve_is_in_one_panel_whatever_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.permutation([*EXPERT, *GENERATOR, *ODD])[: rng.integers(1, 60)].tolist()
    panels = panels_of(names)
    drawn = [name for panel in panels for name in panel.names]
    assert sorted(drawn) == sorted(set(names))
    places = [SECTIONS.index(panel.section) for panel in panels]
    assert places == sorted(places)


@pytest.mark.parametrize("names", [GENERATOR, GENERATOR[::-1]], ids=["logged", "reversed"])
def test_a_term_is_drawn_with_its_validation(names: list[str]) -> None:
    assert panel_of("val/l1", names).names == ("l1", "val/l1")
    assert panel_of("val/sync", names).names == ("sync", "val/sync")
    assert set(panel_of("disc_off", names).names) == {"disc_real", "disc_fake", "disc_off"}
    assert set(panel_of("grad_norm", names).names) == {"grad_norm", "disc_grad_norm"}
    assert set(panel_of("lr", names).names) == {"lr", "lr/discriminator"}
    assert panel_of("val/closure", names).names == ("val/closure",)


def test_an_expert_at_ln_2_has_learnt_nothing() -> None:
    pair = panel_of("pair", EXPERT)
    assert set(pair.names) == {"pair", "val/bce"}
    assert pair.marks[0][0] == CHANCE
    assert panel_of("val/accuracy", EXPERT).marks[0][0] == 0.5


def test_a_discriminator_that_tells_nothing_is_marked_at_what_that_costs_it() -> None:
    at = {"disc_real": 0.25, "disc_fake": 0.25, "l1": 3.0}
    panel = next(panel for panel in panels_of(GENERATOR, at) if "disc_real" in panel.names)
    assert [value for value, _ in panel.marks] == [0.25]
    assert panel_of("disc_real", GENERATOR).marks == ()


@pytest.mark.parametrize(
    ("values", "decades"),
    [([1, 21], True), ([1, 19], False), ([0, 100], False), ([-1, 100], False), ([], False), ([5], False)],
)
def test_the_axis_is_logarithmic_where_values_span_decades(values: list[float], decades: bool) -> None:
    assert spans_decades(np.array(values, dtype=np.float64)) is decades
