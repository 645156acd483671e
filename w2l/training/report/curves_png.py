"""Plot curves of training runs from their logs with matplotlib: single runs and comparisons of several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import TrainingError
from w2l.core.files import write_atomic
from w2l.training.losses import CHANCE, OBJECTIVES
from w2l.training.report.curves import COLOURS, drawn_of, plot_curves
from w2l.training.report.panels import ACCURACIES, Panel, panels_of
from w2l.training.run_log import VALIDATION, Curve, read_log, smooth
from w2l.training.scores import GAPS, SPANS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_LOSS = 0.01
"""Lower end of the axis of losses."""
DPI = 110
PANELS_A_ROW = 3


def write_curves(folder: Path) -> None:
    """Plot the log of the run in `folder` to its curves.png."""
    draw_curves(folder / "log.jsonl", folder / "curves.png")


def draw_curves(log: Path, out: Path) -> None:
    """Write a PNG of one run: for an expert see `_draw_expert`, otherwise one panel per loss term and score."""
    curves = read_log(log)
    figure = _draw_expert(curves) if "pair" in curves else _draw_panels(curves)
    figure.suptitle(log.parent.name or log.stem)
    _save(figure, out)


def _draw_expert(curves: Mapping[str, Curve]) -> "Figure":
    """Draw the loss with ln 2, accuracies, accuracy by gap, and how often offsets are found."""
    figure = _figure(11, 8)
    (loss, accuracies), (gaps, offsets) = figure.subplots(2, 2)
    _draw_losses(loss, curves)
    _draw_scores(accuracies, curves, {name: name.replace("_", " ") for name in ACCURACIES}, "validation")
    _draw_gap_history(gaps, curves)
    lengths = {f"offset_{length}": f"{length} windows" for length in SPANS} | {"offset_within_1": "whole clip"}
    _draw_scores(offsets, curves, lengths, "share of offsets found within 1 frame")
    return figure


def _draw_panels(curves: Mapping[str, Curve]) -> "Figure":
    """Draw one panel per loss term and score, as the page does."""
    panels = panels_of(curves)
    n_rows = -(-len(panels) // PANELS_A_ROW)
    figure = _figure(4.2 * PANELS_A_ROW, 2.9 * n_rows)
    places = figure.subplots(n_rows, PANELS_A_ROW, squeeze=False).ravel()
    for axes, panel in zip(places, panels):
        _draw_panel(axes, panel, curves)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    return figure


def _draw_panel(axes: "Axes", panel: Panel, curves: Mapping[str, Curve]) -> None:
    plot_curves(axes, drawn_of(panel, curves), panel.marks)
    axes.set_xlabel("step")
    _finish(axes, panel.title)


def draw_comparison(runs: Mapping[str, Sequence[Path]], key: str, out: Path, title: str = "") -> None:
    """Write a PNG of one curve of several runs: thin for each log, such as one per seed, bold for their mean.

    Parameters
    ----------
    runs : mapping
        Name -> logs of one of the compared configurations.
    key : str
        Name of a loss term, such as "pair", or of a validation score, such as "val/accuracy".
    out : Path
        The PNG.
    """
    figure = _figure(8.5, 5)
    axes = figure.subplots()
    for colour, (name, logs) in zip(_colours(len(runs)), runs.items()):
        curves = [found[key] for found in map(read_log, logs) if key in found]
        if not curves:
            raise TrainingError(f"no log of {name} contains {key!r}; choose a name from its log.jsonl")
        for steps, values in curves:
            axes.plot(steps, smooth(values), color=colour, alpha=0.4, linewidth=0.9)
        label = f"{name}, mean of {len(curves)}" if len(curves) > 1 else name
        axes.plot(*_mean_curve(curves), color=colour, linewidth=2.4, label=label)
    _draw_steps(axes, log_scale=True)
    if not key.startswith(VALIDATION) or key.endswith("bce"):
        _draw_chance(axes, CHANCE, "ln 2, chance")
    _finish(axes, title or key.replace(VALIDATION, "validation: "))
    _save(figure, out)


def draw_gap_comparison(rows: Mapping[str, Mapping[int, float]], out: Path, title: str = "") -> None:
    """Write a PNG of the balanced accuracy by gap in frames, one line per named row."""
    figure = _figure(7.5, 4.8)
    axes = figure.subplots()
    for colour, (name, found) in zip(_colours(len(rows)), rows.items()):
        axes.plot(list(found), list(found.values()), "o-", color=colour, label=name)
    _draw_gap_axis(axes, title or "balanced accuracy by gap")
    _save(figure, out)


def draw_similarities(in_sync: NDArray[np.float64], off_sync: NDArray[np.float64], threshold: float, out: Path) -> None:
    """Write a PNG of the similarities of pairs in sync and off sync, each (windows,), and of the threshold."""
    figure = _figure(7.5, 4.8)
    axes = figure.subplots()
    edges = np.linspace(min(in_sync.min(), off_sync.min()), max(in_sync.max(), off_sync.max()) + 1e-9, 61).tolist()
    for values, colour, name in ((off_sync, COLOURS[1], "off sync"), (in_sync, COLOURS[0], "in sync")):
        axes.hist(values, bins=edges, color=colour, alpha=0.55, label=name)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.2f}")
    axes.set_xlabel("similarity")
    axes.set_ylabel("windows")
    _finish(axes, "similarities of pairs from the same clip")
    _save(figure, out)


def _draw_losses(axes: "Axes", curves: Mapping[str, Curve]) -> None:
    shown = [("pair", "pair: own or partner's sound"), (f"{VALIDATION}bce", "validation, calibrated bce")]
    shown += [(name, f"loss: {name}") for name in OBJECTIVES]
    for colour, (name, label) in zip(COLOURS, shown):
        if name in curves:
            steps, values = curves[name]
            noisy = not name.startswith(VALIDATION)
            if noisy:
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
            axes.plot(steps, smooth(values) if noisy else values, color=colour, linewidth=1.8, label=label)
    _draw_chance(axes, CHANCE, "ln 2, chance")
    _draw_steps(axes, log_scale=True)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], LEAST_LOSS))
    _finish(axes, "loss")


def _draw_scores(axes: "Axes", curves: Mapping[str, Curve], names: Mapping[str, str], title: str) -> None:
    for colour, (name, label) in zip(COLOURS, names.items()):
        if (curve := curves.get(f"{VALIDATION}{name}")) is not None:
            axes.plot(*curve, ".-", color=colour, linewidth=1.5, label=f"{label} {curve[1][-1]:.3f}")
    low, _ = axes.get_ylim()
    axes.set_ylim(min(low, 0.5) if axes.has_data() else 0.5, 1.005)
    _draw_steps(axes, log_scale=False)
    _finish(axes, title)


def _draw_gap_history(axes: "Axes", curves: Mapping[str, Curve]) -> None:
    """Draw the accuracy by gap at up to five validations, later ones darker."""
    known = [gap for gap in GAPS if f"{VALIDATION}gap_{gap}" in curves]
    if known:
        steps = curves[f"{VALIDATION}gap_{known[0]}"][0]
        chosen = np.unique(np.linspace(0, len(steps) - 1, 5).round().astype(int)).tolist()
        for place, number in enumerate(chosen, 1):
            values = [float(curves[f"{VALIDATION}gap_{gap}"][1][number]) for gap in known]
            shade = place / len(chosen)
            axes.plot(known, values, ".-", color=COLOURS[0], alpha=shade, label=f"step {steps[number]:.0f}")
    _draw_gap_axis(axes, "validation by gap")


def _draw_gap_axis(axes: "Axes", title: str) -> None:
    _draw_chance(axes, 0.5, "chance")
    axes.set_xscale("log")
    axes.set_xticks(GAPS, [str(gap) for gap in GAPS])
    axes.minorticks_off()
    axes.set_ylim(min(axes.get_ylim()[0], 0.48), 1.005)
    axes.set_xlabel("frames between a face and its off-sync sound")
    axes.set_ylabel("balanced accuracy")
    _finish(axes, title)


def _draw_chance(axes: "Axes", value: float, label: str) -> None:
    axes.axhline(value, color="grey", linestyle="--", linewidth=1, label=label)


def _draw_steps(axes: "Axes", log_scale: bool) -> None:
    axes.set_xlabel("step")
    if log_scale:
        axes.set_xscale("log")


def _finish(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", fontsize=8, framealpha=0.85)


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean of several curves at all their steps, up to the end of the shortest."""
    end = min(steps[-1] for steps, _ in curves)
    steps = np.unique(np.concatenate([one for one, _ in curves]))
    steps = steps[steps <= end]
    return steps, np.mean([np.interp(steps, one, smooth(values)) for one, values in curves], axis=0)


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _figure(width: float, height: float) -> "Figure":
    """Return a figure of this size in inches, independent of pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", out: Path) -> None:
    write_atomic(out, lambda file: figure.savefig(file, format="png", dpi=DPI))
