"""Drawings of curves: all that is drawn lies within the drawing, nothing of note is lost, sizes stay bounded."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from w2l.training.report.curves import BUCKETS, SIZE, Drawn, curve_plot, plot_curves, thinned_curve
from w2l.training.run_log import Curve

WIDTH, HEIGHT = SIZE


def curve(*values: float, first: int = 1) -> Curve:
    return np.arange(first, first + len(values), dtype=np.float64), np.array(values, dtype=np.float64)


def elements(svg: str, tag: str, look: str = "") -> list[ElementTree.Element]:
    found = ElementTree.fromstring(svg).iter(tag)
    return [element for element in found if not look or look in (element.get("class") or "").split()]


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in (element.get("points") or "").split())
    return [(float(x), float(y)) for x, y in pairs]


def labels(svg: str) -> list[float]:
    """The numbers beside the axis of values."""
    texts = [one for one in elements(svg, "text") if one.get("text-anchor") == "end" and not one.get("class")]
    return [float((one.text or "").replace(" ", "")) for one in texts]


@pytest.mark.parametrize(
    "values", [[0.5], [0.0], [2.0, 2.0], [-3.0, 5.0], [1e-6, 1e6], [0.0, 1e9], [1e-12, 2e-12], list(range(1, 5000))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("noisy", [True, False])
def test_all_points_lie_within_the_drawing(values: list[float], noisy: bool) -> None:
    svg = curve_plot([Drawn(curve(*values), 0, noisy, "a")], [(0.693, "ln 2")], n_steps=3)
    drawn = [point for element in elements(svg, "polyline", "curve") for point in points(element)]
    assert drawn
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in drawn)
    assert all(0 < y < HEIGHT for _, y in points(elements(svg, "polyline", "mark")[0]))


def test_higher_values_and_later_steps_are_higher_and_further_right() -> None:
    for values in ([1.0, 2.0, 4.0], [1.0, 10.0, 1000.0]):
        svg = curve_plot([Drawn(curve(*values), 0)])
        (x1, y1), (x2, y2), (x3, y3) = points(elements(svg, "polyline", "curve")[0])
        assert x1 < x2 < x3
        assert y1 > y2 > y3


def test_the_axis_tells_the_value() -> None:
    svg = curve_plot([Drawn(curve(1, 2, 3, 4), 0), Drawn(curve(2, 2), 1)])
    at = {float((one.text or "").replace(" ", "")): float(one.get("y", "0")) - 4 for one in elements(svg, "text")
          if one.get("text-anchor") == "end" and not one.get("class")}  # fmt: skip
    assert at
    ys = [y for _, y in points(elements(svg, "polyline", "c0")[0])]
    for value, y in at.items():
        assert y == pytest.approx(np.interp(value, [1, 2, 3, 4], ys), abs=0.15)


def test_a_logarithmic_axis_names_powers() -> None:
    assert {0.1, 1.0, 10.0, 100.0} <= set(labels(curve_plot([Drawn(curve(0.05, 1, 200), 0)])))


def test_noise_is_thin_and_its_average_bold() -> None:
    rng = np.random.default_rng(0)
    values = 1 + rng.normal(0, 0.1, 200)
    svg = curve_plot([Drawn(curve(*values), 3, noisy=True)])
    thin, bold = elements(svg, "polyline", "c3")
    assert "thin" in (thin.get("class") or "")
    assert np.std([y for _, y in points(bold)]) < 0.6 * np.std([y for _, y in points(thin)])


@pytest.mark.parametrize("noisy", [True, False])
def test_a_single_point_is_to_be_seen(noisy: bool) -> None:
    assert len(elements(curve_plot([Drawn(curve(0.5), 2, noisy)]), "circle", "c2")) == 1


@pytest.mark.parametrize("spike", [50.0, 1e9, -1e9])
def test_one_spike_does_not_squeeze_all_the_rest(spike: float) -> None:
    heights = []
    for value in (spike, 1.5):
        values = np.linspace(1, 2, 201)
        values[100] = value
        bold = elements(curve_plot([Drawn(curve(*values), 0, noisy=True)]), "polyline", "curve")[1]
        heights.append(np.ptp([y for _, y in points(bold)][:80]))
    assert heights[0] > 0.15 * heights[1]


def test_no_validation_is_cut_off() -> None:
    values = [1.0] * 200 + [50.0]
    drawn = curve_plot([Drawn(curve(*values), 0)])
    assert max(labels(drawn)) >= 40


def test_the_axis_goes_to_the_end_of_the_run() -> None:
    half = points(elements(curve_plot([Drawn(curve(1, 2, first=9), 0)], n_steps=20), "polyline", "curve")[0])
    whole = points(elements(curve_plot([Drawn(curve(1, 2, first=9), 0)]), "polyline", "curve")[0])
    assert half[-1][0] < 0.6 * WIDTH < whole[-1][0]


def test_thinning_bounds_the_points_and_keeps_every_spike() -> None:
    steps, values = curve(*np.zeros(100_000))
    values[12_345], values[77_777] = 9.0, -4.0
    few_steps, few = thinned_curve(steps, values)
    assert len(few) <= 2 * BUCKETS
    assert (few.max(), few.min()) == (9.0, -4.0)
    assert few_steps[few.argmax()] == steps[12_345]
    assert (np.diff(few_steps) > 0).all()
    svg = curve_plot([Drawn((steps, values), 0, noisy=True)])
    assert len(svg) < 40_000


def test_nothing_to_draw() -> None:
    assert curve_plot([]) == ""
    assert curve_plot([Drawn(curve(), 0)], [(1.0, "mark")]) == ""


def test_titles_are_text() -> None:
    svg = curve_plot([Drawn(curve(1, 2), 0, title='<b>"&')], [(1.5, "<i>&")])
    assert not re.search("<[bi]>", svg)
    assert any(element.text == '<b>"&' for element in elements(svg, "title"))


def test_each_dot_has_its_own_tooltip() -> None:
    svg = curve_plot([Drawn(curve(0.5, 2000.0), 1, title="accuracy")])
    found = [dot.findtext("title") for dot in elements(svg, "circle", "c1")]
    assert found == ["accuracy at step 1: 0.5", "accuracy at step 2: 2 000"]


def test_page_and_picture_draw_the_same_curves() -> None:
    noisy = Drawn(curve(*np.linspace(1, 2, 400)), 0, noisy=True, title="l1")
    axes = Figure().add_subplot()
    plot_curves(axes, [noisy], [(1.5, "goal")])
    svg = curve_plot([noisy], [(1.5, "goal")])
    lines = [line for line in axes.get_lines() if "curve" in str(line.get_gid())]
    assert [len(points(one)) for one in elements(svg, "polyline", "curve")] == [len(line.get_xdata()) for line in lines]
    assert len(lines) == 2
