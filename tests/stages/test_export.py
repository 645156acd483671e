"""`w2l export`: one command, one file; what it prints; what it refuses before it computes."""

import json
from dataclasses import asdict
from pathlib import Path

import onnxruntime
import pytest
import torch

from stages import cli
from w2l.models.checkpoint import ModelCard, dimensions_of, save_model
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("W2L_CACHE", raising=False)
    torch.manual_seed(0)
    generator = Generator(GeneratorDimensions(64, 2))
    save_model(tmp_path / "mine.safetensors", generator, ModelCard("generator", asdict(generator.dimensions)))
    expert = Expert(ExpertDimensions(64, 5, 1))
    save_model(tmp_path / "expert.safetensors", expert, ModelCard("expert", dimensions_of(expert)))
    return tmp_path


def run(*arguments: object) -> int:
    try:
        cli.main(["export", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_shipped_model_needs_no_option_and_leaves_one_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(folder.iterdir())
    assert run("generator.onnx") == 0
    assert set(folder.iterdir()) - before == {folder / "generator.onnx"}
    out = capsys.readouterr().out
    assert out.startswith("generator.onnx: rows ")
    assert "from PyTorch" in out
    onnxruntime.InferenceSession(str(folder / "generator.onnx"), providers=["CPUExecutionProvider"])


def test_a_file_and_its_lower_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("out.onnx", "--model", "mine.safetensors", "--first-row", 40, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["first_row"], result["size"]) == (40, 64)
    assert Path(result["model"]) == (folder / "mine.safetensors").resolve()
    assert result["difference"] < 1e-4
    assert result["n_bytes"] == (folder / "out.onnx").stat().st_size


@pytest.mark.parametrize(("arguments", "status", "said"), [
    (("x.onnx", "--model", "expert.safetensors"), 1, "expert.safetensors is of kind expert, not generator"),
    (("x.onnx", "--model", "nosuch", "--cache", "."), 1, "contains other files|does not exist"),
    (("x.onnx", "--model", "here.onnx"), 1, "here.onnx"),
    (("mine.safetensors", "-y"), 2, "must end in .onnx"),
    (("here.onnx",), 2, "exists; overwrite it with -y"),
    (("x.onnx", "--first-row", "96"), 2, "between 0 and 95"),
    (("x.onnx", "--first-row", "-3"), 2, "at least 0"),
    (("mine.safetensors/x.onnx",), 1, "cannot be written|Not a directory"),
    ((), 2, "Missing argument 'OUTPUT'"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, said: str
) -> None:
    (folder / "here.onnx").write_bytes(b"before")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run(*arguments) == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert any(part in err for part in said.split("|")), err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_an_existing_file_is_replaced_on_request(folder: Path) -> None:
    (folder / "here.onnx").write_bytes(b"before")
    assert run("here.onnx", "--model", "mine.safetensors", "-y") == 0
    assert (folder / "here.onnx").stat().st_size > 1000
