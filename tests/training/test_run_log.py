"""Logs: what is whole is read, as curves and as warnings."""

import json
from pathlib import Path

import numpy as np
import pytest

from w2l.core.errors import TrainingError
from w2l.training.run_log import curves_of, read_lines, read_log, smooth, warnings_of


def write(folder: Path, *lines: object) -> Path:
    log = folder / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return log


def test_curves_are_sorted_by_step_and_hold_finite_numbers_only(tmp_path: Path) -> None:
    log = write(
        tmp_path, {"step": 2, "l1": 0.5, "done": True, "note": "x"}, {"step": 1, "l1": 0.75, "sync": float("nan")}
    )
    curves = read_log(log)
    assert set(curves) == {"l1"}
    np.testing.assert_array_equal(curves["l1"], [[1, 2], [0.75, 0.5]])


@pytest.mark.parametrize("junk", ['{"step": 3, "l', "[1, 2]", '{"l1": 1}', '{"step": "3", "l1": 1}', "\x00\x00", ""])
def test_what_is_no_line_of_a_log_is_left_out(tmp_path: Path, junk: str) -> None:
    log = write(tmp_path, {"step": 1, "l1": 1.0}, {"step": 2, "l1": 2.0})
    log.write_text(log.read_text() + junk + "\n")
    assert [line["step"] for line in read_lines(log)] == [1, 2]


def test_warnings_come_with_their_steps_one_or_several_a_line(tmp_path: Path) -> None:
    log = write(tmp_path, {"step": 1, "l1": 1.0}, {"step": 5, "warning": "a"}, {"step": 7, "warning": ["b", "c"]})
    assert warnings_of(read_lines(log)) == [(5, "a"), (7, "b"), (7, "c")]
    assert set(curves_of(read_lines(log))) == {"l1"}


def test_a_log_of_warnings_alone_has_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="contains no steps yet"):
        read_log(write(tmp_path, {"step": 5, "warning": "a"}))


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"log\.jsonl cannot be read"):
        read_lines(tmp_path / "log.jsonl")


@pytest.mark.parametrize("n_points", [1, 2, 5, 100])
def test_smoothing_keeps_lines_and_their_ends(n_points: int) -> None:
    line = np.linspace(3, 7, n_points)
    np.testing.assert_allclose(smooth(line), line)
