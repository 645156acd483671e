"""Calibration on people left out: scale and bias of their pairs, and a card that keeps where the weights came from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from examples.research import calibrate_expert
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, marks_of, save_model
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.training.scores import ScoredPairs


def pairs(_fold: Path, _model: Path) -> ScoredPairs:
    """Pairs of two people, of whom the first has nine windows in ten."""
    rng, track = np.random.default_rng(0), np.repeat([0, 1], [900, 100])
    in_sync, off_sync = rng.normal(0.6, 0.2, 1000), rng.normal(0.2, 0.2, 1000)
    none = np.zeros(0, np.int64)
    return ScoredPairs(
        in_sync, off_sync, np.ones(1000, bool), np.zeros((1000, 1)), track, ("s1", "s2"), none, {}
    )  # fmt: skip


def test_it_fits_the_people_and_keeps_the_ancestors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate_expert, "pairs_of", pairs)
    network = Expert(ExpertDimensions(32, width=2, signed=True))
    card = ModelCard("expert", dimensions_of(network), CropSpec(size=32), data="clips", ancestors=("ab" * 32,))
    save_model(tmp_path / "expert.safetensors", network, card)
    before, out = load_model(tmp_path / "expert.safetensors", "expert"), tmp_path / "out.safetensors"
    arguments = [str(before.path), str(out), "--fold", str(tmp_path), str(before.path)]
    shown = CliRunner().invoke(calibrate_expert.main, arguments)
    assert shown.exit_code == 0, shown.output
    after = load_model(out, "expert")
    assert 0.3 < -after.card.bias / after.card.scale < 0.5
    assert after.card.data == "clips"
    assert set(marks_of(before)) < set(marks_of(after))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), after.network.parameters()))
