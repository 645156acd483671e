"""A released model: its card, its size, its weights."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from examples.research.release_model import main
from tests.examples.test_average_weights import saved
from w2l.models.checkpoint import load_model, marks_of


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
