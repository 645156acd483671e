"""`w2l sync` with a generator of the warping layout: a file like any other, in any backend, with several references."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.sync_runs import Run, change, pictures, same, support
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, save_model
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import WarpingGenerator

CLOSED = ("--reference", "closed")
"""For waves, on which no mouth is to be seen that could be chosen."""


@pytest.fixture(scope="module", params=["lower-half", "jaw"])
def warping(request: pytest.FixtureRequest, media: Path) -> str:
    """The name of a model among the media, with three references."""
    torch.manual_seed(0)
    dims = GeneratorDimensions(96, 2, 3, "lower", "warping")
    network = WarpingGenerator(dims)
    torch.nn.init.normal_(network.flow.weight, 0, 1.0)  # untrained, it would move nothing
    card = ModelCard("generator", asdict(dims), CropSpec("aligned", 96), step=7, mask=request.param)
    save_model(media / "warping.safetensors", network, card)
    return "warping"


def test_it_redraws_the_mouth_alone_alike_in_every_backend(
    sync: Run, warping: str, media: Path, tmp_path: Path
) -> None:
    made = {}
    for backend in ("torch", "onnx"):
        output = tmp_path / f"{backend}.mp4"
        outcome = sync("-o", output, *CLOSED, "--set", f"backend={backend}", model=warping)
        assert outcome.status == 0, outcome.err
        made[backend] = pictures(output)
    source = pictures(media / "clip.mp4")
    inside = support(144, 120)
    for ours, others, theirs in zip(made["torch"], made["onnx"], source):
        assert same(ours, theirs, inside)
        assert change(ours, theirs, inside) > 1
        assert np.abs(ours.y.astype(int) - others.y).max() <= 1


def test_the_record_names_the_model(sync: Run, warping: str, tmp_path: Path) -> None:
    outcome = sync("-o", tmp_path / "out.mp4", *CLOSED, model=warping)
    assert outcome.status == 0, outcome.err
    record: dict[str, Any] = json.loads((tmp_path / "out.w2l.json").read_text())
    assert record["model_step"] == 7
    assert record["crop"] == 192, "finer than the face of 80 px"
    assert record["references"].startswith("frames of similar pose")


def test_looks_may_be_moved_more_finely(sync: Run, warping: str, tmp_path: Path) -> None:
    shown = {}
    for detail in (1, 2):
        output = tmp_path / f"{detail}.mp4"
        assert sync("-o", output, *CLOSED, "--detail", detail, model=warping).status == 0
        shown[detail] = pictures(output)
        assert json.loads(output.with_suffix(".w2l.json").read_text())["crop"] == 96 * detail
    inside = support(144, 120)
    assert max(change(one, two, inside) for one, two in zip(shown[1], shown[2])) > 0.3
    tried = sync("-o", tmp_path / "out.mp4", "--detail", 2, "--dry-run", model=warping)
    assert "redrawn in crops of 192 px" in tried.out
    outcome = sync("-o", tmp_path / "out.mp4", "--detail", 7, model=warping)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "detail 7 must be between 0" in outcome.err


def test_it_is_exported(w2l: Run, warping: str, media: Path, tmp_path: Path) -> None:
    outcome = w2l("export", tmp_path / "out.onnx", "--model", media / f"{warping}.safetensors", "--json")
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    assert (result["first_row"], result["size"]) == (48, 96)
    assert result["difference"] < 1e-4
