"""The page of a training run, report.html: curves, schedule, samples, scores and settings in one file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from w2l.core.errors import CheckpointError
from w2l.core.files import write_text
from w2l.core.reading import Unreadable, parse_yaml, read_text
from w2l.core.text import number
from w2l.core.timing import FPS
from w2l.data.batches.tracks import Tracks
from w2l.models.checkpoint import ModelCard, read_card
from w2l.report.page import render_template
from w2l.training.report.figures import FIGURE, curve_sections, plan_figure, planned, sheets, video
from w2l.training.report.panels import MEANINGS, is_rate
from w2l.training.run_checks import read_checks
from w2l.training.run_log import VALIDATION, Curve, curves_of, read_lines, warnings_of

PAGE_NAME = "report.html"
"""Name of the page in the run's folder."""
TEMPLATES = "w2l.training.report"
"""Package of the templates."""


@dataclass(frozen=True)
class PageFacts:
    """Facts for the page that are not in the run's folder; all are optional."""

    about: str = ""
    """One line below the title, such as the model and its training data."""
    data: Mapping[str, object] = field(default_factory=dict)
    """Training and validation data by name; see `describe_tracks`."""
    warnings: Sequence[str] = ()
    """Texts of warnings, shown in addition to those in the log ("warning")."""
    weights: Callable[[int], Mapping[str, float]] | None = None
    """Weight of each loss term at a step, such as `GeneratorSettings.weights`."""
    rates: Callable[[int], Mapping[str, float]] | None = None
    """Learning rate of each network at a step; by default those in the log (names that start with "lr")."""
    chance: Mapping[str, float] = field(default_factory=dict)
    """Value of a loss term at chance, by name, such as that of a discriminator."""


NO_FACTS = PageFacts()


@dataclass(frozen=True)
class _Run:
    """Contents of a run's folder."""

    folder: Path
    lines: list[dict[str, Any]]
    curves: dict[str, Curve]
    config: str
    n_steps: int
    """Planned number of steps; 0 if the settings do not state it."""
    cards: dict[str, ModelCard]
    """Cards of its model files, by name."""

    @property
    def step(self) -> int:
        """The last step in the log."""
        return max((int(line["step"]) for line in self.lines), default=0)


def write_run_page(folder: Path, facts: PageFacts = NO_FACTS) -> Path:
    """Write report.html of the run in `folder` from the files there; return its path.

    This works at any time: after a validation, at the end, or for a run that was killed.

    Raises
    ------
    TrainingError
        If there is no log.
    CacheError
        If the page cannot be written.
    """
    path = folder / PAGE_NAME
    write_text(path, run_page(folder, facts))
    return path


def run_page(folder: Path, facts: PageFacts = NO_FACTS) -> str:
    """Return the page of the run in `folder`; raise TrainingError if there is no log."""
    run = _read(folder)
    left_out = [*filter(is_rate, run.curves)] if facts.rates else []
    curves = curve_sections(run.curves, run.n_steps, facts.chance, left_out)
    sections = {
        "Warnings": _warnings(run, facts),
        "Checks": [("" if kind == "note" else "bad", text) for kind, text in read_checks(folder)],
        "Scores": _scores(run),
        **curves,
        "Schedule": _schedule(run, facts),
        "Sample video": video(folder),
        "Samples": sheets(folder),
        "Data": [*facts.data.items()],
        "Models": [(name, _model(run, name)) for name in run.cards],
        "Settings": run.config,
    }
    return render_template(
        TEMPLATES,
        "run.html",
        title=folder.name,
        about=facts.about,
        state=_state(run),
        written=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        sections=sections,
        curve_headings=[*curves],
        figure_width=FIGURE,
    )


def describe_tracks(train: Tracks, val: Tracks) -> dict[str, str]:
    """Describe the training and validation data, for `PageFacts.data`."""
    found = {}
    for name, tracks in (("training", train), ("validation", val)):
        speakers = {speaker for speaker in tracks.speakers if speaker}
        minutes = float(tracks.lengths.sum()) / FPS / 60
        by = f", {len(speakers)} speakers" if speakers else ""
        found[name] = f"{len(tracks)} tracks of {len(set(tracks.names))} clips, {minutes:.1f} minutes{by}"
    return found


def _read(folder: Path) -> _Run:
    lines = read_lines(folder / "log.jsonl")
    settings = folder / "config.yaml"
    try:
        config = read_text(settings)
    except Unreadable:  # the page shows what is readable
        config = ""
    cards = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            cards[path.stem] = read_card(path)
        except CheckpointError:  # the page shows what is readable
            continue
    return _Run(folder, lines, curves_of(lines), config, planned_steps(config), cards)


def planned_steps(config: str) -> int:
    """Return ``loop.steps`` of the only section of the settings."""
    try:
        steps = next(iter(parse_yaml(config).values()))["loop"]["steps"]
    except (Unreadable, AttributeError, KeyError, TypeError, StopIteration):
        return 0
    return steps if isinstance(steps, int) else 0


def _state(run: _Run) -> str:
    done = f"step {number(run.step)}" + (f" of {number(run.n_steps)}" if run.n_steps else "")
    validated = {int(line["step"]) for line in run.lines if any(name.startswith(VALIDATION) for name in line)}
    return f"{done}, {len(validated)} validations"


def _warnings(run: _Run, facts: PageFacts) -> list[tuple[str, str]]:
    said = [f"step {number(step)}: {text}" for step, text in reversed(warnings_of(run.lines))]
    return [("bad", text) for text in [*facts.warnings, *said]]


def _scores(run: _Run) -> dict[str, Any]:
    """Return a table of the scores of the first and last validation and of the best model."""
    scores = {name.removeprefix(VALIDATION): curve for name, curve in run.curves.items() if name.startswith(VALIDATION)}
    best = [card for name, card in run.cards.items() if name.endswith("-best") and card.scores]
    rows = []
    for name, (_, values) in scores.items():
        kept = best[0].scores.get(name) if best else None
        best_value = "" if kept is None else number(kept)
        meaning = MEANINGS.get(name, "")
        rows.append((name.replace("_", " "), number(values[0]), best_value, number(values[-1]), meaning))
    kept_at = f"best model (step {number(best[0].step)})" if best else "best model"
    return {"kept_at": kept_at, "rows": rows} if rows else {}


def _schedule(run: _Run, facts: PageFacts) -> dict[str, Any]:
    """Return the planned weights and learning rates, or else those in the newest model's card."""
    figures = []
    last = max(run.n_steps, run.step, 1)
    if facts.weights:
        weights = planned(facts.weights, last)
        shares = {name: (steps, values / (np.abs(values).max() or 1)) for name, (steps, values) in weights.items()}
        now = {name: number(float(value)) for name, value in facts.weights(run.step).items()}
        figures.append(plan_figure("weights, as share of their largest", shares, now, last))
    if facts.rates:
        now = {name: f"{value:.2e}" for name, value in facts.rates(run.step).items()}
        figures.append(plan_figure("learning rates", planned(facts.rates, last), now, last))
    if figures:
        return {"figures": figures, "step": number(run.step)}
    newest = max(run.cards.values(), key=lambda card: card.step, default=None)
    if newest is None or not newest.schedule:
        return {}
    rows = [(name, number(value)) for name, value in newest.schedule.items()]
    return {"figures": [], "rows": rows, "step": number(newest.step)}


def _model(run: _Run, name: str) -> list[tuple[str, object]]:
    card = run.cards[name]
    size = (run.folder / f"{name}.safetensors").stat().st_size / 2**20
    facts: dict[str, object] = {
        "kind": card.kind, "step": number(card.step), "size": f"{size:.2f} MiB",
        "crop": f"{card.crop.kind}, {card.crop.size} px",
        "dimensions": ", ".join(f"{key} {value}" for key, value in card.dimensions.items()),
        "data": card.data, "licence": card.licence,
        "teachers": ", ".join(one.name or one.sha256[:16] for one in card.teachers),
    }  # fmt: skip
    return [(key, value) for key, value in facts.items() if value]
