"""The figures of a run's page: curves of its log, planned schedules, sheets of samples and a video; all as HTML."""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from w2l.core.text import number
from w2l.report.markup import escaped, remark
from w2l.report.plots import N_COLOURS
from w2l.training.report.panels import SECTIONS, Panel, is_rate, panels_of
from w2l.training.report.plots import Drawn, curve_plot
from w2l.training.run_log import VALIDATION, Curve

MOST_SHEETS = 4
"""Sheets on the page: the newest, and others from the first on."""
WIDEST = 2400
"""Of a sheet on the page, in pixels."""
QUALITY = 85
"""Of a sheet as JPEG."""
MOST_VIDEO = 4 * 2**20
"""Bytes of the largest sample video that the page holds."""
FIGURE = 374
"""Width of a drawing with its frame, in pixels: three stand side by side."""
PLANNED = 200
"""Steps at which the planned weights and rates are drawn."""


def curve_sections(
    curves: Mapping[str, Curve], n_steps: int, chance: Mapping[str, float], left_out: Sequence[str] = ()
) -> dict[str, str]:
    """All curves but those `left_out`, by the heading that they stand under; see `panels_of`."""
    panels = panels_of((name for name in curves if name not in left_out), chance)
    sections = {}
    for section in SECTIONS:
        figures = [_figure(curves, panel, n_steps) for panel in panels if panel.section == section]
        sections[section] = f'<div class="figures">{"".join(figures)}</div>' if figures else ""
    return sections


def _figure(curves: Mapping[str, Curve], panel: Panel, n_steps: int) -> str:
    drawn, keys = [], []
    mixed = any(not name.startswith(VALIDATION) for name in panel.names)
    for place, name in enumerate(panel.names):
        look, is_score = f"c{place % N_COLOURS}", name.startswith(VALIDATION)
        label = name.removeprefix(VALIDATION).replace("_", " ")
        label = f"validation: {label}" if is_score and mixed else label
        drawn.append(Drawn(curves[name], look, not (is_score or is_rate(name)), label))
        keys.append(_key(look, label, number(curves[name][1][-1])))
    return _framed(panel.title, curve_plot(drawn, panel.marks, n_steps), keys, panel.about)


def _key(look: str, label: str, value: str) -> str:
    """A dot in the colour of a curve, its name and its value."""
    named = f'<i class="key {look}"></i>{escaped(label)} <b class="num">{escaped(value)}</b>'
    return f'<span style="white-space:nowrap;margin-right:1em">{named}</span>'


def _framed(title: str, drawing: str, keys: Sequence[str], about: str = "") -> str:
    told = f"<small>{' '.join(keys)}</small>"
    more = f"<br><small>{escaped(about)}</small>" if about else ""
    wide = f'style="width:{FIGURE}px"'
    return f"<figure {wide}><figcaption>{escaped(title)}<br>{told}{more}</figcaption>{drawing}</figure>"


def planned(plan: Callable[[int], Mapping[str, float]], last: int) -> dict[str, Curve]:
    """What a plan says for steps from 0 to `last`, by name; 0 where it names nothing."""
    steps = np.unique(np.linspace(0, last, PLANNED).round().astype(int))
    found = [plan(step) for step in steps.tolist()]
    return {
        name: (steps.astype(np.float64), np.array([one.get(name, 0.0) for one in found], np.float64))
        for name in dict.fromkeys(name for one in found for name in one)
    }


def plan_figure(title: str, curves: Mapping[str, Curve], now: Mapping[str, str], last: int) -> str:
    """Planned curves, with what they are `now` behind their names."""
    drawn, keys = [], []
    for place, (name, curve) in enumerate(curves.items()):
        look = f"c{place % N_COLOURS}"
        drawn.append(Drawn(curve, look, title=name))
        keys.append(_key(look, name, now.get(name, "0")))
    return _framed(title, curve_plot(drawn, n_steps=last), keys)


def choose_sheets(paths: Sequence[Path]) -> list[Path]:
    """The newest of the sheets, given in their order, then others, evenly back to the first: at most `MOST_SHEETS`."""
    places = np.unique(np.linspace(0, len(paths) - 1, min(MOST_SHEETS, len(paths))).round().astype(int))
    return [paths[place] for place in places[::-1].tolist()]


def sheets(folder: Path) -> str:
    """The chosen sheets of the run in `folder`, brought to a size that a page can hold."""
    paths = sorted((folder / "samples").glob("step*.png"))
    shown = [(path, coded) for path in choose_sheets(paths) if (coded := _picture(path))] if paths else []
    parts = [
        remark("Each row is one window: the reference, then five frames each of what was given, made and real."),
        *(f"<h3>{escaped(path.stem)}</h3>{coded}" for path, coded in shown),
    ]
    return "".join(parts) if shown else ""


def _picture(path: Path) -> str:
    """A sheet as an `img` that holds its own data; empty where it cannot be read."""
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
    """The newest sample video of the run in `folder`, unless it is too large; its first picture is shown at once."""
    paths = sorted((folder / "samples").glob("*.mp4"))
    if not paths:
        return ""
    content = paths[-1].read_bytes()
    if len(content) > MOST_VIDEO:
        return remark(escaped(f"{paths[-1].name} in samples is too large for this page."))
    source = f"data:video/mp4;base64,{base64.b64encode(content).decode()}"
    return f'<h3>{escaped(paths[-1].stem)}</h3><video controls preload="auto" src="{source}"></video>'
