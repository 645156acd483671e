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
"""Prefix of validation scores in a log."""
WARNING = "warning"
"""Key under which a line has text instead of numbers."""
SMOOTHED = 15
"""Points of a noisy curve averaged for its bold line."""


def read_lines(log: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a log, without a truncated one; raise TrainingError if it cannot be read."""
    try:
        text = read_bytes(log).decode("utf-8", "replace")  # undecodable bytes only spoil their own line
    except Unreadable as error:
        raise TrainingError(f"log {log} cannot be read ({error}); choose the log.jsonl of a run") from error
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
    """Return the curves of a run's log.jsonl by name, those of validations prefixed by "val/".

    Raises TrainingError if there is nothing to draw.
    """
    curves = curves_of(read_lines(log))
    if not curves:
        raise TrainingError(f"log {log} contains no steps yet; train first")
    return curves


def curves_of(lines: list[dict[str, Any]]) -> dict[str, Curve]:
    """Return the finite numbers of the lines by name."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name != "step" and _is_number(value):
                points.setdefault(name, []).append((line["step"], value))
    return {name: _curve(found) for name, found in points.items()}


def warnings_of(lines: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return the warnings in the lines with their steps: ``{"step": 500, "warning": "..."}``, or a list of them."""
    found = []
    for line in lines:
        said = line.get(WARNING, [])
        found += [(int(line["step"]), str(text)) for text in (said if isinstance(said, list) else [said])]
    return found


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over the `SMOOTHED` points around each, fewer at the ends; (points,)."""
    half = min(SMOOTHED // 2, (len(values) - 1) // 4)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    points = np.arange(len(values))
    reach = np.minimum(np.minimum(points, points[::-1]), half)  # symmetric: no drift at the ends
    low, high = points - reach, points + reach + 1
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _curve(points: list[tuple[float, float]]) -> Curve:
    array = np.array(sorted(points), dtype=np.float64)
    return array[:, 0], array[:, 1]
