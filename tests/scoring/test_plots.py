"""Plots of scores: points where the values are, within the picture, whatever the values are."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from w2l.report.chart import mark_numbers
from w2l.report.plots import (
    MOST_DOTS,
    MOST_POINTS,
    WIDTH,
    Mark,
    PlotLine,
    Strip,
    intervals,
    line_plot,
    strips,
    whole_bars,
)

TITLES = ("seconds", "confidence & <x>")


def points(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each line of a plot."""
    return places(svg, "curve")


def places(svg: str, look: str) -> list[list[tuple[float, float]]]:
    """The points of each line of a class."""
    lines = [line for line in ET.fromstring(svg).findall(".//polyline") if look in line.attrib["class"].split()]
    return [[tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()] for line in lines]  # type: ignore[misc]


def circles(svg: str) -> list[tuple[float, float, str]]:
    """Place and classes of each dot."""
    found = ET.fromstring(svg).findall(".//circle")
    return [(float(dot.attrib["cx"]), float(dot.attrib["cy"]), dot.attrib["class"]) for dot in found]


def size(svg: str) -> tuple[float, float]:
    """Width and height."""
    root = ET.fromstring(svg)
    return float(root.attrib["width"]), float(root.attrib["height"])


def test_a_line_rises_with_its_values_and_runs_with_its_steps() -> None:
    (line,) = points(line_plot([PlotLine((1.0, 3.0, 2.0), 0.0, 1.0, "c0")], TITLES))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.15)
    assert y1 < y2 < y0  # up is less
    assert (y2 - y1) == pytest.approx((y0 - y1) / 2, abs=0.15)


def test_a_step_may_be_negative() -> None:
    """The curve's first value is that of the largest offset: it lies on the right."""
    plot = line_plot([PlotLine(tuple(range(31)), 15, -1.0, "c0")], TITLES, marks=[(15.0, "c0"), (99.0, "c0")])
    (line,) = points(plot)
    xs = [x for x, _ in line]
    assert xs == sorted(xs, reverse=True)
    (mark,) = places(plot, "mark")
    assert mark[0][0] == mark[1][0] == pytest.approx(xs[0], abs=0.1)


def test_lines_share_their_axes() -> None:
    low, high = points(line_plot([PlotLine((1.0, 2.0), 0.0, 1.0, "c0"), PlotLine((2.0, 1.0), 1.0, 1.0, "c1")], TITLES))
    assert high[0] == pytest.approx(low[1])


@pytest.mark.parametrize("values", [(5.0,), (5.0, 5.0), (0.0, 0.0), (-3.0,), (1e9, 1e-9), (math.nan, 2.0, math.nan)])
def test_any_values_stay_within_the_plot(values: tuple[float, ...]) -> None:
    plot = line_plot([PlotLine(values, 0.0, 0.04, "c0")], TITLES)
    width, height = size(plot)
    assert sum(len(line) for line in points(plot)) == sum(math.isfinite(value) for value in values)
    assert all(0 <= x <= width and 0 <= y <= height for line in points(plot) for x, y in line)


@pytest.mark.parametrize("values", [(), (math.nan,)])
def test_no_values_are_no_plot(values: tuple[float, ...]) -> None:
    assert line_plot([PlotLine(values, 0.0, 1.0, "c0")], TITLES) == ""
    assert intervals([Mark("a", "c0", mean, 0, 1) for mean in values]) == ""
    assert strips([Strip("a", [("c0", values)])], "x") == ""


def test_a_long_line_is_thinned_without_moving() -> None:
    seconds = np.arange(90_000) / 25
    (line,) = points(line_plot([PlotLine(np.sin(seconds / 600).tolist(), 0.0, 0.04, "c0")], TITLES))
    assert len(line) == MOST_POINTS
    top = min(line, key=lambda point: point[1])
    span = line[-1][0] - line[0][0]
    assert (top[0] - line[0][0]) / span == pytest.approx(600 * math.pi / 2 / 3600, abs=0.02)


def test_given_limits_hold_for_plots_of_other_values() -> None:
    one, other = (
        line_plot([PlotLine((5.0, value), 0.0, 1.0, "c0")], TITLES, y_limits=(0.0, 9.0)) for value in (6.0, 8.0)
    )
    assert points(one)[0][0] == points(other)[0][0]


def test_titles_are_escaped() -> None:
    plot = line_plot([PlotLine((1.0, 2.0), 0.0, 1.0, "c0", "a < b")], TITLES)
    assert "confidence & <x>" in "".join(ET.fromstring(plot).itertext())
    assert "a < b" in "".join(ET.fromstring(plot).itertext())


def test_intervals_reach_around_their_means_and_stay_inside() -> None:
    marks = [Mark("ours", "c0", 2.0, 1.0, 3.0), Mark("a much longer name", "c1", 4.0, -math.inf, math.inf)]
    plot = intervals(marks, band=Mark("real", "real", 2.5, 2.0, 3.0), goal=0.0)
    width, height = size(plot)
    (x0, y0, _), (x1, y1, _) = circles(plot)
    assert x0 < x1 < width
    assert y0 < y1 < height
    (whisker,) = places(plot, "whisker")
    assert whisker[0][0] < x0 < whisker[1][0]
    (band,) = ET.fromstring(plot).findall(".//rect")
    assert float(band.attrib["x"]) == pytest.approx(x0, abs=0.2)  # the band begins at 2
    assert [goal[0][0] < x0 for goal in places(plot, "goal")] == [True]
    assert "inf" not in plot


def test_strips_keep_rows_and_colours_apart() -> None:
    rows = [Strip("ann", [("c0", [1.0, 2.0]), ("c1", [3.0])]), Strip("bob", [("c0", [math.nan]), ("c1", [2.0])])]
    plot = strips(rows, "LSE-C")
    dots = circles(plot)
    assert [look.split()[-1] for *_, look in dots] == ["c0", "c0", "c1", "c1"]
    (x0, y0, _), (x1, y1, _), (x2, y2, _), (x3, y3, _) = dots
    assert x0 < x1 == x3 < x2 < WIDTH
    assert y0 == y1 < y2 < y3
    (median,) = places(plot, "whisker")  # one dot is its own median
    assert median[0][0] == pytest.approx((x0 + x1) / 2, abs=0.1)


def test_a_strip_of_many_values_keeps_its_ends() -> None:
    many, ends = (circles(strips([Strip("ann", [("c0", list(values))])], "x")) for values in (range(5000), (0, 4999)))
    assert len(many) == MOST_DOTS
    assert [many[0], many[-1]] == ends


def test_bars_count_whole_numbers_and_gather_what_lies_beyond() -> None:
    plot = whole_bars([0.0, 0.0, 1.0, -40.0, 16.0, math.nan], 15, "c0", "offset")
    assert re.findall(r"<title>([^<]+)", plot) == ["-15: 1 clip", "+0: 2 clips", "+1: 1 clip", "+15: 1 clip"]
    heights = [float(bar.attrib["height"]) for bar in ET.fromstring(plot).findall(".//rect")]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    labels = [text.text or "" for text in ET.fromstring(plot).findall(".//text")]
    assert not [label for label in labels if "." in label]  # half a clip is none


def test_names_need_no_font_and_are_no_formulas(recwarn: pytest.WarningsRecorder) -> None:
    name = "王 $x_1$ \\frac"
    plot = strips([Strip(name, [("c0", [1.0])])], "$y^2$")
    assert {name, "$y^2$"} <= {text.text for text in ET.fromstring(plot).findall(".//text")}
    assert not recwarn.list


def test_a_plot_has_neither_ids_nor_colours_of_its_own_and_is_the_same_each_time() -> None:
    rows = [Strip("ann", [("c0", [1.0, 2.0]), ("c1", [3.0])])]
    lines = [PlotLine((1.0, 3.0, 2.0), 0.0, 1.0, "c0")]
    first, again = (strips(rows, "LSE-C") + line_plot(lines, TITLES, [(1.0, "c0")]) for _ in range(2))
    assert first == again
    assert not re.search(r"\bid=|style=|#|url\(", first)


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0, 10, [0, 2, 4, 6, 8, 10]), (0.013, 0.1, [0.02, 0.04, 0.06, 0.08, 0.1]), (-7.5, 5.5, [-6, -4, -2, 0, 2, 4]),
])  # fmt: skip
def test_numbers_on_an_axis_are_round(low: float, high: float, expected: list[float]) -> None:
    axis = Figure().add_subplot().xaxis
    mark_numbers(axis, 6)
    axis.set_view_interval(low, high, ignore=True)
    found = [float(value) for value in axis.get_majorticklocs() if low <= value <= high]
    assert found == pytest.approx(expected)
