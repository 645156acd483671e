"""A run as it trains: its curves and sheets as pieces of a page, read from its folder alone."""

from dataclasses import dataclass
from pathlib import Path

from w2l.core.reading import Unreadable, read_text
from w2l.report.page import render_template
from w2l.training.report.figures import FIGURE, curve_sections, sheets
from w2l.training.report.page import TEMPLATES, planned_steps
from w2l.training.run_checks import read_checks
from w2l.training.run_log import curves_of, read_lines, warnings_of


@dataclass(frozen=True)
class RunFigures:
    """What a run's folder shows."""

    step: int
    """The last step in the log."""
    n_steps: int
    """Steps that its settings ask for; 0 if unknown."""
    warnings: tuple[tuple[int, str], ...]
    """Warnings in the log, each with its step, the newest first."""
    checks: tuple[tuple[str, str], ...]
    """Severity and line of each finding on the data from before it began."""
    sections: dict[str, str]
    """Heading -> HTML: the curves, and the sheets of samples under "Samples"; empty ones are left out."""


def run_figures(folder: Path) -> RunFigures:
    """Return what the run in `folder` shows; raise TrainingError if there is no log. Nothing is written."""
    lines = read_lines(folder / "log.jsonl")
    try:
        n_steps = planned_steps(read_text(folder / "config.yaml"))
    except Unreadable:
        n_steps = 0
    sections = {
        heading: render_template(TEMPLATES, "figures.html", figures=figures, figure_width=FIGURE)
        for heading, figures in curve_sections(curves_of(lines), n_steps, {}).items()
        if figures
    }
    if shown := sheets(folder):
        sections["Samples"] = render_template(TEMPLATES, "sheets.html", sheets=shown)
    return RunFigures(
        max((int(line["step"]) for line in lines), default=0),
        n_steps,
        tuple(reversed(warnings_of(lines))),
        tuple(read_checks(folder)),
        sections,
    )
