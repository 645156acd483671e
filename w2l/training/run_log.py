"""The log of a run, log.jsonl: its lines, its curves and its warnings."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import TrainingError
from w2l.core.reading import Unreadable, parse_json, read_bytes

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps and values, each (points,)."""
VALIDATION = "val/"
"""How the names of validation scores begin in a log."""
WARNING = "warning"
"""Name under which a line holds words instead of numbers."""
SMOOTHED = 15
"""Points of a noisy curve that are averaged for its bold line."""


def read_lines(log: Path) -> list[dict[str, Any]]:
    """The lines of a log that are whole; what a kill cut off is left out. TrainingError when it cannot be read."""
    try:
        text = read_bytes(log).decode("utf-8", "replace")  # whatever it holds, the whole lines of it are a log
    except Unreadable as error:
        raise TrainingError(f"log {log} cannot be read ({error}); name the log.jsonl of a run") from error
    found = []
    for line in text.splitlines():
        try:
            entry = parse_json(line)
        except Unreadable:
            continue
        if isinstance(entry, dict) and _is_number(entry.get("step")):
            found.append(entry)
    return found


def read_log(log: Path) -> dict[str, Curve]:
    """The curves of a run's log.jsonl by name, those of validations with "val/" before it.

    Raises TrainingError when there is nothing to draw.
    """
    curves = curves_of(read_lines(log))
    if not curves:
        raise TrainingError(f"log {log} holds no step yet; train first")
    return curves


def curves_of(lines: list[dict[str, Any]]) -> dict[str, Curve]:
    """The numbers of the lines by name; what is no finite number is left out."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name != "step" and _is_number(value):
                points.setdefault(name, []).append((line["step"], value))
    return {name: _curve(found) for name, found in points.items()}


def warnings_of(lines: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """The warnings in the lines, each with its step: ``{"step": 500, "warning": "..."}``, or a list of them."""
    found = []
    for line in lines:
        said = line.get(WARNING, [])
        found += [(int(line["step"]), str(text)) for text in (said if isinstance(said, list) else [said])]
    return found


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the `SMOOTHED` points around each, fewer at the ends; (points,)."""
    half = min(SMOOTHED // 2, (len(values) - 1) // 4)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    points = np.arange(len(values))
    reach = np.minimum(np.minimum(points, points[::-1]), half)  # even on both sides: no drift at the ends
    low, high = points - reach, points + reach + 1
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _curve(points: list[tuple[float, float]]) -> Curve:
    array = np.array(sorted(points), dtype=np.float64)
    return array[:, 0], array[:, 1]
