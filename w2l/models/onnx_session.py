"""ONNX Runtime sessions with uniform options, for the models of face packs."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import CheckpointError

log = logging.getLogger(__name__)


def open_session(file: Path, device: str, any_size: bool = False) -> tuple[Any, Any]:
    """Return an ONNX Runtime session of `file`, and its only input (name, shape: numbers, or text for variable sizes).

    With `any_size`, a model that was exported for images of one size is changed to accept others. Whether it can must
    be tried: weights after a fixed number of pixels cannot. Raises CheckpointError for a file that is not ONNX.
    """
    session = new_session(_with_free_sizes(file) if any_size else str(file), file, device)
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise CheckpointError(f"{file}: not a model that takes one image; choose a face model")
    return session, inputs[0]


def new_session(model: bytes | str, file: Path, device: str) -> Any:
    """Return an ONNX Runtime session of `model`, given as content or as the name of `file`.

    It uses as many threads as PyTorch. Raises CheckpointError for what is not an ONNX model.
    """
    import onnxruntime
    import torch

    providers = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        else:
            log.info("this onnxruntime does not support CUDA; %s runs on the CPU", file.name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = torch.get_num_threads()  # limited by OMP_NUM_THREADS and by worker pools
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other threads compute meanwhile
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except _errors() as error:
        raise CheckpointError(f"{file}: not a readable ONNX model ({_first_line(error)}); download it again") from error


def _with_free_sizes(file: Path) -> bytes | str:
    """Return the model with variable height and width of images and rows of outputs; its name if not readable."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(file))
    except (DecodeError, ValueError, OSError):
        return str(file)
    for place, value in enumerate([*model.graph.input, *model.graph.output]):
        sizes = value.type.tensor_type.shape.dim
        # Images are (batch, channels, height, width), outputs (rows, values) with or without a batch axis before them.
        free = range(2, len(sizes)) if place == 0 else range(max(len(sizes) - 2, 0), len(sizes) - 1)
        for axis in free:
            sizes[axis].dim_param = f"free_{place}_{axis}"
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def run_session(session: Any, inputs: Mapping[str, NDArray[np.float32]], file: Path) -> list[NDArray[np.float32]]:
    """Return all outputs for `inputs`; raise CheckpointError if the model of `file` cannot take them."""
    with named_errors(file):
        outputs: list[NDArray[np.float32]] = session.run(None, dict(inputs))
    return outputs


@contextmanager
def named_errors(file: Path) -> Iterator[None]:
    """Raise CheckpointError in place of the errors of running a model, with the name of its file."""
    try:
        yield
    except _errors() as error:
        raise CheckpointError(f"{file}: the model cannot be run ({_first_line(error)}); choose another file") from error


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime for a model that cannot be loaded or run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    names = ("InvalidProtobuf", "InvalidGraph", "InvalidArgument", "Fail", "RuntimeException", "NotImplemented")
    # In addition to its own: a name in the file that is not UTF-8, an impossible size.
    return (*(getattr(states, name) for name in names), ValueError, RuntimeError, MemoryError)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
