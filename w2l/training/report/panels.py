"""Group the curves of a run's log into panels, and describe the scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from w2l.core.arrays import Floats
from w2l.training.losses import CHANCE
from w2l.training.run_log import VALIDATION

DECADES = 20.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""
TERMS, ADVERSARY, SCORES, RUN = "Loss terms", "Adversary", "Validation", "The run itself"
SECTIONS = (TERMS, ADVERSARY, SCORES, RUN)
"""Headings of the page, in order."""
ACCURACIES = ("accuracy", "voiced", "half", "in_sync", "off_sync", "auc", "auc_voiced")
CALIBRATION = ("threshold", "scale", "bias")
FAMILIES = {"gap_": "accuracy by gap in frames", "offset_": "share of offsets found", "speaker_": "speakers"}
"""Prefixes of scores that share a panel -> title of the panel."""
MEANINGS = {
    "l1": "mean absolute error of the generated pixels, on a scale of 0 to 1; lower is better",
    "edges": "mean absolute error of differences between neighbouring pixels: sharpness; lower is better",
    "lips": "distance between generated and real lips, in eye distances; lower is better",
    "rest": "gap between the lips where the audio was replaced by silence, in eye distances; 0 is ideal",
    "adversarial": "adversarial loss: how clearly the discriminator rejects generated faces; lower is better",
    "features": "distance from real faces in the features of the discriminator; lower is better",
    "contrast": "distance between face and audio in the jointly trained sync discriminator; lower is better",
    "drawn": "how much is drawn rather than moved from the references: mean root of its share of each pixel",
    "smooth": "unevenness of the flow that moves the references, in pixels per pixel; lower is smoother",
    "sync": "sync loss of the frozen expert between mouth and audio; lower is better",
    "articulation": "movement of the lips relative to the real ones; 0.85 to 1.15 is good, 0.3 nearly still",
    "closure": "share of the real lip closures that are closed here, too; higher is better",
    "leak": "movement of the lips in pauses relative to that in speech; 0 is ideal",
    "aperture_r": "correlation of the opening of the lips with the real ones; 1 is ideal",
    "accuracy": "share of pairs classified correctly as in sync or not; 0.5 is chance",
    "auc": "area under the ROC curve of pairs in sync and off sync; 0.5 is chance",
    "bce": "calibrated cross entropy; ln 2 = 0.693 is chance",
    "offset_within_1": "share of clips whose offset is found within one frame",
}
"""Meaning of each validation score, by its name without "val/"."""
GOALS: dict[str, tuple[tuple[float, str], ...]] = {
    "articulation": ((0.85, "goal: 0.85 to 1.15"), (1.15, "")),
    "closure": ((0.95, "goal: 0.95"),),
    "leak": ((0.05, "goal: at most 0.05"),),
}
"""Values from which a score is good, with labels."""


@dataclass(frozen=True)
class Panel:
    """Curves that are drawn together."""

    section: str
    """One of `SECTIONS`."""
    title: str
    names: tuple[str, ...]
    """Names of the curves in the log."""
    marks: tuple[tuple[float, str], ...] = ()
    """Values with a dashed line, and its label."""
    about: str = ""
    """How to read the panel."""


def panels_of(names: Iterable[str], chance: Mapping[str, float] | None = None) -> list[Panel]:
    """Assign each of the `names` of a log to exactly one panel, in the order of the page.

    `chance` is the value of a curve at chance, by name, such as ``{"disc_real": 0.25}``.
    """
    known = dict.fromkeys(sorted(names, key=lambda name: name.startswith(VALIDATION)))  # a score follows its term
    panels = []
    while known:
        panel = _panel(next(iter(known)), tuple(known), chance or {})
        panels.append(panel)
        known = {name: None for name in known if name not in panel.names}
    return sorted(panels, key=lambda panel: SECTIONS.index(panel.section))


def _panel(name: str, left: tuple[str, ...], chance: Mapping[str, float]) -> Panel:
    """Return the panel of `name`, with other names that are `left`."""

    def among(*wanted: str) -> tuple[str, ...]:
        return tuple(one for one in left if one in wanted)

    score = name.removeprefix(VALIDATION)
    if name == score:
        return _training_panel(name, left, chance)
    for prefix, title in FAMILIES.items():
        if score.startswith(prefix):
            return Panel(SCORES, title, tuple(one for one in left if one.startswith(f"{VALIDATION}{prefix}")))
    if score in ACCURACIES:
        guess = ((0.5, "chance"),)
        return Panel(SCORES, "accuracy on pairs", among(*(f"{VALIDATION}{one}" for one in ACCURACIES)), guess)
    if score in CALIBRATION:
        return Panel(SCORES, "calibration", among(*(f"{VALIDATION}{one}" for one in CALIBRATION)))
    return Panel(SCORES, score.replace("_", " "), (name,), GOALS.get(score, ()), MEANINGS.get(score, ""))


def _training_panel(name: str, left: tuple[str, ...], chance: Mapping[str, float]) -> Panel:
    if name.endswith("grad_norm"):
        norms = tuple(one for one in left if one.endswith("grad_norm") and not one.startswith(VALIDATION))
        return Panel(RUN, "gradient norms", norms, about="before clipping; spikes are the first sign of trouble")
    if is_rate(name):
        return Panel(RUN, "learning rates", tuple(one for one in left if is_rate(one)))
    if name.startswith("disc_"):
        sides = tuple(one for one in left if one.startswith("disc_") and not one.endswith("grad_norm"))
        guesses = sorted({chance[one] for one in sides if one in chance})
        marks = tuple((value, f"chance: {value:.3g}") for value in guesses)
        return Panel(ADVERSARY, "discriminator loss", sides, marks, "at 0 the generator no longer learns from it")
    if name in ("adversarial", "features", "contrast"):
        return Panel(ADVERSARY, name, tuple(one for one in left if one in (name, f"{VALIDATION}{name}")))
    if name == "skipped":
        return Panel(RUN, "skipped steps", (name,), about="their gradient was not finite")
    if name == "pair":
        pair = tuple(one for one in left if one in (name, f"{VALIDATION}bce"))
        return Panel(TERMS, "own or partner's sound", pair, ((CHANCE, "ln 2, chance"),))
    names = tuple(one for one in left if one in (name, f"{VALIDATION}{name}"))
    return Panel(TERMS, name.replace("_", " "), names, about=MEANINGS.get(name, ""))


def is_rate(name: str) -> bool:
    """Return whether a name in the log is that of a learning rate."""
    return name == "lr" or name.startswith(("lr/", "lr_"))


def spans_decades(values: Floats) -> bool:
    """Return whether values, (points,), are better drawn on a logarithmic axis."""
    return bool(len(values) and values.min() > 0 and values.max() / values.min() > DECADES)
