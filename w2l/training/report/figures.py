"""Figures of a run's page: curves of its log, planned schedules, sample sheets and a video."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from w2l.core.text import number
from w2l.report.page import data_url
from w2l.training.report.curves import Drawn, curve_plot, drawn_of
from w2l.training.report.panels import SECTIONS, Panel, panels_of
from w2l.training.run_log import Curve

MOST_SHEETS = 4
"""Most sample sheets on the page."""
WIDEST = 2400
"""Largest width of a sheet on the page, in pixels."""
QUALITY = 85
"""JPEG quality of a sheet."""
MOST_VIDEO = 4 * 2**20
"""Size in bytes of the largest sample video that the page includes."""
FIGURE = 374
"""Width of a figure with its frame, in pixels; three fit side by side."""
PLANNED = 200
"""Number of steps at which the planned weights and rates are plotted."""


@dataclass(frozen=True)
class CurveFigure:
    """Curves that are drawn together."""

    title: str
    drawing: str
    """The plot, as SVG."""
    keys: list[tuple[str, str, str]]
    """CSS class, name and newest value of each curve."""
    about: str = ""
    """How to read it."""


def curve_sections(
    curves: Mapping[str, Curve], n_steps: int, chance: Mapping[str, float], left_out: Sequence[str] = ()
) -> dict[str, list[CurveFigure]]:
    """Return all curves except those `left_out`, by the heading of their section; see `panels_of`."""
    panels = panels_of((name for name in curves if name not in left_out), chance)
    return {
        section: [_figure(curves, panel, n_steps) for panel in panels if panel.section == section]
        for section in SECTIONS
    }


def _figure(curves: Mapping[str, Curve], panel: Panel, n_steps: int) -> CurveFigure:
    drawn = drawn_of(panel, curves)
    keys = [(one.css, one.title, number(one.curve[1][-1])) for one in drawn]
    return CurveFigure(panel.title, curve_plot(drawn, panel.marks, n_steps), keys, panel.about)


def planned(plan: Callable[[int], Mapping[str, float]], last: int) -> dict[str, Curve]:
    """Return the curves of a plan (step -> values by name) from 0 to `last`; names missing at a step count as 0."""
    steps = np.unique(np.linspace(0, last, PLANNED).round().astype(int))
    found = [plan(step) for step in steps.tolist()]
    return {
        name: (steps.astype(np.float64), np.array([one.get(name, 0.0) for one in found], np.float64))
        for name in dict.fromkeys(name for one in found for name in one)
    }


def plan_figure(title: str, curves: Mapping[str, Curve], now: Mapping[str, str], last: int) -> CurveFigure:
    """Return a figure of planned curves, with their current values after their names."""
    drawn = [Drawn(curve, place, title=name) for place, (name, curve) in enumerate(curves.items())]
    keys = [(one.css, one.title, now.get(one.title, "0")) for one in drawn]
    return CurveFigure(title, curve_plot(drawn, n_steps=last), keys)


def choose_sheets(paths: Sequence[Path]) -> list[Path]:
    """Choose at most `MOST_SHEETS` of the sheets, given in order: the newest, and others spread back to the first."""
    places = np.unique(np.linspace(0, len(paths) - 1, min(MOST_SHEETS, len(paths))).round().astype(int))
    return [paths[place] for place in places[::-1].tolist()]


def sheets(folder: Path) -> list[tuple[str, str]]:
    """Return names and pictures of some of the sample sheets of the run in `folder`, scaled down for the page."""
    paths = sorted((folder / "samples").glob("step*.png"))
    chosen = choose_sheets(paths) if paths else []
    return [(path.stem, picture) for path in chosen if (picture := _picture(path))]


def _picture(path: Path) -> str:
    """Return a sheet as a data URL; empty if it cannot be read."""
    image = cv2.imread(str(path))
    if image is None:
        return ""
    height, width = image.shape[:2]
    if width > WIDEST:
        image = cv2.resize(image, (WIDEST, round(height * WIDEST / width)), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data_url("image/jpeg", coded.tobytes())


def video(folder: Path) -> dict[str, str]:
    """Return name and data URL of the newest sample video of the run in `folder`; without its data if too large."""
    paths = sorted((folder / "samples").glob("*.mp4"))
    if not paths:
        return {}
    content = paths[-1].read_bytes()
    source = data_url("video/mp4", content) if len(content) <= MOST_VIDEO else ""
    return {"name": paths[-1].name, "stem": paths[-1].stem, "source": source}
