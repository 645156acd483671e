"""The ONNX file: valid, self-describing, equal to PyTorch; written whole or not at all."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from w2l.core.config import build
from w2l.core.errors import CacheError, CheckpointError, ConfigError
from w2l.features.crop import CropSpec
from w2l.models import onnx_export as export_module
from w2l.models.checkpoint import Model, ModelCard
from w2l.models.onnx_export import TOLERANCE, export, graph
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.folded.generator import fold
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator, make_generator


def model(**dimensions: Any) -> Model:
    torch.manual_seed(0)
    dims = GeneratorDimensions(**{"size": 64, "width": 2, **dimensions})
    card = ModelCard("generator", asdict(dims), CropSpec("box", dims.size), "bgr", step=7, licence="mine: “quoted” ü")
    network = make_generator(dims)
    if isinstance(network, WarpingGenerator):
        torch.nn.init.normal_(network.flow.weight, 0, 0.3)  # untrained, it would move nothing
    return Model(network.eval(), card, Path("made.safetensors"))


@pytest.mark.parametrize(("rows", "layout"), [("full", "published"), ("lower", "published"), ("lower", "warping")])
@pytest.mark.parametrize(("size", "n_references", "first_row"), [(64, 1, 0), (112, 2, 71), (128, 3, 64), (192, 1, 5)])
def test_the_file_gives_the_network_s_rows_for_any_batch(
    tmp_path: Path, size: int, n_references: int, first_row: int, rows: str, layout: str
) -> None:
    made = model(size=size, n_references=n_references, rows=rows, layout=layout, width=1)
    written = export(made, tmp_path / "g.onnx", first_row)
    assert written.size == size
    assert written.first_row == max(first_row, size // 2 if rows == "lower" else 0)
    assert written.difference < 1e-4
    runtime = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        mel, faces = torch.randn(batch, 1, 80, 16), torch.rand(batch, 3 * (1 + n_references), size, size)
        (out,) = runtime.run(["generated"], {"mel": mel.numpy(), "faces": faces.numpy()})
        with torch.inference_mode():
            expected = made.network(mel, faces).numpy()
        assert out.shape == (batch, 3, size - written.first_row, size)
        np.testing.assert_allclose(out, expected[..., -out.shape[2] :, :], atol=1e-4)


@pytest.mark.parametrize("n_references", [1, 2])
def test_a_smoothed_flow_is_exported(tmp_path: Path, n_references: int) -> None:
    made = model(n_references=n_references, rows="lower", layout="warping", flow_blur=0.05)
    assert export(made, tmp_path / "g.onnx").difference < 1e-4
    rough = model(n_references=n_references, rows="lower", layout="warping")
    given = torch.randn(1, 1, 80, 16), torch.rand(1, 3 * (1 + n_references), 64, 64)
    with torch.inference_mode():
        assert (made.network(*given) - rough.network(*given)).abs().max() > 0.01


def test_the_file_describes_itself(tmp_path: Path) -> None:
    made = model()
    export(made, tmp_path / "g.onnx", 40)
    kept = onnx.load(tmp_path / "g.onnx")
    onnx.checker.check_model(kept, full_check=True)
    properties = {entry.key: entry.value for entry in kept.metadata_props}
    assert build(ModelCard, json.loads(properties["w2l"])) == made.card
    assert properties["first_row"] == "40"
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*kept.graph.input, *kept.graph.output)
    }
    assert shapes == {
        "mel": ["batch", 1, 80, 16], "faces": ["batch", 6, 64, 64], "generated": ["batch", 3, 24, 64]
    }  # fmt: skip


def test_a_file_of_the_warping_layout_is_valid(tmp_path: Path) -> None:
    made = model(rows="lower", layout="warping", n_references=4)
    export(made, tmp_path / "g.onnx")
    kept = onnx.load(tmp_path / "g.onnx")
    onnx.checker.check_model(kept, full_check=True)
    assert [axis.dim_value for axis in kept.graph.output[0].type.tensor_type.shape.dim] == [0, 3, 32, 64]
    assert sum(node.op_type == "GridSample" for node in kept.graph.node) == 4


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        export(model(), tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_no_batch_norm_is_left() -> None:
    made = model()
    assert isinstance(made.network, Generator)
    assert {node.op_type for node in graph(fold(made.network, 40)).graph.node} <= {
        "Conv", "ConvTranspose", "Add", "Relu", "Concat", "Slice", "Sigmoid", "Identity"
    }  # fmt: skip


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model()
    (tmp_path / "g.onnx").write_bytes(b"before")

    def spoiled(folded: Any, *rest: Any) -> Any:
        folded.output_block[1].conv.bias.data += 50 * TOLERANCE
        return graph(folded, *rest)

    monkeypatch.setattr(export_module, "graph", spoiled)
    with pytest.raises(CheckpointError, match="differs from PyTorch"):
        export(made, tmp_path / "g.onnx")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_a_nan_is_a_difference(tmp_path: Path) -> None:
    made = model()
    next(made.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="differs from PyTorch by nan"):
        export(made, tmp_path / "g.onnx")
    assert not list(tmp_path.iterdir())


def test_other_networks_are_refused(tmp_path: Path) -> None:
    dims = ExpertDimensions(64, 5, 1)
    other = Model(Expert(dims).eval(), ModelCard("expert", asdict(dims)), Path("expert.safetensors"))
    with pytest.raises(CheckpointError, match=r"expert.safetensors is of kind expert; only a generator"):
        export(other, tmp_path / "g.onnx")
    with pytest.raises(CheckpointError, match="of kind judge"):
        export(replace(model(), card=ModelCard("judge", {})), tmp_path / "g.onnx")


@pytest.mark.parametrize("first_row", [-1, 64])
def test_rows_outside_the_face_are_refused(tmp_path: Path, first_row: int) -> None:
    with pytest.raises(ConfigError, match="between 0 and 63"):
        export(model(), tmp_path / "g.onnx", first_row)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="cannot be written"):
        export(model(), tmp_path / "file" / "g.onnx")
