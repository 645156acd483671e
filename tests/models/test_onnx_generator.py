"""Generators in ONNX files: our own export, facefusion's way of writing them, and ONNX files of other kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.models import registry
from w2l.models.checkpoint import Model, ModelCard, dimensions_of, load_model, read_card
from w2l.models.onnx_export import export, graph
from w2l.models.onnx_generator import OnnxGenerator
from w2l.models.runtime import Runner
from w2l.nets.folded.generator import fold
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import WarpingGenerator, make_generator
from w2l.training.generator.initial_weights import start_from


def model(**dimensions: Any) -> Model:
    torch.manual_seed(0)
    network = make_generator(GeneratorDimensions(**{"size": 64, "width": 1, **dimensions}))
    if isinstance(network, WarpingGenerator):
        torch.nn.init.normal_(network.flow.weight, 0, 0.3)  # untrained, it would move nothing
    return Model(network.eval(), ModelCard("generator", dimensions_of(network)), Path("made.safetensors"))


def inputs(n: int, size: int, n_references: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(n)
    faces = rng.integers(0, 256, (n, size, size, 3 * (1 + n_references)), dtype=np.uint8)
    return rng.uniform(-4, 4, (n, 80, 16)).astype(np.float32), faces


def facefusions(path: Path, made: Model, batch: int | None = 1, half: bool = False) -> Path:
    """A file as facefusion has them: the inputs `source` and `target`, for a fixed number of frames, without a card."""
    content = graph(fold(made.network))  # type: ignore[arg-type]
    names = {"mel": "source", "faces": "target", "generated": "output"}
    for node in content.graph.node:
        for side in (node.input, node.output):
            side[:] = [f"{names[name]}_32" if half and name in names else names.get(name, name) for name in side]
    for value in (*content.graph.input, *content.graph.output):
        value.name = names[value.name]
        if batch is not None:
            value.type.tensor_type.shape.dim[0].dim_value = batch
        if half:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    if half:
        for name in ("source", "target"):
            content.graph.node.insert(0, helper.make_node("Cast", [name], [f"{name}_32"], to=TensorProto.FLOAT))
        content.graph.node.append(helper.make_node("Cast", ["output_32"], ["output"], to=TensorProto.FLOAT16))
    onnx.save(content, path)
    return path


@pytest.mark.parametrize(("layout", "rows", "n_references", "first_row"), [
    ("published", "full", 1, 0), ("published", "full", 1, 30), ("published", "lower", 2, 0), ("warping", "lower", 2, 0),
])  # fmt: skip
def test_our_own_export_draws_what_the_model_draws(
    layout: str, rows: str, n_references: int, first_row: int, tmp_path: Path
) -> None:
    made = model(layout=layout, rows=rows, n_references=n_references)
    export(made, tmp_path / "g.onnx", first_row)
    loaded = load_model(tmp_path / "g.onnx", "generator")
    assert loaded.card.crop == made.card.crop
    assert loaded.card.colour == "rgb"
    assert loaded.card.dimensions == {"size": 64, "n_references": n_references, "rows": rows}
    assert read_card(tmp_path / "g.onnx") == loaded.card
    mels, faces = inputs(5, 64, n_references)
    ours, theirs = Runner(made, 40, batch=2), Runner(loaded, 40, batch=2)
    assert (theirs.first_row, theirs.backend, theirs.moves_pixels) == (40, "onnx", False)
    np.testing.assert_allclose(theirs(mels, faces), ours(mels, faces), atol=0.02)
    assert theirs(mels[:0], faces[:0]).shape == (0, 24, 64, 3)
    with torch.no_grad():
        mel, seen = torch.from_numpy(mels)[:, None], torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
        whole = made.network(mel, seen)
        torch.testing.assert_close(loaded.network(mel, seen), whole[..., first_row:, :], atol=1e-4, rtol=0)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("batch", [1, 3, None])
def test_facefusions_way_of_writing(batch: int | None, half: bool, tmp_path: Path) -> None:
    made = model(size=96)
    path = facefusions(tmp_path / "wav2lip_gan_96.onnx", made, batch, half)
    loaded = load_model(path, "generator")
    assert (loaded.card.kind, loaded.card.colour, loaded.card.references) == ("generator", "bgr", "same")
    assert (loaded.card.crop.kind, loaded.card.crop.size, loaded.card.crop.pads) == ("box", 96, (0, 10, 0, 0))
    mels, faces = inputs(5, 96)
    expected = Runner(made)(mels, faces)
    np.testing.assert_allclose(Runner(loaded, batch=4)(mels, faces), expected, atol=1 if half else 0.02)


def test_it_is_known_by_its_content(tmp_path: Path) -> None:
    facefusions(tmp_path / "model.pth", model())
    assert isinstance(load_model(tmp_path / "model.pth", "generator").network, OnnxGenerator)


def odd(path: Path, taken: dict[str, list[Any]], returned: list[Any], kind: int = TensorProto.FLOAT) -> Path:
    """An ONNX model that returns zeros."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, shape in taken.items()]
    zeros = helper.make_tensor("zeros", TensorProto.FLOAT, returned, np.zeros(returned).ravel())
    nodes = [helper.make_node("Constant", [], ["out"], value=zeros)]
    out = [helper.make_tensor_value_info("out", TensorProto.FLOAT, returned)]
    made = helper.make_model(helper.make_graph(nodes, "odd", given, out), opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.save(made, path)
    return path


MEL, FACES = [1, 1, 80, 16], [1, 6, 96, 96]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ({"input.1": ["n", 3, "h", "w"]}, r"the inputs input\.1 \(n, 3, h, w\), not a generator"),
        ({"source": MEL, "target": FACES, "weight": [1]}, "the inputs source .* weight"),
        ({"source": [1, 80, 16], "target": FACES}, "not a generator"),
        ({"source": MEL, "target": MEL}, "not a generator"),
        ({"source": MEL, "target": [1, 3, 96, 96]}, "not a generator"),
        ({"source": MEL, "target": [1, 6, 9000, 9000]}, "faces of 9000 px"),
        ({"source": MEL, "target": FACES}, r"returns \(1, 512\), not faces"),
    ],
)
def test_another_network_is_named_by_its_inputs(taken: dict[str, list[Any]], said: str, tmp_path: Path) -> None:
    path = odd(tmp_path / "other.onnx", taken, [1, 512])
    with pytest.raises(CheckpointError, match=said) as caught:
        load_model(path, "generator")
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_not_taken(tmp_path: Path) -> None:
    path = odd(tmp_path / "other.onnx", {"source": MEL, "target": FACES}, [1, 3, 96, 96], TensorProto.INT64)
    with pytest.raises(CheckpointError, match="not a generator"):
        load_model(path, "generator")


def test_cut_off_or_changed(tmp_path: Path) -> None:
    path = facefusions(tmp_path / "g.onnx", model())
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for trial in range(60):
        harmed = bytearray(content[: int(rng.integers(len(content)))] if trial % 2 else content)
        for place in rng.integers(0, 2000, 0 if trial % 2 else 6):
            harmed[min(place, len(harmed) - 1)] = rng.integers(256)
        path.write_bytes(bytes(harmed))
        try:
            load_model(path, "generator")
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_what_it_cannot_be_used_for_is_said(tmp_path: Path) -> None:
    export(model(), tmp_path / "g.onnx", 45)
    loaded = load_model(tmp_path / "g.onnx", "generator")
    with pytest.raises(ConfigError, match=r"rows from 45 on.*export it without --first-row"):
        Runner(loaded, 30)
    with pytest.raises(ConfigError, match="which backend torch cannot run"):
        Runner(loaded, 50, backend="torch")
    with pytest.raises(CheckpointError, match="is used by its path"):
        registry.bring(tmp_path / "g.onnx", "mine", Cache.open(tmp_path / "cache", create=True))
    with pytest.raises(CheckpointError, match="is already an ONNX file"):
        export(loaded, tmp_path / "again.onnx")
    with pytest.raises(ConfigError, match="cannot be trained"):
        start_from(model().network, loaded)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="is of kind generator, not expert"):
        load_model(tmp_path / "g.onnx", "expert")
