"""Single clips on the page of scores: which are shown, with frames, the curve of offsets and LSE over time."""

import base64
import html
import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from w2l.core.arrays import Image
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.report.markup import escaped
from w2l.report.page import FRAME_HEIGHT
from w2l.report.plots import N_COLOURS, Line, line_plot
from w2l.scoring.metrics.columns import Column
from w2l.scoring.report.verdict import is_doubtful
from w2l.scoring.report.wording import ANCHORS, DOUBT, heading, named, value_text, with_numbers, worth
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, ScoreReport

DOUBTED = f'<span class="bad">{DOUBT}</span>'
"""Behind a number of a judge that cannot tell."""
FramesOf = Callable[[ClipScore], list[Image]]
"""Gives a few frames (rows, columns, 3) RGB of a clip, that of least confidence first; an empty list when it cannot."""

MOST_WORST = 12
"""Clips that are shown with their frames, shared among the systems."""
MOST_MORE = 24
"""Clips whose plots are shown besides."""
MOST_FRAMES = 8
"""Frames of a clip that are drawn."""
MOST_CURVES = 150
"""Thin lines that are drawn of one system; of more clips, every so many."""
SMALL_WIDTH = 340
"""Of a plot that stands beside two others, in pixels."""
JPEG_QUALITY = 82
RANKED_BY = "lse_c"
"""What the worst clips are worst in, where it was measured."""


def looks(report: ScoreReport) -> dict[str, str]:
    """The class of colour of each system."""
    tested = [system.system for system in report.systems if system.system not in ANCHORS]
    return {name: f"c{idx % N_COLOURS}" for idx, name in enumerate(tested)} | {REAL: "real", SHUFFLED: "shuffled"}


class Reals:
    """Finds the real clip that an output stands beside."""

    def __init__(self, report: ScoreReport) -> None:
        reals = [clip for clip in report.clips if clip.sample.system == REAL and clip.scored]
        self._by_path = {clip.sample.path: clip for clip in reals}
        self._by_name = {clip.sample.name: clip for clip in reals}

    def of(self, clip: ClipScore) -> ClipScore | None:
        """By the reference where one is known, else by the name; None for a real clip."""
        if clip.sample.system == REAL:
            return None
        if clip.sample.reference is not None:
            return self._by_path.get(clip.sample.reference)
        return self._by_name.get(clip.sample.name)


def ranking(report: ScoreReport, columns: Sequence[Column]) -> Column | None:
    """The column that clips are ranked by: LSE-C, else the first that has a better way."""
    usable = [column for column in with_numbers(report.clips, columns) if column.better]
    return next((column for column in usable if column.name == RANKED_BY), usable[0] if usable else None)


def ranked(report: ScoreReport, column: Column) -> dict[str, list[ClipScore]]:
    """The scored clips of each system under test, the worst first; the real ones where there is no other."""
    systems = [system.system for system in report.systems if system.system not in ANCHORS] or [REAL]
    found = {}
    for system in systems:
        own = [clip for clip in report.clips if clip.sample.system == system and clip.scored]
        own = [clip for clip in own if math.isfinite(clip.values.get(column.name, math.nan))]
        found[system] = sorted(own, key=lambda clip: (worth(column, clip.values[column.name]), clip.sample.name))
    return {system: clips for system, clips in found.items() if clips}


def worst_of(by_rank: dict[str, list[ClipScore]]) -> list[ClipScore]:
    """The worst clips of each system, in turn."""
    share = max(1, MOST_WORST // max(len(by_rank), 1))
    return [clip for clips in by_rank.values() for clip in clips[:share]][:MOST_WORST]


def across(by_rank: dict[str, list[ClipScore]], without: Sequence[ClipScore]) -> list[ClipScore]:
    """Further clips of each system, evenly from the worst to the best."""
    share = max(1, MOST_MORE // max(len(by_rank), 1))
    shown = {id(clip) for clip in without}
    chosen = []
    for clips in by_rank.values():
        left = [clip for clip in clips if id(clip) not in shown]
        places = sorted(set(np.linspace(0, len(left) - 1, min(share, len(left))).round().astype(int).tolist()))
        chosen += [left[place] for place in places]
    return chosen[:MOST_MORE]


def card(
    report: ScoreReport, clip: ClipScore, real: ClipScore | None, columns: Sequence[Column],
    frames: FramesOf | None = None,
) -> str:  # fmt: skip
    """One clip: its name and numbers, its frames, its curve and its confidence over time with the real ones behind."""
    look = looks(report)[clip.sample.system]
    values = [
        f'{html.escape(heading(column))} <b class="num">{value_text(column, clip.values[column.name])}</b>'
        + (DOUBTED if is_doubtful(report, column) else "")
        for column in columns
        if column.name in clip.values
    ]
    pictures = "".join(picture(image) for image in frames(clip)[:MOST_FRAMES]) if frames else ""
    strip = f'<div class="frames">{pictures}</div>' if pictures else ""
    notes = f"<br><small>{escaped(clip.sample.path)}</small>"
    notes += "".join(f"<br><small>{escaped(note)}</small>" for note in clip.notes)
    title = f'<i class="key {look}"></i><b>{html.escape(named(clip))}</b>'
    plots = f'<div class="row">{curve(clip, real, look)}{over_time(clip, real, look)}</div>'
    return f'<div class="clip">{title}<br><small>{" · ".join(values)}</small>{notes}{strip}{plots}</div>'


def picture(image: Image) -> str:
    """A frame as an `img` that holds its own data, brought to the height that the page shows."""
    height, width = image.shape[:2]
    size = (max(1, round(width * FRAME_HEIGHT / height)), FRAME_HEIGHT)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if height > FRAME_HEIGHT else cv2.INTER_CUBIC)
    _, coded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f'<img alt="frame" src="data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode()}">'


def curve(clip: ClipScore, real: ClipScore | None, look: str) -> str:
    """Distance over offset, the real video's curve behind it, the found offset dashed."""
    lines = [_curve_line(real, "real behind", "real video")] if real is not None and real.curve else []
    if clip.curve:
        lines.append(_curve_line(clip, look, named(clip)))
    offset = clip.values.get("offset")
    marks = [(offset, look)] if offset is not None and math.isfinite(offset) else []
    return line_plot(lines, ("offset: frames the sound is ahead", "distance"), marks)


def _curve_line(clip: ClipScore, look: str, title: str) -> Line:
    return Line(clip.curve, len(clip.curve) // 2, -1.0, look, title)


def over_time(clip: ClipScore, real: ClipScore | None, look: str) -> str:
    """Confidence of each window at the best shift, over the seconds of the clip."""
    pairs = [(real, "real behind", "real video")] if real is not None else []
    lines = [
        Line(of.over_time, of.start_s + WINDOW_FRAMES / 2 / FPS, 1 / FPS, kind, title)
        for of, kind, title in [*pairs, (clip, look, named(clip))]
        if of.over_time
    ]
    return line_plot(lines, ("seconds", "confidence"))


def curve_limits(clips: Sequence[ClipScore]) -> tuple[float, float] | None:
    """Lowest and highest distance of all curves, so that systems are drawn to one scale."""
    ends = [value for clip in clips for value in clip.curve if math.isfinite(value)]
    return (min(ends), max(ends)) if ends else None


def all_curves(
    clips: Sequence[ClipScore], reals: Sequence[ClipScore], look: str, limits: tuple[float, float] | None
) -> str:
    """The curves of one system: each clip thin, their mean thick, the mean of the real videos behind."""
    shown = [clip for clip in clips if clip.curve]
    step = max(1, -(-len(shown) // MOST_CURVES))
    lines = [_curve_line(clip, f"{look} thin", named(clip)) for clip in shown[::step]]
    for of, kind, title in ((reals, "real behind", "real videos, mean"), (shown, look, "mean")):
        means = _mean_curve(of)
        if means is not None:
            lines.append(Line(means, len(means) // 2, -1.0, kind, title))
    return line_plot(lines, ("offset: frames the sound is ahead", "distance"), y_limits=limits, width=SMALL_WIDTH)


def _mean_curve(clips: Sequence[ClipScore]) -> list[float] | None:
    curves = [clip.curve for clip in clips if clip.curve]
    longest = max(map(len, curves), default=0)
    same = [curve for curve in curves if len(curve) == longest]
    return [float(value) for value in np.mean(same, axis=0)] if same else None
