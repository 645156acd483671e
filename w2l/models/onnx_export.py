"""Export of a generator as an ONNX graph: to a file, or for ONNX Runtime in this process."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from w2l.core.config import plain
from w2l.core.errors import CheckpointError, ConfigError
from w2l.core.files import write_atomic
from w2l.models.checkpoint import METADATA_KEY, Model
from w2l.models.onnx_generator import OnnxGenerator
from w2l.nets.folded.generator import Folded, fold
from w2l.nets.folded.layers import FoldedConv
from w2l.nets.folded.warping import FoldedWarping
from w2l.nets.folded.whole import Whole
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.warping import REACH, FlowBlur, WarpingGenerator, places

if TYPE_CHECKING:
    import onnx
    import onnxruntime

OPSET = 17
IR_VERSION = 8
"""IR version of 2022, like the opset: supported by ONNX Runtime from 1.13 on."""
TO_THE_END = np.iinfo(np.int64).max
CHANNELS_AXIS, ROWS_AXIS = 1, 2
TWICE = (1.0, 1.0, 2.0, 2.0)
"""Scale factors of each axis when doubling the size."""
CHECKED_BATCHES = (1, 3)
"""Number of frames in the check of a file before it is kept."""
TOLERANCE = 1e-3
"""Largest difference from PyTorch that counts as rounding: a quarter of a grey level."""


def graph(folded: Folded, metadata: dict[str, str] | None = None, steps: bool = False) -> "onnx.ModelProto":
    """Return the ONNX graph of a folded generator, with a variable batch size.

    Inputs ``mel`` (batch, 1, 80, 16) in [-4, 4] and ``faces`` (batch, 3 * (1 + n_references), size, size) in [0, 1];
    output ``generated`` (batch, 3, size - first_row, size) in [0, 1]; all float32. `metadata` is stored in the graph.
    With `steps`, for a warping generator, the outputs are ``flow`` and ``drawn``, see `w2l.nets.warping.mixture`.
    """
    from onnx import TensorProto, helper

    if isinstance(folded, Whole):
        raise CheckpointError(
            f"a generator of the layout {folded.dimensions.layout} cannot be exported as ONNX; export another generator"
        )
    dims = folded.dimensions
    n, half = dims.n_references, dims.size // 2
    builder = _Builder()
    shapes: dict[str, list[str | int | None]] = {
        "mel": ["batch", 1, 80, 16],
        "faces": ["batch", 3 * (1 + n), dims.size, dims.size],
    }
    outputs: dict[str, list[str | int | None]]
    if steps and isinstance(folded, FoldedWarping):
        results = dict(zip(("flow", "drawn"), folded.steps(builder, "mel", "faces")))
        outputs = {"flow": ["batch", 2 * n, half, dims.size], "drawn": ["batch", 4 + n, half, dims.size]}
    else:
        results = {"generated": folded.walk(builder, "mel", "faces")}
        outputs = {"generated": ["batch", 3, dims.size - folded.first_row, dims.size]}
    for name, result in results.items():
        builder.add("Identity", [result], name=name)
    given, made_of = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (shapes, outputs)
    )
    made = helper.make_graph(builder.nodes, "generator", given, made_of, builder.initializers)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="w2l"
    )
    helper.set_model_props(model, metadata or {})
    return model


def session(content: bytes, n_threads: int = 0) -> "onnxruntime.InferenceSession":
    """Return an ONNX Runtime session of the graph in `content`; `n_threads` 0 means one per core.

    Its threads sleep rather than spin between runs, because other parts of a pipeline need the cores.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Exported:
    """Description and accuracy of an exported file."""

    first_row: int
    """First row of the face that its graph generates."""
    size: int
    """Rows and columns of the face, in pixels."""
    difference: float
    """Largest difference from PyTorch, in [0, 1] as the output."""


def export(model: Model, path: Path, first_row: int = 0) -> Exported:
    """Write the generator `model` to the ONNX file `path`, atomically, with its card as JSON metadata.

    The graph is run and compared with the network of `model` before the file is written.
    """
    network = model.network
    if isinstance(network, OnnxGenerator):
        raise CheckpointError(f"model {model.path} is already an ONNX file; choose the model it was exported from")
    if model.card.kind != "generator" or not isinstance(network, (Generator, WarpingGenerator)):
        raise CheckpointError(f"model {model.path} is of kind {model.card.kind}; only a generator can be exported")
    size = network.dimensions.size
    if not 0 <= first_row < size:
        raise ConfigError(f"first row {first_row} must lie between 0 and {size - 1}, for faces of {size} rows")
    folded = fold(network, first_row)
    metadata = {METADATA_KEY: json.dumps(plain(model.card), sort_keys=True), "first_row": str(folded.first_row)}
    content = graph(folded, metadata).SerializeToString()
    difference = _difference(content, network)
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"model {model.path}: its ONNX graph differs from PyTorch by {difference:.2g}; nothing was written;"
            " try another version of onnxruntime"
        )
    write_atomic(path, lambda file: file.write(content))
    return Exported(folded.first_row, size, difference)


class _Builder:
    """Nodes and weights of a graph, with a name for each node's result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operation: str, inputs: list[str], name: str | None = None, **attributes: Any) -> str:
        """Append a node and return the name of its result."""
        from onnx import helper

        result = name or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [result], **attributes))
        return result

    def convolve(self, blocks: nn.Module, x: str) -> str:
        """Add folded convolutions one after the other."""
        for block in blocks.children():
            if not isinstance(block, FoldedConv):
                raise TypeError(f"a {type(block).__name__} cannot be written as ONNX")
            x = self._convolve(block, x)
        return x

    def join(self, x: str, y: str) -> str:
        """Concatenate the channels of `x` and `y`."""
        return self.add("Concat", [x, y], axis=1)

    def lowest_rows(self, x: str, n_rows: int) -> str:
        """Return the last `n_rows` rows."""
        return self._slice(x, -n_rows, TO_THE_END, ROWS_AXIS)

    def add_relu(self, x: str, y: str) -> str:
        """Return the ReLU of the sum."""
        return self.add("Relu", [self.add("Add", [x, y])])

    def repeat(self, x: str) -> str:
        """Repeat each pixel as two by two."""
        return self._resize(x, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    def smooth(self, x: str) -> str:
        """Double the rows and columns by bilinear interpolation."""
        return self._resize(x, mode="linear", coordinate_transformation_mode="half_pixel")

    def blur(self, blur: FlowBlur, flow: str) -> str:
        """Smooth a flow by two products with matrices."""
        rows = self.add("MatMul", [self._constant(_array(blur.down)), flow])
        return self.add("MatMul", [rows, self._constant(_array(blur.across))])

    def shuffle(self, x: str) -> str:
        """Rearrange four channels as two by two pixels of one."""
        return self.add("DepthToSpace", [x], blocksize=2, mode="CRD")

    def mixture(self, faces: str, flow: str, drawn: str, dimensions: GeneratorDimensions) -> str:
        """Add the nodes of `w2l.nets.warping.mixture`."""
        shares = self.add("Softmax", [self._channels(drawn, 3, TO_THE_END)], axis=1)
        colours = self.add("Sigmoid", [self._channels(drawn, 0, 3)])
        picture = self.add("Mul", [self._channels(shares, 0, 1), colours])
        home = self._constant(places(dimensions.size).numpy()[None])
        moved = self.add("Mul", [self.add("Tanh", [flow]), self._constant(np.float32(2 * REACH))])
        for number in range(dimensions.n_references):
            pair = self.add("Transpose", [self._channels(moved, 2 * number, 2 * number + 2)], perm=[0, 2, 3, 1])
            grid = self.add("Add", [pair, home])
            reference = self._channels(faces, 3 * (number + 1), 3 * (number + 2))
            warped = self.add("GridSample", [reference, grid], mode="bilinear", padding_mode="border", align_corners=0)
            share = self._channels(shares, number + 1, number + 2)
            picture = self.add("Add", [picture, self.add("Mul", [share, warped])])
        return picture

    def _channels(self, x: str, start: int, stop: int) -> str:
        return self._slice(x, start, stop, CHANNELS_AXIS)

    def _slice(self, x: str, start: int, stop: int, axis: int) -> str:
        bounds = [self._constant(np.array([value])) for value in (start, stop, axis)]
        return self.add("Slice", [x, *bounds])

    def _resize(self, x: str, **attributes: str) -> str:
        return self.add("Resize", [x, "", self._constant(np.array(TWICE, dtype=np.float32))], **attributes)

    def _convolve(self, block: FoldedConv, x: str) -> str:
        conv = block.conv
        inputs = [x, *(self._constant(_array(weight)) for weight in (conv.weight, conv.bias) if weight is not None)]
        attributes: dict[str, Any] = {"strides": list(conv.stride), "pads": [*conv.padding, *conv.padding]}
        if conv.transposed:
            out = self.add("ConvTranspose", inputs, output_padding=list(conv.output_padding), **attributes)
        else:
            out = self.add("Conv", inputs, **attributes)
        if block.residual:
            out = self.add("Add", [out, x])
        return out if block.activation == "none" else self.add(block.activation.capitalize(), [out])

    def _constant(self, array: NDArray[Any] | np.float32) -> str:
        from onnx import numpy_helper

        name = f"weight_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name


def _array(weight: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(weight.detach().float().cpu().numpy())


def _difference(content: bytes, network: Generator | WarpingGenerator) -> float:
    """Return the largest difference between the graph in `content` and the network, on random inputs."""
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented

    dims, device = network.dimensions, next(network.parameters()).device
    random = torch.Generator().manual_seed(0)
    differences = []
    try:
        runtime = session(content)
        for batch in CHECKED_BATCHES:
            mel = torch.rand(batch, 1, 80, 16, generator=random) * 8 - 4
            faces = torch.rand(batch, 3 * (1 + dims.n_references), dims.size, dims.size, generator=random)
            made = runtime.run(None, {"mel": mel.numpy(), "faces": faces.numpy()})[0]
            with torch.inference_mode():
                expected = network(mel.to(device), faces.to(device)).float().cpu().numpy()
            differences.append(float(np.abs(made - expected[..., -made.shape[2] :, :]).max()))
    except (Fail, InvalidGraph, NotImplemented) as error:
        raise CheckpointError(f"the ONNX graph cannot be run: {error}; try another version of onnxruntime") from error
    return max(differences)
