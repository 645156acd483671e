"""A released model: its card, its size, its weights."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from examples.research.release_model import main
from tests.examples.test_average_weights import saved
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, load_model, marks_of, save_model
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import make_generator


@pytest.mark.parametrize("half", [False, True])
def test_it_keeps_the_weights_and_says_what_it_is_told(tmp_path: Path, half: bool) -> None:
    source, out = saved(tmp_path / "a.safetensors", 1, width=8), tmp_path / "out.safetensors"
    told = ["--data", "ten faces", "--licence", "CC BY 4.0", *(["--half"] if half else [])]
    assert CliRunner().invoke(main, [str(source), str(out), *told]).exit_code == 0
    before, after = load_model(source, "expert"), load_model(out, "expert")
    assert (after.card.data, after.card.licence) == ("ten faces", "CC BY 4.0")
    assert set(marks_of(before)) <= set(after.card.ancestors)
    for one, other in zip(before.network.parameters(), after.network.parameters()):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-3 if half else 0)
    assert out.stat().st_size < (0.6 if half else 1.1) * source.stat().st_size


def test_a_warping_generator_gets_another_flow(tmp_path: Path) -> None:
    dims = GeneratorDimensions(64, 2, 1, "lower", "warping")
    network = make_generator(dims)
    torch.nn.init.normal_(network.flow.weight, 0, 0.3)  # type: ignore[union-attr, arg-type]
    source, out = tmp_path / "g.safetensors", tmp_path / "out.safetensors"
    save_model(source, network, ModelCard("generator", asdict(dims), CropSpec("aligned", 64)))
    told = [str(source), str(out), "--flow-blur", "0.04", "--moves", "0.5"]
    assert CliRunner().invoke(main, told).exit_code == 0
    before, after = load_model(source, "generator"), load_model(out, "generator")
    assert after.card.dimensions["flow_blur"] == 0.04
    halved = {
        name: value / 2 if name.startswith("flow.") else value for name, value in before.network.state_dict().items()
    }
    for name, value in after.network.state_dict().items():
        torch.testing.assert_close(value, halved[name])


def test_only_a_warping_generator_has_a_flow(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.safetensors", 1, width=8)
    result = CliRunner().invoke(main, [str(source), str(tmp_path / "out.safetensors"), "--moves", "0.5"])
    assert result.exit_code == 2
    assert "not a warping generator" in result.output
