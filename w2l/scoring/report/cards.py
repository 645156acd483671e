"""Single clips on the score page: which ones are shown, with frames, the offset curve and LSE over time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from w2l.core.arrays import Image
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.report.labels import N_COLOURS
from w2l.report.page import FRAME_HEIGHT, data_url
from w2l.report.plots import PlotLine, line_plot
from w2l.scoring.metrics.columns import Column
from w2l.scoring.report.verdict import is_doubtful
from w2l.scoring.report.wording import ANCHORS, clip_name, heading, value_text, with_numbers, worth
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, ScoreReport

FramesOf = Callable[[ClipScore], list[Image]]
"""Returns a few frames (height, width, 3) RGB of a clip, the least confident first; empty if it cannot be read."""

MOST_WORST = 12
"""Most clips shown with their frames, shared among the systems."""
MOST_MORE = 24
"""Most further clips shown with their plots."""
MOST_FRAMES = 8
"""Most frames shown per clip."""
MOST_CURVES = 150
"""Most thin lines drawn per system; more clips are sampled evenly."""
SMALL_WIDTH = 340
"""Width of a plot of which three fit side by side, in pixels."""
JPEG_QUALITY = 82
RANKED_BY = "lse_c"
"""Column by which clips are ranked, if it was measured."""


def css_classes(report: ScoreReport) -> dict[str, str]:
    """Return the CSS class of each system's colour."""
    tested = [system.system for system in report.systems if system.system not in ANCHORS]
    return {name: f"c{idx % N_COLOURS}" for idx, name in enumerate(tested)} | {REAL: "real", SHUFFLED: "shuffled"}


class RealClips:
    """Real clips by path and by name, to find the one that an output is compared with."""

    def __init__(self, report: ScoreReport) -> None:
        reals = [clip for clip in report.clips if clip.sample.system == REAL and clip.scored]
        self._by_path = {clip.sample.path: clip for clip in reals}
        self._by_name = {clip.sample.name: clip for clip in reals}

    def of(self, clip: ClipScore) -> ClipScore | None:
        """Return the real clip of an output, by its reference if known, else by its name; None for a real clip."""
        if clip.sample.system == REAL:
            return None
        if clip.sample.reference is not None:
            return self._by_path.get(clip.sample.reference)
        return self._by_name.get(clip.sample.name)


def ranking(report: ScoreReport, columns: Sequence[Column]) -> Column | None:
    """Return the column that clips are ranked by: LSE-C, else the first where lower or higher is better."""
    usable = [column for column in with_numbers(report.clips, columns) if column.better]
    return next((column for column in usable if column.name == RANKED_BY), usable[0] if usable else None)


def ranked(report: ScoreReport, column: Column) -> dict[str, list[ClipScore]]:
    """Return the scored clips of each tested system, worst first; the real ones if nothing else was scored."""
    systems = [system.system for system in report.systems if system.system not in ANCHORS] or [REAL]
    found = {}
    for system in systems:
        own = [clip for clip in report.clips if clip.sample.system == system and clip.scored]
        own = [clip for clip in own if math.isfinite(clip.values.get(column.name, math.nan))]
        found[system] = sorted(own, key=lambda clip: (worth(column, clip.values[column.name]), clip.sample.name))
    return {system: clips for system, clips in found.items() if clips}


def worst_of(by_rank: dict[str, list[ClipScore]]) -> list[ClipScore]:
    """Return the worst clips of each system, system by system."""
    share = max(1, MOST_WORST // max(len(by_rank), 1))
    return [clip for clips in by_rank.values() for clip in clips[:share]][:MOST_WORST]


def across(by_rank: dict[str, list[ClipScore]], without: Sequence[ClipScore]) -> list[ClipScore]:
    """Return further clips of each system, evenly from the worst to the best."""
    share = max(1, MOST_MORE // max(len(by_rank), 1))
    shown = {id(clip) for clip in without}
    chosen = []
    for clips in by_rank.values():
        left = [clip for clip in clips if id(clip) not in shown]
        places = sorted(set(np.linspace(0, len(left) - 1, min(share, len(left))).round().astype(int).tolist()))
        chosen += [left[place] for place in places]
    return chosen[:MOST_MORE]


@dataclass(frozen=True)
class Card:
    """One clip of the page."""

    css: str
    """CSS class of its system."""
    name: str
    numbers: Sequence[tuple[str, str, bool]]
    """Heading, value, and whether the value is doubtful, of each measure."""
    lines: Sequence[str]
    """Path and notes."""
    pictures: Sequence[str]
    """Frames as data URLs."""
    drawings: Sequence[str]
    """Plots of offset and confidence beside the real clip's, as SVG."""


def card(
    report: ScoreReport, clip: ClipScore, real: ClipScore | None, columns: Sequence[Column],
    frames: FramesOf | None = None,
) -> Card:  # fmt: skip
    """Return what the page shows of one clip."""
    css = css_classes(report)[clip.sample.system]
    numbers = [
        (heading(column), value_text(column, clip.values[column.name]), is_doubtful(report, column))
        for column in columns
        if column.name in clip.values
    ]
    pictures = [picture(image) for image in frames(clip)[:MOST_FRAMES]] if frames else []
    drawings = [curve(clip, real, css), over_time(clip, real, css)]
    return Card(css, clip_name(clip), numbers, [str(clip.sample.path), *clip.notes], pictures, drawings)


def picture(image: Image) -> str:
    """Return a frame as a data URL, scaled to the height shown on the page."""
    height, width = image.shape[:2]
    size = (max(1, round(width * FRAME_HEIGHT / height)), FRAME_HEIGHT)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if height > FRAME_HEIGHT else cv2.INTER_CUBIC)
    _, coded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data_url("image/jpeg", coded.tobytes())


def curve(clip: ClipScore, real: ClipScore | None, css: str) -> str:
    """Plot distance over offset, with the real video's curve and a dashed line at the offset found."""
    lines = [_curve_line(real, "real behind", "real video")] if real is not None and real.curve else []
    if clip.curve:
        lines.append(_curve_line(clip, css, clip_name(clip)))
    offset = clip.values.get("offset")
    marks = [(offset, css)] if offset is not None and math.isfinite(offset) else []
    return line_plot(lines, ("offset: frames the sound is ahead", "distance"), marks)


def _curve_line(clip: ClipScore, css: str, title: str) -> PlotLine:
    return PlotLine(clip.curve, len(clip.curve) // 2, -1.0, css, title)


def over_time(clip: ClipScore, real: ClipScore | None, css: str) -> str:
    """Plot the confidence of each window at the best shift over the seconds of the clip."""
    pairs = [(real, "real behind", "real video")] if real is not None else []
    lines = [
        PlotLine(of.over_time, of.start_s + WINDOW_FRAMES / 2 / FPS, 1 / FPS, kind, title)
        for of, kind, title in [*pairs, (clip, css, clip_name(clip))]
        if of.over_time
    ]
    return line_plot(lines, ("seconds", "confidence"))


def curve_limits(clips: Sequence[ClipScore]) -> tuple[float, float] | None:
    """Return the lowest and highest distance of all curves, so that all systems share a scale."""
    ends = [value for clip in clips for value in clip.curve if math.isfinite(value)]
    return (min(ends), max(ends)) if ends else None


def all_curves(
    clips: Sequence[ClipScore], reals: Sequence[ClipScore], css: str, limits: tuple[float, float] | None
) -> str:
    """Plot the curves of one system: each clip thin, their mean thick, with the mean of the real videos."""
    shown = [clip for clip in clips if clip.curve]
    step = max(1, -(-len(shown) // MOST_CURVES))
    lines = [_curve_line(clip, f"{css} thin", clip_name(clip)) for clip in shown[::step]]
    for of, kind, title in ((reals, "real behind", "real videos, mean"), (shown, css, "mean")):
        means = _mean_curve(of)
        if means is not None:
            lines.append(PlotLine(means, len(means) // 2, -1.0, kind, title))
    return line_plot(lines, ("offset: frames the sound is ahead", "distance"), y_limits=limits, width=SMALL_WIDTH)


def _mean_curve(clips: Sequence[ClipScore]) -> list[float] | None:
    curves = [clip.curve for clip in clips if clip.curve]
    longest = max(map(len, curves), default=0)
    same = [curve for curve in curves if len(curve) == longest]
    return [float(value) for value in np.mean(same, axis=0)] if same else None
