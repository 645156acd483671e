"""Which curves of a run's log are drawn together, and what the scores mean; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from w2l.core.arrays import Floats
from w2l.training.losses import CHANCE
from w2l.training.run_log import VALIDATION

DECADES = 20.0
"""Largest over smallest value from which on an axis is logarithmic."""
TERMS, ADVERSARY, SCORES, RUN = "Loss terms", "Adversary", "Validation", "The run itself"
SECTIONS = (TERMS, ADVERSARY, SCORES, RUN)
"""Headings, in their order."""
ACCURACIES = ("accuracy", "voiced", "half", "in_sync", "off_sync", "auc", "auc_voiced")
CALIBRATION = ("threshold", "scale", "bias")
FAMILIES = {"gap_": "accuracy by gap in frames", "offset_": "share of offsets found", "speaker_": "speakers"}
"""Scores whose names begin alike."""
MEANINGS = {
    "l1": "mean absolute error of what is generated, on a scale of 0 to 1; lower is better",
    "edges": "the same of differences between neighbouring pixels: sharpness; lower is better",
    "lips": "distance of the lips from where the real ones are, in eye distances; lower is better",
    "rest": "gap between the lips where silence was put in, in eye distances; 0 is right",
    "adversarial": "how far the discriminator is from taking what is generated for real; lower is better",
    "features": "distance from real faces in what the discriminator looks at; lower is better",
    "contrast": "distance between face and sound as the discriminator that is trained along sees it; lower is better",
    "drawn": "how much is drawn, not moved from the references: the mean root of its share of each pixel",
    "smooth": "unevenness of how the references are moved, in pixels a pixel; lower tears less",
    "sync": "what the frozen expert makes of mouth and sound; lower is better",
    "articulation": "movement of the lips over that of the real ones; 0.85 to 1.15 is right, 0.3 nearly still",
    "closure": "share of the real closures of the lips that are closed here, too; higher is better",
    "leak": "movement of the lips in pauses over that in speech; 0 is right",
    "aperture_r": "correlation of how far the lips are open with the real ones; 1 is right",
    "accuracy": "share of pairs told apart, in sync or not; 0.5 is a guess",
    "auc": "share of pairs of pairs in the right order; 0.5 is a guess",
    "bce": "calibrated cross entropy; ln 2 = 0.693 is a guess",
    "offset_within_1": "share of clips whose offset is found within one frame",
}
"""Of validation scores, without "val/"."""
GOALS: dict[str, tuple[tuple[float, str], ...]] = {
    "articulation": ((0.85, "goal: 0.85 to 1.15"), (1.15, "")),
    "closure": ((0.95, "goal: 0.95"),),
    "leak": ((0.05, "goal: at most 0.05"),),
}
"""Values at which a score is good, with words."""


@dataclass(frozen=True)
class Panel:
    """One drawing: curves that belong together."""

    section: str
    """One of `SECTIONS`."""
    title: str
    names: tuple[str, ...]
    """Of the curves, as in the log."""
    marks: tuple[tuple[float, str], ...] = ()
    """Values with a dashed line, and what it says."""
    about: str = ""
    """What to look for."""


def panels_of(names: Iterable[str], chance: Mapping[str, float] | None = None) -> list[Panel]:
    """Puts each of the `names` of a log into exactly one panel, in the order in which the page shows them.

    `chance` is what a curve is at for one who tells nothing, by name, such as ``{"disc_real": 0.25}``.
    """
    known = dict.fromkeys(sorted(names, key=lambda name: name.startswith(VALIDATION)))  # a score follows its term
    panels = []
    while known:
        panel = _panel(next(iter(known)), tuple(known), chance or {})
        panels.append(panel)
        known = {name: None for name in known if name not in panel.names}
    return sorted(panels, key=lambda panel: SECTIONS.index(panel.section))


def _panel(name: str, left: tuple[str, ...], chance: Mapping[str, float]) -> Panel:
    """The panel of `name` among those that are `left`."""

    def among(*wanted: str) -> tuple[str, ...]:
        return tuple(one for one in left if one in wanted)

    score = name.removeprefix(VALIDATION)
    if name == score:
        return _training_panel(name, left, chance)
    for prefix, title in FAMILIES.items():
        if score.startswith(prefix):
            return Panel(SCORES, title, tuple(one for one in left if one.startswith(f"{VALIDATION}{prefix}")))
    if score in ACCURACIES:
        guess = ((0.5, "a guess"),)
        return Panel(SCORES, "pairs told apart", among(*(f"{VALIDATION}{one}" for one in ACCURACIES)), guess)
    if score in CALIBRATION:
        return Panel(SCORES, "calibration", among(*(f"{VALIDATION}{one}" for one in CALIBRATION)))
    return Panel(SCORES, score.replace("_", " "), (name,), GOALS.get(score, ()), MEANINGS.get(score, ""))


def _training_panel(name: str, left: tuple[str, ...], chance: Mapping[str, float]) -> Panel:
    if name.endswith("grad_norm"):
        norms = tuple(one for one in left if one.endswith("grad_norm") and not one.startswith(VALIDATION))
        return Panel(RUN, "gradient norms", norms, about="before they are cut; spikes are the first sign of trouble")
    if is_rate(name):
        return Panel(RUN, "learning rates", tuple(one for one in left if is_rate(one)))
    if name.startswith("disc_"):
        sides = tuple(one for one in left if one.startswith("disc_") and not one.endswith("grad_norm"))
        guesses = sorted({chance[one] for one in sides if one in chance})
        marks = tuple((value, f"tells nothing: {value:.3g}") for value in guesses)
        return Panel(ADVERSARY, "the discriminator's own loss", sides, marks, "at 0 it has won and teaches no longer")
    if name in ("adversarial", "features", "contrast"):
        return Panel(ADVERSARY, name, tuple(one for one in left if one in (name, f"{VALIDATION}{name}")))
    if name == "skipped":
        return Panel(RUN, "steps that were skipped", (name,), about="their gradient was no number")
    if name == "pair":
        pair = tuple(one for one in left if one in (name, f"{VALIDATION}bce"))
        return Panel(TERMS, "own or partner's sound", pair, ((CHANCE, "ln 2, a guess"),))
    names = tuple(one for one in left if one in (name, f"{VALIDATION}{name}"))
    return Panel(TERMS, name.replace("_", " "), names, about=MEANINGS.get(name, ""))


def is_rate(name: str) -> bool:
    """Whether a name in the log is that of a learning rate."""
    return name == "lr" or name.startswith(("lr/", "lr_"))


def spans_decades(values: Floats) -> bool:
    """Whether values, (points,), are better drawn on a logarithmic axis."""
    return bool(len(values) and values.min() > 0 and values.max() / values.min() > DECADES)
