"""Curves: what is read from a log, and that pictures are drawn of it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.errors import TrainingError
from w2l.training.report import curves_png as curves
from w2l.training.report.curves_png import (
    draw_comparison,
    draw_curves,
    draw_gap_comparison,
    draw_similarities,
    write_curves,
)
from w2l.training.report.write import Reports
from w2l.training.run_log import read_log, smooth
from w2l.training.scores import GAPS


def write_log(path: Path, level: float = 0.3, n_steps: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for step in range(1, n_steps + 1):
        lines.append({"step": step, "contrastive": 4 * level, "pair": level, "grad_norm": 1.0})
        if step % 10 == 0:
            scores = {"accuracy": 0.9, "bce": 0.3, "offset_5": 0.5, "offset_within_1": 1.0}
            scores |= {f"gap_{gap}": 0.6 + gap / 60 for gap in GAPS}
            lines.append({"step": step, **{f"val/{name}": value for name, value in scores.items()}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def picture(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    assert image is not None
    return image  # type: ignore[return-value]


def coloured(image: NDArray[np.uint8]) -> int:
    """Pixels that are not grey: of curves."""
    return int((np.ptp(image.astype(int), axis=2) > 40).sum())


class TestLog:
    def test_curves_by_name(self, tmp_path: Path) -> None:
        found = read_log(write_log(tmp_path / "log.jsonl"))
        np.testing.assert_array_equal(found["pair"][0], np.arange(1, 41))
        np.testing.assert_array_equal(found["val/accuracy"], [[10, 20, 30, 40], [0.9] * 4])

    def test_a_line_that_a_kill_cut_off_is_left_out(self, tmp_path: Path) -> None:
        log = write_log(tmp_path / "log.jsonl")
        log.write_text(log.read_text() + '{"step": 41, "pa')
        assert read_log(log)["pair"][0][-1] == 40

    @pytest.mark.parametrize("content", [None, ""])
    def test_nothing_to_draw(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "log.jsonl").write_text(content)
        with pytest.raises(TrainingError, match=r"log\.jsonl"):
            read_log(tmp_path / "log.jsonl")


class TestPictures:
    def test_a_run(self, tmp_path: Path) -> None:
        write_log(tmp_path / "run" / "log.jsonl")
        write_curves(tmp_path / "run")
        full = picture(tmp_path / "run" / "curves.png")
        bare = tmp_path / "bare.jsonl"
        bare.write_text('{"step": 1, "pair": 0.7}\n{"step": 2, "pair": 0.6}\n')
        draw_curves(bare, tmp_path / "bare.png")
        assert full.shape[0] > 600
        assert coloured(full) > 3 * coloured(picture(tmp_path / "bare.png")) > 0

    @pytest.mark.usefixtures("drawn_curves")
    def test_no_run_ends_for_want_of_matplotlib(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def missing(*_: object) -> None:
            raise ImportError("No module named 'matplotlib'")

        monkeypatch.setattr(curves, "_figure", missing)
        write_log(tmp_path / "log.jsonl")
        Reports()(tmp_path)
        assert not (tmp_path / "curves.png").exists()
        assert "pip install matplotlib" in caplog.text

    def test_several_runs_in_one_picture(self, tmp_path: Path) -> None:
        logs = {name: [write_log(tmp_path / f"{name}{seed}.jsonl", level + seed / 50, 30 + seed) for seed in range(3)]
                for name, level in (("expert", 0.1), ("public", 0.69))}  # fmt: skip
        draw_comparison(logs, "pair", tmp_path / "both.png")
        draw_comparison({"expert": logs["expert"]}, "val/accuracy", tmp_path / "one.png", "accuracy")
        assert coloured(picture(tmp_path / "both.png")) > 500
        assert coloured(picture(tmp_path / "one.png")) > 500
        with pytest.raises(TrainingError, match="no log of expert contains 'loss'"):
            draw_comparison(logs, "loss", tmp_path / "none.png")

    def test_the_mean_is_over_steps_that_all_have(self) -> None:
        short = (np.array([1.0, 2, 3]), np.array([1.0, 1, 1]))
        long = (np.array([1.0, 3, 5]), np.array([3.0, 3, 3]))
        steps, values = curves._mean_curve([short, long])
        assert steps.tolist() == [1, 2, 3]
        assert values.tolist() == [2, 2, 2]

    def test_smoothing_keeps_straight_lines(self) -> None:
        line = np.linspace(3, 7, 50)
        np.testing.assert_allclose(smooth(line), line)
        rough = line + np.random.default_rng(0).normal(0, 1, 50)
        assert np.std(smooth(rough) - line) < 0.7 * np.std(rough - line)

    def test_by_gap_and_similarities(self, tmp_path: Path) -> None:
        draw_gap_comparison({"a": dict.fromkeys(GAPS, 0.9), "b": {1: 0.5, 5: 0.7}}, tmp_path / "gap.png")
        rng = np.random.default_rng(0)
        draw_similarities(rng.normal(0.8, 0.1, 99), rng.normal(0.2, 0.1, 99), 0.5, tmp_path / "similar.png")
        assert coloured(picture(tmp_path / "gap.png")) > 500
        assert coloured(picture(tmp_path / "similar.png")) > 500
