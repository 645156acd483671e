"""Figures of a run's page as HTML: curves of its log, planned schedules, sample sheets and a video."""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from w2l.core.text import number
from w2l.report.markup import escaped, remark
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


def curve_sections(
    curves: Mapping[str, Curve], n_steps: int, chance: Mapping[str, float], left_out: Sequence[str] = ()
) -> dict[str, str]:
    """Return all curves except those `left_out`, by the heading of their section; see `panels_of`."""
    panels = panels_of((name for name in curves if name not in left_out), chance)
    sections = {}
    for section in SECTIONS:
        figures = [_figure(curves, panel, n_steps) for panel in panels if panel.section == section]
        sections[section] = f'<div class="figures">{"".join(figures)}</div>' if figures else ""
    return sections


def _figure(curves: Mapping[str, Curve], panel: Panel, n_steps: int) -> str:
    drawn = drawn_of(panel, curves)
    keys = [_key(one.css, one.title, number(one.curve[1][-1])) for one in drawn]
    return _framed(panel.title, curve_plot(drawn, panel.marks, n_steps), keys, panel.about)


def _key(css: str, label: str, value: str) -> str:
    """Return a dot in the colour of a curve, its name and its value."""
    named = f'<i class="key {css}"></i>{escaped(label)} <b class="num">{escaped(value)}</b>'
    return f'<span style="white-space:nowrap;margin-right:1em">{named}</span>'


def _framed(title: str, drawing: str, keys: Sequence[str], about: str = "") -> str:
    shown = f"<small>{' '.join(keys)}</small>"
    more = f"<br><small>{escaped(about)}</small>" if about else ""
    wide = f'style="width:{FIGURE}px"'
    return f"<figure {wide}><figcaption>{escaped(title)}<br>{shown}{more}</figcaption>{drawing}</figure>"


def planned(plan: Callable[[int], Mapping[str, float]], last: int) -> dict[str, Curve]:
    """Return the curves of a plan (step -> values by name) from 0 to `last`; names missing at a step count as 0."""
    steps = np.unique(np.linspace(0, last, PLANNED).round().astype(int))
    found = [plan(step) for step in steps.tolist()]
    return {
        name: (steps.astype(np.float64), np.array([one.get(name, 0.0) for one in found], np.float64))
        for name in dict.fromkeys(name for one in found for name in one)
    }


def plan_figure(title: str, curves: Mapping[str, Curve], now: Mapping[str, str], last: int) -> str:
    """Return a figure of planned curves, with their current values after their names."""
    drawn = [Drawn(curve, place, title=name) for place, (name, curve) in enumerate(curves.items())]
    keys = [_key(one.css, one.title, now.get(one.title, "0")) for one in drawn]
    return _framed(title, curve_plot(drawn, n_steps=last), keys)


def choose_sheets(paths: Sequence[Path]) -> list[Path]:
    """Choose at most `MOST_SHEETS` of the sheets, given in order: the newest, and others spread back to the first."""
    places = np.unique(np.linspace(0, len(paths) - 1, min(MOST_SHEETS, len(paths))).round().astype(int))
    return [paths[place] for place in places[::-1].tolist()]


def sheets(folder: Path) -> str:
    """Return some of the sample sheets of the run in `folder`, scaled down for the page."""
    paths = sorted((folder / "samples").glob("step*.png"))
    shown = [(path, coded) for path in choose_sheets(paths) if (coded := _picture(path))] if paths else []
    parts = [
        remark("Each row is one window: the reference, then five frames each of what was given, made and real."),
        *(f"<h3>{escaped(path.stem)}</h3>{coded}" for path, coded in shown),
    ]
    return "".join(parts) if shown else ""


def _picture(path: Path) -> str:
    """Return a sheet as an `img` element with inline data; empty if it cannot be read."""
    image = cv2.imread(str(path))
    if image is None:
        return ""
    height, width = image.shape[:2]
    if width > WIDEST:
        image = cv2.resize(image, (WIDEST, round(height * WIDEST / width)), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    content = base64.b64encode(coded.tobytes()).decode()
    return f'<img alt="samples" style="max-width:100%" src="data:image/jpeg;base64,{content}">'


def video(folder: Path) -> str:
    """Return the newest sample video of the run in `folder`, preloaded, unless it is too large."""
    paths = sorted((folder / "samples").glob("*.mp4"))
    if not paths:
        return ""
    content = paths[-1].read_bytes()
    if len(content) > MOST_VIDEO:
        return remark(escaped(f"{paths[-1].name} in samples is too large for this page."))
    source = f"data:video/mp4;base64,{base64.b64encode(content).decode()}"
    return f'<h3>{escaped(paths[-1].stem)}</h3><video controls preload="auto" src="{source}"></video>'
