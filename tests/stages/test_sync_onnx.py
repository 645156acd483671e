"""`w2l sync --model FILE.onnx`: what the exported model draws, and an ONNX file of another kind refused in one line."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sync_runs import Run, one_line, pictures


@pytest.mark.parametrize("model", ["aligned", "box"])
def test_an_exported_file_draws_what_its_model_draws(
    sync: Run, w2l: Run, media: Path, tmp_path: Path, model: str
) -> None:
    assert w2l("export", tmp_path / "g.onnx", "--model", media / f"{model}.safetensors").status == 0
    made = {}
    for name, more in (("weights", ()), ("graph", ("--model", tmp_path / "g.onnx"))):
        outcome = sync("-o", tmp_path / f"{name}.mp4", *more, model=model)
        assert outcome.status == 0, outcome.err
        made[name] = pictures(tmp_path / f"{name}.mp4")
    assert len(made["weights"]) == len(made["graph"])
    for ours, theirs in zip(made["weights"], made["graph"]):
        assert np.abs(ours.y.astype(int) - theirs.y).max() <= 1


def test_an_onnx_file_of_another_kind(sync: Run, shared: Path) -> None:
    one_line(
        sync("--model", shared / "models" / "scrfd_500m_kps.onnx"), 1, "scrfd_500m_kps.onnx is an ONNX model with the",
        "not a generator",
    )  # fmt: skip
